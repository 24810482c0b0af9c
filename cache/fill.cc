// Locks: the table's shard comes before a fill's mutex, that before a body's; the store is called with
// neither of a fill held. What only the winning attempt changes (slot_key_, reservation_ until the fill is
// paced) needs no lock: an attempt has one user.
#include "cache/fill.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "cache/fill_places.h"
#include "cache/fill_table.h"
#include "cache/purge/purge_book.h"
#include "cache/vary.h"

namespace vignette::cache {
namespace {

Reason reason_of(Insertion insertion) {
  switch (insertion) {
    case Insertion::inserted:
    case Insertion::replaced:
      return Reason::none;
    case Insertion::too_large:
      return Reason::too_large;
    case Insertion::no_room:
      return Reason::no_room;
  }
  return Reason::none;
}

}  // namespace

Fill::Fill(Store& store, FillTable* table, const Key& key, std::string_view key_string, TimePoint now,
           Listing listing)
    : store_(store),
      table_(table),
      listed_(table && listing == Listing::listed),
      key_(key),
      key_string_(key_string),
      started_at_(now.time_since_epoch().count()),
      sequence_(sequence_of(store.purges())),
      slot_key_(key) {}

Fill::Start Fill::start(Store& store, FillTable* table, const Key& key, std::string_view key_string,
                        TimePoint now, Listing listing) {
  auto fill = std::make_shared<Fill>(store, table, key, key_string, now, listing);
  const Lock lock(fill->mutex_);
  Reader reader = fill->add_reader(0);
  return {fill->add_attempt(), std::move(reader)};
}

Reader Fill::add_reader(int attempt) {
  readers_.push_back(std::make_shared<Reader::Place>(attempt, sequence_of(store_.purges())));
  readers_.back()->index = readers_.size() - 1;
  return Reader(shared_from_this(), readers_.back());
}

FillWriter Fill::add_attempt() {
  const int attempt = attempts_started_++;
  attempts_[attempt].running = true;
  return FillWriter(shared_from_this(), attempt);
}

FillState Fill::state() const { return state_.load(std::memory_order_acquire); }
bool Fill::paced() const { return paced_.load(); }

ObjectRef Fill::object() const {
  const Lock lock(mutex_);
  return object_;
}

Error Fill::error() const {
  const Lock lock(mutex_);
  return error_;
}

Reason Fill::reason() const {
  const Lock lock(mutex_);
  return reason_;
}

Reader Fill::attach() {
  const Lock lock(mutex_);
  if (paced() || private_to_.load() != kNobody || state() == FillState::failed || is_purged()) return {};
  if (owner_waits_) wake_owners();
  return add_reader(kJoined);
}

// As far as it is known what it brings: its tags come with the head.
bool Fill::is_purged() const {
  const PurgeBook* book = store_.purges();
  if (!book || book->sequence() == sequence_) return false;
  if (object_) return book->judge(*object_) == Verdict::dead;
  return book->judge(sequence_, key_string_, "") == Verdict::dead;
}

// Whether a purge has named it. Who may have joined after that is then refused: of several purges only the
// last is known, so that is everybody who joined after the fill began or after the only purge before that.
bool Fill::was_purged(const Object& object) {
  const PurgeBook* book = store_.purges();
  if (!book || book->judge(object) != Verdict::dead) return false;
  const std::uint64_t death = book->death_of(object.key_string(), object.tags());
  refused_from_.store(std::min(death, sequence_ + 1), std::memory_order_release);
  return true;
}

FillWriter Fill::start_second(TimePoint now, Reader& reader) {
  const Lock lock(mutex_);
  if (winner_ != kNobody || state() != FillState::waiting_head || attempts_started_ >= kMaxAttempts ||
      now < started_at() + kSecondAttemptAfter) {
    return {};
  }
  if (reader.place_) reader.place_->owned_attempts |= Reader::Place::own(attempts_started_);
  return add_attempt();
}

Subscription Fill::subscribe(Executor& executor, std::move_only_function<void()> callback) {
  auto state = std::make_shared<Subscription::State>(executor, std::move(callback));
  const Lock lock(mutex_);
  std::erase_if(subscribers_, [](const auto& subscriber) { return subscriber->ended.load(); });
  subscribers_.push_back(state);
  return Subscription(std::move(state));
}

void Fill::wake_readers() {
  std::erase_if(subscribers_, [](const auto& subscriber) { return !Subscription::State::wake(subscriber); });
}

void Fill::wake_owner(int attempt) {
  if (attempt == kNobody) return;
  owner_waits_ = false;
  if (auto& owner = attempts_[attempt].owner) Subscription::State::wake(owner);
}

void Fill::wake_owners() {
  for (int attempt = 0; attempt < attempts_started_; ++attempt) wake_owner(attempt);
}

void Fill::wake_losers() {
  for (int attempt = 0; attempt < attempts_started_; ++attempt) {
    if (attempt != winner_) wake_owner(attempt);
  }
}

bool Fill::claim(int attempt) {
  if (winner_ != kNobody || !attempts_[attempt].running) return false;
  winner_ = attempt;
  return true;
}

// Whether the body may be kept. The reservation begins with what is known to come.
Reason Fill::find_room(const ObjectHead& head, Reason not_stored) {
  const std::uint64_t body_bytes = head.flags.is_manifest ? 0 : head.content_length.value_or(0);
  if (not_stored == Reason::none && body_bytes > store_.max_object_bytes()) {
    not_stored = Reason::too_large;
  }
  if (not_stored == Reason::none) {
    reservation_ = store_.reserve(sizeof(Object) + sizeof(Body) + head.fields.size() +
                                  static_cast<std::size_t>(body_bytes));
    if (!reservation_) not_stored = Reason::no_room;
  }
  if (not_stored != Reason::none) reservation_ = store_.reserve(0);
  return not_stored;
}

// Vary: the response belongs under the key of its variant. The fill moves there before the marker says so,
// so that who follows the marker finds it.
ObjectRef Fill::make_object(ObjectHead head, Reason reason) {
  // What is not stored goes to its reader as it comes.
  if (reason != Reason::none) head.flags.is_manifest = false;
  if (reason != Reason::none || head.vary.empty() || key_selects(key_string_, head.vary_values)) {
    return Object::growing(head, key_, key_string_);
  }
  std::string variant = key_string_;
  const Key key = extend_key(head.vary_values, variant);
  move_to_variant(head, key, variant);
  return Object::growing(head, key, variant);
}

void Fill::move_to_variant(const ObjectHead& head, const Key& key, std::string_view key_string) {
  const Key from = std::exchange(slot_key_, key);
  if (listed_) table_->add(shared_from_this(), key, key_string);
  store_.insert(make_vary_marker(key_, key_string_, head.vary, head.sequence));
  if (listed_) table_->remove(*this, from);
}

HeadVerdict Fill::set_head(int attempt, const ObjectHead& head, Reason not_stored) {
  {
    const Lock lock(mutex_);
    if (!claim(attempt)) return HeadVerdict::lost;
  }
  const Reason reason = find_room(head, not_stored);
  ObjectRef object = make_object(head, reason);
  const bool is_private = reason != Reason::none || !object->is_shareable();
  if (reason != Reason::none) note_missing({.cause = Departed::not_stored, .reason = reason});
  bool purged = false;
  {
    const Lock lock(mutex_);
    purged =
        was_purged(*object);  // under the lock: who joins now sees the purge, or the object by which to judge
    object_ = std::move(object);
    reason_ = reason;
    if (is_private) private_to_ = attempt;
    if (reason != Reason::none) paced_ = true;
    state_.store(FillState::streaming, std::memory_order_release);
    wake_readers();
    wake_losers();
  }
  if (purged && !is_private) leave_table(Pass::leave);
  note_sharing(is_private);
  return reason == Reason::none ? HeadVerdict::storing : HeadVerdict::passing;
}

// Why it was not kept; none: it was.
Reason Fill::store_complete(const ObjectRef& object, const Object* old) {
  // A purge of what was validated names what it has become, too: nobody sees its bytes under a newer number.
  if ((old && was_purged(*old)) || was_purged(*object)) return Reason::purged;
  if (old) return store_.replace_head(*old, object) ? Reason::none : Reason::displaced;
  return reason_of(store_.insert(object));
}

HeadVerdict Fill::complete_with(int attempt, ObjectRef object, const Object* old) {
  VCHECK(object->body().state() == Body::State::complete);
  {
    const Lock lock(mutex_);
    if (!claim(attempt)) return HeadVerdict::lost;
  }
  if (const Reason reason = store_complete(object, old); reason != Reason::none) end_unstored(reason);
  freshened_.store(old != nullptr, std::memory_order_relaxed);  // before publish_end() releases
  const bool is_private = !object->is_shareable();
  if (is_private) private_to_ = attempt;
  note_sharing(is_private);
  if (!is_private) leave_table(Pass::leave);
  publish_end(FillState::complete, std::move(object));
  return HeadVerdict::storing;
}

bool Fill::may_keep(std::size_t more) {
  const Body& body = object_->body();
  if (body.length() + more > store_.max_object_bytes()) {
    start_pacing(Reason::too_large);
  } else if (!reservation_.grow_to(object_->footprint() - body.footprint() + body.footprint_after(more))) {
    start_pacing(Reason::no_room);
  }
  return !paced();
}

void Fill::start_pacing(Reason reason) {
  note_missing({.cause = Departed::not_stored, .reason = reason});
  {
    const Lock lock(mutex_);
    reason_ = reason;
    paced_ = true;
    keep_window();
  }
  leave_table(Pass::remember);
}

Result<void> Fill::append(int attempt, Slice bytes) {
  VCHECK(attempt == winner_ && state() == FillState::streaming);
  Body& body = object_->body();
  if (object_->content_length().value_or(std::numeric_limits<std::uint64_t>::max()) - body.length() <
      bytes.size()) {
    const Error error{.code = Code::limit, .blame = Blame::origin, .where = "body past Content-Length"};
    fail(attempt, error);
    return std::unexpected(error);
  }
  if (bytes.empty()) return {};
  if (!paced() && may_keep(bytes.size())) {
    body.append_copy(bytes.view());
    const Lock lock(mutex_);
    wake_readers();
    return {};
  }
  const Lock lock(mutex_);
  body.append_slice(std::move(bytes));
  keep_window();
  wake_readers();
  return {};
}

// The object as it stays: one block when it is small, and counted by what it really takes.
ObjectRef Fill::store_object() {
  ObjectRef object = object_;
  if (paced()) return object;
  const bool is_scattered = object->inline_body_bytes() != object->body().length();
  if (is_scattered && object->body().length() <= Object::kInlineBody) object = object->compacted();
  reservation_.set_to(object->footprint());
  object->adopt(std::move(reservation_));
  reservation_ = Reservation();
  if (judge(store_.purges(), *object) == Verdict::dead) {
    end_unstored(Reason::purged);
    return object;
  }
  const Insertion insertion = store_.insert(object);
  if (table_ && (insertion == Insertion::inserted || insertion == Insertion::replaced)) {
    table_->note_stored(*object);
  }
  if (const Reason reason = reason_of(insertion); reason != Reason::none) end_unstored(reason);
  return object;
}

void Fill::end_unstored(Reason reason) {
  {
    const Lock lock(mutex_);
    reason_ = reason;
  }
  note_missing({.cause = Departed::not_stored, .reason = reason});
}

Result<ObjectRef> Fill::commit(int attempt) {
  VCHECK(attempt == winner_ && state() == FillState::streaming);
  Body& body = object_->body();
  const bool is_manifest = object_->flags().is_manifest;
  if (!is_manifest && object_->content_length().value_or(body.length()) != body.length()) {
    const Error error{.code = Code::closed, .blame = Blame::origin, .where = "body ended early"};
    fail(attempt, error);
    return std::unexpected(error);
  }
  {
    const Lock lock(mutex_);
    body.complete();
  }
  ObjectRef object = store_object();
  leave_table(Pass::leave);
  publish_end(FillState::complete, object);
  return object;
}

void Fill::publish_end(FillState state, ObjectRef object) {
  const Lock lock(mutex_);
  attempts_[winner_].running = false;
  // Whoever joined before there was a head could not be told by its tags; who reads already goes on.
  if (object && this->state() == FillState::waiting_head) was_purged(*object);
  object_ = std::move(object);
  state_.store(state, std::memory_order_release);
  wake_readers();
  wake_losers();
}

void Fill::fail(int attempt, Error error) {
  {
    const Lock lock(mutex_);
    if (!std::exchange(attempts_[attempt].running, false)) return;
    const bool other_runs = std::ranges::any_of(attempts_, &Attempt::running);
    if (winner_ == kNobody ? other_runs : winner_ != attempt) return;
    error_ = error;
    if (object_) object_->body().fail();
    if (error.code != Code::cancelled && reason_ == Reason::none) {
      note_missing({.cause = Departed::failed, .code = error.code});
    }
    state_.store(FillState::failed, std::memory_order_release);
    wake_readers();
  }
  leave_table(Pass::leave);
}

void Fill::leave_table(Pass pass) {
  if (!table_) return;
  if (listed_) table_->remove(*this, slot_key_);
  if (pass == Pass::remember) table_->remember_pass(key_, reason());
}

void Fill::note_missing(const Departure& departure) {
  if (MissBook* misses = store_.misses()) misses->note(key_, departure);
}

// What others may have too brings them together again.
void Fill::note_sharing(bool is_private) {
  if (is_private) {
    leave_table(Pass::remember);
  } else if (table_) {
    table_->forget_pass(key_);
  }
}

}  // namespace vignette::cache
