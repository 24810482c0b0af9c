#include "cache/purge/purge_book.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/strings.h"
#include "cache/purge/identity.h"
#include "cache/purge/purge_journal.h"

namespace vignette::cache {
namespace {

// Where numbers begin when there is no journal to go on from: beyond those of any journal that may have been.
std::uint64_t first_sequence(const Clock& clock) {
  return static_cast<std::uint64_t>(clock.wall_micros().time_since_epoch().count());
}

PurgeRecord record_of(const PurgeTarget& target, PurgeMode mode, std::uint64_t epoch, WallTime at) {
  PurgeRecord record{.epoch = epoch, .at = at, .kind = target.kind, .mode = mode, .identity = 0, .name = {}};
  switch (target.kind) {
    case PurgeKind::everything:
      break;
    case PurgeKind::url:
      record.identity = url_identity(target.name);
      break;
    case PurgeKind::tag:
      record.identity = tag_identity(target.name);
      break;
    case PurgeKind::prefix:
      record.identity =
          target.origin.empty() ? PurgeTables::kAnyOrigin : tag_identity(origin_tag(target.origin));
      record.name = target.name;
      break;
  }
  return record;
}

bool names_given_tag(const PurgeTarget& target) {
  return target.kind == PurgeKind::tag && is_given_tag(target.name);
}

// What takes objects with too many tags comes first: a purge whose write was cut short did not happen, but
// may take too much.
std::vector<PurgeRecord> records_of(std::span<const PurgeTarget> targets, PurgeMode mode,
                                    const PurgeReceipt& receipt) {
  std::vector<PurgeRecord> records;
  const auto add = [&](const PurgeTarget& target) {
    records.push_back(record_of(target, mode, receipt.sequence, receipt.at));
  };
  if (std::ranges::any_of(targets, names_given_tag)) {
    add({.kind = PurgeKind::tag, .name = std::string(kManyTags), .origin = {}});
  }
  std::ranges::for_each(targets, add);
  return records;
}

Verdict verdict_of(const PurgeEpoch& epoch, std::uint64_t sequence) {
  if (sequence < epoch.hard) return Verdict::dead;
  return sequence < epoch.soft ? Verdict::stale : Verdict::live;
}

}  // namespace

PurgeBook::PurgeBook(const Clock& clock) : PurgeBook(clock, Limits{}) {}

PurgeBook::PurgeBook(const Clock& clock, Limits limits) : clock_(clock), limits_(limits) {}

PurgeBook::~PurgeBook() = default;

void PurgeBook::set_oldest_alive(std::function<std::uint64_t()> oldest_alive) {
  oldest_alive_ = std::move(oldest_alive);
}

Result<void> PurgeBook::open_journal(const std::string& directory, std::string& report) {
  const std::lock_guard one(purging_);
  auto journal = std::make_unique<PurgeJournal>(directory);
  std::uint64_t last = 0;
  auto found = journal->replay(
      kMaxNameBytes,
      [&](const JournalHeader& header) {
        last = header.sequence;
        tables_.everything = header.everything;
      },
      [&](PurgeRecord&& record) {
        last = std::max(last, record.epoch);
        replay(record);
      });
  if (!found) return lost_journal(found.error());
  if (*found == PurgeJournal::Found::damaged) {
    if (auto aside = journal->set_aside(); !aside) return lost_journal(aside.error());
    report = "the journal of purges is damaged and was put aside as " + directory + "/" +
             std::string(PurgeJournal::kName) + ".damaged: everything stored before now counts as purged";
  }
  journal_ = std::move(journal);
  if (*found == PurgeJournal::Found::good) {
    sequence_.store(last, std::memory_order_release);
    return note_written({}, last);
  }
  const std::uint64_t first = std::max(first_sequence(clock_), last + 1);
  tables_ = {.everything = {.hard = first}, .names = {}, .prefixes = {}};
  sequence_.store(first, std::memory_order_release);
  recorded_.store(0, std::memory_order_release);
  return note_written(rewrite_journal({}), first);
}

// It may be whole and be read at the next start, and what it numbers then goes on from its own last number:
// what is purged until then would not be in it.
std::unexpected<Error> PurgeBook::lost_journal(const Error& error) {
  journal_fault_ = error;
  return std::unexpected(error);
}

// Before there are readers.
void PurgeBook::replay(const PurgeRecord& record) {
  if (record.mode == PurgeMode::erased) return forget_owed(record.epoch);
  tables_.add(std::span(&record, 1));
  if (record.mode != PurgeMode::erase) return;
  owed_.add(std::span(&record, 1));
  owed_epoch_.store(std::max(owed_epoch(), record.epoch), std::memory_order_release);
}

// Only who purges changes the tables, so they are read here without their lock.
void PurgeBook::apply(std::span<const PurgeRecord> records, std::uint64_t sequence) {
  PurgeChange change = tables_.with(records);
  const bool owes = records.front().mode == PurgeMode::erase;
  PurgeChange owed = owes ? owed_.with(records) : PurgeChange();
  const std::lock_guard lock(mutex_);
  tables_.take(change);
  if (owes) owed_.take(owed);
  if (owes) owed_epoch_.store(sequence, std::memory_order_release);
  sequence_.store(sequence, std::memory_order_release);
}

void PurgeBook::forget_owed(std::uint64_t up_to) {
  PurgeTables left = owed_.without(up_to);
  if (left.everything.hard <= up_to) left.everything = {};
  const std::lock_guard lock(mutex_);
  std::swap(owed_, left);
  if (owed_epoch() <= up_to) owed_epoch_.store(0, std::memory_order_release);
}

Result<void> PurgeBook::check(std::span<const PurgeTarget> targets) {
  const auto is_too_long = [](const PurgeTarget& target) { return target.name.size() > kMaxNameBytes; };
  if (targets.empty() || targets.size() > kMaxTargets || std::ranges::any_of(targets, is_too_long)) {
    return fail(Code::limit, Blame::client, "purge: name or number of targets");
  }
  return {};
}

Result<PurgeReceipt> PurgeBook::purge(std::span<const PurgeTarget> targets, PurgeMode mode,
                                      Durability durability) {
  if (auto sound = check(targets); !sound) return std::unexpected(sound.error());
  const std::lock_guard one(purging_);
  PurgeReceipt receipt{.sequence = sequence() + 1, .at = clock_.wall()};
  const std::vector<PurgeRecord> records = records_of(targets, mode, receipt);
  if (auto room = make_room(records, durability); !room) return std::unexpected(room.error());
  if (auto written = write_journal(records, durability); !written) {
    // What is overwritten must be owed over restarts, so that it is all or not at all.
    if (mode == PurgeMode::erase) return std::unexpected(written.error());
    receipt.not_durable = written.error();
    is_behind_ = true;
    not_durable_.fetch_add(1, std::memory_order_relaxed);
  }
  apply(records, receipt.sequence);
  purges_.fetch_add(1, std::memory_order_relaxed);
  return receipt;
}

bool PurgeBook::has_room(std::span<const PurgeRecord> records) const {
  const bool owes = records.front().mode == PurgeMode::erase;
  return tables_.has_room(records, limits_.epochs, limits_.prefixes) &&
         (!owes || owed_.has_room(records, limits_.epochs, limits_.prefixes));
}

// Forgotten epochs are replaced by one for everything, so that what is still on its way with an older number
// (a fill, a disk that was away) is dead and not alive.
Result<void> PurgeBook::make_room(std::span<const PurgeRecord> records, Durability durability) {
  if (has_room(records)) return {};
  if (const TimePoint now = clock_.now(); !asked_oldest_ || now - *asked_oldest_ >= kAskOldestEvery) {
    asked_oldest_ = now;
    if (const std::uint64_t oldest = oldest_alive_ ? std::min(oldest_alive_(), sequence()) : 0) {
      forget_before(oldest);
    }
  }
  if (has_room(records)) return {};
  if (durability == Durability::written) force_room(records);
  if (has_room(records)) return {};
  refused_.fetch_add(1, std::memory_order_relaxed);
  return fail(Code::exhausted, Blame::client, "purge: too many purged names are remembered");
}

// The older half of the names, or all.
void PurgeBook::force_room(std::span<const PurgeRecord> records) {
  std::vector<std::uint64_t> epochs;
  epochs.reserve(tables_.names.size());
  for (const auto& [identity, epoch] : tables_.names) epochs.push_back(std::max(epoch.hard, epoch.soft));
  const auto middle = epochs.begin() + static_cast<std::ptrdiff_t>(epochs.size() / 2);
  if (middle != epochs.end()) {
    std::ranges::nth_element(epochs, middle);
    forget_before(*middle);
  }
  if (!has_room(records)) forget_before(sequence());
}

void PurgeBook::forget_before(std::uint64_t oldest) {
  PurgeTables left = tables_.without(oldest);
  left.everything.raise({.hard = oldest});
  const std::lock_guard lock(mutex_);
  std::swap(tables_, left);
  must_rewrite_ = true;
}

Result<void> PurgeBook::write_journal(std::span<const PurgeRecord> records, Durability durability) {
  if (journal_fault_) return std::unexpected(*journal_fault_);
  if (!journal_) return {};
  const std::uint64_t last = std::max(sequence(), records.front().epoch);
  if (must_rewrite_) return note_written(rewrite_journal(records), last);
  std::string bytes;
  for (const PurgeRecord& record : records) append_record(record, bytes);
  const bool is_synced = durability == Durability::synced;
  auto written = note_written(journal_->append(bytes, is_synced), last);
  if (!written) return written;
  is_unsynced_ = !is_synced;
  const std::uint64_t alive = PurgeJournal::kHeaderBytes + bytes.size() +
                              tables_.names.size() * (kPurgeRecordHead + kPurgePayloadHead);
  if (journal_->bytes() > kCompactJournalBytes && journal_->bytes() > 2 * alive) {
    must_rewrite_ = true;  // with the next one
  }
  return written;
}

Result<void> PurgeBook::rewrite_journal(std::span<const PurgeRecord> records) {
  std::string bytes = live_records();
  for (const PurgeRecord& record : records) append_record(record, bytes);
  is_unsynced_ = false;
  return journal_->rewrite({.sequence = sequence(), .everything = tables_.everything}, bytes);
}

// Only purges change the tables, and there is one at a time.
std::string PurgeBook::live_records() const {
  std::string bytes;
  tables_.append_records(PurgeMode::hard, bytes);
  owed_.append_records(PurgeMode::erase, bytes);
  if (const PurgeEpoch& all = owed_.everything; all.hard) {
    append_record({.epoch = all.hard, .at = all.hard_at, .mode = PurgeMode::erase, .name = {}}, bytes);
  }
  return bytes;
}

std::optional<PurgeCause> PurgeBook::cause_of(std::uint64_t sequence, std::string_view key_string,
                                              std::string_view tags) const {
  std::optional<PurgeCause> cause;
  const std::shared_lock lock(mutex_);
  tables_.for_each_epoch(key_string, tags,
                         [&](const PurgeEpoch& epoch, PurgeKind kind, std::string_view word) {
                           worsen(cause, sequence, epoch, kind, word);
                         });
  return cause;
}

// A number beyond ours is from another journal: nobody knows what has been purged since.
Verdict PurgeBook::judge_again(const Object& object) const {
  const std::shared_lock lock(mutex_);
  const std::uint64_t now = sequence();
  const PurgeEpoch epoch = tables_.find(object.key_string(), object.tags());
  const Verdict verdict = object.sequence() > now ? Verdict::dead : verdict_of(epoch, object.sequence());
  if (verdict == Verdict::dead) return verdict;
  if (verdict == Verdict::live) {
    object.remember_judgement(now, std::nullopt);
    return verdict;
  }
  object.remember_judgement(now, std::min(object.stale_since().value_or(epoch.soft_at), epoch.soft_at));
  return verdict;
}

Verdict PurgeBook::judge(std::uint64_t sequence, std::string_view key_string, std::string_view tags) const {
  const std::shared_lock lock(mutex_);
  if (sequence > this->sequence()) return Verdict::dead;
  return verdict_of(tables_.find(key_string, tags), sequence);
}

std::uint64_t PurgeBook::death_of(std::string_view key_string, std::string_view tags) const {
  const std::shared_lock lock(mutex_);
  return tables_.find(key_string, tags).hard;
}

// Of a number beyond ours nobody knows what it was purged by, so only everything takes it.
bool PurgeBook::must_erase(std::uint64_t sequence, std::string_view key_string, std::string_view tags) const {
  const std::shared_lock lock(mutex_);
  if (sequence > this->sequence()) return owed_.everything.hard != 0;
  return sequence < owed_.find(key_string, tags).hard;
}

Result<void> PurgeBook::note_erased(std::uint64_t up_to) {
  const std::lock_guard one(purging_);
  const PurgeRecord record{.epoch = up_to, .at = clock_.wall(), .mode = PurgeMode::erased, .name = {}};
  if (auto written = write_journal(std::span(&record, 1), Durability::synced); !written) return written;
  forget_owed(up_to);
  return {};
}

// The journal is waited for without the lock, so that purges go on meanwhile.
Result<void> PurgeBook::sync() {
  std::shared_ptr<const UniqueFd> file;
  {
    const std::lock_guard one(purging_);
    if (!is_unsynced_.exchange(false)) return {};
    if (must_rewrite_) return note_written(rewrite_journal({}), sequence());
    file = journal_->file();
  }
  Result<void> synced = PurgeJournal::sync(*file);
  if (synced) return synced;
  const std::lock_guard one(purging_);
  return note_written(synced, sequence());
}

// After an error nobody knows what of the file is durable: the next write makes it anew. `last` is the last
// number that it has otherwise.
Result<void> PurgeBook::note_written(Result<void> written, std::uint64_t last) {
  must_rewrite_ = !written;
  journal_bytes_ = journal_->bytes();
  if (written) {
    recorded_.store(last, std::memory_order_release);
    is_behind_ = false;
  } else {
    is_unsynced_ = true;
  }
  return written;
}

PurgeStats PurgeBook::stats() const {
  const std::shared_lock lock(mutex_);
  return {.purges = purges_.load(std::memory_order_relaxed),
          .refused = refused_.load(std::memory_order_relaxed),
          .not_durable = not_durable_.load(std::memory_order_relaxed),
          .epochs = tables_.names.size(),
          .prefixes = tables_.prefix_count(),
          .journal_bytes = journal_bytes_.load(std::memory_order_relaxed)};
}

}  // namespace vignette::cache
