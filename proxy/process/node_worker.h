// One worker: a thread, its loop, its listeners and its share of the node. Owned by the main thread, which
// talks to it through post() only.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <thread>

#include "conf/config.h"
#include "net/listener.h"
#include "net/worker.h"
#include "proxy/admin/warm_order.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {

class NodeWorker {
 public:
  NodeWorker(Node& node, unsigned index, SnapshotRef snapshot);
  // stop() and join() have been called, or start() has not.
  ~NodeWorker();

  // Main thread. Listeners are bound by main, before it gives up its privileges.
  void start();
  // Serves on a listener that main has bound; `options` are those of the configuration that asked for it.
  void add_listener(net::Listener listener, conf::Listener options);
  // From now on, connections of the listener at this address follow these options.
  void change_listener(conf::Listener options);
  // Accepts what is queued on it, then closes it.
  void remove_listener(const std::string& address);
  // Both from the same request on.
  void apply(SnapshotRef snapshot, geo::DatabasesRef databases);
  // For connections from now on; of the snapshot that was applied last.
  void apply_tls(TlsSetupRef tls);
  // For requests from now on.
  void apply_databases(geo::DatabasesRef databases);
  // Closes listeners (accept queues first) and idle connections; requests in flight go on.
  void drain();
  // Warms the cache (client/warm.h); `done` is called on the loop's thread, unless the loop ends before.
  void warm(WarmOrder order, std::move_only_function<void(WarmReply)> done);
  void stop() { loop_.stop(); }
  void join();

  net::Worker& loop() { return loop_; }
  unsigned index() const { return index_; }
  // Bytes this thread has ever allocated (jemalloc's thread.allocated); 0 where the allocator does not say.
  std::uint64_t allocated_bytes() const;

 private:
  struct Serving {
    net::Listener listener;
    conf::Listener options;
  };

  void run();

  const unsigned index_;
  net::Worker loop_;
  WorkerContext context_;                                    // loop thread, once started
  std::map<std::string, std::unique_ptr<Serving>> serving_;  // loop thread, once started; by address
  std::atomic<const std::uint64_t*> allocated_{nullptr};
  std::thread thread_;
};

}  // namespace vignette::proxy
