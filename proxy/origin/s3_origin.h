// Objects of an S3 bucket, or of a service with the same API, as an origin: signed GETs over pooled
// connections. Only reads; a client's query never reaches the store.
//
//   store answers            a fetch gives
//   200 206 304 412 416      the same, with the fields that belong to the object
//   404, AccessDenied        404 (a store that may not be listed says AccessDenied for what is not there)
//   503, 429, SlowDown       Code::unavailable
//   5xx                      Code::reset, so that a stale copy is served
//   our keys, clock, bucket  Code::denied, and a line for the operator
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "conf/config.h"
#include "proxy/origin/credentials.h"
#include "proxy/origin/http_connection.h"
#include "proxy/origin/origin.h"
#include "proxy/origin/origin_pools.h"
#include "proxy/origin/s3_error.h"

namespace vignette::proxy {

struct Node;

// Where a bucket is asked.
struct S3Target {
  bool tls = true;
  conf::Address server;
  std::string host;    // the Host field: with the port unless it is the scheme's own
  std::string prefix;  // of every path: "/bucket" in path style, else ""
};
// The region's own endpoint when none is configured. A bucket that no host name can carry (an endpoint that
// is an IP address; over TLS a name with a dot, which no wildcard certificate covers) is put in the path.
std::expected<S3Target, std::string> s3_target(const conf::S3Options& options);

// The decoded path of the object that a percent-encoded URL path asks for, `prefix` before it. nullopt when
// no object can have that name: "/", more than 1024 bytes, not UTF-8, a NUL, a segment "." or "..".
std::optional<std::string> s3_object_path(std::string_view prefix, std::string_view url_path);

class S3Origin final : public Origin {
 public:
  static constexpr Duration kLogInterval = std::chrono::seconds(60);  // for lines of one sort

  // The error is a sentence for the operator. `ca_file` replaces the system's store; for tests.
  static std::expected<std::unique_ptr<S3Origin>, std::string> create(const conf::Origin& options, Node& node,
                                                                      const std::string& ca_file = {});

  // GET and HEAD; other methods: 405. Errors with Blame::origin: see above, and those of transact() and
  // OriginPools::connect(). A failed connect and a pooled connection that turns out dead are tried once more.
  net::Task<Result<OriginResponse>> fetch(WorkerContext& context, const OriginRequest& request) override;

  const Endpoint& endpoint() const { return endpoint_; }

 private:
  struct Attempt {
    bool fresh = false;  // on a new connection only
    bool connected = false;
    TransactProgress progress;
    std::string reason;  // of a TLS failure
  };

  S3Origin(const conf::Origin& options, Node& node, S3Target target,
           std::shared_ptr<const net::TlsClient> tls);

  net::Task<Result<void>> ask(WorkerContext& context, const OriginRequest& request, OriginResponse& response);
  net::Task<Result<void>> try_once(WorkerContext& context, const OriginRequest& request,
                                   OriginResponse& response, Attempt& attempt);
  net::Task<Result<OriginResponse>> refused(WorkerContext& context, OriginResponse response,
                                            std::string_view path);
  void log_verdict(WorkerContext& context, const S3Verdict& verdict, int status, std::string_view path);
  void log_failure(WorkerContext& context, const Error& error, std::string_view reason);

  const S3Target target_;
  const Credentials credentials_;
  const std::string region_;
  const conf::OriginTimeouts timeouts_;
  OriginState& state_;
  const Endpoint endpoint_;
  RateLimited misconfigured_;
  RateLimited denied_;
  RateLimited failed_;
};

std::expected<std::unique_ptr<Origin>, std::string> make_s3_origin(const conf::Origin& options, Node& node);

}  // namespace vignette::proxy
