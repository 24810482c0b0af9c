// A cached response: stored head and body. Immutable and thread-safe but for the body, which grows while
// its fill is open (body.h). A 304 makes a new object with a new head over the same body.
//
// Memory: one block holds `Name: value CRLF ... CRLF`, then (bodies up to kInlineBody) the body, then key,
// Vary and tags. So a hit is one writev of what changes per request (status line, Date, Age, Cache-Status)
// and wire().
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "cache/body.h"
#include "cache/key.h"
#include "cache/reason.h"
#include "cache/ref.h"
#include "cache/reservation.h"

namespace vignette::cache {

class Object;
using ObjectRef = Ref<Object>;

// Response directives that bind later decisions (RFC 9111 section 5.2.2).
struct ObjectFlags {
  bool must_revalidate = false;  // must-revalidate, proxy-revalidate or s-maxage: never stale unvalidated
  bool no_cache = false;         // validate before every use
  bool heuristic = false;        // the lifetime is a guess (section 4.2.2)
  bool is_vary_marker = false;   // holds no response, only the Vary list of the variants (vary.h)
  bool is_manifest = false;      // stands for a large response whose bytes lie in chunks (manifest.h)
};

// What an object is made from. Views are copied.
struct ObjectHead {
  std::uint16_t status = 200;
  std::string_view fields;       // `Name: value\r\n` each, without connection-specific ones (stored_fields.h)
  WallTime request_time{};       // when the request was sent to the origin
  WallTime response_time{};      // when its answer arrived
  std::optional<WallTime> date;  // Date of the response
  std::chrono::seconds age_value{0};  // Age of the response
  std::chrono::seconds freshness_lifetime{0};
  std::chrono::seconds stale_while_revalidate{0};
  std::chrono::seconds stale_if_error{0};
  std::optional<WallTime> last_modified;
  std::optional<std::uint64_t> content_length;
  ObjectFlags flags;
  std::string_view vary;         // normalised list of names, "" when there is none (vary.h)
  std::string_view vary_values;  // the request's values for it
  std::string_view tags;         // space-separated purge tags
  std::uint64_t sequence = 0;    // of purges (purge/purge_book.h) when its fill began; 0: not known yet
};

// One stored field; views live as long as the object.
struct StoredField {
  std::string_view name;
  std::string_view value;
};

class Object {
 public:
  static constexpr std::size_t kInlineBody = 64 * 1024;  // bytes of body that share the block of the head

  // A response with all of its body; content_length is set from it. A manifest keeps the content_length that
  // it is given (of the whole), and has no body.
  static ObjectRef complete(ObjectHead head, const Key& key, std::string_view key_string,
                            std::string_view body);
  // A response whose body is still to come, through body().append_copy() and complete().
  static ObjectRef growing(const ObjectHead& head, const Key& key, std::string_view key_string);
  // A response around a body that is in memory as it is; its block counts for this object.
  static ObjectRef around(const ObjectHead& head, const Key& key, std::string_view key_string, Slice body);
  // The same body (which must be complete) under a new head; content_length stays.
  ObjectRef freshened(ObjectHead head) const;
  // The same response in one block; this body must be complete and at most kInlineBody.
  ObjectRef compacted() const;

  const Key& key() const { return key_; }
  std::string_view key_string() const { return key_string_; }
  bool is_for(const Key& key, std::string_view key_string) const {
    return key_ == key && key_string_ == key_string;
  }

  std::uint16_t status() const { return status_; }
  ObjectFlags flags() const { return flags_; }
  // Fields without the empty line that ends them.
  std::string_view fields() const { return {wire_.data(), head_bytes_ - 2}; }
  // The value of the first field of that name (any case); absent: nullopt.
  std::optional<std::string_view> field(std::string_view name) const;
  std::string_view etag() const { return etag_; }  // as sent, W/ and quotes included; "" when absent
  std::optional<WallTime> last_modified() const { return last_modified_; }
  std::optional<WallTime> date() const { return date_; }
  std::optional<std::uint64_t> content_length() const;  // known from the head or because it is complete
  std::string_view vary() const { return vary_; }
  std::string_view vary_values() const { return vary_values_; }
  std::string_view tags() const { return tags_; }
  // What it was made from; views live as long as the object.
  ObjectHead head() const;
  std::uint64_t sequence() const { return sequence_; }

