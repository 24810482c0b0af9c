// What a request would look up: a URL through the router and its headers into the key, as the exchange does
// it, but without rules about who may ask, and without a signature.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "cache/policy.h"
#include "http/field_list.h"
#include "proxy/route/snapshot.h"

namespace vignette::proxy {

// A GET that somebody asks about.
struct ExplainQuestion {
  std::string url;
  std::vector<std::pair<std::string, std::string>> fields;  // names in lower case

  // As the request has them; views into this.
  http::FieldList field_list() const;
};

// "url=…&header=Name%3A%20value", as often as there are headers; percent-encoded. Errors are sentences for
// who asked, like those below.
std::expected<ExplainQuestion, std::string> read_explain_question(std::string_view query);
// The same, the other way round.
std::string explain_query(std::string_view url, const std::vector<std::string>& headers);

struct AskedKey {
  const Route* route = nullptr;  // of the snapshot
  std::string site;              // its first host
  cache::CachePolicy policy;     // of what is stored there
  std::string key_string;        // before any Vary
  std::string original;          // of a picture: the key string of the photo it is made from; else ""
};
// `fields` are the question's, and become what the route's requests have.
std::expected<AskedKey, std::string> find_key(const Snapshot& snapshot, const ExplainQuestion& question,
                                              http::FieldList& fields, WallTime now);

}  // namespace vignette::proxy
