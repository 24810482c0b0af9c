// A worker on the test's own thread with a client's socket: the near end is a stream of the worker, the far
// end a blocking descriptor that the test reads and writes as it likes, within the limits of the kernel's
// buffers.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/fd.h"
#include "net/stream.h"
#include "net/worker.h"

namespace vignette::proxy::test {

using namespace std::chrono_literals;

class ClientStream {
 public:
  ClientStream() {
    int pair[2];
    VCHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    far_ = UniqueFd(pair[1]);
    VCHECK(::fcntl(pair[1], F_SETFL, O_NONBLOCK) == 0);
    auto adopted = net::Stream::adopt(worker, UniqueFd(pair[0]), Blame::client);
    VCHECK(adopted.has_value());
    stream = std::move(*adopted);
  }
  ~ClientStream() { stream.close(); }
  ClientStream(const ClientStream&) = delete;
  ClientStream& operator=(const ClientStream&) = delete;

  void client_sends(std::string_view bytes) {
    VCHECK(::send(far_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size()));
  }
  void client_ends() { VCHECK(::shutdown(far_.get(), SHUT_WR) == 0); }
  void client_leaves() { far_.reset(); }
  // What has arrived at the client by now.
  std::string client_got() {
    std::string got;
    char bytes[65536];
    for (ssize_t size = 0; (size = ::recv(far_.get(), bytes, sizeof bytes, 0)) > 0;) {
      got.append(bytes, static_cast<std::size_t>(size));
    }
    return got;
  }

  // Runs the loop until the strand of `scene(arguments…)` has ended; whether it did in time.
  template <class Scene, class... Arguments>
  bool run(Scene scene, Arguments&&... arguments) {
    bool done = false;
    worker.spawn_named("scene", scene, std::forward<Arguments>(arguments)...);
    worker.spawn_named("end", stop_when_alone, std::ref(worker), std::ref(done));
    worker.run();
    return done;
  }

  net::Worker worker;
  net::Stream stream;

 private:
  static net::Task<void> stop_when_alone(net::Worker& loop, bool& done) {
    TimePoint limit = loop.now() + 20s;
    while (loop.strands() > 1 && loop.now() < limit) {
      auto turn = co_await net::sleep_for(1ms);
      if (!turn) co_return;
    }
    done = loop.strands() == 1;
    loop.stop();
  }

  UniqueFd far_;
};

}  // namespace vignette::proxy::test
