#include "tests/support/test_node.h"

#include "proxy/client/spool.h"

#include <cstdlib>
#include <future>
#include <stdexcept>

#include "base/strings.h"
#include "conf/loader.h"
#include "net/limits.h"
#include "proxy/admin/explain_api.h"
#include "proxy/admin/explain_key.h"
#include "proxy/admin/purge_api.h"

namespace vignette::test {
namespace {

// As the node's own, but small unless the test says how large.
cache::MemoryStoreOptions store_options(const std::string& toml, const cache::PurgeBook& purges) {
  auto loaded = conf::load_text(toml, "test.toml", ".");
  cache::MemoryStoreOptions options;
  options.budget_bytes = std::uint64_t{64} << 20;
  options.purges = &purges;
  if (!loaded || toml.find("[cache]") == std::string::npos) return options;
  options.budget_bytes = (*loaded)->cache.memory;
  options.max_object_bytes = (*loaded)->cache.max_object;
  return options;
}

}  // namespace

// Where the access log goes.
class TestNode::MemoryLog final : public LineFile {
 public:
  explicit MemoryLog(TestNode& node) : node_(node) {}
  Result<std::size_t> write(std::string_view bytes) override {
    std::lock_guard lock(node_.access_mutex_);
    node_.access_lines_ += bytes;
    return bytes.size();
  }
  Result<void> reopen() override { return {}; }

