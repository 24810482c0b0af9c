#include "proxy/process/purge_keeper.h"

#include <utility>

#include "cache/purge/erase.h"
#include "net/offload.h"

namespace vignette::proxy {

PurgeKeeper::PurgeKeeper(cache::PurgeBook& book, cache::TieredStore& store, TaskPool& pool, net::Worker& loop,
                         Logger& log)
    : book_(book), store_(store), pool_(pool), loop_(loop), log_(log) {
  store_.set_on_disk_back([this] { erase_owed(); });
}

void PurgeKeeper::start() {
  erase_owed();
  loop_.spawn_named("purge-journal", sync_strand, std::ref(*this));
}

void PurgeKeeper::finish() {
  if (book_.is_unsynced()) note(book_.sync());
}

net::Task<void> PurgeKeeper::sync_strand(PurgeKeeper& keeper) {
  for (;;) {
    auto slept = co_await net::sleep_for(kSyncEvery);
    if (!slept) co_return;
    if (!keeper.book_.is_unsynced()) continue;
    auto synced = co_await net::offload(keeper.pool_, [&book = keeper.book_] { return book.sync(); });
    if (!synced && synced.error().code == Code::cancelled) co_return;
    keeper.note(synced);
  }
}

void PurgeKeeper::erase_owed() {
  const std::uint64_t up_to = book_.owed_epoch();
  if (up_to == 0) return;
  log_.info("purge {}: going on to overwrite what it named", up_to);
  cache::erase_owed(book_, store_, [&log = log_, up_to](const Result<cache::Erased>& erased) {
    if (erased) {
      log.info("purge {}: {} copies, {} bytes overwritten", up_to, erased->copies, erased->bytes);
    } else {
      log.error("purge {}: its bytes could not all be overwritten: {} ({})", up_to, erased.error().where,
                explain(erased.error()));
    }
  });
}

void PurgeKeeper::note(const Result<void>& synced) {
  if (synced) {
    if (std::exchange(told_, std::nullopt)) log_.info("purge journal: written again, all purges are durable");
    return;
  }
  const TimePoint now = loop_.now();
  if (told_ && now - *told_ < kTellEvery) return;
  told_ = now;
  log_.error("{} ({}); {}", synced.error().where, explain(synced.error()),
             book_.is_behind() ? "a restart would forget purges that are in effect"
                               : "invalidations of the last second may not survive a power failure");
}

}  // namespace vignette::proxy
