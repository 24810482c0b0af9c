// Two strands, one a direction, over state that both keep alive: the one that the client's connection runs on
// and waits for, and one of its own for what the origin sends.

#include "proxy/client/tunnel.h"

#include <utility>

#include "net/signal.h"
#include "net/worker.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

constexpr std::string_view kIdle = "tunnel_idle";
constexpr std::string_view kStalled = "tunnel_stalled";
constexpr std::string_view kStopped = "node_stopped";

struct Tunnel {
  Tunnel(WorkerContext& worker, std::unique_ptr<TunnelEnd> client_end, std::unique_ptr<TunnelEnd> origin_end,
         Duration longest_idle)
      : context(worker),
        client(std::move(client_end)),
        origin(std::move(origin_end)),
        idle(longest_idle),
        last_moved(worker.loop.now()) {
    context.node.metrics.tunnels_begun.add(context.index);
    context.node.metrics.tunnels_open.add(1);
  }
  ~Tunnel() { context.node.metrics.tunnels_open.add(-1); }
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;

  TimePoint deadline() const { return last_moved + idle; }
  bool is_idle() const { return context.loop.now() >= deadline(); }
  // The first reason counts; what fails afterwards fails because of it. A reset takes back what the kernel
  // has not sent yet.
  void cut(std::string_view reason, bool in_order) {
    if (is_cut) return;
    is_cut = true;
    outcome.reason = reason;
    for (TunnelEnd* end : {client.get(), origin.get()}) in_order ? end->close() : end->reset();
  }
  void cut(const Error& error);

  WorkerContext& context;
  const std::unique_ptr<TunnelEnd> client;
  const std::unique_ptr<TunnelEnd> origin;
  const Duration idle;
  TimePoint last_moved;
  TunnelOutcome outcome;
  int writing = 0;  // directions that wait for their side to take something
  bool is_cut = false;
  bool origin_done = false;  // with what it sends
  net::Signal changed;
};

std::string_view cut_reason(const Tunnel& tunnel, const Error& error) {
  if (error.code == Code::timeout) return tunnel.writing > 0 ? kStalled : kIdle;
  if (error.code == Code::cancelled) return kStopped;
  return error.blame == Blame::origin ? "origin_gone" : "client_gone";
}

// Many peers end TLS without saying so: their last bytes are on the way and have to arrive.
void Tunnel::cut(const Error& error) {
  const std::string_view reason = cut_reason(*this, error);
  cut(reason, reason == kIdle || reason == kStopped || error.code == Code::closed);
}

net::Task<void> pump(Tunnel& tunnel, TunnelEnd& from, TunnelEnd& to, std::uint64_t& moved, Counter& counter) {
  for (;;) {
    auto bytes = co_await from.read(tunnel.deadline());
    const bool other_moved = !bytes && bytes.error().code == Code::timeout && !tunnel.is_idle();
    if (other_moved) continue;
    if (!bytes) co_return tunnel.cut(bytes.error());
    tunnel.last_moved = tunnel.context.loop.now();
    const std::size_t size = bytes->size();
    if (size == 0) co_return to.end();
    ++tunnel.writing;
    auto sent = co_await to.write(std::move(*bytes), tunnel.deadline());
    if (!sent) co_return tunnel.cut(sent.error());
    --tunnel.writing;
    tunnel.last_moved = tunnel.context.loop.now();
    moved += size;
    counter.add(tunnel.context.index, size);
  }
}

// Tells whoever waits that the strand is over, however it ends.
class OriginDone {
 public:
  explicit OriginDone(Tunnel& tunnel) : tunnel_(tunnel) {}
  ~OriginDone() {
    tunnel_.origin_done = true;
    tunnel_.changed.notify_all();
  }
  OriginDone(const OriginDone&) = delete;
  OriginDone& operator=(const OriginDone&) = delete;

 private:
  Tunnel& tunnel_;
};

net::Task<void> origin_strand(std::shared_ptr<Tunnel> tunnel) {
  OriginDone done(*tunnel);
  co_await pump(*tunnel, *tunnel->origin, *tunnel->client, tunnel->outcome.to_client,
                tunnel->context.node.metrics.tunnel_to_client);
}

}  // namespace

net::Task<TunnelOutcome> run_tunnel(WorkerContext& context, std::unique_ptr<TunnelEnd> client,
                                    std::unique_ptr<TunnelEnd> origin, Duration idle) {
  auto tunnel = std::make_shared<Tunnel>(context, std::move(client), std::move(origin), idle);
  context.loop.spawn_named("tunnel", origin_strand, tunnel);
  co_await pump(*tunnel, *tunnel->client, *tunnel->origin, tunnel->outcome.to_origin,
                context.node.metrics.tunnel_to_origin);
  while (!tunnel->origin_done) {
    auto changed = co_await tunnel->changed.wait();
    if (changed) continue;
    tunnel->cut(kStopped, true);
    break;
  }
  tunnel->client->close();
  tunnel->origin->close();
  context.node.metrics.tunnel_ended(context.index, tunnel->outcome.reason);
  co_return tunnel->outcome;
}

}  // namespace vignette::proxy
