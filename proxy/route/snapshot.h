// A configuration in the form requests use it. Built off the loops, swapped into each worker on reload;
// a request keeps the snapshot it began with. Immutable after construction.
#pragma once

#include <expected>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "conf/config.h"
#include "geo/database.h"
#include "imaging/url.h"
#include "net/tls.h"
#include "proxy/origin/origin.h"
#include "proxy/route/router.h"

namespace vignette::proxy {

struct Node;

struct Snapshot {
  std::shared_ptr<const conf::Config> config;
  std::map<std::string, std::unique_ptr<Origin>, std::less<>> origins;
  std::unique_ptr<Router> router;
  std::shared_ptr<const net::TlsServer> tls;       // null: no TLS listener
  std::shared_ptr<const geo::Database> countries;  // null: no database
  std::unique_ptr<const imaging::ImageUrls> image_urls;  // null: no images route
  std::uint64_t generation = 0;                    // counts reloads, from 1
};

// Reads certificates, databases and credentials, so it may block: main thread only. Each error is one
// line for the operator.
std::expected<std::shared_ptr<const Snapshot>, std::vector<std::string>> build_snapshot(
    std::shared_ptr<const conf::Config> config, Node& node, std::uint64_t generation);

}  // namespace vignette::proxy
