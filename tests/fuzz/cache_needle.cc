// The needle parser on bytes from a disk that anyone may have written: as they are, and with the checksums
// made right, so that what lies behind them is reached. What is accepted makes an object that encodes and
// comes back.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/crc32c.h"
#include "cache/disk/needle.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

constexpr NeedlePlace kPlace{3, 640, 77};
constexpr std::uint32_t kSeed = 0xABCD1234;
constexpr std::uint32_t kLimit = 4 * 1024 * 1024;

std::string body_of(const Object& object) {
  std::string body;
  for (const Chunk& chunk : object.body_chunks()) body += chunk.bytes.view();
  return body;
}

void check_object(const NeedleView& needle) {
  const ObjectRef object = needle.to_object();
  VCHECK(object->is_for(needle.key(), needle.key_string()));
  VCHECK(object->tags() == needle.head().tags && object->vary() == needle.head().vary);
  VCHECK(body_of(*object) == needle.body());
  (void)object->corrected_initial_age();
  const auto bytes = needle_bytes(*object, kLimit);
  if (!bytes) return;
  std::string again(*bytes, '\0');
  encode_needle(*object, kPlace, kSeed, again);
  const auto parsed = parse_needle(again, kPlace, kSeed);
  VCHECK(parsed && parsed->body() == needle.body() && parsed->key_string() == needle.key_string());
  VCHECK(parsed->head().fields == needle.head().fields && parsed->sequence() == needle.sequence());
}

void check(std::string_view bytes) {
  const auto needle = parse_needle(bytes, kPlace, kSeed);
  if (!needle) {
    VCHECK(!to_string(needle.error()).empty());
    return;
  }
  VCHECK(needle->bytes() <= bytes.size());
  VCHECK(needle->footer_entry().bytes >= needle->bytes());
  if (needle->kind() == NeedleKind::object) check_object(*needle);
  std::string copy(needle->padded_bytes(), '\0');
  const NeedlePlace elsewhere{4, 64, 78};
  copy_needle(*needle, bytes, elsewhere, kSeed, copy);
  VCHECK(parse_needle(copy, elsewhere, kSeed));
}

// Place, magic and checksums as they should be, whatever the lengths say.
void make_right(std::string& bytes) {
  NeedleHeader header;
  if (bytes.size() < sizeof(header)) return;
  std::memcpy(&header, bytes.data(), sizeof(header));
  header.magic = kNeedleMagic;
  header.segment = kPlace.segment;
  header.offset = kPlace.offset;
  header.generation = kPlace.generation;
  const std::uint64_t head = sizeof(header) + std::uint64_t{header.key_bytes} + header.vary_bytes +
                             header.vary_values_bytes + header.tags_bytes + header.fields_bytes;
  const bool is_inside = head <= bytes.size() && header.body_bytes <= bytes.size() - head;
  if (is_inside) {
    header.total_bytes = static_cast<std::uint32_t>(head) + header.body_bytes;
    header.body_crc = crc32c({bytes.data() + head, header.body_bytes}, kSeed);
  }
  std::memcpy(bytes.data(), &header, sizeof(header));
  if (!is_inside) return;
  const std::uint32_t crc = crc32c({bytes.data() + 8, static_cast<std::size_t>(head) - 8}, kSeed);
  std::memcpy(bytes.data() + offsetof(NeedleHeader, head_crc), &crc, sizeof(crc));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  check(bytes);
  make_right(bytes);
  check(bytes);
  return 0;
}
