#include "cache/purge/purge_book.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/strings.h"
#include "cache/purge/identity.h"
#include "cache/purge/purge_journal.h"

namespace vignette::cache {
namespace {

constexpr std::uint64_t kAnyOrigin = 0;

// Where numbers begin when there is no journal to go on from: beyond those of any journal that may have been.
std::uint64_t first_sequence() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

PurgeEpoch epoch_of_record(const PurgeRecord& record) {
  if (record.mode == PurgeMode::hard) return {.hard = record.epoch, .hard_at = record.at};
  return {.hard = 0, .soft = record.epoch, .soft_at = record.at};
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
      record.identity = target.origin.empty() ? kAnyOrigin : tag_identity(origin_tag(target.origin));
      record.name = target.name;
      break;
  }
  return record;
}

Verdict verdict_of(const PurgeEpoch& epoch, std::uint64_t sequence) {
  if (sequence < epoch.hard) return Verdict::dead;
  return sequence < epoch.soft ? Verdict::stale : Verdict::live;
}

void append_epoch(PurgeKind kind, std::uint64_t identity, std::string_view name, const PurgeEpoch& epoch,
                  std::string& out) {
  PurgeRecord record{.epoch = epoch.hard,
                     .at = epoch.hard_at,
                     .kind = kind,
                     .mode = PurgeMode::hard,
                     .identity = identity,
                     .name = std::string(name)};
  if (epoch.hard) append_record(record, out);
  record.epoch = epoch.soft;
  record.at = epoch.soft_at;
  record.mode = PurgeMode::soft;
  if (epoch.soft > epoch.hard) append_record(record, out);
}

}  // namespace

// Urls and tags by identity; prefixes by the identity of the origin that they are confined to.
struct PurgeBook::Tables {
  PurgeEpoch everything;
  std::unordered_map<std::uint64_t, PurgeEpoch> names;
  std::map<std::uint64_t, PrefixEpochs> prefixes;

  std::size_t prefix_count() const {
    std::size_t count = 0;
    for (const auto& [origin, set] : prefixes) count += set.size();
    return count;
  }
  void add_prefixes(std::uint64_t origin, std::string_view key_string, PurgeEpoch& epoch) const {
    if (auto set = prefixes.find(origin); set != prefixes.end()) epoch.raise(set->second.find(key_string));
  }
  // Calls for each name that an object has and that was purged, with the word that a tag is.
  template <typename Visit>
  void for_each_epoch(std::string_view key_string, std::string_view tags, Visit visit) const {
    const auto visit_name = [&](std::uint64_t identity, PurgeKind kind, std::string_view word) {
      if (auto name = names.find(identity); name != names.end()) visit(name->second, kind, word);
    };
    const auto visit_prefixes = [&](std::uint64_t origin) {
      PurgeEpoch epoch;
      add_prefixes(origin, key_string, epoch);
      visit(epoch, PurgeKind::prefix, std::string_view());
    };
    visit(everything, PurgeKind::everything, std::string_view());
    visit_name(url_identity(key_string), PurgeKind::url, {});
    visit_prefixes(kAnyOrigin);
    for (std::string_view rest = tags; !rest.empty();) {
      const std::size_t end = std::min(rest.find(' '), rest.size());
      const std::string_view word = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (word.empty()) continue;
      const std::uint64_t identity = tag_identity(word);
      visit_name(identity, PurgeKind::tag, word);
      if (is_origin_tag(word)) visit_prefixes(identity);
    }
  }
  // What nothing alive can precede; not above `oldest`.
  void forget_before(std::uint64_t oldest) {
    std::erase_if(names, [oldest](const auto& name) { return name.second.latest() <= oldest; });
    for (auto& [origin, set] : prefixes) set.forget_before(oldest);
    std::erase_if(prefixes, [](const auto& set) { return set.second.size() == 0; });
  }
};

PurgeBook::PurgeBook(const Clock& clock) : PurgeBook(clock, Limits{}) {}

