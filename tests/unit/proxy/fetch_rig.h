// A node's worth of parts around one worker on the test's thread, and a fetch from an origin as a value.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bounded_pool.h"
#include "base/log.h"
#include "base/metrics.h"
#include "cache/fill_table.h"
#include "cache/memory_store.h"
#include "proxy/node.h"
#include "proxy/origin/origin.h"
#include "proxy/origin/server_registry.h"
#include "proxy/route/snapshot.h"
#include "proxy/worker_context.h"

namespace vignette::proxy::test {

using namespace std::chrono_literals;
using Pairs = std::vector<std::pair<std::string, std::string>>;

struct Ask {
  std::string path = "/";
  std::string method = "GET";
  Pairs fields = {};
  std::string query = {};
};

struct Fetched {
  std::optional<Error> error;       // of the head
  std::optional<Error> body_error;  // of the body
  int status = 0;
  Pairs fields;
  std::string body;
  std::vector<std::size_t> pieces;  // sizes
  bool has_body = false;
  std::optional<std::uint64_t> content_length;
  OriginTrace trace;

  std::string field(std::string_view name) const {
    for (const auto& [key, value] : fields) {
      if (key == name) return value;
    }
    return "<none>";
  }
};

inline net::Task<void> take_body(WorkerContext& context, OriginResponse response, Fetched& out) {
  while (response.body) {
    auto piece = co_await response.body->next(context.loop.now() + 10s);
    if (!piece) {
      out.body_error = piece.error();
      co_return;
    }
    out.pieces.push_back(piece->bytes.size());
    out.body += piece->bytes.view();
    if (piece->last) co_return;
  }
}

inline void take_head(const OriginResponse& response, Fetched& out) {
  out.status = response.head->status;
  for (const http::Field& field : response.head->fields) out.fields.emplace_back(field.name, field.value);
  out.has_body = response.body != nullptr;
  out.content_length = response.content_length;
  out.trace = response.trace;
}

inline net::Task<void> fetch(WorkerContext& context, Origin& origin, const Ask& ask, Fetched& out) {
  http::FieldList fields;
  for (const auto& [name, value] : ask.fields) fields.add(name, value);
  OriginRequest request;
  request.method = http::method_from(ask.method);
  request.method_name = ask.method;
  request.path = ask.path;
  request.query = ask.query;
  request.has_query = !ask.query.empty();
  request.host = "client.example";
  request.fields = &fields;
  auto response = co_await origin.fetch(context, request);
  if (!response) {
    out.error = response.error();
    co_return;
  }
  take_head(*response, out);
  co_await take_body(context, std::move(*response), out);
}

class FetchRig {
 public:
  FetchRig() : context(node, worker, 0, snapshot) {}
  // Streams and strands go before the worker: one run a rig.
  ~FetchRig() { context.pools.close_idle(); }

  // Runs `scene(context, state)` as a strand until it has ended. False when it hangs.
  template <typename State>
  bool run(net::Task<void> (*scene)(FetchRig&, State&), State& state) {
    worker.spawn_named("watchdog", watchdog, std::ref(*this));
    worker.spawn_named("scene", stage<State>, std::ref(*this), scene, std::ref(state));
    worker.run();
    return !hung_;
  }

  // One fetch from start to end.
  Fetched fetch_once(Origin& origin, const Ask& ask) { return fetch_all(origin, {ask}).front(); }
  // One after the other.
  std::vector<Fetched> fetch_all(Origin& origin, std::vector<Ask> asks) {
    Asked asked{origin, std::move(asks), {}};
    asked.answers.resize(asked.asks.size());
    const bool ended = run(ask_all, asked);
    if (!ended) asked.answers.assign(asked.asks.size(), Fetched{});
    return asked.answers;
  }

  // How many lines of the log hold `text`.
  std::size_t logged(std::string_view text) const {
    std::size_t count = 0;
    for (const std::string& line : lines) count += line.find(text) != std::string::npos;
    return count;
  }

  SystemClock clock;
  std::vector<std::string> lines;
  Logger log{LogLevel::debug, [this](LogLevel, std::string_view line) { lines.emplace_back(line); }};
  Metrics registry{1};
  NodeMetrics metrics{registry};
  cache::MemoryStore store{cache::MemoryStoreOptions{}};
  cache::FillTable fills{store, clock};
  BoundedPool files{"files", 2, 64};
  ServerRegistry servers{registry};
  Node node{clock, log, metrics, store, fills, files, files, servers, nullptr, nullptr};
  std::shared_ptr<Snapshot> snapshot = std::make_shared<Snapshot>();
  net::Worker worker;
  WorkerContext context;

 private:
  struct Asked {
    Origin& origin;
    std::vector<Ask> asks;
    std::vector<Fetched> answers;
  };
  static net::Task<void> ask_all(FetchRig& rig, Asked& asked) {
    for (std::size_t i = 0; i < asked.asks.size(); ++i) {
      co_await fetch(rig.context, asked.origin, asked.asks[i], asked.answers[i]);
    }
  }
  static net::Task<void> watchdog(FetchRig& rig) {
    auto slept = co_await net::sleep_for(20s);
    if (!slept) co_return;
    rig.hung_ = true;
    rig.worker.stop();
  }
  template <typename State>
  static net::Task<void> stage(FetchRig& rig, net::Task<void> (*scene)(FetchRig&, State&), State& state) {
    co_await scene(rig, state);
    rig.context.pools.close_idle();
    rig.worker.stop();
  }
  bool hung_ = false;
};

}  // namespace vignette::proxy::test
