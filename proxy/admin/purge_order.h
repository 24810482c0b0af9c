// A purge as an operator orders it, in JSON, and the receipt for it.
//
//   {"url": "https://…"}  {"prefix": "https://host/path/"}  {"prefix": "/albums/7/", "origin": "photos"}
//   {"tag": "red"}  {"origin": "photos"}  {"all": true}        strings or lists of strings; one kind an order
//   "mode": "hard" (default) or "soft"     "dry_run": true: only count
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "cache/purge/purge_book.h"
#include "cache/store.h"
#include "proxy/route/snapshot.h"

namespace vignette::proxy {

struct PurgeOrder {
  std::string kind;                // "url", "prefix", "tag", "origin" or "all"
  std::vector<std::string> names;  // as ordered; empty for all
  std::vector<cache::PurgeTarget> targets;
  cache::PurgeMode mode = cache::PurgeMode::hard;
  bool dry_run = false;
};

// Errors are sentences for who ordered.
std::expected<PurgeOrder, std::string> read_purge_order(std::string_view json, const Snapshot& snapshot);
// The order that a PURGE request is.
PurgeOrder order_for_url(std::string url, cache::PurgeTarget target);

// Objects in memory that the order names and that are alive now. Walks over all of them: not on a loop.
struct PurgeCount {
  std::uint64_t objects = 0;
  std::uint64_t body_bytes = 0;
};
PurgeCount count_purged(const cache::Store& store, const PurgeOrder& order, const Clock& clock);

std::string receipt_json(const PurgeOrder& order, const cache::PurgeReceipt& receipt);
std::string dry_run_json(const PurgeOrder& order, const PurgeCount& count);
// Why the book did not take it, and the status that says so.
struct PurgeRefusal {
  int status = 500;
  std::string json;
};
PurgeRefusal refusal_for(const Error& error);

}  // namespace vignette::proxy
