#include "proxy/client/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/fd.h"
#include "net/offload.h"
#include "net/worker.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

constexpr Duration kDiskWait = std::chrono::seconds(30);  // a disk that hangs
// Freeing the blocks of a larger file may take milliseconds.
constexpr std::uint64_t kClosedAtOnceBytes = 16ULL << 20;

Error spool_error() { return {Code::io, Blame::internal, Retry::no, errno, "spool"}; }

// A new file without a name, or none, and errno says why.
UniqueFd open_nameless(const std::string& folder) {
  UniqueFd file(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600));
  if (file || (errno != EOPNOTSUPP && errno != EISDIR)) return file;
  std::string name = folder + "/vignette-body-XXXXXX";  // a file system that has no such files
  file = UniqueFd(::mkostemp(name.data(), O_CLOEXEC));
  if (file) ::unlink(name.c_str());
  return file;
}

}  // namespace

// A file without a name, and the bytes of the disk's quota that it stands for.
class SpoolFile {
 public:
  explicit SpoolFile(std::shared_ptr<Spool> spool) : spool_(std::move(spool)) {}
  ~SpoolFile() {
    spool_->disk().give(taken_);
    if (!descriptor_) return;
    spool_->open_files_.fetch_sub(1, std::memory_order_relaxed);
    if (taken_ <= kClosedAtOnceBytes) return;
    // Submitted or not, it is closed when the task goes.
    static_cast<void>(spool_->pool().try_submit([descriptor = std::move(descriptor_)] {}));
  }
  SpoolFile(const SpoolFile&) = delete;
  SpoolFile& operator=(const SpoolFile&) = delete;

  // Before write(); loop-thread only, while no write is under way.
  bool take(std::uint64_t bytes) {
    if (!spool_->disk().take(bytes)) return false;
    taken_ += bytes;
    return true;
  }

  // These block: on the file pool, one at a time.
  Result<void> write(std::string_view bytes, std::uint64_t offset) {
    if (!descriptor_ && !open()) return std::unexpected(spool_error());
    while (!bytes.empty()) {
      const ssize_t wrote =
          ::pwrite(descriptor_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) return std::unexpected(spool_error());
      bytes.remove_prefix(static_cast<std::size_t>(wrote));
      offset += static_cast<std::uint64_t>(wrote);
    }
    return {};
  }
  Result<Slice> read(std::size_t size, std::uint64_t offset) const {
    BlockRef block = BlockRef::allocate(size);
    for (std::size_t got = 0; got < size;) {
      const ssize_t some =
          ::pread(descriptor_.get(), block->data() + got, size - got, static_cast<off_t>(offset + got));
      if (some < 0 && errno == EINTR) continue;
      if (some <= 0) return std::unexpected(spool_error());
      got += static_cast<std::size_t>(some);
    }
    return Slice(std::move(block), 0, size);
  }

 private:
  bool open() {
    descriptor_ = open_nameless(spool_->path());
    if (descriptor_) spool_->open_files_.fetch_add(1, std::memory_order_relaxed);
    return static_cast<bool>(descriptor_);
  }

  const std::shared_ptr<Spool> spool_;
  UniqueFd descriptor_;
  std::uint64_t taken_ = 0;
};

