#include "proxy/origin/s3_state.h"

#include <fmt/core.h>

#include <utility>

#include "base/hmac.h"
#include "proxy/node.h"

namespace vignette::proxy {
namespace {

// Tells two sets of options apart. The token itself is not kept.
std::string identity(const conf::S3Options& options) {
  return fmt::format("{} {} {} {} {}", static_cast<int>(options.credentials), options.metadata_endpoint,
                     options.container_url, options.container_token_file,
                     to_hex(sha256(options.container_token.reveal())));
}

}  // namespace

S3State::S3State(std::string origin, Metrics& metrics)
    : retries(metrics.counter("vignette_s3_retries_total",
                              "Requests that an object store refused for the moment and got once more.",
                              {{"origin", origin}})),
      held_back(metrics.counter("vignette_s3_held_back_total",
                                "Requests not sent to an object store because it had asked for less.",
                                {{"origin", origin}})),
      mismatches(metrics.counter("vignette_s3_checksum_mismatches_total",
                                 "Objects whose bytes were not what the store says of them; not stored.",
                                 {{"origin", origin}})),
      origin_(std::move(origin)),
      skew_(metrics.callback(MetricType::gauge, "vignette_s3_clock_correction_seconds",
                             "What is added to this host's clock to sign requests; 0 while it is right.",
                             {{"origin", origin_}},
                             [this] { return static_cast<double>(clock.offset().count()); })) {}

std::expected<std::shared_ptr<CredentialProvider>, std::string> S3State::provider(
    const conf::S3Options& options, Node& node) {
  const std::string wanted = identity(options);
  std::lock_guard lock(mutex_);
  if (provider_ && provider_is_ == wanted) return provider_;
  auto source = make_credential_source(options, origin_, node);
  if (!source) return std::unexpected(std::move(source.error()));
  provider_ = std::make_shared<CredentialProvider>(std::move(*source), origin_, node.log, node.clock,
                                                   node.metrics.registry);
  provider_is_ = wanted;
  return provider_;
}

}  // namespace vignette::proxy
