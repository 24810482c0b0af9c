// A node with nothing but what origins need, and an origin whose every byte the test decides, both on one
// worker and so in a fixed order.
#pragma once

#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bounded_pool.h"
#include "cache/fill_table.h"
#include "cache/memory_store.h"
#include "net/listener.h"
#include "net/worker.h"
#include "proxy/node.h"
#include "proxy/origin/server_registry.h"
#include "proxy/origin/servers_origin.h"
#include "proxy/worker_context.h"

namespace vignette::proxy::test {

using namespace std::chrono_literals;

// What the origin does with one request of a connection.
struct Turn {
  std::string answer;
  bool close = false;        // after the answer
  bool before_body = false;  // answers as soon as the head is there, and reads no body
  std::size_t again_after =
      0;  // when not 0: `answer` is cut there, the rest follows a turn of the loop later
};

inline std::string ok(std::string_view body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

class ScriptedServer {
 public:
  // Each connection follows the next script; the last one is repeated. A request beyond a script closes.
  ScriptedServer(net::Worker& worker, std::vector<std::vector<Turn>> scripts,
                 std::shared_ptr<const net::TlsServer> tls = nullptr, const std::string& at = "127.0.0.1:0")
      : worker_(worker), scripts_(std::move(scripts)), tls_(std::move(tls)) {
    auto opened = net::Listener::open(*net::Address::parse(at));
    VCHECK(opened);
    listener_ = std::move(*opened);
    listener_.serve(worker_, [this](net::Stream stream) {
      ++connections;
      worker_.spawn(serve, std::ref(*this), std::move(stream), connections - 1);
    });
  }
  std::string address() const { return listener_.address().to_string(); }
  void close() { listener_.close(); }

  std::size_t connections = 0;
  std::vector<std::string> requests;         // heads, with the bodies as they were framed
  std::map<std::size_t, net::Stream*> open;  // by number of the connection, from 0

 private:
  static std::size_t body_end(const std::string& text, std::size_t head_end) {
    if (auto at = text.find("Content-Length: "); at < head_end)
      return head_end + std::stoul(text.substr(at + 16));
    if (text.find("Transfer-Encoding: chunked") < head_end) {
      auto end = text.find("0\r\n\r\n", head_end);
      return end == std::string::npos ? end : end + 5;
    }
    return head_end;
  }
  static net::Task<void> send(net::Stream& stream, const std::string& bytes) {
    iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    auto sent = co_await stream.write({&part, 1}, net::kNoDeadline);
    static_cast<void>(sent);
  }
  static net::Task<void> serve(ScriptedServer& self, net::Stream raw, std::size_t number) {
    net::Stream stream = std::move(raw);
    if (self.tls_) {
      auto secured = co_await net::tls_accept(std::move(stream), *self.tls_, net::kNoDeadline);
      if (!secured) co_return;
      stream = std::move(*secured);
    }
    self.open[number] = &stream;
    const auto& script = self.scripts_[std::min(number, self.scripts_.size() - 1)];
    std::string received;
    for (const Turn& turn : script) {
      std::size_t head = std::string::npos;
      for (;;) {
        head = received.find("\r\n\r\n");
        bool whole = head != std::string::npos;
        if (whole) head += 4;
        if (whole && (turn.before_body || body_end(received, head) <= received.size())) break;
        std::array<char, 65536> buffer;
        auto got = co_await stream.read(buffer, net::kNoDeadline);
        if (!got || *got == 0) {
          self.open.erase(number);
          co_return;
        }
        received.append(buffer.data(), *got);
      }
      std::size_t end = turn.before_body ? received.size() : body_end(received, head);
      self.requests.push_back(received.substr(0, end));
      received.erase(0, end);
      std::size_t cut = turn.again_after ? turn.again_after : turn.answer.size();
      co_await send(stream, turn.answer.substr(0, cut));
      if (cut < turn.answer.size()) {
        auto later = co_await net::sleep_for(5ms);
        if (!later) co_return;
        co_await send(stream, turn.answer.substr(cut));
      }
      if (turn.close) break;
    }
    self.open.erase(number);
  }

  net::Worker& worker_;
  std::vector<std::vector<Turn>> scripts_;
  std::shared_ptr<const net::TlsServer> tls_;
  net::Listener listener_;
};

// A request body in pieces that are there at once.
class Pieces final : public BodySource {
 public:
  explicit Pieces(std::vector<std::string> pieces) : pieces_(pieces.begin(), pieces.end()) {}
  net::Task<Result<Piece>> next(TimePoint) override {
    if (pieces_.empty()) co_return Piece{.bytes = {}, .last = true};
    ++taken;
    Piece piece{.bytes = Slice::copy(pieces_.front()), .last = pieces_.size() == 1};
    pieces_.pop_front();
    co_return piece;
  }
  int taken = 0;

 private:
  std::deque<std::string> pieces_;
};

class OriginScene {
 public:
  OriginScene()
      : log(LogLevel::debug, [this](LogLevel, std::string_view line) { lines += line; }),
        metrics(1),
        node_metrics(metrics),
        store({.budget_bytes = 16u << 20}),
        fills(store, clock),
        pool("files", 1, 4),
        registry(metrics),
        node{.clock = clock,
             .log = log,
             .metrics = node_metrics,
             .store = store,
             .fills = fills,
             .file_pool = pool,
             .purge_pool = pool,
             .servers = registry,
             .imaging = nullptr,
             .access_log = nullptr},
        context(node, worker, 0, nullptr) {
    options.name = "app";
  }

  void add_server(const std::string& address, bool backup = false) {
    conf::OriginServer added;
    added.address = *conf::parse_address(address);
    added.backup = backup;
    options.servers.push_back(added);
  }
  ServersOrigin& origin() {
    if (!origin_) {
      auto made = ServersOrigin::create(options, node);
      VCHECK(made);
      origin_ = std::move(*made);
    }
    return *origin_;
  }
  const Endpoint& endpoint(std::size_t index = 0) { return origin().endpoints()[index]; }
  ServerState& state(std::size_t index = 0) { return *endpoint(index).state; }

  // Runs one strand, then ends the loop. False when it hung.
  bool run(net::Task<void> (*body)(OriginScene&)) {
    bool hung = false;
    auto guard = worker.spawn_named("watchdog", watchdog, std::ref(worker), std::ref(hung));
    worker.spawn_named("scene", scene, std::ref(*this), body, guard);
    worker.run();
    return !hung;
  }

  SystemClock clock;
  std::string lines;
  Logger log;
  Metrics metrics;
  NodeMetrics node_metrics;
  cache::MemoryStore store;
  cache::FillTable fills;
  BoundedPool pool;
  ServerRegistry registry;
  Node node;
  net::Worker worker;
  WorkerContext context;
  conf::Origin options;
  std::unique_ptr<ScriptedServer> server;
  std::unique_ptr<ScriptedServer> other;

 private:
  static net::Task<void> watchdog(net::Worker& worker, bool& hung) {
    auto slept = co_await net::sleep_for(20s);
    if (!slept) co_return;
    hung = true;
    worker.stop();
  }
  static net::Task<void> scene(OriginScene& self, net::Task<void> (*body)(OriginScene&),
                               net::StrandRef guard) {
    co_await body(self);
    guard.cancel();
    self.worker.stop();
  }

  std::unique_ptr<ServersOrigin> origin_;
};

struct Answer {
  int status = 0;
  std::string body;
  std::optional<Error> error;  // of the head or of the body
  std::size_t pieces = 0;
  std::uint8_t attempts = 0;
  bool reused = false;
  std::string server;
  std::string fields;  // "name: value" lines
};

inline net::Task<void> take(net::Worker& worker, OriginResponse& response, Answer& answer) {
  answer.status = response.head->status;
  for (const http::Field& field : response.head->fields) {
    answer.fields += std::string(field.name) + ": " + std::string(field.value) + "\n";
  }
  while (response.body) {
    auto piece = co_await response.body->next(worker.now() + 5s);
    if (!piece) {
      answer.error = piece.error();
      co_return;
    }
    ++answer.pieces;
    answer.body += piece->bytes.view();
    if (piece->last) break;
  }
}

inline net::Task<Answer> fetch(OriginScene& scene, OriginRequest request) {
  Answer answer;
  if (request.host.empty()) request.host = "example.test";
  if (request.path.empty()) request.path = "/";
  auto response = co_await scene.origin().fetch(scene.context, request);
  if (!response) {
    answer.error = response.error();
    co_return answer;
  }
  answer.attempts = response->trace.attempts;
  answer.reused = response->trace.connection_reused;
  answer.server = response->trace.server;
  co_await take(scene.worker, *response, answer);
  co_return answer;
}

inline OriginRequest get(std::string_view path = "/") {
  OriginRequest request;
  request.path = path;
  return request;
}
inline OriginRequest post(BodySource* body, std::uint64_t length) {
  OriginRequest request;
  request.method = http::Method::post;
  request.method_name = "POST";
  request.path = "/";
  request.idempotent = false;
  request.body = body;
  request.framing = body ? http::Framing::length : http::Framing::none;
  request.content_length = length;
  return request;
}

}  // namespace vignette::proxy::test
