// A purge as an operator orders it, in JSON.
//
//   {"url": "https://…"}  {"prefix": "https://host/path/"}  {"prefix": "/albums/7/", "origin": "photos"}
//   {"tag": "red"}  {"origin": "photos"}  {"all": true}        strings or lists of strings; one kind an order
//   "mode": "hard" (default) or "soft"     "erase": true: hard, and the bytes on disks are overwritten
//   "dry_run": true: only count
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/purge/purge_book.h"
#include "proxy/admin/stored_url.h"
#include "proxy/route/snapshot.h"

namespace vignette::proxy {

struct PurgeOrder {
  std::string kind;                // "url", "prefix", "tag", "origin" or "all"
  std::vector<std::string> names;  // as ordered; empty for all
  std::vector<cache::PurgeTarget> targets;
  std::vector<std::string> keys;  // by URL: the key strings that the URLs themselves may have
  cache::PurgeMode mode = cache::PurgeMode::hard;
  bool dry_run = false;
};

// Errors are sentences for who ordered.
std::expected<PurgeOrder, std::string> read_purge_order(std::string_view json, const Snapshot& snapshot);
// The order that a PURGE request is, with the value of its Purge-Mode: "hard" (also without), "soft" or
// "erase". nullopt: it is none of these.
std::optional<PurgeOrder> order_for_url(std::string url, StoredUrl found, std::string_view mode);

}  // namespace vignette::proxy
