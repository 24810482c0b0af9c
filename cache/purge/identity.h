// What a purge can name, as 64-bit numbers: the XXH3 of a tag's word, or of a key string without its VARIANT
// part. Tags of origins and those that the node writes itself share the space of words of Object::tags().
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vignette::cache {

// Words that begin with this byte are the node's own: field values cannot hold it, so no origin forges them.
inline constexpr char kInternalTag = '\x01';
// Stands for a blank inside a tag (RFC 9875 allows them), since words are separated by blanks.
inline constexpr char kTagBlank = '\x02';

// The word for what an operator or an origin calls a tag.
std::string tag_word(std::string_view tag);
// The other way round; "" for the node's own words.
std::string tag_name(std::string_view word);
// "\x01o:NAME": everything that came from this origin.
std::string origin_tag(std::string_view origin);
// "\x01u:HEX": an object of a store of photos with this key string, and, as it is inherited, all made from
// it.
std::string self_tag(std::string_view key_string);
// "\x01k:HEX": made from the object with this key string.
std::string original_tag(std::string_view key_string);
// "\x01g:HEX": in this group (RFC 9875), which is one of the URL origin alone that the key string states by
// its host and the first line of its variant; "" when it has no host.
std::string group_tag(std::string_view key_string, std::string_view group);
// Whether among these words is an original_tag().
bool has_original_tag(std::string_view tags);
bool is_origin_tag(std::string_view word);
bool is_group_tag(std::string_view word);
// Of an object that has more tags than are kept: each purge by a tag or a group takes it, since it may be
// meant.
inline constexpr std::string_view kManyTags = "\x01t:";
// A tag or a group that an origin or an operator named: not one of the words that the node finds names for.
bool is_given_tag(std::string_view word);

// The canonical key without the LF VARIANT part. A view into `key_string`.
std::string_view primary_part(std::string_view key_string);

std::uint64_t tag_identity(std::string_view word);
std::uint64_t url_identity(std::string_view key_string);  // of its primary part

}  // namespace vignette::cache
