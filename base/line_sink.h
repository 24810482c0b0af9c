// The access log's writer. Each producer (a worker) appends to a buffer of its own; one writer thread
// swaps the buffers out and writes them. A producer never waits for the file: when its buffer is full
// or the disk is, lines are dropped and counted, and writing goes on by itself once there is room.
// A line torn by a short write is finished before anything else follows, so lines stay whole.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "base/line_file.h"
#include "base/log.h"

namespace vignette {

struct LineSinkOptions {
  unsigned producers = 1;
  std::size_t buffer_bytes = 1 << 20;                        // per producer, and once more for the writer
  std::size_t wake_bytes = 64 << 10;                         // a buffer this full wakes the writer
  Duration flush_interval = std::chrono::milliseconds(200);  // otherwise it wakes this often
  Duration drain_limit = std::chrono::seconds(1);            // how long the destructor tries
};

// Thread-safe; each producer index is meant for one thread.
class LineSink {
 public:
  // `clock` and `log` must outlive it; `log` is told of failures, at most one line in 10 s.
  LineSink(std::unique_ptr<LineFile> file, LineSinkOptions options, const Clock& clock, Logger& log);
  // Writes what is buffered, for at most drain_limit; the rest is dropped.
  ~LineSink();
  LineSink(const LineSink&) = delete;
  LineSink& operator=(const LineSink&) = delete;

  // Adds `line` and a newline; `line` has none. False when it was dropped (buffer full).
  bool append(unsigned producer, std::string_view line);
  // Asks the writer to open the file by name again; lines appended before go to the old file.
  void reopen();
  // Returns when every line appended before the call was written or dropped. For tests and the end.
  void flush();

  std::uint64_t written_lines() const { return written_.load(std::memory_order_relaxed); }
  std::uint64_t dropped_lines() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  struct alignas(64) Producer {
    std::mutex mutex;  // held for an append or a swap of buffers, never over I/O
    std::string buffer;
  };

  void run();
  void drain_producers();
  void write_batch(std::string_view batch);
  Error write_pieces(std::string_view& rest);
  void drop(std::string_view lines, const Error& error);
  void report_drops(std::string_view why);
  void give_up_torn_line();
  void reopen_file();
  bool out_of_time();

  const LineSinkOptions options_;
  Logger& log_;
  std::unique_ptr<LineFile> file_;
  std::unique_ptr<Producer[]> producers_;
  std::atomic<std::uint64_t> written_{0};
  std::atomic<std::uint64_t> dropped_{0};

  std::mutex mutex_;  // guards the wishes to the writer
  std::condition_variable wake_;
  std::condition_variable done_;
  bool wake_wanted_ = false;
  bool reopen_wanted_ = false;
  bool stopping_ = false;
  std::chrono::steady_clock::time_point stop_at_{};  // real time: the file does not follow a manual clock
  std::uint64_t flush_wanted_ = 0;                   // tickets
  std::uint64_t flush_done_ = 0;

  // The writer's own.
  std::string batch_;
  std::string torn_;            // the rest of a line whose beginning is in the file
  std::uint64_t reported_ = 0;  // dropped lines the log has heard of
  RateLimited complaints_;
  std::thread writer_;
};

}  // namespace vignette
