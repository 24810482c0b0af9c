#include "proxy/origin/tunnel_end.h"

#include <sys/uio.h>

#include <utility>

namespace vignette::proxy {

net::Task<Result<Slice>> StreamEnd::read(TimePoint deadline) {
  if (!received_.empty()) co_return std::exchange(received_, Slice());
  auto ready = co_await stream_.wait_readable(deadline);
  if (!ready) co_return std::unexpected(ready.error());
  BlockRef block = BlockRef::allocate(kPieceBytes);
  auto got = co_await stream_.read({block->data(), kPieceBytes}, deadline);
  if (!got) co_return std::unexpected(got.error());
  if (stream_) moved(stream_);
  co_return Slice(std::move(block), 0, *got);
}

net::Task<Result<void>> StreamEnd::write(Slice bytes, TimePoint deadline) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  auto sent = co_await stream_.write({&part, 1}, deadline);
  if (stream_) moved(stream_);
  co_return sent;
}

}  // namespace vignette::proxy
