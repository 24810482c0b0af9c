#include "proxy/media/fill_hub.h"

namespace vignette::proxy {

FillHub::Local::~Local() { hub->followed_.erase(fill.get()); }

FillHub::Follower FillHub::follow(const cache::FillRef& fill) {
  if (auto found = followed_.find(fill.get()); found != followed_.end()) {
    if (auto local = found->second.lock()) return Follower(std::move(local));
  }
  auto local = std::make_shared<Local>();
  local->hub = this;
  local->fill = fill;
  followed_[fill.get()] = local;
  // The subscription dies with `local`, on this thread, so the callback never sees it gone.
  local->subscription = fill->subscribe(executor_, [signal = &local->progress] { signal->notify_all(); });
  return Follower(std::move(local));
}

}  // namespace vignette::proxy
