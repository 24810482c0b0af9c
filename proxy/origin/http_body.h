// The bodies of answers, as sources that own their connection. Pieces are slices of the blocks that were
// read into; nothing is copied. Loop-thread only.
#pragma once

#include <cstddef>
#include <memory>

#include "proxy/origin/origin.h"
#include "proxy/origin/origin_pools.h"

namespace vignette::proxy {

// What came with the head: `block` from `begin` to `end`. Nobody else has seen these bytes, and the block is
// free behind them.
struct ReceivedBytes {
  BlockRef block;
  std::size_t begin = 0;
  std::size_t end = 0;
};

// The body that `head` announces, null when there is none. The connection goes back to its pool as soon as
// the last byte of the body has been received (at once when all of it came with the head), if `reusable` and
// nothing follows it. An error when the bytes received already break the framing.
Result<std::unique_ptr<BodySource>> make_body(OriginConnection connection, const http::ResponseHead& head,
                                              ReceivedBytes received, bool reusable);

}  // namespace vignette::proxy
