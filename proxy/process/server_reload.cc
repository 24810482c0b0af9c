// SIGHUP: the configuration is read and built on the thread of `load_pool_` and applied on main's loop. A
// wrong one changes nothing.
//
//   none -> loading -> none          loading -> again (SIGHUP) -> loading
//
// A drain or stop that comes meanwhile lets the load end and drops what it has made.
#include "net/offload.h"
#include "proxy/process/server.h"

namespace vignette::proxy {

void Server::reload() {
  if (node_.draining) return;
  if (reload_ != Reload::none) {
    reload_ = Reload::again;
    return;
  }
  reload_ = Reload::loading;
  loop_.spawn_named("reload", reload_strand, std::ref(*this));
}

net::Task<void> Server::reload_strand(Server& server) {
  for (bool wanted = true; wanted && !server.node_.draining;) {
    server.reload_ = Reload::loading;
    auto built = co_await net::offload(*server.load_pool_, server.snapshot_loader());
    if (server.node_.draining) break;
    if (built) {
      server.finish_reload(*built);
    } else {
      server.refuse_reload({explain(built.error())});
    }
    wanted = server.reload_ == Reload::again;
  }
  server.reload_ = Reload::none;
}

// For another thread, which may be at it when the loop ends: of the server it has what outlives `load_pool_`.
std::function<SnapshotResult()> Server::snapshot_loader() {
  return [load = load_, &node = node_, options = snapshot_options(snapshot_->generation + 1)] {
    conf::Loaded loaded = load(snapshot_checks(options.tls.keys));
    if (loaded) return build_snapshot(std::move(*loaded), node, options);
    std::vector<std::string> reasons;
    for (const conf::Diagnostic& diagnostic : loaded.error()) reasons.push_back(diagnostic.to_string());
    return SnapshotResult(std::unexpected(std::move(reasons)));
  };
}

void Server::finish_reload(const SnapshotResult& built) {
  warn_of_kept_keys();
  if (!built) return refuse_reload(built.error());
  const conf::Config& config = *built->snapshot->config;
  std::size_t bound_before = bound_.size();
  if (!bind_listeners(config) || !start_imaging(config)) {
    bound_.erase(bound_.begin() + static_cast<std::ptrdiff_t>(bound_before), bound_.end());
    return refuse_reload({});
  }
  apply(*built);
}

void Server::refuse_reload(const std::vector<std::string>& reasons) {
  ++reloads_failed_;
  for (const std::string& reason : reasons) log_.error("{}", reason);
  log_.error("reload: refused; going on with the configuration in use");
}

void Server::apply(Built built) {
  config_ = built.snapshot->config;
  snapshot_ = std::move(built.snapshot);
  set_log_level();
  for (auto& worker : workers_) worker->apply(snapshot_, built.databases);
  apply_listeners(*config_);
  health_->apply(snapshot_);
  certificates_->adopt(config_, snapshot_->tls);
  geo_keeper_->adopt(config_, std::move(built.databases));
  use_tls(snapshot_->tls);
  warn_of_restarts(*config_);
  log_.info("reload: configuration {} is in use", snapshot_->generation);
}

void Server::warn_of_restarts(const conf::Config& next) {
  for (const std::string& name : conf::changes_that_need_restart(settled_, next)) {
    log_.warn("reload: {} has changed; only a restart applies it", name);
  }
}

void Server::warn_of_kept_keys() {
  for (const std::string& path : keys_.take_kept()) {
    log_.warn(
        "key {}: user {} may not read it, so a new one needs a restart; the one that root has read is kept",
        path, settled_.server.user);
  }
}

// What root has read may be closed to the user: better said now than by the first reload that matters.
void Server::rehearse_reload() {
  const conf::Loaded loaded = load_(snapshot_checks(&keys_));
  warn_of_kept_keys();
  if (loaded) return;
  for (const conf::Diagnostic& diagnostic : loaded.error()) log_.warn("{}", diagnostic.to_string("warning"));
  log_.warn("[server] user: {} may not read what root has read; reloads will be refused until it may",
            config_->server.user);
}

}  // namespace vignette::proxy
