// Reads a part of a large object, chunk after chunk: from the store, from the fills that others run, or by a
// run of its own (large_run.h). Used by one strand; loop-thread only.
//
// Holds the chunk at hand and, once that is complete, the next one: asked for before this one is sent. A fill
// that fails is tried again where it stopped, as long as the manifest is what the store has: the ETag vouches
// for the bytes. After that, and when the object has changed, the answer cannot go on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "cache/fill_table.h"
#include "http/range.h"
#include "proxy/media/fill_hub.h"
#include "proxy/media/large_run.h"

namespace vignette::proxy {

class LargeReader {
 public:
  static constexpr std::uint64_t kMostLookedFor = 4096;
  static constexpr int kTries = 3;  // of a chunk, without a byte in between

  // `part`: bytes of the whole. `trace`, which may be null, gets what runs of this reader meet.
  LargeReader(WorkerContext& context, LargeSourceRef source, http::ByteRange part,
              std::shared_ptr<OriginTrace> trace);
  LargeReader(const LargeReader&) = delete;
  LargeReader& operator=(const LargeReader&) = delete;

  // How many of the part's chunks are not in the store now (those beyond kMostLookedFor count as not); in
  // all.
  std::uint64_t missing() const;
  std::uint64_t chunks() const;

  // Waits until the first chunk is there or has a head, so that what fails at once fails before an answer
  // begins. Errors: as next().
  net::Task<Result<void>> open();
  // The next bytes, from one chunk: how many slices; 0: the end. Errors: the fill's (closed: the object has
  // changed, or was cut short); timeout; cancelled with the strand.
  net::Task<Result<std::size_t>> next(std::span<Slice> out);
  bool at_end() const { return position_ > part_.last; }

  // Chunks so far that came from a fill, its own or another's.
  std::uint64_t fetched() const { return fetched_; }

 private:
  struct Place {
    std::uint64_t index = 0;
    cache::ObjectRef stored;
    cache::FillRef fill;  // or this, with reader and follower
    cache::Reader reader;
    FillHub::Follower follower;
    bool has_head = false;
    bool is_alone = false;  // a fill of this reader's own
    bool is_open() const { return stored || fill; }
    // The bytes may be taken without waiting.
    bool is_complete() const { return stored || reader.state() == cache::FillState::complete; }
  };

  net::Task<Result<void>> open_here();
  net::Task<Result<void>> look_up(Place& place);
  net::Task<Result<void>> await_head();
  net::Task<Result<bool>> await_bytes();
  void read_ahead();
  bool take_stored(Place& place, cache::Lookup& found) const;
  void join(Place& place, const cache::Object* other);
  void start_alone();
  void attach(Place& place, cache::Joined joined);
  void launch(std::uint64_t first, std::uint64_t last, cache::FillWriter writer);
  std::uint64_t last_missing(std::uint64_t first) const;
  bool may_try_again(const Error& error);
  std::size_t take(std::span<Slice> out);
  std::uint64_t last_chunk() const { return part_.last / cache::kChunkBytes; }
  const cache::Object& manifest() const { return *source_->manifest; }

  WorkerContext& context_;
  const LargeSourceRef source_;
  const http::ByteRange part_;
  const std::shared_ptr<OriginTrace> trace_;
  std::uint64_t position_;  // of the next byte, in the whole
  Place here_;
  Place ahead_;
  std::uint64_t fetched_ = 0;
  int failures_ = 0;  // since the last byte
  std::string key_string_;
};

}  // namespace vignette::proxy
