// The stored form of a response's fields: HTTP/1.1 wire form, ready to send.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "http/field_list.h"

namespace vignette::cache {

// Fields that are not stored as they came: those of one connection (Connection must have been applied
// before), what the per-request part of an answer writes itself (Content-Length, Age), Surrogate-Control,
// which was for us, and Date, which append_date() writes so that every stored response has exactly one.
bool is_stored_field(http::FieldId id);

// Appends `Name: value\r\n` for each field that is stored; known names in their conventional spelling.
// Tag fields only when they are kept.
void append_stored_fields(const http::FieldList& fields, std::string& out, bool keep_tag_fields = true);
void append_stored_field(const http::Field& field, std::string& out);
void append_date(WallTime date, std::string& out);

// Reads a stored block back into a list (for a 304, for tests). False when it is not well formed or too long.
// Names must be lower case in a list, so they are written to `names`, which must live as long as `out`.
bool read_stored_fields(std::string_view stored, std::string& names, http::FieldList& out);

// Whether a field carries purge tags: Cache-Tag, Surrogate-Key, xkey, Cache-Groups (RFC 9875). They are for
// us.
bool is_tag_field(std::string_view name);
bool has_tags(const http::FieldList& fields);

// Purge tags as words (purge/identity.h): separated by one space, at most kMaxTagBytes in all. Where some are
// left out, as of more than kMaxCacheGroups groups, kManyTags is the last word.
inline constexpr std::size_t kMaxTagBytes = 8 * 1024;
void append_tags(const http::FieldList& fields, std::string& out);

}  // namespace vignette::cache