 private:
  TestNode& node_;
};

TestNode::TestNode(const std::string& toml, const Options& options)
    : log_(LogLevel::debug,
           [this](LogLevel, std::string_view line) {
             std::lock_guard lock(log_mutex_);
             log_lines_ += line;
           }),
      options_(options),
      metrics_(options.workers),
      node_metrics_(metrics_),
      purges_(clock_),
      store_(store_options(toml, purges_), options.disk, clock_, log_),
      fills_(store_, clock_),
      insight_(options.workers, store_.stats().budget_bytes, HashSecret()),  // the same sample each time
      files_("files", 2, 1024),
      main_({.index = -1, .name = "main"}),
      servers_(metrics_),
      node_{.clock = clock_,
            .log = log_,
            .metrics = node_metrics_,
            .store = store_,
            .fills = fills_,
            .file_pool = files_,
            .purge_pool = files_,
            .servers = servers_,
            .imaging = nullptr,
            .access_log = nullptr,
            .purges = &purges_},
      warm_(main_, [this](proxy::WarmOrder order, proxy::WarmDesk::Done done) {
        workers_.back()->warm(std::move(order), std::move(done));
      }) {
  net::ignore_sigpipe();
  node_.insight = &insight_;
  node_.reader_stall = options.reader_stall;
  if (options.access_log) open_access_log();
  proxy::Built built = build(toml);
  snapshot_ = std::move(built.snapshot);
  node_.spool = std::make_shared<proxy::Spool>(snapshot_->config->spool, files_, log_, clock_);
  store_.start();
  if (!options.hot_folder.empty()) start_hot_keeper();
  if (options.imaging) start_imaging();
  for (unsigned i = 0; i < options.workers; ++i) {
    workers_.push_back(std::make_unique<proxy::NodeWorker>(node_, i, snapshot_));
  }
  for (const conf::Listener& listener : snapshot_->config->listeners) listen(listener);
  watch_databases(std::move(built.databases));
  for (auto& worker : workers_) worker->start();
  health_ = std::make_unique<proxy::HealthChecker>(node_, main_);
  health_->apply(snapshot_);
  main_thread_ = std::thread([this] { main_.run(); });
}

void TestNode::open_access_log() {
  access_log_ = std::make_unique<LineSink>(std::make_unique<MemoryLog>(*this),
                                           LineSinkOptions{.producers = options_.workers}, clock_, log_);
  node_.access_log = access_log_.get();
}

void TestNode::start_hot_keeper() {
  hot_keeper_ = std::make_unique<proxy::HotKeeper>(
      main_, files_, store_, log_,
      proxy::HotKeeper::Options{.folder = options_.hot_folder,
                                .bytes_per_second = snapshot_->config->cache.warm_per_second});
  hot_keeper_->start();
}

void TestNode::watch_databases(geo::DatabasesRef databases) {
  const auto apply = [this](const geo::DatabasesRef& next) {
    for (auto& worker : workers_) worker->apply_databases(next);
  };
  apply(databases);
  geo_keeper_ = std::make_unique<proxy::GeoKeeper>(node_, main_, files_, apply);
  geo_keeper_->adopt(snapshot_->config, std::move(databases));
}

void TestNode::start_imaging() {
  const conf::ImageOptions& images = snapshot_->config->images;
  imaging_ = std::make_unique<proxy::ImagingService>(
      main_,
      proxy::ImagingService::Options{.program = VIGNETTE_IMAGING_PROGRAM,
                                     .workers = 2,
                                     .deadline = images.deadline,
                                     .max_pixels = images.max_pixels,
                                     .max_source_bytes = images.max_source},
      log_, metrics_);
  auto started = imaging_->start();
  if (!started) throw std::runtime_error(started.error());
  node_.imaging = imaging_.get();
}

void TestNode::listen(const conf::Listener& listener) {
  auto address = net::Address::parse(listener.address.to_string());
  for (auto& worker : workers_) {
    auto bound = net::Listener::open(*address);
    if (!bound) throw std::runtime_error("cannot listen");
    address = bound->address();
    // Workers know their listeners by address: those of port 0 get the one they have. TLS is found by the
    // address in the configuration.
    conf::Listener serving = listener;
    if (!listener.tls) serving.address.port = address->port();
    worker->add_listener(std::move(*bound), std::move(serving));
  }
  ports_.push_back(address->port());
}

TestNode::~TestNode() {
  for (auto& worker : workers_) worker->stop();
  for (auto& worker : workers_) worker->join();
  store_.stop();
  std::promise<void> done;
  main_.post([&] {
    health_.reset();
    done.set_value();
  });
  done.get_future().wait();
  main_.stop();
  main_thread_.join();
  if (hot_keeper_) hot_keeper_->save_last();
  imaging_.reset();
  workers_.clear();
}

proxy::Built TestNode::build(const std::string& toml) {
  std::string errors;
  auto loaded = conf::load_text(toml, "test.toml", ".");
  if (!loaded) {
    for (const conf::Diagnostic& diagnostic : loaded.error()) errors += diagnostic.to_string() + "\n";
    throw std::runtime_error(errors);
  }
  auto built = proxy::build_snapshot(*loaded, node_,
                                     {.generation = ++generation_, .tls = {.workers = options_.workers}});
  if (!built) {
    for (const std::string& error : built.error()) errors += error + "\n";
    throw std::runtime_error(errors);
  }
  return *built;
}

void TestNode::reload(const std::string& toml) {
  proxy::Built built = build(toml);
  snapshot_ = std::move(built.snapshot);
  for (auto& worker : workers_) worker->apply(snapshot_, built.databases);
  std::promise<void> done;
  main_.post([&] {
    geo_keeper_->adopt(snapshot_->config, std::move(built.databases));
    health_->apply(snapshot_);
    done.set_value();
  });
  done.get_future().wait();
}

std::string TestNode::reply_of(net::Task<proxy::AdminReply> (*task)(TestNode&, std::string),
                               const std::string& body) {
  std::promise<std::string> answered;
  main_.post([&] {
    main_.spawn_named(
        "order",
        [](TestNode& node, net::Task<proxy::AdminReply> (*carry_out)(TestNode&, std::string),
           std::string text, std::promise<std::string>& done) -> net::Task<void> {
          auto reply = co_await carry_out(node, std::move(text));
          done.set_value(std::to_string(reply.status) + " " + reply.body);
        },
        std::ref(*this), task, body, std::ref(answered));
  });
  return answered.get_future().get();
}

std::string TestNode::purge(const std::string& order) {
  return reply_of(
      [](TestNode& node, std::string body) -> net::Task<proxy::AdminReply> {
        auto reply = co_await proxy::answer_purge_order(node.node_, node.snapshot_, std::move(body));
        co_return reply;
      },
      order);
}

std::string TestNode::explain(const std::string& url, const std::vector<std::string>& headers) {
  return reply_of(
      [](TestNode& node, std::string query) -> net::Task<proxy::AdminReply> {
        auto reply = co_await proxy::answer_explain(node.node_, node.snapshot_, std::move(query));
        co_return reply;
      },
      proxy::explain_query(url, headers));
}

std::string TestNode::warm(const std::string& order) {
  return reply_of(
      [](TestNode& node, std::string body) -> net::Task<proxy::AdminReply> {
        auto reply = co_await node.warm_.take(node.snapshot_, std::move(body));
        co_return reply;
      },
      order);
}

void TestNode::drain() {
  node_.draining = true;
  for (auto& worker : workers_) worker->drain();
}

void TestNode::settle() {
  for (auto& worker : workers_) {
    std::promise<void> done;
    worker->loop().post([&] { done.set_value(); });
    done.get_future().wait();
  }
}

double TestNode::metric(std::string_view name, std::string_view labels) {
  settle();
  std::string text;
  metrics_.render(text);
  double sum = 0;
  for (std::string_view line : split(text, '\n')) {
    if (!line.starts_with(name) || line.size() <= name.size()) continue;
    if (line[name.size()] != '{' && line[name.size()] != ' ') continue;
    if (!labels.empty() && line.find(labels) == std::string_view::npos) continue;
    sum += std::strtod(std::string(line.substr(line.rfind(' ') + 1)).c_str(), nullptr);
  }
  return sum;
}

std::vector<std::string> TestNode::access_log() {
  settle();
  access_log_->flush();
  std::lock_guard lock(access_mutex_);
  std::vector<std::string> lines;
  for (std::string_view line : split(access_lines_, '\n')) {
    if (!line.empty()) lines.emplace_back(line);
  }
  return lines;
}

std::string TestNode::log_text() {
  std::lock_guard lock(log_mutex_);
  return log_lines_;
}

}  // namespace vignette::test
