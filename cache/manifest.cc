#include "cache/manifest.h"

#include <algorithm>

#include "base/check.h"
#include "base/strings.h"
#include "http/conditional.h"

namespace vignette::cache {
namespace {

// Long enough that a store which drops what has expired keeps it: the manifest decides.
constexpr std::chrono::seconds kChunkLifetime = std::chrono::years(10);

std::string content_range(const Object& manifest, http::ByteRange range) {
  char text[http::kContentRangeBytes];
  return {text, http::format_content_range(range, *manifest.content_length(), text)};
}

}  // namespace

bool is_strong_etag(std::string_view etag) {
  const auto tag = http::parse_etag(etag);
  return tag && !tag->weak;
}

std::uint64_t chunk_count(std::uint64_t size) { return (size + kChunkBytes - 1) / kChunkBytes; }

http::ByteRange chunk_range(std::uint64_t size, std::uint64_t index) {
  VCHECK(index < chunk_count(size));
  const std::uint64_t first = index * kChunkBytes;
  return {first, std::min(first + kChunkBytes, size) - 1};
}

Key chunk_key(const Object& manifest, std::uint64_t index, std::string& key_string) {
  key_string = manifest.key_string();
  std::string variant = "chunk=";
  append_u64(variant, index);
  return extend_key(variant, key_string);
}

ObjectHead chunk_head(const Object& manifest, std::uint64_t index, std::string& fields) {
  const http::ByteRange range = chunk_range(*manifest.content_length(), index);
  fields.assign("ETag: ").append(manifest.etag()).append("\r\nContent-Range: ");
  fields.append(content_range(manifest, range)).append("\r\n");
  ObjectHead head;
  head.status = 206;
  head.fields = fields;
  head.request_time = manifest.request_time();
  head.response_time = manifest.response_time();
  head.freshness_lifetime = manifest.corrected_initial_age() + kChunkLifetime;
  head.content_length = range.size();
  head.tags = manifest.tags();
  head.sequence = manifest.sequence();
  return head;
}

bool is_chunk_of(const Object& manifest, std::uint64_t index, const Object& object) {
  const http::ByteRange range = chunk_range(*manifest.content_length(), index);
  return object.status() == 206 && object.etag() == manifest.etag() &&
         object.content_length() == range.size() &&
         object.field("content-range") == content_range(manifest, range);
}

bool brings_part(const Object& manifest, http::ByteRange part, const http::ResponseHead& response) {
  if (response.status != 206 || response.fields.value(http::FieldId::etag) != manifest.etag()) return false;
  const auto told = http::parse_content_range(response.fields.value(http::FieldId::content_range));
  return told && told->range == part && told->length == manifest.content_length();
}

bool brings_whole(const Object& manifest, const http::ResponseHead& response, std::uint64_t length) {
  return response.status == 200 && response.fields.value(http::FieldId::etag) == manifest.etag() &&
         length == manifest.content_length();
}

}  // namespace vignette::cache
