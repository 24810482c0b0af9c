#include "base/bounded_pool.h"

#include <fmt/core.h>

#include <utility>

#include "base/check.h"
#include "base/thread.h"

namespace vignette {

BoundedPool::BoundedPool(std::string name, unsigned threads, std::size_t queue_limit)
    : queue_limit_(queue_limit) {
  VCHECK(threads > 0);
  try {
    for (unsigned i = 0; i < threads; ++i) {
      threads_.push_back(start_thread(fmt::format("{}/{}", name, i), [this] { run(); }));
    }
  } catch (...) {
    stop();
    throw;
  }
}

BoundedPool::~BoundedPool() { stop(); }

void BoundedPool::stop() {
  std::deque<Task> unrun;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    unrun.swap(queue_);
  }
  wake_.notify_all();
  unrun.clear();  // before the joins: a running task may wait for what a queued one holds
  for (std::thread& thread : threads_) thread.join();
}

bool BoundedPool::try_submit(Task task) {
  {
    std::lock_guard lock(mutex_);
    if (!stopping_ && queue_.size() < queue_limit_) {
      queue_.push_back(std::move(task));
      wake_.notify_one();
      return true;
    }
  }
  refused_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

std::size_t BoundedPool::queued() const {
  std::lock_guard lock(mutex_);
  return queue_.size();
}

void BoundedPool::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    Task task = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    try {
      task();
    } catch (...) {
      failed_.fetch_add(1, std::memory_order_relaxed);
    }
    task = nullptr;  // what it captured ends outside the lock
    lock.lock();
  }
}

bool SteppedPool::try_submit(Task task) {
  std::lock_guard lock(mutex_);
  if (queue_.size() >= queue_limit_) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  queue_.push_back(std::move(task));
  return true;
}

std::size_t SteppedPool::queued() const {
  std::lock_guard lock(mutex_);
  return queue_.size();
}

bool SteppedPool::run_one() {
  Task task;
  {
    std::lock_guard lock(mutex_);
    if (queue_.empty()) return false;
    task = std::move(queue_.front());
    queue_.pop_front();
  }
  task();
  return true;
}

std::size_t SteppedPool::run_all() {
  std::size_t ran = 0;
  while (run_one()) ++ran;
  return ran;
}

}  // namespace vignette
