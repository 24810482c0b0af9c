// Shared by the tests of the cache: an executor that runs by hand, and objects made from a key.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "cache/fill.h"
#include "cache/object.h"
#include "tests/support/periodic_text.h"

namespace vignette::cache {

// Tasks run when run() is called, on the caller's thread.
class HandExecutor final : public Executor {
 public:
  void post(std::move_only_function<void()> task) override {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  std::size_t run() {
    std::size_t count = 0;
    while (true) {
      std::move_only_function<void()> task;
      {
        const std::lock_guard lock(mutex_);
        if (tasks_.empty()) return count;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
      ++count;
    }
  }
  std::size_t waiting() {
    const std::lock_guard lock(mutex_);
    return tasks_.size();
  }

 private:
  std::mutex mutex_;
  std::deque<std::move_only_function<void()>> tasks_;
};

// Bytes that tell where in which body they belong.
inline std::string body_for(std::string_view key_string, std::size_t size) {
  const std::uint64_t state = hash_key(key_string).lo;
  return test::periodic_text(
      size, 8 * 256, [state](std::size_t i) { return static_cast<char>((state >> ((i % 8) * 8)) + i / 8); });
}

inline ObjectHead fresh_head(std::string_view fields = "Content-Type: image/jpeg\r\nETag: \"v1\"\r\n") {
  ObjectHead head;
  head.fields = fields;
  head.request_time = head.response_time = WallTime(std::chrono::seconds(1'700'000'000));
  head.freshness_lifetime = std::chrono::hours(1);
  return head;
}

inline ObjectRef object_for(std::string_view key_string, std::size_t size) {
  return Object::complete(fresh_head(), hash_key(key_string), key_string, body_for(key_string, size));
}

// What the reader may have now; it moves on.
inline std::string take_all(Reader& reader) {
  std::string text;
  std::array<Slice, 8> slices;
  while (const std::size_t count = reader.peek(slices)) {
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < count; ++i) {
      text += slices[i].view();
      bytes += slices[i].size();
    }
    reader.advance(bytes);
  }
  return text;
}

inline std::string body_text(const Object& object) {
  std::string text;
  for (const Chunk& chunk : object.body_chunks()) text += chunk.bytes.view();
  return text;
}

}  // namespace vignette::cache
