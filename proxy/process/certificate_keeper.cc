#include "proxy/process/certificate_keeper.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "net/offload.h"

namespace vignette::proxy {
namespace {

std::string first_name(const net::CertificateNames& certificate) {
  return certificate.names.empty() ? std::string() : certificate.names.front();
}

}  // namespace

CertificateKeeper::CertificateKeeper(Parts parts)
    : parts_(std::move(parts)), watch_(parts_.loop, "certificates", *this) {}

void CertificateKeeper::adopt(std::shared_ptr<const conf::Config> config, TlsSetupRef setup) {
  config_ = std::move(config);
  setup_ = std::move(setup);
  seen_ = setup_->files;
  publish_expiry();
  watch_.restart(config_->tls.poll);
}

// What keeps it from looking now does not the next time.
net::Task<void> CertificateKeeper::look() { co_await renew(When::changed); }

net::Task<Result<CertificateKeeper::Built>> CertificateKeeper::renew(When when) {
  const std::shared_ptr<const conf::Config> config = config_;
  const TlsFileMarks known = when == When::always ? TlsFileMarks() : seen_;
  auto built = co_await net::offload(parts_.pool, [config, known, options = parts_.options] {
    Built result{.files = mark_tls_files(*config), .setup = nullptr, .errors = {}};
    if (result.files == known) return result;
    auto setup = build_tls_setup(*config, options);
    if (setup) {
      result.setup = std::move(*setup);
    } else {
      result.errors = std::move(setup.error());
    }
    return result;
  });
  if (!built) co_return std::unexpected(built.error());
  if (config == config_) take(*built);  // else a reload has read the files since
  co_return std::move(*built);
}

void CertificateKeeper::take(const Built& built) {
  seen_ = built.files;
  for (const std::string& error : built.errors) {
    parts_.log.error("certificates: {}; going on with those in use", error);
  }
  if (!built.setup) return;
  setup_ = built.setup;
  parts_.apply(setup_);
  publish_expiry();
  parts_.log.info("certificates: read again; {} in use", setup_->certificates.size());
}

net::Task<AdminReply> CertificateKeeper::reload() {
  AdminReply reply;
  auto renewed = co_await renew(When::always);
  if (renewed && renewed->errors.empty()) {
    reply.body = list();
    co_return reply;
  }
  reply.status = renewed ? 409 : 503;
  JsonWriter json(reply.body);
  json.begin_object().key("errors").begin_array();
  if (!renewed) json.value(explain(renewed.error()));
  if (renewed) {
    for (const std::string& error : renewed->errors) json.value(std::string_view(error));
  }
  json.end_array().end_object();
  co_return reply;
}

std::string CertificateKeeper::list() const {
  std::string text;
  JsonWriter json(text);
  json.begin_object().key("certificates").begin_array();
  for (const TlsSetup::Certificate& certificate : setup_->certificates) {
    json.begin_object().field("file", std::string_view(certificate.file));
    json.key("names").begin_array();
    for (const std::string& name : certificate.covers.names) json.value(std::string_view(name));
    json.end_array().field("algorithm", std::string_view(certificate.covers.algorithm));
    json.field("not_before", certificate.covers.not_before).field("not_after", certificate.covers.not_after);
    json.end_object();
  }
  json.end_array().end_object();
  return text;
}

void CertificateKeeper::publish_expiry() {
  std::vector<Metrics::Callback> series;
  for (const TlsSetup::Certificate& certificate : setup_->certificates) {
    const std::string name = first_name(certificate.covers);
    series.push_back(parts_.metrics.callback(
        MetricType::gauge, "vignette_certificate_not_after_seconds",
        "When a certificate of this node ends, in seconds since 1970.",
        {{"file", certificate.file}, {"name", name}, {"algorithm", certificate.covers.algorithm}},
        [at = static_cast<double>(certificate.covers.not_after)] { return at; }));
  }
  expiry_ = std::move(series);
}

}  // namespace vignette::proxy
