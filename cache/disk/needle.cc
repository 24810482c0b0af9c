#include "cache/disk/needle.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/crc32c.h"

namespace vignette::cache {
namespace {

using std::chrono::seconds;

// A new member must be carried below, or it would be lost on the way to disk and back.
static_assert(sizeof(ObjectFlags) == 5, "carry the new flag in flags_of() and object_flags()");
static_assert(sizeof(ObjectHead) == 184, "carry the new member in header_of() and head_of()");

// Seconds beyond this are refused: sums of them must not overflow in what is computed from an object.
constexpr std::int64_t kFarthest = std::int64_t{1} << 40;
constexpr std::uint32_t kObjectBits =
    kNeedleMustRevalidate | kNeedleNoCache | kNeedleHeuristic | kNeedleVaryMarker | kNeedleManifest;
constexpr std::uint32_t kPresenceBits = kNeedleHasDate | kNeedleHasLastModified | kNeedleHasContentLength;
constexpr std::size_t kUncheckedBytes = 2 * sizeof(std::uint32_t);  // magic and head_crc

std::uint32_t flags_of(const ObjectFlags& flags) {
  return (flags.must_revalidate ? kNeedleMustRevalidate : 0) | (flags.no_cache ? kNeedleNoCache : 0) |
         (flags.heuristic ? kNeedleHeuristic : 0) | (flags.is_vary_marker ? kNeedleVaryMarker : 0) |
         (flags.is_manifest ? kNeedleManifest : 0);
}

ObjectFlags object_flags(std::uint32_t bits) {
  ObjectFlags flags;
  flags.must_revalidate = (bits & kNeedleMustRevalidate) != 0;
  flags.no_cache = (bits & kNeedleNoCache) != 0;
  flags.heuristic = (bits & kNeedleHeuristic) != 0;
  flags.is_vary_marker = (bits & kNeedleVaryMarker) != 0;
  flags.is_manifest = (bits & kNeedleManifest) != 0;
  return flags;
}

std::int64_t since_epoch(WallTime time) { return time.time_since_epoch().count(); }
WallTime wall(std::int64_t value) { return WallTime(seconds(value)); }

std::uint64_t text_bytes(const NeedleHeader& header) {
  return std::uint64_t{header.key_bytes} + header.vary_bytes + header.vary_values_bytes + header.tags_bytes +
         header.fields_bytes;
}

// Everything but place, checksums and total_bytes. Lengths must fit 32 bits; the caller has seen to it.
NeedleHeader header_of(const Object& object, const ObjectHead& head) {
  NeedleHeader header;
  header.magic = kNeedleMagic;
  header.status = head.status;
  header.kind = NeedleKind::object;
  header.flags = flags_of(head.flags) | (head.date ? kNeedleHasDate : 0) |
                 (head.last_modified ? kNeedleHasLastModified : 0) |
                 (head.content_length ? kNeedleHasContentLength : 0);
  header.key_bytes = static_cast<std::uint32_t>(object.key_string().size());
  header.vary_bytes = static_cast<std::uint32_t>(head.vary.size());
  header.vary_values_bytes = static_cast<std::uint32_t>(head.vary_values.size());
  header.tags_bytes = static_cast<std::uint32_t>(head.tags.size());
  header.fields_bytes = static_cast<std::uint32_t>(head.fields.size());
  header.body_bytes = static_cast<std::uint32_t>(object.body().length());
  header.key_hi = object.key().hi;
  header.key_lo = object.key().lo;
  header.sequence = head.sequence;
  header.request_time = since_epoch(head.request_time);
  header.response_time = since_epoch(head.response_time);
  header.date = head.date ? since_epoch(*head.date) : 0;
  header.last_modified = head.last_modified ? since_epoch(*head.last_modified) : 0;
  header.age_value = head.age_value.count();
  header.freshness_lifetime = head.freshness_lifetime.count();
  header.stale_while_revalidate = head.stale_while_revalidate.count();
  header.stale_if_error = head.stale_if_error.count();
  header.content_length = head.content_length.value_or(0);
  return header;
}

// The views are set by the caller.
ObjectHead head_of(const NeedleHeader& header) {
  ObjectHead head;
  head.status = header.status;
  head.flags = object_flags(header.flags);
  head.request_time = wall(header.request_time);
  head.response_time = wall(header.response_time);
  if ((header.flags & kNeedleHasDate) != 0) head.date = wall(header.date);
  if ((header.flags & kNeedleHasLastModified) != 0) head.last_modified = wall(header.last_modified);
  head.age_value = seconds(header.age_value);
  head.freshness_lifetime = seconds(header.freshness_lifetime);
  head.stale_while_revalidate = seconds(header.stale_while_revalidate);
  head.stale_if_error = seconds(header.stale_if_error);
  if ((header.flags & kNeedleHasContentLength) != 0) head.content_length = header.content_length;
  head.sequence = header.sequence;
  return head;
}

// What an object needs so that nothing computed from it overflows and its wire image is whole.
bool has_sound_values(const NeedleHeader& header, std::string_view fields) {
  for (const std::int64_t value :
       {header.request_time, header.response_time, header.date, header.last_modified, header.age_value,
        header.freshness_lifetime, header.stale_while_revalidate, header.stale_if_error}) {
    if (value > kFarthest || value < -kFarthest) return false;
  }
  if (!fields.empty() && !fields.ends_with("\r\n")) return false;
  if ((header.flags & kNeedleHasContentLength) == 0 || header.content_length == header.body_bytes)
    return true;
  return (header.flags & kNeedleManifest) != 0 && header.content_length > Object::kInlineBody;
}

bool is_well_formed(const NeedleHeader& header, std::string_view fields) {
  if (header.kind == NeedleKind::object) {
    if ((header.flags & ~(kObjectBits | kPresenceBits)) != 0) return false;
    return has_sound_values(header, fields);
  }
  if (header.kind == NeedleKind::filler) return text_bytes(header) == 0;
  return header.kind == NeedleKind::erasure && text_bytes(header) == 0 && header.body_bytes == 0;
}

void set_place(NeedleHeader& header, const NeedlePlace& place) {
  header.segment = place.segment;
  header.offset = place.offset;
  header.generation = place.generation;
}

// `head` is the header and the texts, in place; the checksum over them is put into it.
void seal_head(std::span<char> head, std::uint32_t seed) {
  const std::uint32_t crc = crc32c({head.data() + kUncheckedBytes, head.size() - kUncheckedBytes}, seed);
  std::memcpy(head.data() + offsetof(NeedleHeader, head_crc), &crc, sizeof(crc));
}

class Cursor {
 public:
  explicit Cursor(std::span<char> out) : out_(out) {}
  void put(std::string_view bytes) {
    VCHECK(bytes.size() <= out_.size() - used_);
    std::copy_n(bytes.data(), bytes.size(), out_.data() + used_);
    used_ += bytes.size();
  }
  void pad() { std::fill(out_.begin() + static_cast<std::ptrdiff_t>(used_), out_.end(), '\0'); }
  std::size_t used() const { return used_; }

