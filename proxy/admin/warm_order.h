// One thing that a node is asked to have in its cache: a URL, or a key of another node's hot list, as the
// request that a client would bring it in with.
//
//   URL LF *(name ":" value LF)     as a client asks for it, with these fields
//   key LF                          a line's key of a hot list (cache/warm/hot_list.h), escaped as there
//
// From a key of app servers the URL, its scheme and the fields that chose the answer are read; for a photo's,
// which names an origin and no host, a route is looked for that leads there; for a chunk of a large object
// the request is for its range.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "proxy/route/snapshot.h"

namespace vignette::proxy {

struct WarmOrder {
  bool tls = false;              // how the client would have come
  std::string head;              // of its request, as HTTP/1.1
  std::string key_string;        // what has to be in the store afterwards; "" for a URL: whatever it answers
  std::uint64_t keep_bytes = 0;  // of the answer's body; more than 0: the body is what is wanted
};

struct WarmReply {
  enum class Outcome : std::uint8_t {
    hit,     // it was there
    stored,  // it was fetched
    failed,
  };
  Outcome outcome = Outcome::failed;
  int status = 0;      // of the answer; 0: nothing was asked
  std::string reason;  // of a failure
  std::string body;    // where it was wanted
};
std::string_view to_string(WarmReply::Outcome outcome);

// Errors are sentences for who ordered.
std::expected<WarmOrder, std::string> read_warm_order(std::string_view text, const Snapshot& snapshot);

// {"outcome": "stored", "status": 200}, and "reason" of what failed.
std::string warm_reply_json(const WarmReply& reply);

}  // namespace vignette::proxy
