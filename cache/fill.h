// A fill: one fetch into the cache that any number of readers on any threads follow as it arrives.
//
//                    set_head(storable)                 commit
//   waiting_head ---------------------------> streaming -------> complete   (in the store, slot gone)
//        |   \        set_head(not storable)      |
//        |    \----------------------------> streaming, private: only the starter reads, the others
//        |                                        |              see `refused` and go to the origin
//        themselves
//        \---- fail / writer dropped -------------+-------> failed
//
// The fill is what waiters wait on, not the attempt: a second attempt (a second FillWriter) may start when
// the first has had no head for kSecondAttemptAfter; the first that has a head wins, the other's set_head()
// says `lost`, and the fill fails only when no attempt is left.
//
// A response that is stored but not fresh when it arrives (no-cache, max-age=0) is not for others either:
// they see `refused` and validate it themselves. One with Vary moves to the key of its variant; a reader that
// joined under the primary key asks vary_matches() (vary.h) before it sends the object, and looks up again
// if the answer is no.
//
// A fill that began before a purge of its object is not stored. Who joined before the purge still gets its
// bytes; who joined later sees `refused`, and nobody joins any more once the fill is known to be named.
//
// A fill that may not be stored, or whose body passes the store's limit, is paced: it takes no new readers,
// its slot is given up, chunks before the slowest reader are dropped, and the writer gets room() only as
// that reader moves on. When the last reader of a paced fill leaves, the writer is told (abandoned()). A
// storable fill goes on without readers.
//
// Thread-safe; each Reader, FillWriter and Subscription has one user at a time.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/executor.h"
#include "cache/insight/miss_book.h"
#include "cache/object.h"
#include "cache/reason.h"
#include "cache/store.h"

namespace vignette::cache {

class Fill;
class FillTable;
class Reader;
class FillWriter;
using FillRef = std::shared_ptr<Fill>;

inline constexpr std::chrono::seconds kSecondAttemptAfter{5};
inline constexpr int kMaxAttempts = 2;
inline constexpr std::size_t kPacedWindow = 512 * 1024;  // bytes a paced fill is ahead of its slowest reader
inline constexpr std::size_t kPacedResume = kPacedWindow / 4;  // room that is worth waking the writer for

enum class FillState : std::uint8_t {
  waiting_head,
  streaming,
  complete,
  failed,
  refused,  // readers only: not storable and not yours; fetch it yourself
  cut,      // readers only: this reader was too slow
};

// A wish to be called; ends with its owner, on the executor's thread: no call after that.
class Subscription {
 public:
  Subscription() = default;
  Subscription(Subscription&&) noexcept = default;
  Subscription& operator=(Subscription&& other) noexcept;
  ~Subscription() { reset(); }
  void reset();
  explicit operator bool() const { return state_ != nullptr; }

  struct State;

