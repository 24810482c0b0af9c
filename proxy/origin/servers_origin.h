// An origin of HTTP servers: balanced, retried where that is safe, over pooled connections.
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "conf/config.h"
#include "proxy/origin/balancer.h"
#include "proxy/origin/http_connection.h"
#include "proxy/origin/origin.h"
#include "proxy/origin/origin_pools.h"

namespace vignette::proxy {

struct Node;

class ServersOrigin final : public Origin {
 public:
  // Tries on other servers after the first one; never after a byte of an answer.
  static constexpr std::size_t kRetries = 2;
  // Before a server is asked once more by the same request.
  static constexpr Duration kRetryPauseMin = std::chrono::milliseconds(25);
  static constexpr Duration kRetryPauseMax = std::chrono::milliseconds(250);
  // A request that must not run twice takes only a connection used this recently.
  static constexpr Duration kFreshIdle = std::chrono::seconds(1);

  // The error names the CA file and what is wrong with it.
  static std::expected<std::unique_ptr<ServersOrigin>, std::string> create(const conf::Origin& options,
                                                                           Node& node);

  net::Task<Result<OriginResponse>> fetch(WorkerContext& context, const OriginRequest& request) override;

  // In the order of the configuration.
  const std::vector<Endpoint>& endpoints() const { return endpoints_; }
  const conf::Origin& options() const { return options_; }

 private:
  struct Fetch;
  ServersOrigin(const conf::Origin& options, Node& node, std::shared_ptr<const net::TlsClient> tls);

  net::Task<Result<void>> attempt(Fetch& fetch);
  std::optional<OriginConnection> idle_connection(Fetch& fetch);
  net::Task<Result<OriginConnection>> connect(Fetch& fetch);
  std::expected<Balancer::Choice, const char*> choose(Fetch& fetch) const;
  std::unique_ptr<Balancer> make_balancer() const;
  // Tells the server's state how the attempt went.
  void judge(Fetch& fetch, const Result<void>& outcome);
  void blame(Fetch& fetch, const Error& error);

  const conf::Origin& options_;
  OriginState& state_;
  const std::uint64_t configuration_;  // tells this object from others for the same origin
  std::vector<Endpoint> endpoints_;
  RateLimited complaints_;
};

}  // namespace vignette::proxy
