#include "base/log.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <ctime>
#include <string>
#include <system_error>

namespace vignette {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"debug", "info", "warn", "error", "off"};
// As it is written. A longer text is cut: a line must not depend on how much a peer sent, and it goes to a
// pipe whole or not at all.
constexpr std::size_t kMaxTextBytes = 4000;
static_assert(kMaxTextBytes + 64 <= PIPE_BUF, "time and level before it, and that it was cut");

void append_time(std::string& out) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm utc{};
  ::gmtime_r(&now.tv_sec, &utc);
  out += fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z ", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec / 1'000'000);
}

// Texts quote what clients and origins sent: control characters must not forge lines or drive a terminal.
void append_visible(std::string& out, std::string_view text) {
  const std::size_t end = out.size() + kMaxTextBytes;
  for (char c : text) {
    if (out.size() >= end) {
      out += " [cut]";
      return;
    }
    auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out.push_back(c);
    }
  }
}

// A pipe is writable when it has room for PIPE_BUF bytes: the write that follows does not block.
bool has_room(int fd) {
  pollfd state{fd, POLLOUT, 0};
  return ::poll(&state, 1, 0) > 0 && (state.revents & POLLOUT);
}

bool write_line(int fd, std::string_view line) {
  if (!has_room(fd)) return false;
  ssize_t written;
  do {
    written = ::write(fd, line.data(), line.size());
  } while (written < 0 && errno == EINTR);
  return written == static_cast<ssize_t>(line.size());
}

}  // namespace

std::string_view to_string(LogLevel level) { return kNames[static_cast<std::size_t>(level)]; }

std::uint64_t Logger::lines(LogLevel level) const {
  return level < LogLevel::off ? lines_[static_cast<std::size_t>(level)].load(std::memory_order_relaxed) : 0;
}

void Logger::write(LogLevel level, fmt::string_view text, fmt::format_args args) noexcept {
  // Callers log and then look at errno.
  int saved_errno = errno;
  try {
    std::string line;
    append_time(line);
    line += fmt::format("{:<5} ", to_string(level));
    append_visible(line, fmt::vformat(text, args));
    line.push_back('\n');
    emit(level, line);
  } catch (...) {
    lost_.fetch_add(1, std::memory_order_relaxed);
  }
  errno = saved_errno;
}

void Logger::emit(LogLevel level, std::string_view line) {
  std::lock_guard lock(mutex_);
  if (sink_) {
    sink_(level, line);
  } else if (!write_line(fd_, line)) {
    lost_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  lines_[static_cast<std::size_t>(level)].fetch_add(1, std::memory_order_relaxed);
}

std::optional<std::uint64_t> RateLimited::admit() {
  std::lock_guard lock(mutex_);
  TimePoint now = clock_.now();
  if (last_ && now - *last_ < interval_) {
    ++skipped_;
    return std::nullopt;
  }
  last_ = now;
  return std::exchange(skipped_, 0);
}

}  // namespace vignette