 private:
  friend class Fill;
  friend class FillWriter;
  explicit Subscription(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

// A reader's place in a fill. Attached when the fill is joined, so that no byte is dropped before it. One
// that is dropped stops pacing the fill.
class Reader {
 public:
  Reader() = default;
  Reader(Reader&&) noexcept = default;
  Reader& operator=(Reader&& other) noexcept;
  ~Reader() { reset(); }
  void reset();
  explicit operator bool() const { return place_ != nullptr; }

  // What the fill is to this reader. `complete` means that every byte is published, not that all was read.
  FillState state() const;
  // The object once there is a head (state streaming, complete, or failed after a head), else null.
  ObjectRef object() const;
  std::uint64_t position() const;   // bytes taken so far
  std::uint64_t available() const;  // published bytes beyond position; 0 when refused or cut
  // Slices from `position` on, without taking them: up to out.size(), how many. Ends at what is published.
  std::size_t peek(std::span<Slice> out) const;
  // These bytes are sent (or skipped: a range may start anywhere); moves position on.
  void advance(std::uint64_t bytes);
  bool at_end() const;  // complete and all taken

  struct Place;

 private:
  friend class Fill;
  Reader(FillRef fill, std::shared_ptr<Place> place) : fill_(std::move(fill)), place_(std::move(place)) {}
  const ObjectRef& followed() const;
  FillRef fill_;
  std::shared_ptr<Place> place_;
  mutable ObjectRef object_;  // once known
};

enum class HeadVerdict : std::uint8_t {
  storing,  // goes into the store; readers may come and go (but see `refused`)
  passing,  // paced, for the starter alone
  lost,     // the other attempt answered first: drop this one
};

// The owner's side of one attempt. Dropped without commit(), complete_with() or fail(): the attempt failed
// (Code::cancelled). Methods never call back; they post.
class FillWriter {
 public:
  FillWriter() = default;
  FillWriter(FillWriter&&) noexcept = default;
  FillWriter& operator=(FillWriter&& other) noexcept;
  ~FillWriter() { reset(); }
  void reset();
  explicit operator bool() const { return fill_ != nullptr; }

  // Once, before any append. A manifest (manifest.h) is committed without a body. `not_stored` other than
  // none: passing. A body known to be too large, or one that
  // the store has no room for, is also passing (Fill::reason() says which).
  HeadVerdict set_head(const ObjectHead& head, Reason not_stored);
  // Bytes of the body, in order. The bytes are copied where they are to be kept. limit: more than
  // Content-Length said.
  Result<void> append(Slice bytes);
  // How much may be appended now: unlimited (SIZE_MAX) unless paced. append() takes more, but should not have
  // to.
  std::size_t room() const;
  // Nobody reads what will not be stored: stop.
  bool abandoned() const;
  // The body is all there: into the store with it. closed: shorter than Content-Length said; the fill has
  // failed then.
  Result<ObjectRef> commit();
  // Ends the fill with an object that is complete already: a freshened head (304), or one made elsewhere.
  // Before set_head() only. `old`, if given, is replaced only while it is still what the store has.
  HeadVerdict complete_with(ObjectRef object, const Object* old = nullptr);
  // This attempt is over. The fill fails with it unless another attempt is running and has no head yet.
  void fail(Error error);

  // Whether anybody reads it now.
  bool has_readers() const;
  // Posted when room() has come back after it was short, when somebody joins after has_readers() said no,
  // when abandoned() turns true, and when the other attempt won.
  Subscription on_room(Executor& executor, std::move_only_function<void()> callback);
  bool lost() const;  // the other attempt has answered
  // The head is on its way, behind what is arriving now: the time for a second attempt begins anew.
  void keep_waiting(TimePoint now);
  // Cuts the slowest reader of a paced fill (for the send stall). False: there is none.
  bool cut_slowest();
  const FillRef& fill() const { return fill_; }

 private:
  friend class Fill;
  FillWriter(FillRef fill, int attempt) : fill_(std::move(fill)), attempt_(attempt) {}
  FillRef fill_;
  int attempt_ = 0;
};

class Fill : public std::enable_shared_from_this<Fill> {
 public:
  struct Start {
    FillWriter writer;
    Reader reader;
  };
  // A fill with its first attempt and that attempt's reader. `table` may be null: a fill of its own, that
  // nobody can join, as when `listing` says so: the table then only learns what came of it. The store must
  // outlive it.
  enum class Listing : std::uint8_t { listed, unlisted };
  static Start start(Store& store, FillTable* table, const Key& key, std::string_view key_string,
                     TimePoint now, Listing listing = Listing::listed);
  Fill(Store& store, FillTable* table, const Key& key, std::string_view key_string, TimePoint now,
       Listing listing);

  FillState state() const;   // waiting_head, streaming, complete or failed
  ObjectRef object() const;  // null before the head
  Error error() const;       // state failed
  Reason reason() const;     // why it is not stored; none: it is or will be
  bool paced() const;
  // State complete: what the store had was validated (304), under the head that object() has now.
  bool freshened() const { return freshened_.load(std::memory_order_relaxed); }
  const Key& key() const { return key_; }
  std::string_view key_string() const { return key_string_; }
  // When it began, or last had a sign of life (FillWriter::keep_waiting()).
  TimePoint started_at() const { return TimePoint(Duration(started_at_.load(std::memory_order_relaxed))); }
  std::uint64_t sequence() const { return sequence_; }  // of purges when it began

  // A further reader from byte 0. Empty when it is paced or failed.
  Reader attach();
  // The second attempt, when there is no head, the first is kSecondAttemptAfter old and was the only one so
  // far; `reader` becomes its starter. Empty otherwise.
  FillWriter start_second(TimePoint now, Reader& reader);
  // `callback` is posted after progress (head, bytes, end, cut), at most once until it has run. If there was
  // any before the call, look first: only later progress is told.
  Subscription subscribe(Executor& executor, std::move_only_function<void()> callback);

 private:
  friend class FillWriter;
  friend class Reader;
  friend class FillTable;
  static constexpr int kNobody = -1;
  static constexpr int kJoined = -2;
  using Lock = std::unique_lock<std::mutex>;
  struct Attempt {
    bool running = false;
    std::shared_ptr<Subscription::State> owner;
  };

  // With mutex_ held.
  bool is_purged() const;
  Reader add_reader(int attempt);
  FillWriter add_attempt();
  bool claim(int attempt);
  std::optional<std::uint64_t> slowest() const;
  std::size_t room_locked() const;
  void keep_window();
  void wake_readers();
  void wake_owner(int attempt);
  void wake_owners();
  void wake_losers();

  // The winning attempt, without mutex_.
  HeadVerdict set_head(int attempt, const ObjectHead& head, Reason not_stored);
  HeadVerdict complete_with(int attempt, ObjectRef object, const Object* old);
  Result<void> append(int attempt, Slice bytes);
  Result<ObjectRef> commit(int attempt);
  void fail(int attempt, Error error);
  Reason find_room(const ObjectHead& head, Reason not_stored);
  ObjectRef make_object(ObjectHead head, Reason reason);
  void move_to_variant(const ObjectHead& head, const Key& key, std::string_view key_string);
  bool may_keep(std::size_t more);
  void start_pacing(Reason reason);
  ObjectRef store_object();
  Reason store_complete(const ObjectRef& object, const Object* old);
  void end_unstored(Reason reason);
  bool was_purged(const Object& object);
  void publish_end(FillState state, ObjectRef object);
  enum class Pass : std::uint8_t { leave, remember };  // whether requests for the key go side by side now
  void leave_table(Pass pass);
  void note_sharing(bool is_private);
  void note_missing(const Departure& departure);

  std::size_t room(int attempt);
  bool has_readers();
  bool abandoned(int attempt) const;
  bool lost(int attempt) const;
  bool cut_slowest();
  void reader_moved();
  void reader_left(const std::shared_ptr<Reader::Place>& place);

  Store& store_;
  FillTable* table_;
  const bool listed_;  // joined through the table
  const Key key_;
  const std::string key_string_;
  std::atomic<Duration::rep> started_at_;
  const std::uint64_t sequence_;
  Key slot_key_;  // where the table has it; the winner's

  std::atomic<FillState> state_{FillState::waiting_head};
  std::atomic<bool> paced_{false};
  std::atomic<int> private_to_{kNobody};  // the attempt whose reader alone may read
  std::atomic<bool> freshened_{false};
  // Readers that joined at this sequence of purges or later do not see what it brings: it was purged before.
  std::atomic<std::uint64_t> refused_from_{std::numeric_limits<std::uint64_t>::max()};
  mutable std::mutex mutex_;  // guards all below
  ObjectRef object_;
  Error error_;
  Reason reason_ = Reason::none;
  int winner_ = kNobody;
  Attempt attempts_[kMaxAttempts];
  int attempts_started_ = 0;
  bool owner_waits_ = false;
  std::vector<std::shared_ptr<Reader::Place>> readers_;
  std::vector<std::shared_ptr<Subscription::State>> subscribers_;
  Reservation reservation_;  // the winner's until paced, then under the mutex
};

}  // namespace vignette::cache
