// A bump allocator for strings that live as long as one request. Nothing is freed one by one; reset()
// makes all of it free again and keeps the first chunk, so steady use allocates nothing. Under
// AddressSanitizer a view that outlives the reset is reported.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace vignette {

// One thread at a time.
class Arena {
 public:
  static constexpr std::size_t kChunkBytes = 4096;

  // `cap_bytes`: the sum of what callers ask for, alignment included. Holds no memory before first use.
  explicit Arena(std::size_t cap_bytes) : cap_(cap_bytes) {}
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Uninitialised bytes, valid until reset() or destruction; nullptr when the cap would be passed.
  // `alignment` is a power of two up to that of std::max_align_t.
  [[nodiscard]] char* allocate(std::size_t bytes, std::size_t alignment = 1);
  // A copy of `text`; nullopt when the cap would be passed.
  [[nodiscard]] std::optional<std::string_view> copy(std::string_view text);
  // The parts behind each other, in one piece.
  [[nodiscard]] std::optional<std::string_view> concat(std::span<const std::string_view> parts);

  void reset();    // keeps the first chunk
  void release();  // gives all memory back
  std::size_t used() const { return used_; }
  std::size_t capacity() const;  // bytes held from the heap

 private:
  struct Chunk {
    std::unique_ptr<char[]> bytes;
    std::size_t size = 0;
  };
  void add_chunk(std::size_t size);
  void drop_chunk();

  std::size_t cap_;
  std::size_t used_ = 0;
  std::size_t offset_ = 0;  // in the last chunk
  std::vector<Chunk> chunks_;
};

}  // namespace vignette
