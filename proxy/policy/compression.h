// Which content coding an answer of a server gets on its way (RFC 9110 §8.4, §12.5.3), and its fields then.
//
// Made of what is listed and has no coding yet; undone where the server sent one that the client does not
// accept. Left as they are: parts (206), answers without content, `no-transform`, text/event-stream, and
// lists of several codings. Where another Accept-Encoding would have got something else `Vary` says so, for
// what goes out unchanged too. An identity that a client refuses is sent all the same where nothing else can
// be had: an answer is worth more than a 406.
//
// An entity tag that names other bytes now becomes weak, as nginx makes it: If-None-Match, which compares
// weakly, goes on working here and at the server, ranges and If-Match on it do not. Digests of the former
// bytes go (RFC 9530). Pure functions.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "conf/route_compress.h"
#include "http/message.h"

namespace vignette::proxy {

struct CodingChange {
  http::Coding undone = http::Coding::identity;
  http::Coding made = http::Coding::identity;  // only one of both is another than identity
  bool varies = false;                         // the answer depends on Accept-Encoding

  bool changes_body() const { return undone != made; }
};

// `length`: of the content, where it is known.
CodingChange decide_coding(const conf::RouteCompress& rule, const http::FieldList& request,
                           const http::ResponseHead& response, std::optional<std::uint64_t> length);

// Makes the fields say what `change` does. Texts that are made are appended to a block, which is returned and
// has to live as long as the fields. nullopt: no room for one more field, and nothing was changed.
std::optional<BlockRef> apply_coding(const CodingChange& change, http::FieldList& response);

// A 304 confirms what the client has, so its tag is as weak as the one that the client named; and it names
// what the confirmed answer varies by. As apply_coding().
std::optional<BlockRef> apply_to_not_modified(const http::FieldList& request, http::FieldList& response);

// Adds Accept-Encoding to Vary, unless it is there; as apply_coding().
std::optional<BlockRef> add_vary(http::FieldList& response);

}  // namespace vignette::proxy
