// CRC-32 (ISO-HDLC: gzip, PNG) and CRC-64/NVME, by tables, about 1 GB/s: for checksums of objects. CRC32C,
// which our own files use, is in crc32c.h.
#pragma once

#include <cstdint>
#include <string_view>

namespace vignette {

// Incremental. A copy goes on from the same state.
class Crc32 {
 public:
  Crc32& update(std::string_view bytes);
  std::uint32_t value() const { return ~state_; }  // of all bytes so far

 private:
  std::uint32_t state_ = ~std::uint32_t{0};
};

class Crc64Nvme {
 public:
  Crc64Nvme& update(std::string_view bytes);
  std::uint64_t value() const { return ~state_; }

 private:
  std::uint64_t state_ = ~std::uint64_t{0};
};

}  // namespace vignette
