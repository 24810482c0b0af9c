// How the node keeps its memory warm over a restart, and how orders to warm reach its workers.
#include "proxy/process/server.h"

namespace vignette::proxy {

// Of what outlives the process beside the disks; empty: nothing does.
std::string Server::state_folder() const {
  const conf::CacheOptions& options = config_->cache;
  return options.state.empty() && !options.disk.empty() ? options.disk.front().path : options.state;
}

void Server::start_hot_keeper() {
  if (config_->cache.disk.empty()) return;
  hot_keeper_ = std::make_unique<HotKeeper>(
      loop_, file_pool_, store_, log_,
      HotKeeper::Options{.folder = state_folder(), .bytes_per_second = config_->cache.warm_per_second});
  hot_keeper_->start();
}

// Workers take turns.
void Server::warm(WarmOrder order, WarmDesk::Done done) {
  if (workers_.empty() || node_.draining) {
    WarmReply reply;
    reply.reason = "the node is not serving";
    return done(std::move(reply));
  }
  workers_[next_to_warm_++ % workers_.size()]->warm(std::move(order), std::move(done));
}

}  // namespace vignette::proxy
