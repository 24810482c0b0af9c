// Messages with descriptors over unix sockets.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace vignette::imaging {

// One sendmsg; the descriptors go with the first byte. Bytes sent; 0 when it would block. EINTR is retried.
Result<std::size_t> send_with_fds(int socket, std::string_view bytes, std::span<const int> fds);

struct Packet {
  std::size_t size = 0;  // 0 = the peer closed
  std::vector<UniqueFd> fds;
};

// One recvmsg into `buffer`. Nullopt: would block. Truncated data or descriptors are malformed.
Result<std::optional<Packet>> receive_with_fds(int socket, std::span<char> buffer);

}  // namespace vignette::imaging
