#include "cache/tiered_store.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "cache/freshness.h"

namespace vignette::cache {
namespace {

MemoryStoreOptions told_of_leaving(MemoryStoreOptions options,
                                   std::function<void(const Object&, Leaving)> on_leave) {
  options.on_leave = std::move(on_leave);
  return options;
}

}  // namespace

TieredStore::TieredStore(const MemoryStoreOptions& memory, const DiskStoreOptions& disk, const Clock& clock,
                         Logger& log)
    : clock_(clock),
      misses_(clock),
      memory_(
          told_of_leaving(memory, [this](const Object& object, Leaving how) { note_leaving(object, how); })) {
  if (disk.disks.empty()) return;
  DiskStoreOptions options = disk;
  // What waits for the disk stays in memory so long; an eighth of the budget is the most of it.
  const std::uint64_t share = memory.budget_bytes / 8 / options.disks.size();
  options.queue_bytes = std::min(options.queue_bytes, std::max(share, std::uint64_t{1} << 20));
  disk_ = std::make_unique<DiskStore>(options, make_host(), clock, log);
}

TieredStore::~TieredStore() = default;

DiskHost TieredStore::make_host() {
  DiskHost host;
  host.reserve = [this](std::size_t bytes) { return memory_.reserve(bytes); };
  host.must_reserve = true;
  host.is_resident = [this](const Key& key) { return memory_.knows(key); };
  host.is_dead = [this](std::uint64_t sequence, std::string_view key_string, std::string_view tags) {
    return purges() && purges()->judge(sequence, key_string, tags) == Verdict::dead;
  };
  host.must_erase = [this](std::uint64_t sequence, std::string_view key_string, std::string_view tags) {
    return purges() && purges()->must_erase(sequence, key_string, tags);
  };
  host.on_back = [this] {
    if (on_disk_back_) on_disk_back_();
  };
  host.on_reclaimed = [this](const FooterEntry& entry) {
    if (memory_.knows(entry.key())) return;
    const bool was_stale = entry.stale_at <= clock_.wall().time_since_epoch().count();
    misses_.note(entry.key(), {.cause = Departed::reclaimed, .was_stale = was_stale});
  };
  return host;
}

void TieredStore::note_purged(const Object& object) {
  const auto cause = purges()->cause_of(object.sequence(), object.key_string(), object.tags());
  if (!cause) return;
  misses_.note(object.key(), {.cause = Departed::purged, .purged_by = cause->by, .at = cause->at});
}

// A Vary marker has no lifetime, and one that another replaces was no answer.
void TieredStore::note_leaving(const Object& object, Leaving how) {
  if (is_dead(object)) return note_purged(object);
  const std::chrono::seconds ttl = decide_serve(object, clock_.wall()).ttl;
  const bool is_marker = object.flags().is_vary_marker;
  const bool is_stale = !is_marker && ttl <= std::chrono::seconds(0);
  if (how == Leaving::evicted && !(disk_ && disk_->has(object.key()))) {
    misses_.note(object.key(),
                 {.cause = Departed::evicted, .was_stale = is_stale, .not_on_disk = object.disk_refusal()});
  } else if (how == Leaving::replaced && !is_marker) {
    misses_.note(object.key(), is_stale ? Departure{.cause = Departed::expired, .at = clock_.wall() + ttl}
                                        : Departure{.cause = Departed::replaced});
  }
}

Residence TieredStore::residence(const Key& key, std::string_view key_string) const {
  Residence residence{.in_memory = memory_.find_any(key, key_string), .disk = {}};
  if (disk_) residence.disk = disk_->residence(key);
  return residence;
}

ObjectRef TieredStore::inspect(const Key& key, std::string_view key_string) const {
  ObjectRef object = memory_.find_any(key, key_string);
  return object || !disk_ ? object : disk_->inspect(key, key_string);
}

Lookup TieredStore::try_lookup(const Key& key, std::string_view key_string) {
  bool is_first = false;
  ObjectRef object = memory_.find(key, key_string, is_first);
  if (object) {
    if (is_first && disk_) offer_again(object);
    return {.outcome = Lookup::Outcome::hit, .object = std::move(object)};
  }
  if (!disk_ || !disk_->has(key)) return {};
  unanswered_.fetch_add(1, std::memory_order_relaxed);
  return {.outcome = Lookup::Outcome::must_wait, .object = {}};
}

ObjectRef TieredStore::peek(const Key& key, std::string_view key_string) const {
  return memory_.peek(key, key_string);
}

bool TieredStore::may_have(const Key& key, std::string_view key_string) const {
  return memory_.peek(key, key_string) || (disk_ && disk_->has(key));
}

// An object's first hit in memory.
void TieredStore::offer_again(const ObjectRef& object) {
  const std::lock_guard lock(stripe_of(object->key()).mutex);
  if (memory_.peek(object->key(), object->key_string()) == object && may_be_kept(*object))
    disk_->offer(object);
}

void TieredStore::post(Executor& executor, std::move_only_function<void(Lookup)> completion, Lookup answer) {
  executor.post([answer = std::move(answer), completion = std::move(completion)]() mutable {
    completion(std::move(answer));
  });
}

TieredStore::Place TieredStore::join_flight(const Key& key, std::string_view key_string, Waiter& waiter) {
  Stripe& stripe = stripe_of(key);
  const std::lock_guard lock(stripe.mutex);
  auto [flight, is_first] = stripe.flights.try_emplace(key);
  if (is_first) flight->second.key_string = key_string;
  if (flight->second.key_string != key_string) return Place::clash;
  flight->second.waiters.push_back(std::move(waiter));
  return is_first ? Place::first : Place::joined;
}

void TieredStore::lookup(const Key& key, std::string_view key_string, Executor& executor,
                         std::move_only_function<void(Lookup)> completion) {
  Lookup now = try_lookup(key, key_string);
  if (now.outcome != Lookup::Outcome::must_wait) return post(executor, std::move(completion), std::move(now));
  wait_for_read(key, key_string, {&executor, std::move(completion)});
}

void TieredStore::promote(const Key& key, std::string_view key_string, Executor& executor,
                          std::move_only_function<void(Lookup)> completion) {
  ObjectRef resident = memory_.peek(key, key_string);
  if (resident || !disk_ || !disk_->has(key)) {
    const auto outcome = resident ? Lookup::Outcome::hit : Lookup::Outcome::miss;
    return post(executor, std::move(completion), {.outcome = outcome, .object = std::move(resident)});
  }
  wait_for_read(key, key_string, {&executor, std::move(completion), false});
}

void TieredStore::wait_for_read(const Key& key, std::string_view key_string, Waiter waiter) {
  switch (join_flight(key, key_string, waiter)) {
    case Place::first:
      return start_read(key, std::string(key_string), 1);
    case Place::joined:
      return;
    case Place::clash:  // another object of the same hash is being read: a miss
      if (waiter.is_asked) disk_misses_.fetch_add(1, std::memory_order_relaxed);
      return post(*waiter.executor, std::move(waiter.completion), {});
  }
}

void TieredStore::start_read(const Key& key, std::string key_string, int attempt) {
  const std::string_view name = key_string;
  disk_->read(key, name, [this, key, key_string = key_string, attempt](DiskRead read) mutable {
    end_read(key, std::move(key_string), std::move(read), attempt);
  });
}

// On any thread. Promotion and the end of the flight are one step: who comes later finds it in memory.
void TieredStore::end_read(const Key& key, std::string key_string, DiskRead read, int attempt) {
  Flight flight;
  bool is_overtaken = false;
  {
    Stripe& stripe = stripe_of(key);
    const std::lock_guard lock(stripe.mutex);
    if (ObjectRef newer = memory_.peek(key, key_string)) {
      read.object = std::move(newer);
    } else if (read.object && !disk_->is_current(key, read.token)) {
      is_overtaken = true;
    } else if (read.object && !is_dead(*read.object)) {
      memory_.insert(read.object);
    } else if (read.object) {
      note_purged(*read.object);
    }
    if (!is_overtaken || attempt == kAttempts) {
      const auto found = stripe.flights.find(key);
      flight = std::move(found->second);
      stripe.flights.erase(found);
    }
  }
  if (is_overtaken && attempt < kAttempts) return start_read(key, std::move(key_string), attempt + 1);
  Lookup answer;
  if (read.object && !is_overtaken && !is_dead(*read.object)) {
    answer = {.outcome = Lookup::Outcome::hit, .object = std::move(read.object), .from_disk = true};
  }
  const auto asked = static_cast<std::uint64_t>(std::ranges::count_if(flight.waiters, &Waiter::is_asked));
  (answer.object ? disk_hits_ : disk_misses_).fetch_add(asked, std::memory_order_relaxed);
  for (Waiter& waiter : flight.waiters) post(*waiter.executor, std::move(waiter.completion), answer);
}

Insertion TieredStore::insert(ObjectRef object) {
  if (!disk_) return memory_.insert(std::move(object));
  const std::lock_guard lock(stripe_of(object->key()).mutex);
  bool asked_again = false;
  const Insertion insertion = memory_.insert(object, asked_again);
  const bool is_in = insertion == Insertion::inserted || insertion == Insertion::replaced;
  if (is_in && may_be_kept(*object)) {
    disk_->put(object, asked_again ? DiskOffer::asked_again : DiskOffer::first);
  } else if (is_in) {
    disk_->erase(object->key());
  }
  return insertion;
}

bool TieredStore::replace_head(const Object& old, ObjectRef fresh) {
  if (!disk_) return memory_.replace_head(old, std::move(fresh));
  const std::lock_guard lock(stripe_of(old.key()).mutex);
  if (!memory_.replace_head(old, fresh)) return false;
  if (may_be_kept(*fresh)) disk_->put(fresh, DiskOffer::freshened);
  return true;
}

bool TieredStore::erase(const Key& key, std::string_view key_string) {
  const std::lock_guard lock(stripe_of(key).mutex);
  const bool was_in_memory = memory_.erase(key, key_string);
  // Another object of the same hash: that is what the disk's index means, too.
  if (!was_in_memory && memory_.knows(key)) return false;
  const bool was_on_disk = disk_ && disk_->erase(key);
  if (was_in_memory || was_on_disk) misses_.note(key, {.cause = Departed::dropped});
  return was_in_memory || was_on_disk;
}

void TieredStore::clear() {
  for (Stripe& stripe : stripes_) stripe.mutex.lock();
  memory_.clear();
  if (disk_) disk_->clear();
  for (Stripe& stripe : stripes_) stripe.mutex.unlock();
}

StoreStats TieredStore::stats() const {
  const std::uint64_t unanswered = unanswered_.load(std::memory_order_relaxed);
  StoreStats stats = memory_.stats();  // read later: each of the unanswered is a miss there
  stats.hits += disk_hits_.load(std::memory_order_relaxed);
  stats.misses += disk_misses_.load(std::memory_order_relaxed);
  stats.misses -= std::min(unanswered, stats.misses);
  return stats;
}

void TieredStore::overwrite_erased(std::move_only_function<void(Result<Erased>)> done) {
  if (!disk_) return done(Erased());
  disk_->overwrite_erased(std::move(done));
}

DiskStats TieredStore::disk_stats() const { return disk_ ? disk_->stats() : DiskStats(); }

void TieredStore::start() {
  if (disk_) disk_->start();
}

void TieredStore::stop() {
  if (disk_) disk_->stop();
}

}  // namespace vignette::cache
