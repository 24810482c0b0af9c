// What is known of an object store at run time, for all workers, and survives a reload. Thread-safe.
#pragma once

#include <expected>
#include <memory>
#include <mutex>
#include <string>

#include "base/metrics.h"
#include "conf/config.h"
#include "proxy/origin/credential_provider.h"
#include "proxy/origin/s3_backoff.h"
#include "proxy/origin/s3_clock.h"
#include "proxy/origin/sigv4.h"

namespace vignette::proxy {

struct Node;

class S3State {
 public:
  S3State(std::string origin, Metrics& metrics);

  S3Backoff backoff;
  S3Clock clock;
  SigningKeys keys;
  Counter& retries;     // of requests that the store refused for the moment
  Counter& held_back;   // requests that were not sent because of it
  Counter& mismatches;  // objects whose bytes were not what the store says of them

  // Who gives credentials that expire: the one in use while the options that name it stay the same. May
  // block: not on a loop. The error is a sentence for the operator.
  std::expected<std::shared_ptr<CredentialProvider>, std::string> provider(const conf::S3Options& options,
                                                                           Node& node);

 private:
  const std::string origin_;
  Metrics::Callback skew_;
  std::mutex mutex_;  // guards what follows
  std::shared_ptr<CredentialProvider> provider_;
  std::string provider_is_;  // the options it was made for
};

}  // namespace vignette::proxy
