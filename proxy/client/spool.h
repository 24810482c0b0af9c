// Request bodies that wait until they are whole, so that a slow client keeps no server busy and a body can be
// sent again.
//
//   SpooledBody::fill()   takes the client's body: into a buffer that grows to kBufferBytes, and from there
//                         into an unlinked file, by the file pool; the client is not read meanwhile
//   next(), rewind()      give it to a server, as often as needed
//
// Where there is no room, or the disk fails, nothing is lost: fill() ends early, and next() gives what is
// here and then what the client sends, once. A disk that fails is told in the log, now and then.
//
// Spool: Thread-safe. SpooledBody: Loop-thread only; its file goes with its last user, which may be a write
// that is still under way on the pool. Dropped, it gives everything back at once: memory, and the file, whose
// closing the pool does where that may take long.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/bounded_pool.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "conf/config.h"
#include "proxy/client/request_body.h"

namespace vignette::proxy {

struct WorkerContext;

// Whether files can be made there, if there are to be any. Errors: io. Blocks.
Result<void> try_spool(const conf::SpoolOptions& options);

// Bytes lent out, up to a limit. Thread-safe.
class ByteQuota {
 public:
  explicit ByteQuota(std::uint64_t limit) : limit_(limit) {}
  bool take(std::uint64_t bytes);
  void give(std::uint64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  const std::uint64_t limit_;
  std::atomic<std::uint64_t> used_{0};
};

// The node's.
class Spool {
 public:
  static constexpr Duration kComplainEvery = std::chrono::seconds(10);

  // `pool`, `log` and `clock` outlive it.
  Spool(const conf::SpoolOptions& options, TaskPool& pool, Logger& log, const Clock& clock);

  TaskPool& pool() const { return pool_; }
  const std::string& path() const { return path_; }
  // Bodies cannot be written: tells it in the log, now and then.
  void complain(const Error& error);
  ByteQuota& disk() { return disk_; }
  ByteQuota& memory() { return memory_; }
  std::uint64_t open_files() const { return open_files_.load(std::memory_order_relaxed); }

 private:
  friend class SpoolFile;
  const std::string path_;
  TaskPool& pool_;
  Logger& log_;
  RateLimited complaints_;
  ByteQuota disk_;
  ByteQuota memory_;
  std::atomic<std::uint64_t> open_files_{0};
};

class SpoolFile;

class SpooledBody final : public BodySource {
 public:
  static constexpr std::size_t kBufferBytes = 256 * 1024;
  static constexpr std::size_t kLeastBufferBytes = 16 * 1024;  // not counted: everybody has that much
  static constexpr std::size_t kReadBytes = 128 * 1024;        // of a file at a time

  // `client` and `context` outlive it. `expected`: the length that the head says, 0 when it says none.
  SpooledBody(WorkerContext& context, RequestBody& client, std::uint64_t expected);
  ~SpooledBody() override;
  SpooledBody(const SpooledBody&) = delete;
  SpooledBody& operator=(const SpooledBody&) = delete;

  // Errors: the client's, as RequestBody::next() has them; cancelled with the strand.
  net::Task<Result<void>> fill();
  // Everything is here: bytes() is the length of the body.
  bool is_whole() const { return is_whole_ && !is_streaming_; }
  std::uint64_t bytes() const { return written_ + size_; }

  net::Task<Result<Piece>> next(TimePoint deadline) override;
  bool rewind() override;

 private:
  bool make_room(std::size_t more);
  bool grow_to(std::size_t capacity);
  net::Task<Result<bool>> keep(Slice bytes);
  net::Task<Result<bool>> write_out();
  net::Task<Result<Piece>> read_back(TimePoint deadline);
  void give_up();

  WorkerContext& context_;
  RequestBody& client_;
  const std::shared_ptr<Spool> spool_;
  const std::uint64_t expected_;
  std::shared_ptr<SpoolFile> file_;  // null: all of it is in memory
  std::uint64_t written_ = 0;        // bytes in the file
  BlockRef buffer_;                  // what follows them
  std::size_t size_ = 0;             // of it
  std::uint64_t counted_ = 0;        // bytes of Spool::memory()
  Slice rest_;                       // what found no room in the buffer any more
  bool is_whole_ = false;            // the client has sent its end
  bool is_streaming_ = false;        // fill() gave up before the end
  std::uint64_t read_ = 0;           // of bytes(): given since the last rewind
  bool is_passing_ = false;          // bytes that are kept nowhere have been given
};

}  // namespace vignette::proxy
