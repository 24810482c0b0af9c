// The node: builds what all threads share, binds, starts workers, answers signals, reloads, drains.
// Everything here runs on the main thread, most of it in the main loop.
//
//   SIGTERM, SIGINT  drain: no new connections, requests in flight finish (at most `drain`), then exit 0;
//                    a second one ends at once; what was cut short then, or when the time was over: exit 3
//   SIGHUP           read the configuration again and apply it; a wrong one changes nothing. It is read and
//   built
//                    on a thread of its own, where files may be slow, and applied here; a signal that comes
//                    meanwhile has it read once more
//   SIGUSR1          open the access log again
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/bounded_pool.h"
#include "base/line_sink.h"
#include "base/log.h"
#include "base/metrics.h"
#include "cache/fill_table.h"
#include "cache/insight/insight.h"
#include "cache/purge/purge_book.h"
#include "cache/tiered_store.h"
#include "conf/loader.h"
#include "net/key_files.h"
#include "net/worker.h"
#include "proxy/admin/admin_server.h"
#include "proxy/media/imaging_service.h"
#include "proxy/node.h"
#include "proxy/origin/server_registry.h"
#include "proxy/process/certificate_keeper.h"
#include "proxy/process/geo_keeper.h"
#include "proxy/process/health.h"
#include "proxy/process/hot_keeper.h"
#include "proxy/process/node_worker.h"
#include "proxy/process/ocsp_keeper.h"
#include "proxy/process/purge_keeper.h"

namespace vignette::proxy {

class Server {
 public:
  // Reads the configuration again, with these checks. Thread-safe: it is called off the loop.
  using Load = std::function<conf::Loaded(const conf::Checks&)>;

  Server(std::shared_ptr<const conf::Config> config, Load load, Logger& log);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Called once, when everything listens. To be set before run().
  void on_ready(std::function<void()> callback) { on_ready_ = std::move(callback); }
  static constexpr int kCutShort = 3;  // exit status: requests in flight were not waited for to their end
  // Until a signal ends it. The exit status of the program; what went wrong has been logged.
  int run();

 private:
  bool start();
  void set_log_level();
  bool open_access_log();
  bool give_up_root();
  bool bind_listeners(const conf::Config& config);
  bool open_listener(const conf::Listener& options);
  bool refuse_listener(const conf::Listener& options, const Error& error);  // says why; false
  bool shares_port_with_us(const net::Address& address) const;
  bool start_imaging(const conf::Config& config);
  bool build_first_snapshot();
  bool open_admin();
  bool open_purges();
  void announce();
  void watch_signals();
  void watch_certificates();
  void watch_databases(geo::DatabasesRef databases);
  void use_tls(const TlsSetupRef& setup);

  // server_reload.cc
  enum class Reload : std::uint8_t { none, loading, again };  // again: SIGHUP came while one was loading
  void reload();
  static net::Task<void> reload_strand(Server& server);
  std::function<SnapshotResult()> snapshot_loader();
  void finish_reload(const SnapshotResult& built);
  void refuse_reload(const std::vector<std::string>& reasons);
  void apply(Built built);
  void warn_of_restarts(const conf::Config& next);
  void warn_of_kept_keys();
  void rehearse_reload();

  void apply_listeners(const conf::Config& config);
  void begin_drain();
  static net::Task<void> drain_strand(Server& server);
  void stop_all();

  // server_warm.cc
  std::string state_folder() const;
  void start_hot_keeper();
  void warm(WarmOrder order, WarmDesk::Done done);

  // server_report.cc
  void register_metrics();
  void register_cache_metrics();
  void register_process_metrics();
  void register_loop_metrics(const std::string& thread, std::function<net::Worker*()> loop);
  void register_worker_metrics(unsigned index);
  void add_metric(MetricType type, std::string_view name, std::string_view help,
                  std::function<double()> read);
  std::string status_json() const;
  std::uint64_t oldest_sequence();
  static std::string_view listener_kind(const conf::Listener& options);
  SnapshotOptions snapshot_options(std::uint64_t generation);

  Logger& log_;
  Load load_;
  std::function<void()> on_ready_;
  SystemClock clock_;
  std::shared_ptr<const conf::Config> config_;
  conf::Config settled_;  // what options that only a restart applies are, whatever reloads say since
  const unsigned worker_count_;
  net::TicketKeys tickets_;
  net::KeyFiles keys_;
  TimePoint started_;

  Metrics metrics_;
  NodeMetrics node_metrics_;
  cache::PurgeBook purges_;
  cache::TieredStore store_;
  cache::FillTable fills_;
  cache::Insight insight_;
  BoundedPool file_pool_;
  BoundedPool purge_pool_;
  std::unique_ptr<LineSink> access_log_;
  net::Worker loop_;
  PurgeKeeper purge_keeper_;
  ServerRegistry servers_;
  std::unique_ptr<ImagingService> imaging_;
  Node node_;
  SnapshotRef snapshot_;
  geo::DatabasesRef databases_;  // the first; then geo_keeper_ has them
  std::unique_ptr<HealthChecker> health_;
  std::unique_ptr<CertificateKeeper> certificates_;
  std::unique_ptr<GeoKeeper> geo_keeper_;
  std::unique_ptr<OcspKeeper> ocsp_;
  WarmDesk warm_;
  std::size_t next_to_warm_ = 0;           // of the workers
  std::unique_ptr<HotKeeper> hot_keeper_;  // null: nothing outlives the process
  std::unique_ptr<AdminServer> admin_;
  // Bound and not yet handed to a worker, in the order of workers; by address.
  struct Bound {
    conf::Listener options;
    net::Address address;
    std::vector<net::Listener> sockets;
  };
  std::vector<Bound> bound_;
  std::set<std::uint16_t> own_ports_;  // ever bound
  std::vector<conf::Listener> listening_;
  std::vector<std::unique_ptr<NodeWorker>> workers_;
  std::vector<Metrics::Callback> metric_callbacks_;
  unsigned reloads_failed_ = 0;
  int exit_code_ = 0;
  Reload reload_ = Reload::none;
  std::optional<BoundedPool> load_pool_;  // one thread; what it runs uses the members above
};

}  // namespace vignette::proxy