bool ByteQuota::take(std::uint64_t bytes) {
  std::uint64_t used = used_.load(std::memory_order_relaxed);
  do {
    if (bytes > limit_ || used > limit_ - bytes) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return true;
}

Spool::Spool(const conf::SpoolOptions& options, TaskPool& pool, Logger& log, const Clock& clock)
    : path_(options.path),
      pool_(pool),
      log_(log),
      complaints_(clock, kComplainEvery),
      disk_(options.size),
      memory_(options.memory) {}

Result<void> try_spool(const conf::SpoolOptions& options) {
  if (options.size > 0 && !open_nameless(options.path)) return std::unexpected(spool_error());
  return {};
}

void Spool::complain(const Error& error) {
  if (auto skipped = complaints_.admit()) {
    log_.warn("spool {}: {}; request bodies are streamed ({} more since the last line)", path_,
              vignette::explain(error), *skipped);
  }
}

SpooledBody::SpooledBody(WorkerContext& context, RequestBody& client, std::uint64_t expected)
    : context_(context), client_(client), spool_(context.node.spool), expected_(expected) {}

SpooledBody::~SpooledBody() { spool_->memory().give(counted_); }

net::Task<Result<void>> SpooledBody::fill() {
  while (!is_whole_ && !is_streaming_) {
    auto piece = co_await client_.next(net::kNoDeadline);  // the body has a pace of its own
    if (!piece) co_return std::unexpected(piece.error());
    is_whole_ = piece->last;
    auto kept = co_await keep(std::move(piece->bytes));
    if (!kept) co_return std::unexpected(kept.error());
    if (!*kept) give_up();
  }
  co_return Result<void>();
}

// From here on bytes go on as they come.
void SpooledBody::give_up() {
  is_streaming_ = true;
  context_.node.metrics.bodies_not_spooled.add(context_.index);
}

// Copies the bytes behind what is kept: the client's pieces may hold much more memory than bytes. False:
// there is no room; what is left of them is in `rest_`.
net::Task<Result<bool>> SpooledBody::keep(Slice bytes) {
  while (!bytes.empty()) {
    if (!make_room(bytes.size())) {
      auto written = co_await write_out();
      if (!written || !*written) {
        rest_ = std::move(bytes);
        co_return written;
      }
      continue;
    }
    const std::size_t taken = std::min(bytes.size(), buffer_->capacity() - size_);
    std::memcpy(buffer_->data() + size_, bytes.data(), taken);
    size_ += taken;
    bytes = bytes.sub(taken, bytes.size() - taken);
  }
  co_return true;
}

// Room for some of `more` bytes. False: the buffer must be written out first.
bool SpooledBody::make_room(std::size_t more) {
  const std::size_t capacity = buffer_ ? buffer_->capacity() : 0;
  if (size_ < capacity) return true;
  if (capacity >= kBufferBytes) return false;
  std::size_t wanted = std::max({capacity * 2, size_ + more, kLeastBufferBytes});
  if (expected_ > 0)
    wanted = std::min<std::uint64_t>(wanted, std::max<std::uint64_t>(expected_, capacity + 1));
  return grow_to(std::min(wanted, kBufferBytes)) || (capacity == 0 && grow_to(kLeastBufferBytes));
}

bool SpooledBody::grow_to(std::size_t capacity) {
  const std::uint64_t counted = capacity > kLeastBufferBytes ? capacity : 0;
  if (counted > counted_ && !spool_->memory().take(counted - counted_)) return false;
  counted_ = std::max(counted, counted_);
  BlockRef larger = BlockRef::allocate(capacity);
  if (size_ > 0) std::memcpy(larger->data(), buffer_->data(), size_);
  buffer_ = std::move(larger);
  return true;
}

// The buffer, behind what is in the file. False: it stays as it is. Errors: cancelled, which says nothing of
// the disk.
net::Task<Result<bool>> SpooledBody::write_out() {
  const bool is_first = !file_;
  if (is_first) file_ = std::make_shared<SpoolFile>(spool_);
  if (!file_->take(size_)) {
    if (is_first) file_.reset();
    co_return false;
  }
  auto wrote = co_await net::offload(
      spool_->pool(),
      [file = file_, bytes = Slice(buffer_, 0, size_), offset = written_] {
        return file->write(bytes.view(), offset);
      },
      context_.loop.now() + kDiskWait);
  if (!wrote && wrote.error().code == Code::cancelled) co_return std::unexpected(wrote.error());
  if (!wrote) {
    spool_->complain(wrote.error());
    if (is_first) file_.reset();
    co_return false;
  }
  if (is_first) context_.node.metrics.bodies_spooled.add(context_.index);
  written_ += size_;
  size_ = 0;
  // What has read it may still hold it.
  if (!buffer_.unique()) buffer_ = BlockRef::allocate(buffer_->capacity());
  co_return true;
}

net::Task<Result<Piece>> SpooledBody::read_back(TimePoint deadline) {
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(written_ - read_, kReadBytes));
  auto bytes = co_await net::offload(
      spool_->pool(), [file = file_, size, offset = read_] { return file->read(size, offset); },
      std::min(deadline, context_.loop.now() + kDiskWait));
  if (!bytes) co_return std::unexpected(bytes.error());
  read_ += size;
  co_return Piece{.bytes = std::move(*bytes), .last = is_whole_ && !is_streaming_ && read_ == this->bytes()};
}

net::Task<Result<Piece>> SpooledBody::next(TimePoint deadline) {
  if (read_ < written_) {
    auto piece = co_await read_back(deadline);
    co_return piece;
  }
  if (read_ < bytes()) {
    read_ = bytes();
    co_return Piece{.bytes = Slice(buffer_, 0, size_), .last = is_whole_ && !is_streaming_};
  }
  if (!is_streaming_) co_return Piece{.bytes = {}, .last = true};
  is_passing_ = true;
  if (!rest_.empty()) co_return Piece{.bytes = std::exchange(rest_, Slice()), .last = is_whole_};
  auto piece = co_await client_.next(deadline);
  co_return piece;
}

bool SpooledBody::rewind() {
  if (is_passing_) return false;
  read_ = 0;
  return true;
}

}  // namespace vignette::proxy
