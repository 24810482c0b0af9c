#include "cache/disk/needle.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <vector>

#include "base/crc32c.h"
#include "cache/disk/footer.h"
#include "cache_support.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

constexpr NeedlePlace kPlace{3, 640, 77};
constexpr std::uint32_t kSeed = 0xABCD1234;
constexpr std::uint32_t kLimit = 4 * 1024 * 1024;

std::string encoded(const Object& object, const NeedlePlace& place = kPlace) {
  const auto bytes = needle_bytes(object, kLimit);
  REQUIRE(bytes);
  std::string out(*bytes, '\x55');
  encode_needle(object, place, kSeed, out);
  return out;
}

void require_same(const ObjectHead& a, const ObjectHead& b) {
  CHECK(a.status == b.status);
  CHECK(a.fields == b.fields);
  CHECK(a.request_time == b.request_time);
  CHECK(a.response_time == b.response_time);
  CHECK(a.date == b.date);
  CHECK(a.age_value == b.age_value);
  CHECK(a.freshness_lifetime == b.freshness_lifetime);
  CHECK(a.stale_while_revalidate == b.stale_while_revalidate);
  CHECK(a.stale_if_error == b.stale_if_error);
  CHECK(a.last_modified == b.last_modified);
  CHECK(a.flags.must_revalidate == b.flags.must_revalidate);
  CHECK(a.flags.no_cache == b.flags.no_cache);
  CHECK(a.flags.heuristic == b.flags.heuristic);
  CHECK(a.flags.is_vary_marker == b.flags.is_vary_marker);
  CHECK(a.flags.is_manifest == b.flags.is_manifest);
  CHECK(a.vary == b.vary);
  CHECK(a.vary_values == b.vary_values);
  CHECK(a.tags == b.tags);
  CHECK(a.sequence == b.sequence);
}

ObjectRef there_and_back(const ObjectRef& object) {
  const std::string bytes = encoded(*object);
  const auto needle = parse_needle(bytes, kPlace, kSeed);
  REQUIRE(needle);
  CHECK(needle->padded_bytes() == bytes.size());
  ObjectRef back = needle->to_object();
  CHECK(back->is_for(object->key(), object->key_string()));
  require_same(back->head(), object->head());
  CHECK(back->content_length() == object->content_length());
  CHECK(body_text(*back) == body_text(*object));
  CHECK(back->corrected_initial_age() == object->corrected_initial_age());
  CHECK(back->etag() == object->etag());
  return back;
}

