// Certificates in use, and others when their files change: the files are looked at every now and then, and
// when somebody orders it. What is new is built beside what is in use, off the loop, and takes its place at
// once, for connections from then on. Files that do not work change nothing, and are told of once.
//
// Loop-thread only, but for what says otherwise. Outlives the loop's run().
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bounded_pool.h"
#include "base/log.h"
#include "base/metrics.h"
#include "net/worker.h"
#include "proxy/admin/certificate_desk.h"
#include "proxy/process/file_watch.h"
#include "proxy/route/tls_setup.h"

namespace vignette::proxy {

class CertificateKeeper final : public CertificateDesk, private WatchedFiles {
 public:
  struct Parts {
    net::Worker& loop;
    TaskPool& pool;  // where files are read, one task at a time
    Logger& log;
    Metrics& metrics;
    TlsSetupOptions options;
    std::function<void(TlsSetupRef)> apply;  // puts a setup to use
  };

  // All that `parts` name outlives it; tasks in the pool may outlive it.
  explicit CertificateKeeper(Parts parts);
  CertificateKeeper(const CertificateKeeper&) = delete;
  CertificateKeeper& operator=(const CertificateKeeper&) = delete;

  // This configuration and its setup are in use, and its files are looked at from now on; what is being built
  // of another is dropped.
  void adopt(std::shared_ptr<const conf::Config> config, TlsSetupRef setup);

  net::Task<AdminReply> reload() override;
  std::string list() const override;

 private:
  struct Built {
    TlsFileMarks files;
    TlsSetupRef setup;                // null: there are errors, or nothing has changed
    std::vector<std::string> errors;  // one line each
  };
  enum class When : std::uint8_t { changed, always };

  net::Task<void> look() override;
  net::Task<Result<Built>> renew(When when);
  void take(const Built& built);
  void publish_expiry();

  Parts parts_;
  std::shared_ptr<const conf::Config> config_;
  TlsSetupRef setup_;
  TlsFileMarks seen_;  // when they were last read, with or without success
  std::vector<Metrics::Callback> expiry_;
  FileWatch watch_;
};

}  // namespace vignette::proxy
