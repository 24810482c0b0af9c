// Objects kept for reuse, so that a hit allocates nothing. One thread (a worker) owns the list.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace vignette {

// Loop-thread only.
template <typename T>
class FreeList {
 public:
  // Keeps at most `limit` idle objects; more are deleted.
  explicit FreeList(std::size_t limit) : limit_(limit) { idle_.reserve(limit); }

  // An idle object in the state in which it was given back, or a new T().
  std::unique_ptr<T> take() {
    if (idle_.empty()) return std::make_unique<T>();
    std::unique_ptr<T> object = std::move(idle_.back());
    idle_.pop_back();
    return object;
  }
  // The caller has cleared the object of everything that belongs to one request.
  void give(std::unique_ptr<T> object) {
    if (object && idle_.size() < limit_) idle_.push_back(std::move(object));
  }
  std::size_t idle() const { return idle_.size(); }
  void clear() { idle_.clear(); }

 private:
  std::size_t limit_;
  std::vector<std::unique_ptr<T>> idle_;
};

}  // namespace vignette
