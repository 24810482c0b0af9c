// The admin API: metrics and state of the node as HTTP/1.1 on an address of its own, by the main loop.
// Closed to the world by default; reading only. One request a connection. Main loop thread only.
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

namespace vignette::proxy {

class AdminServer {
 public:
  static constexpr std::size_t kMaxConnections = 64;  // more are closed at once

  // Each gives a whole document; called on the main loop's thread.
  struct Sources {
    std::function<std::string()> metrics;  // Prometheus text
    std::function<std::string()> status;   // JSON, like the rest
    std::function<std::string()> origins;
    std::function<std::string()> strands;
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
  static Answer answer(const State& state, const http::RequestHead& request);

  net::Worker& loop_;
  net::Address address_;
  net::Listener listener_;
  std::shared_ptr<State> state_;  // outlives us in connections still open; they then answer 503
};

}  // namespace vignette::proxy
