#include "cache/manifest.h"

#include <catch2/catch.hpp>
#include <string>

#include "cache/fill_table.h"
#include "cache/memory_store.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

constexpr std::uint64_t kSize = 2 * kChunkBytes + 5;

ObjectRef manifest(std::string_view etag = "\"v1\"", std::uint64_t size = kSize) {
  const std::string fields = "Content-Type: video/mp4\r\nETag: " + std::string(etag) + "\r\n";
  ObjectHead head;
  head.fields = fields;
  head.content_length = size;
  head.flags.is_manifest = true;
  head.flags.no_cache = true;
  head.tags = "a b";
  head.sequence = 7;
  std::string key_string = "host/large";
  return Object::complete(head, hash_key(key_string), key_string, "");
}

ObjectRef chunk(const Object& of, std::uint64_t index) {
  std::string fields, key_string;
  const ObjectHead head = chunk_head(of, index, fields);
  const Key key = chunk_key(of, index, key_string);
  return Object::complete(head, key, key_string,
                          std::string(chunk_range(*of.content_length(), index).size(), 'x'));
}

http::ResponseHead answer(int status, std::string_view etag, std::string_view content_range) {
  http::ResponseHead head;
  head.clear();
  head.status = status;
  head.fields.add(http::FieldId::etag, etag);
  if (!content_range.empty()) head.fields.add(http::FieldId::content_range, content_range);
  return head;
}

}  // namespace

TEST_CASE("A whole is cut into chunks of 1 MiB, the last one shorter") {
  CHECK(chunk_count(1) == 1);
  CHECK(chunk_count(kChunkBytes) == 1);
  CHECK(chunk_count(kChunkBytes + 1) == 2);
  CHECK(chunk_range(kSize, 0) == http::ByteRange{0, kChunkBytes - 1});
  CHECK(chunk_range(kSize, 1) == http::ByteRange{kChunkBytes, 2 * kChunkBytes - 1});
  CHECK(chunk_range(kSize, 2) == http::ByteRange{2 * kChunkBytes, kSize - 1});
  CHECK(chunk_range(2 * kChunkBytes, 1).last == 2 * kChunkBytes - 1);
}

TEST_CASE("Only a strong tag stands for exact bytes") {
  CHECK(is_strong_etag("\"v1\""));
  for (const char* tag : {"", "W/\"v1\"", "v1", "\"v1", "\"\" x"}) {
    INFO(tag);
    CHECK_FALSE(is_strong_etag(tag));
  }
}

TEST_CASE("A manifest keeps the length of the whole without a body, also under a fresher head") {
  const ObjectRef object = manifest();
  CHECK(object->flags().is_manifest);
  CHECK(object->content_length() == kSize);
  CHECK(object->body().length() == 0);
  ObjectHead head;
  head.fields = "ETag: \"v1\"\r\n";
  head.freshness_lifetime = std::chrono::seconds(60);
  const ObjectRef fresh = object->freshened(head);
  CHECK(fresh->flags().is_manifest);
  CHECK(fresh->content_length() == kSize);
  CHECK(object->compacted()->content_length() == kSize);
}

TEST_CASE("A chunk has a key of its own and the manifest's tags, sequence and tag") {
  const ObjectRef of = manifest();
  const ObjectRef last = chunk(*of, 2);
  CHECK(last->key_string() == "host/large\nchunk=2");
  CHECK(last->status() == 206);
  CHECK(last->etag() == "\"v1\"");
  CHECK(last->field("content-range") == "bytes 2097152-2097156/2097157");
  CHECK(last->content_length() == 5);
  CHECK(last->tags() == "a b");
  CHECK(last->sequence() == 7);
  CHECK(last->is_shareable());
  CHECK_FALSE(last->flags().is_manifest);
}

TEST_CASE("A chunk belongs to one tag, one size and one place") {
  const ObjectRef of = manifest();
  CHECK(is_chunk_of(*of, 1, *chunk(*of, 1)));
  CHECK_FALSE(is_chunk_of(*of, 0, *chunk(*of, 1)));
  CHECK_FALSE(is_chunk_of(*of, 1, *chunk(*manifest("\"v2\""), 1)));
  CHECK_FALSE(is_chunk_of(*of, 1, *chunk(*manifest("\"v1\"", kSize + 1), 1)));
  CHECK_FALSE(is_chunk_of(*of, 1, *of));
}

