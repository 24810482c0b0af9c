// Large objects: a manifest under the key (status, fields, ETag and the size of the whole, but no body) and
// chunks of kChunkBytes under keys that extend it.
//
//   "HOST/PATH"            manifest: freshness, conditions and ranges are decided on it alone
//   "HOST/PATH LF chunk=0" bytes 0-1048575, with the ETag and the size that the manifest had
//   "HOST/PATH LF chunk=1" ...
//
// A chunk lives as long as it names the manifest's ETag and size: one that does not is a miss, so bytes of
// two versions never meet. It inherits the manifest's tags and purge sequence, and has no lifetime of its
// own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cache/key.h"
#include "cache/object.h"
#include "http/message.h"
#include "http/range.h"

namespace vignette::cache {

// Of a chunk (the last one may be shorter); what is longer than this is large.
inline constexpr std::uint64_t kChunkBytes = std::uint64_t{1} << 20;

// A validator that stands for exact bytes (RFC 9110 section 8.8.3): quoted, not weak.
bool is_strong_etag(std::string_view etag);

std::uint64_t chunk_count(std::uint64_t size);
// Which bytes of a whole of `size` bytes are in chunk `index`, which must exist.
http::ByteRange chunk_range(std::uint64_t size, std::uint64_t index);

// `key_string` becomes the chunk's.
Key chunk_key(const Object& manifest, std::uint64_t index, std::string& key_string);

// A chunk's head; `fields` is overwritten and must live as long as the head is used.
ObjectHead chunk_head(const Object& manifest, std::uint64_t index, std::string& fields);
// Whether a stored or arriving object is chunk `index` of what the manifest stands for.
bool is_chunk_of(const Object& manifest, std::uint64_t index, const Object& object);

// Whether a 206 brings exactly these bytes of that whole, or a 200 the same whole.
bool brings_part(const Object& manifest, http::ByteRange part, const http::ResponseHead& response);
bool brings_whole(const Object& manifest, const http::ResponseHead& response, std::uint64_t length);

}  // namespace vignette::cache
