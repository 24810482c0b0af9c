// A node inside the test's process: real workers, sockets on port 0 of 127.0.0.1, configuration inline.
//
//   TestNode node(R"([[listener]] address = "127.0.0.1:0" …)");
//   RawClient client(node.port());
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/bounded_pool.h"
#include "base/clock.h"
#include "base/line_sink.h"
#include "base/log.h"
#include "base/metrics.h"
#include "cache/fill_table.h"
#include "cache/insight/insight.h"
#include "cache/tiered_store.h"
#include "net/worker.h"
#include "proxy/admin/warm_desk.h"
#include "proxy/media/imaging_service.h"
#include "proxy/node.h"
#include "proxy/origin/server_registry.h"
#include "proxy/process/geo_keeper.h"
#include "proxy/process/health.h"
#include "proxy/process/hot_keeper.h"
#include "proxy/process/node_worker.h"
#include "tests/support/temp_dir.h"

namespace vignette::test {

class TestNode {
 public:
  struct Options {
    unsigned workers = 1;
    bool imaging = false;                              // starts the real vignette-imaging program
    bool access_log = false;                           // keeps its lines for access_log()
    cache::DiskStoreOptions disk = {};                 // behind the memory tier; none by default
    Duration reader_stall = std::chrono::seconds(60);  // Node::reader_stall
    std::string hot_folder = {};  // where the list of the hottest keys is kept; "": nowhere
  };
  // Throws with all diagnostics when the configuration is wrong. Every listener's port must be 0.
  explicit TestNode(const std::string& toml) : TestNode(toml, Options()) {}
  TestNode(const std::string& toml, const Options& options);
  ~TestNode();

  // Of the n-th listener of the configuration.
  std::uint16_t port(std::size_t listener = 0) const { return ports_.at(listener); }
  // Applies another configuration as SIGHUP does (listeners stay as they are).
  void reload(const std::string& toml);
  void drain();
  // The sum of a counter or gauge over its label sets whose line contains `labels`; 0 when absent.
  double metric(std::string_view name, std::string_view labels = "");
  cache::TieredStore& store() { return store_; }
  proxy::Spool& spool() { return *node_.spool; }
  // What POST /v1/purge answers to this order: the status, a blank and the JSON.
  std::string purge(const std::string& order);
  // The same of GET /v1/explain, for a URL and headers such as "Accept: image/webp".
  std::string explain(const std::string& url, const std::vector<std::string>& headers = {});
  // What POST /v1/warm answers to this order, in the same way.
  std::string warm(const std::string& order);
  // What is read into memory at the start; with hot_folder.
  proxy::HotKeeper& hot_keeper() { return *hot_keeper_; }
  cache::Insight& insight() { return insight_; }
  // Log lines so far.
  std::string log_text();
  // Lines of the access log so far, oldest first.
  std::vector<std::string> access_log();
  // Returns when every worker has done what it had to do when this was called: what a client has seen the
  // end of is then in metrics and logs.
  void settle();
  proxy::NodeWorker& worker(std::size_t index = 0) { return *workers_.at(index); }

 private:
  class MemoryLog;
  void open_access_log();
  void start_hot_keeper();
  void start_imaging();
  void watch_databases(geo::DatabasesRef databases);
  void listen(const conf::Listener& listener);
  proxy::Built build(const std::string& toml);
  // A task on the main loop, run to its end.
  std::string reply_of(net::Task<proxy::AdminReply> (*task)(TestNode&, std::string), const std::string& body);

  std::mutex log_mutex_;
  std::string log_lines_;
  Logger log_;
  SystemClock clock_;
  Options options_;
  Metrics metrics_;
  proxy::NodeMetrics node_metrics_;
  cache::PurgeBook purges_;
  cache::TieredStore store_;
  cache::FillTable fills_;
  cache::Insight insight_;
  BoundedPool files_;
  std::mutex access_mutex_;
  std::string access_lines_;
  std::unique_ptr<LineSink> access_log_;
  net::Worker main_;
  proxy::ServerRegistry servers_;
  std::unique_ptr<proxy::ImagingService> imaging_;
  proxy::Node node_;
  std::uint64_t generation_ = 0;
  proxy::SnapshotRef snapshot_;
  proxy::WarmDesk warm_;
  std::unique_ptr<proxy::HotKeeper> hot_keeper_;
  std::unique_ptr<proxy::GeoKeeper> geo_keeper_;
  std::unique_ptr<proxy::HealthChecker> health_;
  std::vector<std::unique_ptr<proxy::NodeWorker>> workers_;
  std::vector<std::uint16_t> ports_;
  std::thread main_thread_;
};

}  // namespace vignette::test
