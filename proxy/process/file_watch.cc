#include "proxy/process/file_watch.h"

#include <functional>

namespace vignette::proxy {

void FileWatch::restart(Duration interval) {
  strand_.cancel();
  strand_ = {};
  if (interval != Duration::zero()) strand_ = loop_.spawn_named(name_, strand, std::ref(*this), interval);
}

net::Task<void> FileWatch::strand(FileWatch& watch, Duration interval) {
  for (;;) {
    auto slept = co_await net::sleep_for(interval);
    if (!slept) co_return;
    co_await watch.files_.look();
  }
}

}  // namespace vignette::proxy
