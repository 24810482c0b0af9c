// What a purge answers: the receipt, what was known of the objects it named, or why it was not taken.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "cache/purge/purge_book.h"
#include "cache/store.h"
#include "proxy/admin/admin_reply.h"
#include "proxy/admin/purge_order.h"

namespace vignette::proxy {

// Objects that were alive and named. A purge costs the same whatever their number, so they are looked for
// only as far as that is cheap; nullopt: not looked for.
struct PurgeCount {
  std::optional<std::uint64_t> in_memory;
  std::uint64_t body_bytes = 0;  // of those
  // Of an order by URL: what lies under the URLs themselves, without their sizes and variants. Of one that
  // erases: all that was overwritten.
  std::optional<std::uint64_t> on_disk;
};

// A receipt counts in memory when that holds at most so many objects; a dry run always.
inline constexpr std::uint64_t kMostCounted = 65'536;

// Before the purge. Walks over the objects in memory, if they are not more than `most`: not on a loop.
PurgeCount count_known(const cache::Store& store, const PurgeOrder& order, const Clock& clock,
                       std::uint64_t most);

// "durable" says whether a restart may forget it; "error" is there when it may.
std::string receipt_json(const PurgeOrder& order, const cache::PurgeReceipt& receipt, const PurgeCount& count,
                         const std::optional<cache::Erased>& erased);
std::string dry_run_json(const PurgeOrder& order, const PurgeCount& count);
// The purge did not come into effect, or (timeout) nobody knows yet.
AdminReply purge_refusal(const Error& error);
// The purge is in effect, and some of the bytes may still lie on a disk.
AdminReply not_erased(const cache::PurgeReceipt& receipt, const Error& error);

}  // namespace vignette::proxy
