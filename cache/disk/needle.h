// A needle is one whole cache::Object as bytes: header, key, vary, vary values, tags, fields, body, padding.
// Pure functions. Hostile bytes never crash: every length is checked before it is used, and both checksums
// are right before a view is handed out.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string_view>

#include "cache/disk/format.h"
#include "cache/object.h"

namespace vignette::cache {

// Why bytes are not the needle that was asked for.
enum class NeedleFault : std::uint8_t {
  truncated,  // fewer bytes than it says
  magic,      // no needle begins here
  head_checksum,
  body_checksum,
  malformed,    // right checksums, impossible values
  wrong_place,  // a sound needle of another segment, offset or generation: the segment was used again
  other_key,    // a sound needle of another key: two keys share a fingerprint
  reclaimed,    // the segment was given away before the bytes were read
  erased,       // a filler: the bytes were overwritten
};
std::string_view to_string(NeedleFault fault);
// The disk is to blame; otherwise the needle has only gone.
constexpr bool is_damage(NeedleFault fault) {
  return fault != NeedleFault::wrong_place && fault != NeedleFault::other_key &&
         fault != NeedleFault::reclaimed && fault != NeedleFault::erased;
}

// Where a needle is written to; part of its checked bytes.
struct NeedlePlace {
  std::uint32_t segment = 0;
  std::uint32_t offset = 0;
  std::uint32_t generation = 0;
};

// Views into the bytes it was parsed from.
class NeedleView {
 public:
  // Bytes of a body for which its needle's texts stay in memory beside those of the object.
  static constexpr std::size_t kLeastKeptInPlace = 16 * 1024;
  // So much of the body may be in memory beside it: an eighth.
  static constexpr std::size_t kMostWasted = 8;

  NeedleKind kind() const { return header_.kind; }
  Key key() const { return {header_.key_hi, header_.key_lo}; }
  std::string_view key_string() const { return key_string_; }
  std::uint64_t sequence() const { return header_.sequence; }
  std::uint32_t bytes() const { return header_.total_bytes; }  // without padding
  std::uint32_t padded_bytes() const { return align_needle(header_.total_bytes); }
  const ObjectHead& head() const { return head_; }
  std::string_view body() const { return body_; }
  FooterEntry footer_entry() const;
  // kind() object only: a complete object with copies of everything.
  ObjectRef to_object() const;
  // The same around the bytes of `block`, which this is a view of: a body of some length is not copied.
  ObjectRef to_object(const BlockRef& block) const;

 private:
  friend std::expected<NeedleView, NeedleFault> parse_needle(std::string_view, const NeedlePlace&,
                                                             std::uint32_t);
  NeedleHeader header_;
  ObjectHead head_;
  std::string_view key_string_, body_;
};

// Bytes of the needle of a complete object, padding included; nullopt: it cannot be one, because it is longer
// than `limit` (longest_needle()) or has values the format does not hold (a time beyond the year 36,000).
std::optional<std::uint32_t> needle_bytes(const Object& object, std::uint32_t limit);
// Writes it into `out`, which has exactly needle_bytes(). `seed` is crc_seed() of the volume.
FooterEntry encode_needle(const Object& object, const NeedlePlace& place, std::uint32_t seed,
                          std::span<char> out);

inline constexpr std::uint32_t kErasureBytes = align_needle(sizeof(NeedleHeader));
FooterEntry encode_erasure(const Key& key, const NeedlePlace& place, std::uint32_t seed, std::span<char> out);
// `out` is any length that was a needle's: a header with its key, then zeros.
void encode_filler(const Key& key, const NeedlePlace& place, std::uint32_t seed, std::span<char> out);
// The same needle at another place: `from` are its bytes, `out` has padded_bytes().
void copy_needle(const NeedleView& from, std::string_view bytes, const NeedlePlace& place, std::uint32_t seed,
                 std::span<char> out);

// `bytes` may go on behind the needle.
std::expected<NeedleView, NeedleFault> parse_needle(std::string_view bytes, const NeedlePlace& place,
                                                    std::uint32_t seed);

}  // namespace vignette::cache
