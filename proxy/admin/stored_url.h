// Where what a URL answers lies in the cache: the URL goes through the router as a request would, and a
// photo's URL, whatever its size, stands for the original and all that is made from it.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "cache/purge/purge_book.h"
#include "http/url.h"
#include "proxy/route/snapshot.h"

namespace vignette::proxy {

struct UrlParts {
  std::string_view authority;  // host[:port], lower case
  std::string_view raw_path;   // as it came
  std::string_view path;       // in its normal form
  std::string_view query;
  bool has_query = false;
};

struct StoredUrl {
  const Route* route = nullptr;  // of the snapshot
  bool is_photo = false;         // an object of a store of photos, or made from one
  // Canonical. Of servers: without what the client's scheme, the route's key and Vary add. Of photos: the
  // original's.
  std::string key_string;
  cache::PurgeTarget target;  // it, its variants and all that is made from it
};

// A URL taken apart, with what its views point to.
struct ReadUrl {
  std::string authority;    // host[:port], lower case
  std::string host;         // of it
  std::uint16_t port = 0;   // of it; 0: none
  std::string normal_path;  // what routes look at
  http::AbsoluteUrl url;    // views into the text it was read from
};
// Errors are sentences for who asked.
std::expected<ReadUrl, std::string> read_url(const Router& router, std::string_view text);

// Errors are sentences for who asked.
std::expected<StoredUrl, std::string> find_stored(const Snapshot& snapshot, std::string_view url);
std::expected<StoredUrl, std::string> find_stored(const Route& route, const UrlParts& url);

// What lies below a URL, "https://host/path/": one target for each way in which routes there keep it.
std::expected<std::vector<cache::PurgeTarget>, std::string> find_below(const Snapshot& snapshot,
                                                                       std::string_view url);

}  // namespace vignette::proxy