  // What PurgeBook knows of it. Judged at the book's present sequence: alive, and stale_since() is true.
  std::uint64_t judged_at() const { return judged_at_.load(std::memory_order_acquire); }
  // When a soft purge ended its lifetime; nullopt: none has.
  std::optional<WallTime> stale_since() const {
    const std::int64_t since = stale_since_.load(std::memory_order_relaxed);
    if (since == kNeverStale) return std::nullopt;
    return WallTime(std::chrono::seconds(since));
  }
  void remember_judgement(std::uint64_t at, std::optional<WallTime> stale_since) const {
    if (stale_since) stale_since_.store(stale_since->time_since_epoch().count(), std::memory_order_relaxed);
    judged_at_.store(at, std::memory_order_release);
  }

  // RFC 9111 section 4.2.3; when the fill ended does not matter.
  WallTime request_time() const { return request_time_; }
  WallTime response_time() const { return response_time_; }
  std::chrono::seconds corrected_initial_age() const { return corrected_initial_age_; }
  std::chrono::seconds freshness_lifetime() const { return freshness_lifetime_; }
  std::chrono::seconds stale_while_revalidate() const { return stale_while_revalidate_; }
  std::chrono::seconds stale_if_error() const { return stale_if_error_; }

  // Fields and the empty line, ready to send after a status line and own fields.
  Slice head_wire() const { return wire_.sub(0, head_bytes_); }
  // Complete objects: head_wire() followed by inline_body_bytes() bytes of body (0 when the body is longer
  // than kInlineBody, still growing, or one that it was made around). The reference is valid as long as the
  // object.
  const Slice& wire() const { return wire_; }
  std::size_t inline_body_bytes() const { return wire_.size() - head_bytes_; }

  Body& body() const { return *body_; }
  std::span<const Chunk> body_chunks() const { return body_->chunks(); }  // complete only

  // How often it was found through its Vary marker; what decides which variant of a URL goes
  // (variant_book.h).
  void note_use() const { uses_.fetch_add(1, std::memory_order_relaxed); }
  // Half of what it was counts from now on; returns what it was.
  std::uint32_t halve_uses() const {
    const std::uint32_t uses = uses_.load(std::memory_order_relaxed);
    uses_.store(uses / 2, std::memory_order_relaxed);
    return uses;
  }

  // Why no disk has it, as far as one was asked. For reports.
  void note_disk_refusal(DiskRefusal why) const { disk_refusal_.store(why, std::memory_order_relaxed); }
  DiskRefusal disk_refusal() const { return disk_refusal_.load(std::memory_order_relaxed); }

  // Bytes as the allocator accounts them: this, the block, the body.
  std::size_t footprint() const;
  // The store's bytes that this object stands for, given back when it dies. Set at most once, by whoever
  // inserts it. False: it has one already, and `reservation` is untouched.
  bool adopt(Reservation&& reservation);
  // How many bytes of `budget` it holds already.
  std::size_t reserved_in(const Budget* budget) const;
  // Fresh when it arrived and usable without validation: may answer requests that waited for it.
  bool is_shareable() const { return !flags_.no_cache && freshness_lifetime_ > corrected_initial_age_; }

 private:
  friend class Ref<Object>;
  Object(const ObjectHead& head, const Key& key, std::string_view key_string, std::size_t inline_room);
  ~Object() = default;
  void destroy() { delete this; }
  ObjectRef rebuilt(const ObjectHead& head) const;

  static constexpr std::int64_t kNeverStale = std::numeric_limits<std::int64_t>::min();

  std::atomic<std::uint32_t> references_{1};
  mutable std::atomic<std::uint32_t> uses_{0};
  std::uint16_t status_;
  ObjectFlags flags_;
  std::atomic<bool> adopted_{false};
  mutable std::atomic<DiskRefusal> disk_refusal_{DiskRefusal::none};
  std::uint32_t head_bytes_ = 0;  // fields and the empty line
  Key key_;
  Slice wire_;
  BodyRef body_;
  std::string_view key_string_, etag_, vary_, vary_values_, tags_;  // into the block
  WallTime request_time_, response_time_;
  std::optional<WallTime> date_, last_modified_;
  std::chrono::seconds age_value_, corrected_initial_age_, freshness_lifetime_;
  std::chrono::seconds stale_while_revalidate_, stale_if_error_;
  std::optional<std::uint64_t> content_length_;
  const std::uint64_t sequence_;
  mutable std::atomic<std::uint64_t> judged_at_;  // no purge before its sequence can name it
  mutable std::atomic<std::int64_t> stale_since_{kNeverStale};
  Reservation reservation_;
};

// Walks a block of stored fields without allocating:
//   for (StoredFieldReader reader(object.fields()); auto field = reader.next();) …
class StoredFieldReader {
 public:
  explicit StoredFieldReader(std::string_view fields) : rest_(fields) {}
  std::optional<StoredField> next();

 private:
  std::string_view rest_;
};

}  // namespace vignette::cache
