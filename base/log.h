// The process's own log: events for the person who runs the node, one line each. (The access log is a
// LineSink.) A Logger is handed in by reference; there is no global one.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "base/clock.h"

namespace vignette {

enum class LogLevel : std::uint8_t { debug, info, warn, error, off };
std::string_view to_string(LogLevel level);

// Thread-safe. Nothing here throws: a line that cannot be formatted or written is counted as lost.
class Logger {
 public:
  // Called with one finished line, newline included; one call at a time.
  using Sink = std::move_only_function<void(LogLevel, std::string_view line)>;

  // Each line is one write(2) of at most PIPE_BUF bytes to `fd`, which is borrowed and may be blocking. A
  // line that it has no room for is lost: who stops reading our stderr does not stop the node.
  explicit Logger(LogLevel level = LogLevel::info, int fd = 2) : level_(level), fd_(fd) {}
  Logger(LogLevel level, Sink sink) : level_(level), fd_(-1), sink_(std::move(sink)) {}
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  void set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }
  bool enabled(LogLevel level) const { return level >= level_.load(std::memory_order_relaxed); }

  template <typename... Args>
  void debug(fmt::format_string<Args...> text, Args&&... args) noexcept {
    log(LogLevel::debug, text, fmt::make_format_args(args...));
  }
  template <typename... Args>
  void info(fmt::format_string<Args...> text, Args&&... args) noexcept {
    log(LogLevel::info, text, fmt::make_format_args(args...));
  }
  template <typename... Args>
  void warn(fmt::format_string<Args...> text, Args&&... args) noexcept {
    log(LogLevel::warn, text, fmt::make_format_args(args...));
  }
  template <typename... Args>
  void error(fmt::format_string<Args...> text, Args&&... args) noexcept {
    log(LogLevel::error, text, fmt::make_format_args(args...));
  }

  std::uint64_t lines(LogLevel level) const;  // written since the start
  std::uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  void log(LogLevel level, fmt::string_view text, fmt::format_args args) noexcept {
    if (enabled(level) && level < LogLevel::off) write(level, text, args);
  }
  void write(LogLevel level, fmt::string_view text, fmt::format_args args) noexcept;
  void emit(LogLevel level, std::string_view line);

  std::atomic<LogLevel> level_;
  int fd_;
  std::mutex mutex_;  // guards sink_, and that the room found in fd_ is still there
  Sink sink_;
  std::atomic<std::uint64_t> lines_[4] = {};
  std::atomic<std::uint64_t> lost_{0};
};

// For a warning that may repeat thousands of times a second:
//   if (auto skipped = limit_.admit()) log_.warn("accept: {} ({} more since the last line)", why, *skipped);
// Thread-safe. `clock` must outlive it.
class RateLimited {
 public:
  RateLimited(const Clock& clock, Duration interval) : clock_(clock), interval_(interval) {}
  // The number of events refused since the last admitted one; nullopt: keep silent this time. The first
  // event is admitted, then at most one every interval.
  std::optional<std::uint64_t> admit();

 private:
  const Clock& clock_;
  Duration interval_;
  std::mutex mutex_;
  std::optional<TimePoint> last_;
  std::uint64_t skipped_ = 0;
};

}  // namespace vignette