TEST_CASE("A 206 brings a part only with the tag, the place and the size that were asked for") {
  const ObjectRef of = manifest();
  const http::ByteRange part{kChunkBytes, kSize - 1};
  CHECK(brings_part(*of, part, answer(206, "\"v1\"", "bytes 1048576-2097156/2097157")));
  CHECK_FALSE(brings_part(*of, part, answer(206, "\"v2\"", "bytes 1048576-2097156/2097157")));
  CHECK_FALSE(brings_part(*of, part, answer(206, "W/\"v1\"", "bytes 1048576-2097156/2097157")));
  CHECK_FALSE(brings_part(*of, part, answer(206, "\"v1\"", "bytes 1048576-2097155/2097157")));
  CHECK_FALSE(brings_part(*of, part, answer(206, "\"v1\"", "bytes 1048576-2097156/2097158")));
  CHECK_FALSE(brings_part(*of, part, answer(206, "\"v1\"", "bytes 1048576-2097156/*")));
  CHECK_FALSE(brings_part(*of, part, answer(206, "\"v1\"", "")));
  CHECK_FALSE(brings_part(*of, part, answer(200, "\"v1\"", "bytes 1048576-2097156/2097157")));
  CHECK(brings_whole(*of, answer(200, "\"v1\"", ""), kSize));
  CHECK_FALSE(brings_whole(*of, answer(200, "\"v2\"", ""), kSize));
  CHECK_FALSE(brings_whole(*of, answer(200, "\"v1\"", ""), kSize + 1));
}

TEST_CASE("A manifest is committed without a body and costs the store none") {
  MemoryStore store({.budget_bytes = std::uint64_t{16} << 20});
  Fill::Start started = Fill::start(store, nullptr, hash_key("host/a"), "host/a", TimePoint());
  ObjectHead head;
  head.fields = "ETag: \"v1\"\r\n";
  head.freshness_lifetime = std::chrono::seconds(60);
  head.flags.is_manifest = true;
  head.content_length = std::uint64_t{1} << 40;
  REQUIRE(started.writer.set_head(head, Reason::none) == HeadVerdict::storing);
  REQUIRE(started.writer.commit());
  const Lookup found = store.try_lookup(hash_key("host/a"), "host/a");
  REQUIRE(found.object);
  CHECK(found.object->flags().is_manifest);
  CHECK(found.object->content_length() == std::uint64_t{1} << 40);
  CHECK(store.stats().used_bytes < 64 * 1024);
}

TEST_CASE("What is not stored is no manifest") {
  MemoryStore store({.budget_bytes = std::uint64_t{16} << 20});
  Fill::Start started = Fill::start(store, nullptr, hash_key("host/a"), "host/a", TimePoint());
  ObjectHead head;
  head.flags.is_manifest = true;
  head.content_length = kSize;
  REQUIRE(started.writer.set_head(head, Reason::is_private) == HeadVerdict::passing);
  CHECK_FALSE(started.reader.object()->flags().is_manifest);
}

TEST_CASE("The writer of a fill hears when somebody joins it") {
  MemoryStore store({.budget_bytes = std::uint64_t{16} << 20});
  SystemClock clock;
  FillTable table(store, clock);
  Joined own = table.join_or_start(hash_key("host/a"), "host/a", TimePoint());
  own.reader.reset();
  CHECK_FALSE(own.writer.has_readers());
  Joined other = table.join_or_start(hash_key("host/a"), "host/a", TimePoint());
  REQUIRE(other.collapsed());
  CHECK(own.writer.has_readers());
}

TEST_CASE("A fill whose turn is still to come gets no second attempt while the one before it arrives") {
  MemoryStore store({.budget_bytes = std::uint64_t{16} << 20});
  SystemClock clock;
  FillTable table(store, clock);
  const TimePoint start{};
  Joined own = table.join_or_start(hash_key("host/a"), "host/a", start);
  own.writer.keep_waiting(start + kSecondAttemptAfter);
  CHECK(table.join_or_start(hash_key("host/a"), "host/a", start + kSecondAttemptAfter).collapsed());
  CHECK(table.join_or_start(hash_key("host/a"), "host/a", start + 2 * kSecondAttemptAfter).started());
}