ObjectHead rich_head() {
  using std::chrono::seconds;
  ObjectHead head;
  head.status = 206;
  head.fields = "Content-Type: image/avif\r\nETag: W/\"abc\"\r\nX-Empty: \r\n";
  head.request_time = WallTime(seconds(1'700'000'001));
  head.response_time = WallTime(seconds(1'700'000'004));
  head.date = WallTime(seconds(1'700'000'002));
  head.last_modified = WallTime(seconds(-5));
  head.age_value = seconds(17);
  head.freshness_lifetime = seconds(86'400);
  head.stale_while_revalidate = seconds(30);
  head.stale_if_error = seconds(600);
  head.vary = "accept, accept-encoding";
  head.vary_values = "image/avif\x1fgzip";
  head.tags = "photo-1 \x01o:photos \x01k:0123456789abcdef";
  head.sequence = 0xFEDCBA9876543210;
  return head;
}

// The checksum of the head made right again after its bytes were changed.
void reseal(std::string& needle, std::size_t head_bytes) {
  const std::uint32_t crc = crc32c(std::string_view(needle).substr(8, head_bytes - 8), kSeed);
  std::memcpy(needle.data() + offsetof(NeedleHeader, head_crc), &crc, sizeof(crc));
}

NeedleFault fault_of(std::string_view bytes, const NeedlePlace& place = kPlace, std::uint32_t seed = kSeed) {
  const auto needle = parse_needle(bytes, place, seed);
  REQUIRE_FALSE(needle);
  return needle.error();
}

}  // namespace

TEST_CASE("Every field of an object comes back from its needle") {
  const std::string key = "img.example.com/a?w=1\nv=avif";
  there_and_back(Object::complete(rich_head(), hash_key(key), key, body_for(key, 3000)));
  there_and_back(Object::complete(ObjectHead{}, hash_key("h/"), "h/", ""));
  for (int flag = 0; flag < 4; ++flag) {
    ObjectHead head = rich_head();
    head.flags.must_revalidate = flag == 0;
    head.flags.no_cache = flag == 1;
    head.flags.heuristic = flag == 2;
    head.flags.is_vary_marker = flag == 3;
    head.date.reset();
    if (flag % 2 == 0) head.last_modified.reset();
    there_and_back(Object::complete(head, hash_key(key), key, "x"));
  }
}

TEST_CASE("Bodies of every size class come back from their needle, in one piece or in chunks") {
  for (const std::size_t size : {1UL, 63UL, 64UL, 65'535UL, 65'536UL, 65'537UL, 300'000UL, 1'048'576UL}) {
    const ObjectRef back = there_and_back(object_for("h/photo", size));
    CHECK((back->inline_body_bytes() == size) == (size <= Object::kInlineBody));
  }
}

TEST_CASE("A body of unknown length that is complete has its length in the needle") {
  const std::string key = "h/streamed";
  ObjectRef object = Object::growing(rich_head(), hash_key(key), key);
  for (int i = 0; i < 40; ++i) object->body().append_copy(body_for("part", 5000));
  object->body().complete();
  REQUIRE_FALSE(object->head().content_length);
  CHECK(there_and_back(object)->content_length() == 200'000);
}

TEST_CASE("A manifest keeps the length of the whole that its chunks hold") {
  ObjectHead head = rich_head();
  head.flags.is_manifest = true;
  head.content_length = 300'000'000;
  const ObjectRef manifest = Object::complete(head, hash_key("h/video"), "h/video", "");
  CHECK(there_and_back(manifest)->content_length() == 300'000'000);
}

TEST_CASE("One flipped bit anywhere in a needle is found, and in its padding is of no matter") {
  const ObjectRef object = Object::complete(rich_head(), hash_key("h/x"), "h/x", "body");
  const std::string good = encoded(*object);
  const std::uint32_t total = parse_needle(good, kPlace, kSeed)->bytes();
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    const auto needle = parse_needle(bad, kPlace, kSeed);
    if (needle.has_value() != (bit / 8 >= total)) FAIL("bit " << bit);
    if (!needle && !is_damage(needle.error())) FAIL("bit " << bit << ": " << to_string(needle.error()));
  }
}

TEST_CASE("A needle cut short anywhere is refused") {
  const std::string good = encoded(*object_for("h/x", 100));
  const std::uint32_t total = parse_needle(good, kPlace, kSeed)->bytes();
  for (std::size_t size = 0; size < total; ++size) {
    // Its own allocation, so that a read beyond the end is seen.
    const std::vector<char> part(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK(fault_of({part.data(), part.size()}) == NeedleFault::truncated);
  }
}

TEST_CASE("A sound needle of another place or another life of its segment is told from damage") {
  const std::string good = encoded(*object_for("h/x", 100));
  CHECK(fault_of(good, {4, 640, 77}) == NeedleFault::wrong_place);
  CHECK(fault_of(good, {3, 704, 77}) == NeedleFault::wrong_place);
  CHECK(fault_of(good, {3, 640, 78}) == NeedleFault::wrong_place);
  CHECK_FALSE(is_damage(NeedleFault::wrong_place));
  CHECK(fault_of(good, kPlace, kSeed + 1) == NeedleFault::head_checksum);
}

// With a checksum each of all that follows, this would take minutes.
TEST_CASE("Old bytes that look like needles everywhere cost a look each") {
  constexpr std::uint32_t kSegmentBytes = 16 * 1024 * 1024;
  constexpr std::uint32_t kPeriod = 3 * kNeedleAlignment;  // the least that holds a header
  const SegmentPlace place{.segment = 3, .generation = 78, .segment_bytes = kSegmentBytes, .uuid = {}};
  std::string segment(kSegmentBytes, '\0');
  for (std::uint32_t offset = kNeedlesBegin; offset + kPeriod <= segment.size(); offset += kPeriod) {
    NeedleHeader header;
    header.magic = kNeedleMagic;
    header.segment = place.segment;
    header.offset = offset;
    header.generation = place.generation - 1;
    header.kind = NeedleKind::object;
    header.total_bytes = kSegmentBytes - offset;
    header.key_bytes = header.total_bytes - std::uint32_t{sizeof(header)};
    std::memcpy(segment.data() + offset, &header, sizeof(header));
  }
  const Scan scan = scan_segment(segment, place);
  CHECK(scan.found.entries.empty());
  CHECK(scan.damaged == 0);
}

TEST_CASE("Hostile lengths, times and kinds with right checksums are refused") {
  const ObjectRef object = Object::complete(rich_head(), hash_key("h/x"), "h/x", "body");
  const std::string good = encoded(*object);
  NeedleHeader sound;
  std::memcpy(&sound, good.data(), sizeof(sound));
  const std::size_t head_bytes = sound.total_bytes - sound.body_bytes;
  const auto with = [&](auto change) {
    NeedleHeader header = sound;
    change(header);
    std::string bad = good;
    std::memcpy(bad.data(), &header, sizeof(header));
    reseal(bad, head_bytes);
    return fault_of(bad);
  };
  CHECK(with([](NeedleHeader& h) { h.key_bytes = 0xFFFFFFFF; }) == NeedleFault::malformed);
  CHECK(with([](NeedleHeader& h) { h.tags_bytes += 1; }) == NeedleFault::malformed);
  CHECK(with([](NeedleHeader& h) { h.total_bytes = 0xFFFFFFFF; }) == NeedleFault::truncated);
  CHECK(with([](NeedleHeader& h) { h.total_bytes = 0; }) == NeedleFault::malformed);
  CHECK(with([](NeedleHeader& h) { h.date = std::numeric_limits<std::int64_t>::min(); }) ==
        NeedleFault::malformed);
  CHECK(with([](NeedleHeader& h) { h.freshness_lifetime = std::numeric_limits<std::int64_t>::max(); }) ==
        NeedleFault::malformed);
  CHECK(with([](NeedleHeader& h) { h.kind = static_cast<NeedleKind>(9); }) == NeedleFault::malformed);
  CHECK(with([](NeedleHeader& h) { h.kind = NeedleKind::erasure; }) == NeedleFault::malformed);
  CHECK(with([](NeedleHeader& h) { h.flags |= 1U << 30; }) == NeedleFault::malformed);
  CHECK(with([](NeedleHeader& h) { h.content_length = 5; }) == NeedleFault::malformed);
  CHECK(with([](NeedleHeader& h) { h.content_length = 300'000'000; }) == NeedleFault::malformed);
  // A byte moved from the fields to the tags: the fields no longer begin where a line begins, but end well.
  CHECK(with([](NeedleHeader& h) { h.fields_bytes -= 1, h.body_bytes += 1; }) != NeedleFault::other_key);
}

TEST_CASE("An object is a needle up to the limit and not one byte beyond") {
  const std::size_t overhead = encoded(*object_for("h/x", 0)).size();
  REQUIRE(overhead % kNeedleAlignment == 0);
  const std::size_t text = parse_needle(encoded(*object_for("h/x", 0)), kPlace, kSeed)->bytes();
  const std::uint32_t limit = 8192;
  CHECK(needle_bytes(*object_for("h/x", limit - text), limit) == limit);
  CHECK_FALSE(needle_bytes(*object_for("h/x", limit - text + 1), limit));
}

TEST_CASE("An object whose times lie beyond the year 36,000 cannot be a needle") {
  ObjectHead head = rich_head();
  head.last_modified = WallTime(std::chrono::seconds((std::int64_t{1} << 40) + 1));
  CHECK_FALSE(needle_bytes(*Object::complete(head, hash_key("h/"), "h/", ""), kLimit));
  head.last_modified = WallTime(std::chrono::seconds(std::int64_t{1} << 40));
  CHECK(needle_bytes(*Object::complete(head, hash_key("h/"), "h/", ""), kLimit));
}

TEST_CASE("A needle copied to another place is the same object there and nothing where it was copied from") {
  const ObjectRef object = object_for("h/moved", 5000);
  const std::string from = encoded(*object);
  const auto needle = parse_needle(from, kPlace, kSeed);
  REQUIRE(needle);
  const NeedlePlace place{9, 64, 80};
  std::string to(needle->padded_bytes(), '\x55');
  copy_needle(*needle, from, place, kSeed, to);
  const auto moved = parse_needle(to, place, kSeed);
  REQUIRE(moved);
  CHECK(body_text(*moved->to_object()) == body_text(*object));
  CHECK(fault_of(to) == NeedleFault::wrong_place);
}

TEST_CASE("An erasure and a filler are needles that hold no object") {
  std::string bytes(kErasureBytes, '\x55');
  encode_erasure(hash_key("h/gone"), kPlace, kSeed, bytes);
  const auto erasure = parse_needle(bytes, kPlace, kSeed);
  REQUIRE(erasure);
  CHECK(erasure->kind() == NeedleKind::erasure);
  CHECK(erasure->key() == hash_key("h/gone"));
  CHECK(erasure->padded_bytes() == kErasureBytes);

  std::string wiped = encoded(*object_for("h/secret", 1000));
  encode_filler(hash_key("h/secret"), kPlace, kSeed, wiped);
  const auto filler = parse_needle(wiped, kPlace, kSeed);
  REQUIRE(filler);
  CHECK(filler->kind() == NeedleKind::filler);
  CHECK(filler->key() == hash_key("h/secret"));
  CHECK(filler->padded_bytes() == wiped.size());
  CHECK(wiped.find("h/secret") == std::string::npos);
}

TEST_CASE("The footer's entry says when a response becomes stale by its own age") {
  const std::string bytes = encoded(*Object::complete(rich_head(), hash_key("h/x"), "h/x", "body"));
  const FooterEntry entry = parse_needle(bytes, kPlace, kSeed)->footer_entry();
  // 17 s old on arrival and 3 s on the way, which is more than its Date says.
  CHECK(entry.stale_at == 1'700'000'004 - 20 + 86'400);
  CHECK(entry.key() == hash_key("h/x"));
  CHECK(entry.offset == kPlace.offset);
  CHECK(entry.bytes == bytes.size());
  CHECK(entry.sequence == 0xFEDCBA9876543210);
  CHECK(entry.status == 206);
}
