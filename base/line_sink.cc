#include "base/line_sink.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/thread.h"

namespace vignette {
namespace {

std::uint64_t count_lines(std::string_view text) {
  return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

LineSink::LineSink(std::unique_ptr<LineFile> file, LineSinkOptions options, const Clock& clock, Logger& log)
    : options_(options),
      log_(log),
      file_(std::move(file)),
      producers_(new Producer[options.producers]),
      complaints_(clock, std::chrono::seconds(10)) {
  VCHECK(file_ != nullptr && options_.producers > 0);
  // In full from the start, so that no producer ever allocates: pages that are never written cost nothing.
  batch_.reserve(options_.buffer_bytes);
  for (unsigned i = 0; i < options_.producers; ++i) producers_[i].buffer.reserve(options_.buffer_bytes);
  writer_ = start_thread("access-log", [this] { run(); });
}

LineSink::~LineSink() {
  {
    std::lock_guard lock(mutex_);
    stop_at_ = std::chrono::steady_clock::now() + options_.drain_limit;
    stopping_ = true;
  }
  wake_.notify_all();
  writer_.join();
}

bool LineSink::append(unsigned producer, std::string_view line) {
  VCHECK(producer < options_.producers);
  Producer& own = producers_[producer];
  std::size_t before = 0;
  std::size_t after = 0;
  {
    std::lock_guard lock(own.mutex);
    before = own.buffer.size();
    after = before + line.size() + 1;
    if (after > options_.buffer_bytes) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    own.buffer.append(line);
    own.buffer.push_back('\n');
  }
  if (before < options_.wake_bytes && after >= options_.wake_bytes) {
    std::lock_guard lock(mutex_);
    wake_wanted_ = true;
    wake_.notify_one();
  }
  return true;
}

void LineSink::reopen() {
  std::lock_guard lock(mutex_);
  reopen_wanted_ = true;
  wake_.notify_one();
}

void LineSink::flush() {
  std::unique_lock lock(mutex_);
  std::uint64_t ticket = ++flush_wanted_;
  wake_.notify_one();
  done_.wait(lock, [&] { return flush_done_ >= ticket; });
}

// The writer thread. A turn takes the wishes first and the lines after, so a wish covers every line
// appended before it was made.
void LineSink::run() {
  bool last_turn = false;
  while (!last_turn) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, options_.flush_interval, [this] {
      return wake_wanted_ || reopen_wanted_ || stopping_ || flush_done_ != flush_wanted_;
    });
    wake_wanted_ = false;
    bool reopening = std::exchange(reopen_wanted_, false);
    std::uint64_t ticket = flush_wanted_;
    last_turn = stopping_;
    lock.unlock();

    drain_producers();
    if (last_turn) give_up_torn_line();
    if (reopening) reopen_file();
    report_drops("a worker's buffer was full");

    lock.lock();
    flush_done_ = ticket;
    lock.unlock();
    done_.notify_all();
  }
}

void LineSink::drain_producers() {
  for (unsigned i = 0; i < options_.producers; ++i) {
    {
      std::lock_guard lock(producers_[i].mutex);
      batch_.swap(producers_[i].buffer);
    }
    write_batch(batch_);
    batch_.clear();
  }
  // Without new lines the torn one still wants its end.
  if (!torn_.empty()) write_batch({});
}

void LineSink::write_batch(std::string_view batch) {
  std::string_view torn = torn_;
  Error error = write_pieces(torn);
  if (torn.empty() && !torn_.empty()) written_.fetch_add(1, std::memory_order_relaxed);
  torn_.erase(0, torn_.size() - torn.size());
  if (!torn_.empty()) return drop(batch, error);

  std::string_view rest = batch;
  error = write_pieces(rest);
  std::string_view done = batch.substr(0, batch.size() - rest.size());
  written_.fetch_add(count_lines(done), std::memory_order_relaxed);
  if (!done.empty() && done.back() != '\n') {
    std::size_t end = rest.find('\n') + 1;
    torn_.assign(rest.substr(0, end));
    rest.remove_prefix(end);
  }
  drop(rest, error);
}

// Shortens `rest` by what was written; stops early on an error, or when there is no room and the time is up.
Error LineSink::write_pieces(std::string_view& rest) {
  while (!rest.empty()) {
    Result<std::size_t> written = file_->write(rest);
    if (!written) return written.error();
    rest.remove_prefix(*written);
    if (*written > 0) continue;
    report_drops("its reader is too slow");
    if (out_of_time()) return {.code = Code::timeout, .where = "write the log"};
  }
  return {};
}

void LineSink::drop(std::string_view lines, const Error& error) {
  if (lines.empty()) return;
  dropped_.fetch_add(count_lines(lines), std::memory_order_relaxed);
  report_drops(explain(error));
}

void LineSink::report_drops(std::string_view why) {
  std::uint64_t dropped = dropped_lines();
  if (dropped == reported_ || !complaints_.admit()) return;
  log_.warn("access log: {} lines dropped, {} in all: {}", dropped - reported_, dropped, why);
  reported_ = dropped;
}

void LineSink::give_up_torn_line() {
  if (torn_.empty()) return;
  torn_.clear();
  dropped_.fetch_add(1, std::memory_order_relaxed);
}

void LineSink::reopen_file() {
  give_up_torn_line();
  Result<void> opened = file_->reopen();
  if (opened) return;
  log_.error("access log: {}: {}; going on with the old file", opened.error().where, explain(opened.error()));
}

bool LineSink::out_of_time() {
  std::lock_guard lock(mutex_);
  return stopping_ && std::chrono::steady_clock::now() >= stop_at_;
}

}  // namespace vignette
