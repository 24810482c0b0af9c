// One worker on the test's own thread: a scene spawns strands, and the loop runs until they have ended.
#pragma once

#include <sys/socket.h>

#include <array>
#include <chrono>
#include <string>
#include <utility>

#include "base/check.h"
#include "net/stream.h"
#include "net/worker.h"

namespace vignette::net::test {

using namespace std::chrono_literals;

inline Task<void> watchdog(Worker& worker, bool& hung) {
  auto slept = co_await sleep_for(20s);
  if (!slept) co_return;
  hung = true;
  worker.stop();
}

inline Task<void> stop_when_alone(Worker& worker, StrandRef guard) {
  while (worker.strands() > 2) {
    auto turn = co_await sleep_for(1ms);
    if (!turn) break;
  }
  guard.cancel();
  worker.stop();
}

// Runs the loop until every strand has ended. False when something hangs.
inline bool run_to_end(Worker& worker) {
  bool hung = false;
  const StrandRef guard = worker.spawn_named("watchdog", watchdog, std::ref(worker), std::ref(hung));
  worker.spawn_named("stop_when_alone", stop_when_alone, std::ref(worker), guard);
  worker.run();
  return !hung;
}

inline std::pair<Stream, Stream> stream_pair(Worker& worker) {
  int pair[2];
  VCHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
  auto left = Stream::adopt(worker, UniqueFd(pair[0]), Blame::client);
  auto right = Stream::adopt(worker, UniqueFd(pair[1]), Blame::origin);
  VCHECK(left && right);
  return {std::move(*left), std::move(*right)};
}

inline iovec part_of(const std::string& text) { return {const_cast<char*>(text.data()), text.size()}; }

inline TimePoint soon(const Worker& worker) { return worker.now() + 10s; }

}  // namespace vignette::net::test
