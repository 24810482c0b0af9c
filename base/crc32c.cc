#include "base/crc32c.h"

#include <cstddef>
#include <cstring>

#include "base/crc_tables.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace vignette {
namespace {

constexpr crc::Tables<std::uint32_t> kTables = crc::make_tables<std::uint32_t>(0x82f63b78);

#if defined(__x86_64__)
std::uint64_t load64(const char* data) {
  std::uint64_t value = 0;
  std::memcpy(&value, data, sizeof(value));
  return value;
}

// 8 bytes a step; the instruction's latency of three cycles is what bounds it.
__attribute__((target("sse4.2"))) std::uint32_t crc32c_sse42(std::string_view bytes, std::uint32_t before) {
  std::uint64_t crc = ~before;
  const char* data = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; data += 8, left -= 8) crc = _mm_crc32_u64(crc, load64(data));
  auto tail = static_cast<std::uint32_t>(crc);
  for (; left > 0; ++data, --left) tail = _mm_crc32_u8(tail, static_cast<unsigned char>(*data));
  return ~tail;
}
#endif

using Function = std::uint32_t (*)(std::string_view, std::uint32_t);

Function best() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return crc32c_sse42;
#endif
  return crc32c_portable;
}

}  // namespace

std::uint32_t crc32c_portable(std::string_view bytes, std::uint32_t before) {
  return ~crc::advance(kTables, ~before, bytes);
}

std::uint32_t crc32c(std::string_view bytes, std::uint32_t before) {
  static const Function function = best();
  return function(bytes, before);
}

}  // namespace vignette
