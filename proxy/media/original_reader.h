// Reads an original through the node's own cache into memory that a worker of imaging can map. However many
// sizes of one photo are asked for, its bytes are fetched once: readers join the fill that is under way. What
// is not a picture or is too large is refused from its first bytes, before the rest has arrived.
//
// Loop-thread only; used by one strand.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/hash.h"
#include "cache/fill_table.h"
#include "imaging/header.h"
#include "net/task.h"
#include "proxy/media/fill_hub.h"
#include "proxy/media/fill_job.h"
#include "proxy/media/source_budget.h"

namespace vignette::proxy {

struct Snapshot;
struct WorkerContext;

// Why there is no original. Either an answer for the client, or (status 0) the error that reading it ended
// with.
struct NoOriginal {
  int status = 0;           // 404, 413, 415, 422, 502, 503
  std::string_view text;    // one sentence; static
  std::string retry_after;  // "" or the origin's own
  Error error;              // of status 0
};

struct Original {
  UniqueFd memory;  // sealed
  std::uint64_t size = 0;
  SourceBudget::Permit permit;  // for that memory
  imaging::ImageHeader header;
  std::string tag;  // names the bytes: the strong ETag, else their hash
};

class OriginalReader {
 public:
  // `origin` belongs to `snapshot`; `path` is percent-encoded and begins with '/'.
  OriginalReader(WorkerContext& context, std::shared_ptr<const Snapshot> snapshot, Origin& origin,
                 std::string path, const imaging::Limits& limits);
  OriginalReader(const OriginalReader&) = delete;
  OriginalReader& operator=(const OriginalReader&) = delete;

  // Waits for the head: a stored object, a fill under way, or one started here. A stale object stands in when
  // the origin fails and it may.
  net::Task<std::expected<void, NoOriginal>> open();
  // After open(): whether the response names its bytes by itself, so that they need no hash.
  bool has_strong_tag() const { return object_->etag().starts_with('"'); }
  // After open(): the stored response.
  const cache::Object& object() const { return *object_; }
  bool has_object() const {
    return static_cast<bool>(object_);
  }  // also where its status refuses the original
  // After open(), once: the bytes and what their header claims, when the node has memory for them. Error
  // closed: cut short on the way.
  net::Task<std::expected<Original, NoOriginal>> read();

 private:
  net::Task<Result<bool>> follow(cache::Joined joined);
  void launch(cache::FillWriter writer);
  bool use_stale();
  std::expected<void, NoOriginal> check_status() const;
  std::uint64_t most_bytes() const;
  std::expected<void, NoOriginal> take(std::string_view bytes);
  std::expected<void, NoOriginal> look_at_header(bool complete);
  net::Task<std::expected<void, NoOriginal>> take_stored();
  net::Task<std::expected<void, NoOriginal>> take_arriving();
  net::Task<std::expected<void, NoOriginal>> take_chunks();
  net::Task<std::expected<void, NoOriginal>> take_all();

  WorkerContext& context_;
  std::shared_ptr<const Snapshot> snapshot_;
  Origin& origin_;
  const std::string path_;
  const imaging::Limits limits_;
  cache::Key key_;
  std::string key_string_;
  cache::ObjectRef found_;   // what the lookup brought, stale or not
  cache::ObjectRef object_;  // what is read
  cache::Joined joined_;     // set while following a fill
  FillHub::Follower follower_;
  TimePoint started_;

  Original original_;
  std::optional<Hasher128> hash_;  // of bytes that have no tag
  std::size_t scan_at_ = 1;        // bytes that the next look at the header needs
  bool scanned_ = false;
};

}  // namespace vignette::proxy
