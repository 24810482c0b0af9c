// Memory that crosses a process boundary. A sealed memfd can neither change nor shrink under its reader, so
// it may be mapped without fear of SIGBUS.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"

namespace vignette::imaging {

// Close-on-exec, sealable. Errors: exhausted or io with errno.
Result<UniqueFd> create_memfd(const char* name);

// A memfd with these bytes, sealed against writing, growing and shrinking. Copies once; blocks only on
// memory.
Result<UniqueFd> sealed_memfd(const char* name, std::span<const std::string_view> chunks);

// Adds all seals. Fails (EBUSY) while somebody maps it writable.
Result<void> seal(int fd);

// That `fd` is a sealed memfd of exactly `bytes` bytes; anything else is malformed.
Result<void> check_sealed(int fd, std::uint64_t bytes);

// A read-only mapping. Movable, unmaps at the end.
class Mapping {
 public:
  Mapping() = default;
  // `bytes` may be 0. Call check_sealed first when the other side is not trusted.
  static Result<Mapping> map(int fd, std::uint64_t bytes);
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();
  std::string_view view() const { return {static_cast<const char*>(data_), size_}; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace vignette::imaging
