// A configuration in the form requests use it. Built off the loops, swapped into each worker on reload;
// a request keeps the snapshot it began with. Immutable after construction.
#pragma once

#include <expected>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "conf/config.h"
#include "conf/loader.h"
#include "geo/databases.h"
#include "imaging/url.h"
#include "proxy/origin/origin.h"
#include "proxy/route/router.h"
#include "proxy/route/tls_setup.h"

namespace vignette::proxy {

struct Node;

struct Snapshot {
  std::shared_ptr<const conf::Config> config;
  std::map<std::string, std::unique_ptr<Origin>, std::less<>> origins;
  std::unique_ptr<Router> router;
  TlsSetupRef tls;                                       // of this configuration's files when it was built
  std::unique_ptr<const imaging::ImageUrls> image_urls;  // null: no images route
  std::uint64_t generation = 0;                          // counts configurations applied, from 1
};

struct SnapshotOptions {
  std::uint64_t generation = 1;
  TlsSetupOptions tls;
  geo::DatabasesRef databases{};  // in use, which are kept while their files are the same; null: none
};

using SnapshotRef = std::shared_ptr<const Snapshot>;

// What is put into use together. The databases are not the snapshot's: their files are replaced without a
// reload.
struct Built {
  SnapshotRef snapshot;
  geo::DatabasesRef databases;
};
// Each error is one line for the operator.
using SnapshotResult = std::expected<Built, std::vector<std::string>>;

// Reads certificates, databases and credentials, so it may block: never on a loop. One at a time.
SnapshotResult build_snapshot(std::shared_ptr<const conf::Config> config, Node& node,
                              const SnapshotOptions& options);

// The checks of `vignette check` that need more than the loader may see: certificates, databases, presets.
// `keys` reads private keys and outlives the checks; null: each is read afresh.
conf::Checks snapshot_checks(net::KeyFiles* keys = nullptr);

}  // namespace vignette::proxy