PurgeBook::PurgeBook(const Clock& clock, Limits limits)
    : clock_(clock), limits_(limits), tables_(std::make_unique<Tables>()) {}

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
        tables_->everything = header.everything;
      },
      [&](PurgeRecord&& record) {
        last = std::max(last, record.epoch);
        apply(record);
      });
  if (!found) return std::unexpected(found.error());
  if (*found == PurgeJournal::Found::damaged) {
    if (auto aside = journal->set_aside(); !aside) return aside;
    report = "the journal of purges is damaged and was put aside as " + directory + "/" +
             std::string(PurgeJournal::kName) + ".damaged: everything stored before now counts as purged";
  }
  journal_ = std::move(journal);
  if (*found == PurgeJournal::Found::good) {
    sequence_.store(last, std::memory_order_release);
  } else {
    const std::uint64_t first = std::max(first_sequence(), last + 1);
    *tables_ = Tables{.everything = {.hard = first}, .names = {}, .prefixes = {}};
    sequence_.store(first, std::memory_order_release);
    if (auto made = rewrite_journal({}); !made) return made;
  }
  journal_bytes_ = journal_->bytes();
  return {};
}

// With the tables locked, or before there are readers.
void PurgeBook::apply(const PurgeRecord& record) {
  const PurgeEpoch epoch = epoch_of_record(record);
  switch (record.kind) {
    case PurgeKind::everything:
      tables_->everything.raise(epoch);
      if (epoch.hard) tables_->forget_before(epoch.hard);
      break;
    case PurgeKind::url:
    case PurgeKind::tag:
      tables_->names[record.identity].raise(epoch);
      break;
    case PurgeKind::prefix:
      tables_->prefixes[record.identity].raise(record.name, epoch);
      break;
  }
}

Result<PurgeReceipt> PurgeBook::purge(std::span<const PurgeTarget> targets, PurgeMode mode,
                                      Durability durability) {
  const auto is_too_long = [](const PurgeTarget& target) { return target.name.size() > kMaxNameBytes; };
  if (targets.empty() || targets.size() > kMaxTargets || std::ranges::any_of(targets, is_too_long)) {
    return fail(Code::limit, Blame::client, "purge: name or number of targets");
  }
  const std::lock_guard one(purging_);
  const PurgeReceipt receipt{.sequence = sequence() + 1, .at = clock_.wall()};
  std::vector<PurgeRecord> records;
  for (const PurgeTarget& target : targets) {
    records.push_back(record_of(target, mode, receipt.sequence, receipt.at));
  }
  if (auto room = make_room(records); !room) return std::unexpected(room.error());
  if (auto written = write_journal(records, durability); !written) return std::unexpected(written.error());
  {
    const std::lock_guard lock(mutex_);
    for (const PurgeRecord& record : records) apply(record);
    sequence_.store(receipt.sequence, std::memory_order_release);
  }
  purges_.fetch_add(1, std::memory_order_relaxed);
  return receipt;
}

bool PurgeBook::has_room(std::span<const PurgeRecord> records) const {
  std::size_t names = 0;
  std::size_t prefixes = 0;
  for (const PurgeRecord& record : records) {
    if (record.kind == PurgeKind::everything && record.mode == PurgeMode::hard) return true;
    if (record.kind == PurgeKind::prefix) {
      const auto set = tables_->prefixes.find(record.identity);
      prefixes += set == tables_->prefixes.end() || !set->second.contains(record.name) ? 1 : 0;
    } else if (record.kind != PurgeKind::everything) {
      names += tables_->names.contains(record.identity) ? 0 : 1;
    }
  }
  return tables_->names.size() + names <= limits_.epochs &&
         tables_->prefix_count() + prefixes <= limits_.prefixes;
}

