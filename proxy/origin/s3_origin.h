// Objects of an S3 bucket, or of a service with the same API, as an origin: signed GETs over pooled
// connections. Only reads; of a client's query nothing but a version reaches the store.
//
//   store answers            a fetch gives
//   200 206 304 412 416      the same, with the fields that belong to the object
//   404, AccessDenied        404 (a store that may not be listed says AccessDenied for what is not there)
//   503, 429, SlowDown       tried again twice, then Code::unavailable, and a pause for all (s3_backoff.h)
//   other 5xx                tried again twice, then Code::reset, so that a stale copy is served
//   RequestTimeTooSkewed     signed once more with the store's time (s3_clock.h)
//   expired credentials      asked for again when they come from a service (credential_provider.h)
//   our keys, clock, bucket  Code::denied, and a line for the operator
//
// Bytes that are not what the store says of them end the body with an error (s3_checksum.h).
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"
#include "conf/config.h"
#include "proxy/origin/credentials.h"
#include "proxy/origin/http_connection.h"
#include "proxy/origin/origin.h"
#include "proxy/origin/origin_pools.h"
#include "proxy/origin/s3_checksum.h"
#include "proxy/origin/s3_error.h"
#include "proxy/origin/s3_request.h"
#include "proxy/origin/s3_state.h"
#include "proxy/origin/s3_target.h"

namespace vignette::proxy {

struct Node;

// Without a body: for what is not worth asking the store.
OriginResponse own_s3_answer(int status);

class S3Origin final : public Origin {
 public:
  static constexpr Duration kLogInterval = std::chrono::seconds(60);     // for lines of one sort
  static constexpr Duration kCredentialsWait = std::chrono::seconds(5);  // for those of a service

  // The error is a sentence for the operator. `ca_file` replaces the system's store; for tests.
  static std::expected<std::unique_ptr<S3Origin>, std::string> create(const conf::Origin& options, Node& node,
                                                                      const std::string& ca_file = {});

  // GET and HEAD; other methods: 405. Conditions and Range go to the store as they are. Errors with
  // Blame::origin: see above, unavailable also while no credentials are to be had, and those of transact()
  // and OriginPools::connect(). A failed connect and a pooled connection that turns out dead are tried once
  // more.
  net::Task<Result<OriginResponse>> fetch(WorkerContext& context, const OriginRequest& request) override;

  std::string_view object_query(std::string_view query) const override {
    return s3_version_pair(query, version_query_);
  }

  const Endpoint& endpoint() const { return endpoint_; }

 private:
  // What has been tried for one fetch.
  struct Course {
    OriginTrace trace;
    TimePoint started{};
    unsigned retries = 0;
    bool is_probe = false;  // the store has to show that it is well: no retries
    bool clock_corrected = false;
    bool keys_renewed = false;
    CredentialsRef keys;
  };
  struct Attempt {
    bool fresh = false;  // on a new connection only
    bool connected = false;
    TransactProgress progress;
    std::string reason;  // of a TLS failure
  };
  // A refusal, and what came with it.
  struct Refused {
    S3Verdict verdict;
    int status = 0;
    std::optional<std::chrono::seconds> retry_after;
    std::optional<WallTime> date;
  };

  S3Origin(const conf::Origin& options, Node& node, S3Target target,
           std::shared_ptr<const net::TlsClient> tls, CredentialsRef keys,
           std::shared_ptr<CredentialProvider> provider);

  net::Task<Result<OriginResponse>> pursue(WorkerContext& context, const S3Ask& ask, Course& course);
  net::Task<Result<CredentialsRef>> credentials(WorkerContext& context);
  net::Task<Result<void>> ask_store(WorkerContext& context, const S3Ask& ask, Course& course,
                                    OriginResponse& response);
  net::Task<Result<void>> ask_twice(WorkerContext& context, const OriginRequest& request,
                                    OriginResponse& response);
  net::Task<Result<void>> try_once(WorkerContext& context, const OriginRequest& request,
                                   OriginResponse& response, Attempt& attempt);
  Result<OriginResponse> accept(WorkerContext& context, const S3Ask& ask, OriginResponse response);
  net::Task<Refused> read_refusal(WorkerContext& context, OriginResponse& response);
  net::Task<Result<bool>> try_again(WorkerContext& context, const Refused& refused, Course& course);
  Result<OriginResponse> give_up(WorkerContext& context, const S3Ask& ask, const Refused& refused,
                                 const Course& course);

  bool correct_clock(WorkerContext& context, const Refused& refused);
  void watch_clock(WorkerContext& context, const http::FieldList& fields);
  void log_verdict(WorkerContext& context, const Refused& refused, std::string_view path);
  void log_failure(WorkerContext& context, const Error& error, std::string_view reason);
  void log_mismatch(WorkerContext& context, const S3Mismatch& mismatch, std::string_view path);

  OriginState& state_;
  S3State& store_;
  const S3RequestWriter writer_;
  const std::string version_query_;
  const conf::S3Checksums checksums_;
  const conf::OriginTimeouts timeouts_;
  const CredentialsRef keys_;                           // null: `provider_` has them
  const std::shared_ptr<CredentialProvider> provider_;  // null: they do not change
  const Endpoint endpoint_;
  RateLimited misconfigured_;
  RateLimited denied_;
  RateLimited failed_;
  RateLimited skewed_;
  RateLimited mismatched_;
};

std::expected<std::unique_ptr<Origin>, std::string> make_s3_origin(const conf::Origin& options, Node& node);

}  // namespace vignette::proxy
