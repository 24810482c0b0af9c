#include "base/crc.h"

#include "base/crc_tables.h"

namespace vignette {
namespace {

constexpr crc::Tables<std::uint32_t> kCrc32 = crc::make_tables<std::uint32_t>(0xedb88320);
constexpr crc::Tables<std::uint64_t> kCrc64Nvme = crc::make_tables<std::uint64_t>(0x9a6c9329ac4bc9b5);

}  // namespace

Crc32& Crc32::update(std::string_view bytes) {
  state_ = crc::advance(kCrc32, state_, bytes);
  return *this;
}

Crc64Nvme& Crc64Nvme::update(std::string_view bytes) {
  state_ = crc::advance(kCrc64Nvme, state_, bytes);
  return *this;
}

}  // namespace vignette
