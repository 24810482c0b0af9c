// Threads for work that may block (disk reads, database loads), with a bounded queue.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace vignette {

// Thread-safe.
class TaskPool {
 public:
  using Task = std::move_only_function<void()>;
  virtual ~TaskPool() = default;
  // False when the queue is full or the pool is stopping: the task was destroyed without running.
  // Otherwise it runs once, later, on another thread, or is destroyed unrun when the pool ends.
  [[nodiscard]] virtual bool try_submit(Task task) = 0;
};

// Destruction lets running tasks finish and destroys queued ones without running them, so that a stop
// takes one task's time and not a queue's. Who needs a task's effect waits for its completion first.
class BoundedPool final : public TaskPool {
 public:
  // `queue_limit` counts waiting tasks, not running ones. Threads are named "name/0", "name/1", ….
  BoundedPool(std::string name, unsigned threads, std::size_t queue_limit);
  ~BoundedPool() override;
  BoundedPool(const BoundedPool&) = delete;
  BoundedPool& operator=(const BoundedPool&) = delete;

  bool try_submit(Task task) override;

  std::size_t queued() const;
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }
  // Tasks that ended by an exception; the thread goes on.
  std::uint64_t failed() const { return failed_.load(std::memory_order_relaxed); }

 private:
  void run();
  void stop();

  const std::size_t queue_limit_;
  mutable std::mutex mutex_;  // guards queue_ and stopping_
  std::condition_variable wake_;
  std::deque<Task> queue_;
  bool stopping_ = false;
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<std::uint64_t> failed_{0};
  std::vector<std::thread> threads_;
};

// For tests: tasks run on the caller's thread, when the test says so.
class SteppedPool final : public TaskPool {
 public:
  explicit SteppedPool(std::size_t queue_limit = 1024) : queue_limit_(queue_limit) {}

  bool try_submit(Task task) override;

  std::size_t queued() const;
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }
  // Runs the oldest task; false when there is none.
  bool run_one();
  // Runs tasks, those submitted meanwhile too, until none is left; returns how many ran.
  std::size_t run_all();

 private:
  const std::size_t queue_limit_;
  mutable std::mutex mutex_;
  std::deque<Task> queue_;
  std::atomic<std::uint64_t> refused_{0};
};

}  // namespace vignette
