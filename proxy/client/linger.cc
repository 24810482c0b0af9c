#include "proxy/client/linger.h"

#include "net/worker.h"

namespace vignette::proxy {
namespace {

constexpr Duration kLinger = std::chrono::seconds(2);
constexpr std::size_t kLingerBytes = 256 * 1024;

}  // namespace

net::Task<void> linger(net::Stream& stream, std::span<char> into) {
  net::Worker& worker = co_await net::this_worker();
  const TimePoint deadline = worker.now() + kLinger;
  for (std::size_t seen = 0; seen < kLingerBytes;) {
    auto got = co_await stream.read(into, deadline);
    if (!got || *got == 0) co_return;
    seen += *got;
  }
}

}  // namespace vignette::proxy
