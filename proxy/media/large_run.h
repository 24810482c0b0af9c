// Large objects: a manifest and chunks of 1 MiB (cache/manifest.h), each chunk with a fill of its own.
//
// A *run* feeds consecutive chunks from one origin response: the whole (the first fill of the object) or a
// range that a reader missed. It publishes chunk after chunk; the fills of the next kOpenAhead chunks are
// open before the one at hand is committed, so who follows finds them and asks the origin nothing. A chunk
// that is stored, or that somebody else fills, is passed over; when there is nothing left to do it ends.
//
//   cold, whole       FillJob: 200 -> manifest committed, run over all chunks            1 request
//   cold, a range     FillJob: bytes=0-1048575 -> manifest, run over chunk 0; the reader starts a run for
//   what
//                     it needs beyond. A total of at most 1 MiB is an ordinary object
//   chunk missing     LargeReader: run over the missing neighbours, Range + If-Match
//   412, other ETag   the manifest and its chunks are dropped; readers are cut, the next request starts anew
//
// The run of a whole that the store could hold goes on without readers. All others are pulled: a chunk is
// begun when somebody reads it or a later one that is open, and the run ends when nobody does.
//
// Invariants: every byte of a chunk comes from a response that named the manifest's ETag and size; a run
// holds one chunk being written; a reader holds at most two. Loop-thread only, but readers are on any worker.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/fill.h"
#include "cache/manifest.h"
#include "net/signal.h"
#include "proxy/media/stored_request.h"
#include "proxy/origin/origin.h"

namespace vignette::proxy {

struct Snapshot;
struct WorkerContext;

// Chunks whose fills a run opens before it reaches them.
inline constexpr std::uint64_t kOpenAhead = 8;
// Without a reader, a pulled run ends after this.
inline constexpr Duration kUnreadGrace = std::chrono::seconds(2);

// Whether this store keeps large objects in chunks.
bool keeps_chunks(const cache::Store& store);
// Whether the 200 of these origins is one that ranges can be asked of later: S3 and directories always are,
// servers say so.
bool serves_ranges(const std::vector<Origin*>& origins, const http::ResponseHead& response);

// What a large object's bytes are fetched with. Immutable.
struct LargeSource {
  std::shared_ptr<const Snapshot> snapshot;  // keeps origins alive
  std::vector<Origin*> origins;
  std::shared_ptr<const StoredRequest> request;
  cache::ObjectRef manifest;
};
using LargeSourceRef = std::shared_ptr<const LargeSource>;

// Feeds chunks `first` to `last`.
class ChunkRun {
 public:
  enum class Pace : std::uint8_t { free, pulled };

  ChunkRun(WorkerContext& context, cache::ObjectRef manifest, std::uint64_t first, std::uint64_t last,
           Pace pace);
  ChunkRun(const ChunkRun&) = delete;
  ChunkRun& operator=(const ChunkRun&) = delete;

  // The attempt of a chunk that the caller has begun, before open().
  void give(std::uint64_t index, cache::FillWriter writer);
  // Opens the first fills.
  void open();
  // `body` begins with the first byte of chunk `first`. Ok: published, or nothing was left to publish.
  // Errors: the body's own; cancelled when nobody reads; exhausted when the store has no room. The open fills
  // have failed with it then.
  net::Task<Result<void>> take(BodySource& body);
  // Fails what is open.
  void fail(const Error& error);

 private:
  struct Slot {
    cache::FillWriter writer;  // none: not ours
    cache::Subscription wish;
    bool begun = false;
  };

  net::Task<Result<void>> feed(BodySource& body);
  net::Task<Result<void>> wait_until_read();
  bool has_work() const;
  bool is_read_ahead();
  void open_next();
  cache::FillWriter join(std::uint64_t index);
  Result<void> put(Slice bytes);
  Result<void> begin(Slot& slot);
  void finish_chunk();

  WorkerContext& context_;
  cache::ObjectRef manifest_;
  const std::uint64_t last_;
  const Pace pace_;
  std::uint64_t at_;        // chunk that the next byte belongs to
  std::uint64_t opened_;    // chunks before this one have been opened
  std::uint64_t position_;  // of the next byte, in the whole
  net::Signal read_;        // somebody joined
  cache::FillWriter previous_;
  std::deque<Slot> slots_;  // of at_, at_ + 1, ... opened_ - 1
  std::optional<std::uint64_t> given_index_;
  cache::FillWriter given_;
};

// Chunks that a reader missed: one request for all of them.
struct RangeJob {
  LargeSourceRef source;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  cache::FillWriter writer;            // of chunk `first`
  std::shared_ptr<OriginTrace> trace;  // may be null
};
// Starts the strand.
void start_range_run(WorkerContext& context, std::unique_ptr<RangeJob> job);

// The origin has another version: takes the manifest, if it is still stored, and its chunks out of the store.
// What lies beyond kDroppedAtOnce, or where peek() does not see it, is a miss by its ETag.
inline constexpr std::uint64_t kDroppedAtOnce = 4096;
void drop_large(cache::Store& store, const cache::Object& manifest);
// Whether the manifest is still what its key stands for, perhaps under a fresher head.
bool is_current(const cache::Store& store, const cache::Object& manifest);

}  // namespace vignette::proxy
