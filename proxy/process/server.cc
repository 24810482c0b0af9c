#include "proxy/process/server.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <thread>

#include <fmt/core.h>

#include "net/limits.h"
#include "proxy/admin/insight_report.h"
#include "proxy/client/spool.h"
#include "proxy/process/mount_check.h"

namespace vignette::proxy {
namespace {

constexpr unsigned kFileThreads = 4;
constexpr std::size_t kFileQueue = 1024;
constexpr std::size_t kLoadQueue = 8;  // a reload, and orders to read certificates again
constexpr Duration kDrainPoll = std::chrono::milliseconds(20);

unsigned worker_count(const conf::Config& config) {
  if (config.server.workers) return config.server.workers;
  return std::max(1u, std::thread::hardware_concurrency());
}

LogLevel log_level(conf::LogLevel level) {
  switch (level) {
    case conf::LogLevel::debug:
      return LogLevel::debug;
    case conf::LogLevel::info:
      return LogLevel::info;
    case conf::LogLevel::warn:
      return LogLevel::warn;
    case conf::LogLevel::error:
      return LogLevel::error;
  }
  return LogLevel::info;
}

cache::MemoryStoreOptions store_options(const conf::Config& config, const cache::PurgeBook& purges) {
  return {.budget_bytes = config.cache.memory,
          .max_object_bytes = config.cache.max_object,
          .shards = 0,
          .purges = &purges};
}

cache::DiskStoreOptions disk_options(const conf::Config& config) {
  cache::DiskStoreOptions options;
  for (const conf::DiskOptions& disk : config.cache.disk) options.disks.push_back({disk.path, disk.size});
  options.write_bytes_per_day = config.cache.disk_writes_per_day;
  return options;
}

Result<net::Address> socket_address(const conf::Address& address) {
  return net::Address::parse(address.to_string());
}

// Beside our own program, where the build and packages put it.
std::string imaging_program() {
  std::error_code error;
  std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return (self.parent_path() / "vignette-imaging").string();
}

bool serves_images(const conf::Config& config) {
  for (const conf::Site& site : config.sites) {
    for (const conf::Route& route : site.routes) {
      if (route.kind == conf::RouteKind::images) return true;
    }
  }
  return false;
}

void print_line(std::string line) {
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

}  // namespace

Server::Server(std::shared_ptr<const conf::Config> config, Load load, Logger& log)
    : log_(log),
      load_(std::move(load)),
      config_(std::move(config)),
      settled_(*config_),
      worker_count_(worker_count(*config_)),
      tickets_(clock_),
      started_(clock_.now()),
      metrics_(worker_count_),
      node_metrics_(metrics_, worker_count_),
      purges_(clock_),
      store_(store_options(*config_, purges_), disk_options(*config_), clock_, log_),
      fills_(store_, clock_),
      insight_(worker_count_, config_->cache.memory),
      file_pool_("files", kFileThreads, kFileQueue),
      purge_pool_("purges", 1, kFileQueue),
      loop_({.index = -1, .name = "main"}),
      purge_keeper_(purges_, store_, purge_pool_, loop_, log_),
      servers_(metrics_),
      node_{.clock = clock_,
            .log = log_,
            .metrics = node_metrics_,
            .store = store_,
            .fills = fills_,
            .file_pool = file_pool_,
            .purge_pool = purge_pool_,
            .servers = servers_,
            .imaging = nullptr,
            .access_log = nullptr,
            .purges = &purges_},
      warm_(loop_, [this](WarmOrder order, WarmDesk::Done done) { warm(std::move(order), std::move(done)); }),
      load_pool_(std::in_place, "load", 1u, kLoadQueue) {
  node_.insight = &insight_;
  node_.spool = std::make_shared<Spool>(config_->spool, file_pool_, log_, clock_);
}

Server::~Server() = default;

int Server::run() {
  if (!start()) return 1;
  loop_.run();
  stop_all();
  log_.info("stopped");
  return exit_code_;
}

bool Server::start() {
  net::ignore_sigpipe();
  set_log_level();
  std::uint64_t files = net::raise_file_limit();
  log_.debug("open files: at most {}", files);
  if (!bind_listeners(*config_) || !open_admin()) return false;
  if (!open_access_log()) return false;
  // Keys and certificates may be readable by root alone, so they are read before the user changes.
  if (!build_first_snapshot() || !give_up_root()) return false;
  if (!open_purges() || !start_imaging(*config_)) return false;
  if (auto spooled = try_spool(config_->spool); !spooled) node_.spool->complain(spooled.error());
  store_.start();
  purge_keeper_.start();
  start_hot_keeper();
  register_metrics();
  watch_signals();
  watch_certificates();
  for (unsigned i = 0; i < worker_count_; ++i) {
    workers_.push_back(std::make_unique<NodeWorker>(node_, i, snapshot_));
  }
  watch_databases(std::exchange(databases_, nullptr));
  apply_listeners(*config_);
  for (auto& worker : workers_) worker->start();
  health_ = std::make_unique<HealthChecker>(node_, loop_);
  health_->apply(snapshot_);
  announce();
  return true;
}

void Server::set_log_level() { log_.set_level(log_level(config_->log.level)); }

bool Server::open_access_log() {
  const std::string& path = config_->log.access;
  if (path == "off") return true;
  auto file = open_line_file(path);
  if (!file) {
    log_.error("access log {}: cannot be opened ({})", path, std::strerror(file.error().sys_errno));
    return false;
  }
  if (auto given = net::give_file(path, config_->server.user); !given) {
    log_.warn("access log: {}", given.error());
  }
  access_log_ =
      std::make_unique<LineSink>(std::move(*file), LineSinkOptions{.producers = worker_count_}, clock_, log_);
  node_.access_log = access_log_.get();
  return true;
}

bool Server::give_up_root() {
  if (config_->server.user.empty()) return true;
  if (auto dropped = net::drop_user(config_->server.user); !dropped) {
    log_.error("[server] user: {}", dropped.error());
    return false;
  }
  rehearse_reload();
  return true;
}

bool Server::bind_listeners(const conf::Config& config) {
  for (const conf::Listener& options : config.listeners) {
    bool known =
        std::ranges::any_of(listening_, [&](const auto& has) { return has.address == options.address; });
    if (!known && !open_listener(options)) return false;
  }
  return true;
}

bool Server::refuse_listener(const conf::Listener& options, const Error& error) {
  log_.error("listener {}: {} ({})", options.address.to_string(), to_string(error.code),
             std::strerror(error.sys_errno));
  return false;
}

// Whether one of our own may stand in the way of asking if somebody else listens there.
bool Server::shares_port_with_us(const net::Address& address) const {
  // A listener that a reload took away may not have been closed yet.
  return address.is_unix() || address.port() == 0 || own_ports_.contains(address.port());
}

// One socket a worker; they share the address by SO_REUSEPORT, a unix socket is one, and the first worker's.
bool Server::open_listener(const conf::Listener& options) {
  auto address = socket_address(options.address);
  if (address && !shares_port_with_us(*address)) {
    if (auto free = net::Listener::check_free(*address); !free) return refuse_listener(options, free.error());
  }
  Bound bound{.options = options, .address = {}, .sockets = {}};
  for (unsigned i = 0; address && i < worker_count_; ++i) {
    if (address->is_unix() && i > 0) break;
    auto listener = net::Listener::open(*address);
    if (!listener) return refuse_listener(options, listener.error());
    // Port 0: the kernel chose for the first one, the others join it.
    address = listener->address();
    bound.address = listener->address();
    bound.sockets.push_back(std::move(*listener));
  }
  if (!address) {
    log_.error("listener {}: not an address", options.address.to_string());
    return false;
  }
  own_ports_.insert(bound.address.port());
  bound_.push_back(std::move(bound));
  return true;
}

bool Server::start_imaging(const conf::Config& config) {
  if (imaging_) return true;
  settled_.images = config.images;
  if (!serves_images(config)) return true;
  imaging_ =
      std::make_unique<ImagingService>(loop_,
                                       ImagingService::Options{.program = imaging_program(),
                                                               .workers = config.images.workers,
                                                               .deadline = config.images.deadline,
                                                               .max_pixels = config.images.max_pixels,
                                                               .max_source_bytes = config.images.max_source},
                                       log_, metrics_);
  auto started = imaging_->start();
  if (!started) {
    log_.error("imaging: {}", started.error());
    imaging_.reset();  // the next reload tries again
    return false;
  }
  node_.imaging = imaging_.get();
  return true;
}

SnapshotOptions Server::snapshot_options(std::uint64_t generation) {
  return {.generation = generation,
          .tls = {.workers = worker_count_, .tickets = &tickets_, .keys = &keys_},
          .databases = geo_keeper_ ? geo_keeper_->in_use() : nullptr};
}

bool Server::build_first_snapshot() {
  auto built = build_snapshot(config_, node_, snapshot_options(1));
  if (!built) {
    for (const std::string& error : built.error()) log_.error("{}", error);
    return false;
  }
  snapshot_ = std::move(built->snapshot);
  databases_ = std::move(built->databases);
  return true;
}

void Server::watch_databases(geo::DatabasesRef databases) {
  const auto apply = [this](const geo::DatabasesRef& next) {
    for (auto& worker : workers_) worker->apply_databases(next);
  };
  apply(databases);
  geo_keeper_ = std::make_unique<GeoKeeper>(node_, loop_, *load_pool_, apply);
  geo_keeper_->adopt(config_, std::move(databases));
}

// Without anything that outlives the process there is nothing that a purge would have to survive for.
bool Server::open_purges() {
  purges_.set_oldest_alive([this] { return oldest_sequence(); });
  const std::string folder = state_folder();
  if (folder.empty()) return true;
  std::error_code ignored;
  std::filesystem::create_directory(folder, ignored);
  std::vector<std::string> disks;
  for (const conf::DiskOptions& disk : config_->cache.disk) disks.push_back(disk.path);
  for (const std::string& line : find_missing_mounts(folder, disks)) log_.warn("{}", line);
  std::string report;
  auto opened = purges_.open_journal(folder, report);
  if (!opened) {
    log_.error("[cache] state {}: {} ({})", folder, opened.error().where, explain(opened.error()));
    // A disk may be missing. Numbers are then those of no journal, so all that is on disks counts as purged.
    return config_->cache.state.empty();
  }
  if (!report.empty()) log_.error("{}", report);
  return true;
}

bool Server::open_admin() {
  if (!config_->server.admin) return true;
  auto address = socket_address(*config_->server.admin);
  if (!address) {
    log_.error("[server] admin: not an address");
    return false;
  }
  AdminServer::Sources sources;
  sources.metrics = [this] {
    std::string text;
    metrics_.render(text);
    return text;
  };
  sources.status = [this] { return status_json(); };
  sources.origins = [this] { return servers_.status_json(); };
  sources.strands = [this] { return AdminServer::strands_json(loop_); };
  sources.node = &node_;
  sources.snapshot = [this] { return snapshot_; };
  sources.top = [this](std::string_view query) { return top_json(insight_, query, clock_.now()); };
  sources.warm = &warm_;
  sources.hot = [this](std::size_t limit) { return cache::write_hot_list(cache::hottest(store_, limit)); };
  sources.certificates = [this] { return certificates_.get(); };
  sources.what_if = [this] { return what_if_json(insight_, settled_.cache.memory); };
  admin_ = std::make_unique<AdminServer>(loop_, std::move(sources));
  auto opened = admin_->open(*address);
  if (!opened) {
    log_.error("admin {}: {} ({})", address->to_string(), to_string(opened.error().code),
               std::strerror(opened.error().sys_errno));
    return false;
  }
  if (!address->is_unix()) return true;
  if (auto given = net::give_file(address->path(), config_->server.user); !given) {
    log_.warn("admin: {}", given.error());
  }
  return true;
}

// One line for each address, in a form that scripts read, then the word that all is well.
void Server::announce() {
  for (const Bound& bound : bound_) {
    print_line(fmt::format("vignette: listening on {} ({})", bound.address.to_string(),
                           listener_kind(bound.options)));
  }
  if (admin_) print_line(fmt::format("vignette: listening on {} (admin)", admin_->address().to_string()));
  print_line("vignette: ready");
  if (on_ready_) on_ready_();
}

void Server::watch_signals() {
  for (int number : {SIGTERM, SIGINT}) {
    loop_.on_unix_signal(number, [this] { begin_drain(); });
  }
  loop_.on_unix_signal(SIGHUP, [this] { reload(); });
  loop_.on_unix_signal(SIGUSR1, [this] {
    log_.info("access log: opening it again");
    if (access_log_) access_log_->reopen();
  });
  net::release_signals();
}

void Server::watch_certificates() {
  ocsp_ = std::make_unique<OcspKeeper>(node_, loop_);
  certificates_ =
      std::make_unique<CertificateKeeper>(CertificateKeeper::Parts{.loop = loop_,
                                                                   .pool = *load_pool_,
                                                                   .log = log_,
                                                                   .metrics = metrics_,
                                                                   .options = snapshot_options(0).tls,
                                                                   .apply = [this](TlsSetupRef setup) {
                                                                     warn_of_kept_keys();
                                                                     for (auto& worker : workers_)
                                                                       worker->apply_tls(setup);
                                                                     use_tls(setup);
                                                                   }});
  certificates_->adopt(config_, snapshot_->tls);
  use_tls(snapshot_->tls);
}

// What a setup has beside what workers do with it.
void Server::use_tls(const TlsSetupRef& setup) {
  for (const std::string& warning : setup->warnings) log_.warn("{}", warning);
  apply_ticket_keys(*setup, tickets_);
  ocsp_->adopt(setup);
}

// Hands bound sockets to workers, and takes away listeners that the configuration no longer has.
void Server::apply_listeners(const conf::Config& config) {
  for (Bound& bound : bound_) {
    for (std::size_t i = 0; i < bound.sockets.size(); ++i) {
      workers_[i]->add_listener(std::move(bound.sockets[i]), bound.options);
    }
    if (!bound.sockets.empty()) listening_.push_back(bound.options);
    bound.sockets.clear();
  }
  std::erase_if(listening_, [&](const conf::Listener& has) {
    bool kept = std::ranges::any_of(config.listeners,
                                    [&](const auto& wanted) { return wanted.address == has.address; });
    if (kept) return false;
    for (auto& worker : workers_) worker->remove_listener(has.address.to_string());
    std::erase_if(bound_, [&](const Bound& bound) { return bound.options.address == has.address; });
    return true;
  });
  for (const conf::Listener& wanted : config.listeners) {
    for (auto& worker : workers_) worker->change_listener(wanted);
    for (Bound& bound : bound_) {
      if (bound.options.address == wanted.address) bound.options = wanted;
    }
  }
}

void Server::begin_drain() {
  if (node_.draining.exchange(true)) {
    log_.warn("second signal: ending without waiting");
    exit_code_ = kCutShort;
    loop_.stop();
    return;
  }
  log_.info("draining: at most {} ms for requests in flight", config_->timeouts.drain.count());
  for (auto& worker : workers_) worker->drain();
  if (hot_keeper_) hot_keeper_->cancel();
  loop_.spawn_named("drain", drain_strand, std::ref(*this));
}

net::Task<void> Server::drain_strand(Server& server) {
  TimePoint deadline = server.loop_.now() + server.config_->timeouts.drain;
  while (server.node_metrics_.connections_open.value() > 0) {
    if (server.loop_.now() >= deadline) {
      server.log_.warn("drain: {} connections still open", server.node_metrics_.connections_open.value());
      server.exit_code_ = kCutShort;
      break;
    }
    auto slept = co_await net::sleep_for(kDrainPoll);
    if (!slept) co_return;
  }
  server.loop_.stop();
}

// The loop has ended; what it waited on goes first, what others point to goes last.
void Server::stop_all() {
  admin_.reset();
  health_.reset();
  ocsp_.reset();
  load_pool_.reset();  // a load under way is waited for
  for (auto& worker : workers_) worker->stop();
  for (auto& worker : workers_) worker->join();
  if (hot_keeper_) hot_keeper_->save_last();
  store_.stop();  // its readers post to the workers
  purge_keeper_.finish();
  imaging_.reset();
  workers_.clear();
  certificates_.reset();
  geo_keeper_.reset();
  metric_callbacks_.clear();
  hot_keeper_.reset();
  if (access_log_) access_log_->flush();
}

}  // namespace vignette::proxy
