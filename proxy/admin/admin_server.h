// The admin API: metrics and state of the node as HTTP/1.1 on an address of its own, by the main loop.
// Closed to the world by default. One request a connection. Main loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "http/message.h"
#include "net/listener.h"
#include "net/worker.h"
#include "proxy/admin/certificate_desk.h"
#include "proxy/admin/warm_desk.h"
#include "proxy/node.h"
#include "proxy/route/snapshot.h"

namespace vignette::proxy {

class AdminServer {
 public:
  static constexpr std::size_t kMaxConnections = 64;   // more are closed at once
  static constexpr std::size_t kMaxBody = 256 * 1024;  // of an order; more is answered 413

  // Each gives a whole document; called on the main loop's thread.
  struct Sources {
    std::function<std::string()> metrics;  // Prometheus text
    std::function<std::string()> status;   // JSON, like the rest
    std::function<std::string()> origins;
    std::function<std::string()> strands;
    Node* node = nullptr;                   // null: there is neither /v1/purge nor /v1/explain
    std::function<SnapshotRef()> snapshot;  // with it
    std::function<std::string()> what_if;
    std::function<std::optional<std::string>(std::string_view query)> top;  // nullopt: not a question for it
    WarmDesk* warm = nullptr;  // with snapshot; null: there is neither /v1/warm nor /v1/document
    std::function<CertificateDesk*()> certificates;  // null: there is neither /v1/certificates nor its order
    std::function<std::string(std::size_t limit)> hot;  // /v1/hot, with node; thread-safe, takes its time
  };

  AdminServer(net::Worker& loop, Sources sources);
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  Result<void> open(const net::Address& address);
  const net::Address& address() const { return address_; }  // with the real port

  // What every strand of a loop waits for. On that loop's thread.
  static std::string strands_json(const net::Worker& loop);

 private:
  struct Answer {
    int status = 200;
    std::string_view type = "application/json";
    std::string body;
  };
  struct State;
  class Place;

  static net::Task<void> serve(Place place, net::Stream stream);
  static bool is_order(const State& state, std::string_view path);
  static bool is_list(const State& state, const http::RequestHead& request);
  static net::Task<AdminReply> carry_out(const State& state, std::string_view path, std::string body);
  static net::Task<Answer> list_hot(const State& state, const http::RequestHead& request);
  static net::Task<Answer> explain_url(const State& state, const http::RequestHead& request);
  static Answer answer(const State& state, const http::RequestHead& request);
  static std::optional<Answer> check_source(const State& state, const http::RequestHead& request);
  static net::Task<Answer> take_order(const State& state, net::Stream& stream, http::RequestHead& request,
                                      std::string body, TimePoint deadline);

  net::Worker& loop_;
  net::Address address_;
  net::Listener listener_;
  std::shared_ptr<State> state_;  // outlives us in connections still open; they then answer 503
};

}  // namespace vignette::proxy
