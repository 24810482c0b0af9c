#include "proxy/process/node_worker.h"

#include <fmt/core.h>

#include "base/thread.h"
#include "proxy/client/connection.h"
#include "proxy/client/h2_connection.h"
#include "proxy/client/h2_share.h"
#include "proxy/client/warm.h"
#include "proxy/process/allocator.h"

namespace vignette::proxy {
namespace {

using WarmDone = std::move_only_function<void(WarmReply)>;

net::Task<void> warm_strand(WorkerContext& context, WarmOrder order, WarmDone done) {
  auto reply = co_await warm(context, std::move(order));
  done(std::move(reply));
}

}  // namespace

NodeWorker::NodeWorker(Node& node, unsigned index, SnapshotRef snapshot)
    : index_(index),
      loop_({.index = static_cast<int>(index), .name = fmt::format("worker/{}", index)}),
      context_(node, loop_, index, std::move(snapshot)) {}

NodeWorker::~NodeWorker() = default;

void NodeWorker::start() {
  thread_ = start_thread(loop_.name(), [this] { run(); });
}

void NodeWorker::run() {
  allocated_.store(thread_allocated_counter(), std::memory_order_release);
  loop_.run();
  allocated_.store(nullptr, std::memory_order_release);
  serving_.clear();
}

void NodeWorker::join() {
  if (thread_.joinable()) thread_.join();
}

std::uint64_t NodeWorker::allocated_bytes() const {
  const std::uint64_t* counter = allocated_.load(std::memory_order_acquire);
  return counter ? *const_cast<const volatile std::uint64_t*>(counter) : 0;
}

void NodeWorker::add_listener(net::Listener listener, conf::Listener options) {
  auto serving = std::make_unique<Serving>(std::move(listener), std::move(options));
  loop_.post([this, serving = std::move(serving)]() mutable {
    Serving& added = *serving;
    std::string address = added.options.address.to_string();
    if (!serving_.emplace(std::move(address), std::move(serving)).second) return;
    added.listener.serve(loop_, [this, options = &added.options](net::Stream stream) {
      start_connection(context_, std::move(stream), *options);
    });
  });
}

void NodeWorker::change_listener(conf::Listener options) {
  loop_.post([this, options = std::move(options)]() mutable {
    auto found = serving_.find(options.address.to_string());
    if (found != serving_.end()) found->second->options = std::move(options);
  });
}

void NodeWorker::remove_listener(const std::string& address) {
  loop_.post([this, address] {
    auto found = serving_.find(address);
    if (found == serving_.end()) return;
    found->second->listener.close();
    serving_.erase(found);
  });
}

void NodeWorker::apply(SnapshotRef snapshot, geo::DatabasesRef databases) {
  loop_.post([this, snapshot = std::move(snapshot), databases = std::move(databases)]() mutable {
    context_.tls = snapshot->tls;
    context_.snapshot = std::move(snapshot);
    context_.databases = std::move(databases);
  });
}

void NodeWorker::apply_tls(TlsSetupRef tls) {
  loop_.post([this, tls = std::move(tls)]() mutable { context_.tls = std::move(tls); });
}

void NodeWorker::apply_databases(geo::DatabasesRef databases) {
  loop_.post(
      [this, databases = std::move(databases)]() mutable { context_.databases = std::move(databases); });
}

void NodeWorker::warm(WarmOrder order, WarmDone done) {
  loop_.post([this, order = std::move(order), done = std::move(done)]() mutable {
    loop_.spawn_named("warm", warm_strand, std::ref(context_), std::move(order), std::move(done));
  });
}

void NodeWorker::drain() {
  loop_.post([this] {
    for (auto& [address, serving] : serving_) serving->listener.close();
    serving_.clear();
    context_.idle.cancel_all();
    for (H2Connection* connection : context_.h2->connections) connection->begin_drain();
  });
}

}  // namespace vignette::proxy