 private:
  std::span<char> out_;
  std::size_t used_ = 0;
};

std::string_view take(std::string_view& rest, std::size_t bytes) {
  const std::string_view taken = rest.substr(0, bytes);
  rest.remove_prefix(bytes);
  return taken;
}

std::uint32_t body_crc(const Object& object, std::uint32_t seed) {
  std::uint32_t crc = seed;
  for (const Chunk& chunk : object.body_chunks()) crc = crc32c(chunk.bytes.view(), crc);
  return crc;
}

// The initial age as in RFC 9111 section 4.2.3.
std::int64_t stale_at(const NeedleHeader& header) {
  const bool has_date = (header.flags & kNeedleHasDate) != 0;
  const std::int64_t apparent = has_date ? std::max<std::int64_t>(0, header.response_time - header.date) : 0;
  const std::int64_t delay = std::max<std::int64_t>(0, header.response_time - header.request_time);
  return header.response_time - std::max(apparent, header.age_value + delay) + header.freshness_lifetime;
}

FooterEntry entry_of(const NeedleHeader& header) {
  FooterEntry entry;
  entry.key_hi = header.key_hi;
  entry.key_lo = header.key_lo;
  entry.offset = header.offset;
  entry.bytes = align_needle(header.total_bytes);
  entry.sequence = header.sequence;
  entry.status = header.status;
  entry.kind = header.kind;
  entry.flags = header.flags;
  if (header.kind == NeedleKind::object) entry.stale_at = stale_at(header);
  return entry;
}

// Header only, with zeros behind it.
void encode_bare(NeedleHeader header, std::uint32_t seed, std::span<char> out) {
  header.body_crc = seed;
  Cursor cursor(out);
  cursor.put(all_bytes(header));
  cursor.pad();
  seal_head(out.first(sizeof(header)), seed);
}

}  // namespace

std::string_view to_string(NeedleFault fault) {
  switch (fault) {
    case NeedleFault::truncated:
      return "truncated";
    case NeedleFault::magic:
      return "magic";
    case NeedleFault::head_checksum:
      return "head-checksum";
    case NeedleFault::body_checksum:
      return "body-checksum";
    case NeedleFault::malformed:
      return "malformed";
    case NeedleFault::wrong_place:
      return "wrong-place";
    case NeedleFault::other_key:
      return "other-key";
    case NeedleFault::reclaimed:
      return "reclaimed";
    case NeedleFault::erased:
      return "erased";
  }
  return "unknown";
}

std::uint32_t crc_seed(const Uuid& uuid) { return crc32c(all_bytes(uuid)); }

std::optional<std::uint32_t> needle_bytes(const Object& object, std::uint32_t limit) {
  DCHECK(object.body().state() == Body::State::complete);
  const ObjectHead head = object.head();
  const std::uint64_t total = sizeof(NeedleHeader) + object.key_string().size() + head.vary.size() +
                              head.vary_values.size() + head.tags.size() + head.fields.size() +
                              object.body().length();
  if (total > limit || align_needle(static_cast<std::uint32_t>(total)) > limit) return std::nullopt;
  if (!has_sound_values(header_of(object, head), head.fields)) return std::nullopt;
  return align_needle(static_cast<std::uint32_t>(total));
}

FooterEntry encode_needle(const Object& object, const NeedlePlace& place, std::uint32_t seed,
                          std::span<char> out) {
  const ObjectHead head = object.head();
  NeedleHeader header = header_of(object, head);
  set_place(header, place);
  header.total_bytes =
      static_cast<std::uint32_t>(sizeof(NeedleHeader) + text_bytes(header)) + header.body_bytes;
  header.body_crc = body_crc(object, seed);
  Cursor cursor(out);
  cursor.put(all_bytes(header));
  for (const std::string_view text :
       {object.key_string(), head.vary, head.vary_values, head.tags, head.fields}) {
    cursor.put(text);
  }
  seal_head(out.first(cursor.used()), seed);
  for (const Chunk& chunk : object.body_chunks()) cursor.put(chunk.bytes.view());
  VCHECK(cursor.used() == header.total_bytes && align_needle(header.total_bytes) == out.size());
  cursor.pad();
  return entry_of(header);
}

FooterEntry encode_erasure(const Key& key, const NeedlePlace& place, std::uint32_t seed,
                           std::span<char> out) {
  VCHECK(out.size() == kErasureBytes);
  NeedleHeader header;
  header.magic = kNeedleMagic;
  header.kind = NeedleKind::erasure;
  header.total_bytes = sizeof(NeedleHeader);
  header.key_hi = key.hi;
  header.key_lo = key.lo;
  set_place(header, place);
  encode_bare(header, seed, out);
  return entry_of(header);
}

// What follows the header counts as its body, all zeros.
void encode_filler(const Key& key, const NeedlePlace& place, std::uint32_t seed, std::span<char> out) {
  VCHECK(out.size() >= sizeof(NeedleHeader));
  NeedleHeader header;
  header.magic = kNeedleMagic;
  header.kind = NeedleKind::filler;
  header.key_hi = key.hi;
  header.key_lo = key.lo;
  header.total_bytes = static_cast<std::uint32_t>(out.size());
  header.body_bytes = header.total_bytes - std::uint32_t{sizeof(NeedleHeader)};
  set_place(header, place);
  const std::span<char> body = out.subspan(sizeof(NeedleHeader));
  std::fill(body.begin(), body.end(), '\0');
  header.body_crc = crc32c({body.data(), body.size()}, seed);
  std::memcpy(out.data(), &header, sizeof(header));
  seal_head(out.first(sizeof(header)), seed);
}

void copy_needle(const NeedleView& from, std::string_view bytes, const NeedlePlace& place, std::uint32_t seed,
                 std::span<char> out) {
  VCHECK(out.size() == from.padded_bytes() && bytes.size() >= from.bytes());
  Cursor cursor(out);
  cursor.put(bytes.substr(0, from.bytes()));
  cursor.pad();
  NeedleHeader header;
  std::memcpy(&header, out.data(), sizeof(header));
  set_place(header, place);
  std::memcpy(out.data(), &header, sizeof(header));
  seal_head(out.first(sizeof(header) + static_cast<std::size_t>(text_bytes(header))), seed);
}

std::expected<NeedleView, NeedleFault> parse_needle(std::string_view bytes, const NeedlePlace& place,
                                                    std::uint32_t seed) {
  NeedleView view;
  NeedleHeader& header = view.header_;
  if (bytes.size() < sizeof(header)) return std::unexpected(NeedleFault::truncated);
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != kNeedleMagic) return std::unexpected(NeedleFault::magic);
  if (header.total_bytes > bytes.size()) return std::unexpected(NeedleFault::truncated);
  const std::uint64_t texts = text_bytes(header);
  if (sizeof(header) + texts + header.body_bytes != header.total_bytes) {
    return std::unexpected(NeedleFault::malformed);
  }
  const auto head_bytes = static_cast<std::size_t>(sizeof(header) + texts);
  if (crc32c(bytes.substr(kUncheckedBytes, head_bytes - kUncheckedBytes), seed) != header.head_crc) {
    return std::unexpected(NeedleFault::head_checksum);
  }
  if (header.segment != place.segment || header.offset != place.offset ||
      header.generation != place.generation) {
    return std::unexpected(NeedleFault::wrong_place);
  }
  std::string_view rest = bytes.substr(sizeof(header), header.total_bytes - sizeof(header));
  view.head_ = head_of(header);
  view.key_string_ = take(rest, header.key_bytes);
  view.head_.vary = take(rest, header.vary_bytes);
  view.head_.vary_values = take(rest, header.vary_values_bytes);
  view.head_.tags = take(rest, header.tags_bytes);
  view.head_.fields = take(rest, header.fields_bytes);
  view.body_ = rest;
  if (crc32c(rest, seed) != header.body_crc) return std::unexpected(NeedleFault::body_checksum);
  if (!is_well_formed(header, view.head_.fields)) return std::unexpected(NeedleFault::malformed);
  return view;
}

FooterEntry NeedleView::footer_entry() const { return entry_of(header_); }

// A length that is not the body's own stays as it was stated (a manifest speaks of what its chunks hold).
ObjectRef NeedleView::to_object() const {
  VCHECK(header_.kind == NeedleKind::object);
  ObjectHead head = head_;
  if (!head.content_length) head.content_length = body_.size();
  ObjectRef object = Object::growing(head, key(), key_string_);
  object->body().append_copy(body_);
  object->body().complete();
  return object;
}

ObjectRef NeedleView::to_object(const BlockRef& block) const {
  const bool wastes = block->footprint() > body_.size() + body_.size() / kMostWasted;
  if (body_.size() < kLeastKeptInPlace || wastes) return to_object();
  VCHECK(header_.kind == NeedleKind::object && body_.data() >= block->data());
  ObjectHead head = head_;
  if (!head.content_length) head.content_length = body_.size();
  const auto offset = static_cast<std::size_t>(body_.data() - block->data());
  return Object::around(head, key(), key_string_, Slice(block, offset, body_.size()));
}

}  // namespace vignette::cache