// Forgotten epochs are replaced by one for everything, so that what is still on its way with an older number
// (a fill, a disk that was away) is dead and not alive.
Result<void> PurgeBook::make_room(std::span<const PurgeRecord> records) {
  if (has_room(records)) return {};
  if (const std::uint64_t oldest = oldest_alive_ ? std::min(oldest_alive_(), sequence()) : 0; oldest > 0) {
    const std::lock_guard lock(mutex_);
    tables_->everything.raise({.hard = oldest});
    tables_->forget_before(oldest);
    must_rewrite_ = true;
  }
  if (has_room(records)) return {};
  return fail(Code::exhausted, Blame::client, "purge: too many purged names are remembered");
}

Result<void> PurgeBook::write_journal(std::span<const PurgeRecord> records, Durability durability) {
  if (!journal_) return {};
  std::string bytes;
  for (const PurgeRecord& record : records) append_record(record, bytes);
  Result<void> written;
  if (!must_rewrite_) {
    written = journal_->append(bytes, durability == Durability::synced);
    must_rewrite_ = !written;
    const std::uint64_t alive = PurgeJournal::kHeaderBytes + bytes.size() +
                                tables_->names.size() * (kPurgeRecordHead + kPurgePayloadHead);
    if (written && journal_->bytes() > kCompactJournalBytes && journal_->bytes() > 2 * alive) {
      must_rewrite_ = true;  // with the next one
    }
  } else {
    written = rewrite_journal(records);
    must_rewrite_ = !written;
  }
  journal_bytes_ = journal_->bytes();
  return written;
}

Result<void> PurgeBook::rewrite_journal(std::span<const PurgeRecord> records) {
  std::string bytes = live_records();
  for (const PurgeRecord& record : records) append_record(record, bytes);
  return journal_->rewrite({.sequence = sequence(), .everything = tables_->everything}, bytes);
}

// Only purges change the tables, and there is one at a time.
std::string PurgeBook::live_records() const {
  std::string bytes;
  for (const auto& [identity, epoch] : tables_->names)
    append_epoch(PurgeKind::tag, identity, {}, epoch, bytes);
  for (const auto& [origin, set] : tables_->prefixes) {
    set.for_each([&, from = origin](std::string_view prefix, const PurgeEpoch& epoch) {
      append_epoch(PurgeKind::prefix, from, prefix, epoch, bytes);
    });
  }
  return bytes;
}

// With the tables locked.
PurgeEpoch PurgeBook::epoch_of(std::string_view key_string, std::string_view tags) const {
  PurgeEpoch all;
  tables_->for_each_epoch(key_string, tags,
                          [&all](const PurgeEpoch& epoch, PurgeKind, std::string_view) { all.raise(epoch); });
  return all;
}

std::optional<PurgeCause> PurgeBook::cause_of(std::uint64_t sequence, std::string_view key_string,
                                              std::string_view tags) const {
  std::optional<PurgeCause> cause;
  const std::shared_lock lock(mutex_);
  tables_->for_each_epoch(key_string, tags,
                          [&](const PurgeEpoch& epoch, PurgeKind kind, std::string_view word) {
                            worsen(cause, sequence, epoch, kind, word);
                          });
  return cause;
}

// A number beyond ours is from another journal: nobody knows what has been purged since.
Verdict PurgeBook::judge_again(const Object& object) const {
  const std::shared_lock lock(mutex_);
  const std::uint64_t now = sequence();
  const PurgeEpoch epoch = epoch_of(object.key_string(), object.tags());
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
  return verdict_of(epoch_of(key_string, tags), sequence);
}

std::uint64_t PurgeBook::death_of(std::string_view key_string, std::string_view tags) const {
  const std::shared_lock lock(mutex_);
  return epoch_of(key_string, tags).hard;
}

PurgeStats PurgeBook::stats() const {
  const std::shared_lock lock(mutex_);
  return {.purges = purges_.load(std::memory_order_relaxed),
          .epochs = tables_->names.size(),
          .prefixes = tables_->prefix_count(),
          .journal_bytes = journal_bytes_.load(std::memory_order_relaxed)};
}

}  // namespace vignette::cache
