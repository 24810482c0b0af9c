// TLS as requests use it: for each listener what its configuration, and the files named there, ask for. Built
// off the loops; replaced as a whole by a reload, or by its own when files have changed. A connection keeps
// what it began with. Immutable after construction.
#pragma once

#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_mark.h"
#include "conf/config.h"
#include "net/key_files.h"
#include "net/ocsp.h"
#include "net/ticket_keys.h"
#include "net/tls.h"

namespace vignette::proxy {

// Every file that the TLS of a configuration is made of.
using TlsFileMarks = std::map<std::string, FileMark>;
// May block.
TlsFileMarks mark_tls_files(const conf::Config& config);

struct TlsSetup {
  struct Front {
    conf::Address address;
    // One a worker: OpenSSL's counters in a context are shared cache lines.
    std::vector<std::shared_ptr<const net::TlsServer>> servers;
  };
  std::vector<Front> listeners;             // those with TLS
  std::vector<net::TicketKey> ticket_keys;  // empty: random ones
  Duration ticket_rotation{};
  struct Certificate {
    std::string file;
    net::CertificateNames covers;
  };
  std::vector<Certificate> certificates;  // as in the configuration; none without a listener with TLS
  struct Stapled {
    std::string chain_file;
    std::shared_ptr<net::Staple> staple;
    std::optional<net::OcspRequest> request;  // whom to ask for it; nothing: it is of a file
  };
  std::vector<Stapled> staples;
  std::vector<std::string> warnings;  // one line each: what does not keep the setup from being used
  TlsFileMarks files;                 // before they were read

  // Null: the listener has no TLS in this configuration.
  std::shared_ptr<const net::TlsServer> find(const conf::Address& listener, unsigned worker) const;
};

struct TlsSetupOptions {
  unsigned workers = 1;
  net::TicketKeys* tickets = nullptr;  // kept over reloads, so that sessions resume; null: each has its own
  net::KeyFiles* keys = nullptr;       // reads private keys; null: each is read afresh
};

using TlsSetupRef = std::shared_ptr<const TlsSetup>;

// Has the tickets encrypted with the keys of this setup from now on.
void apply_ticket_keys(const TlsSetup& setup, net::TicketKeys& tickets);

// Reads files, so it may block: never on a loop. Each error is one line for the operator.
std::expected<TlsSetupRef, std::vector<std::string>> build_tls_setup(const conf::Config& config,
                                                                     const TlsSetupOptions& options);

// What is wrong with a file of a ticket key.
std::optional<std::string> check_ticket_key(const std::string& path, net::KeyFiles* keys);

// What is wrong with the TLS of one listener; nothing when it works.
std::optional<std::string> check_listener_tls(const conf::Config& config, const conf::Listener& listener,
                                              net::KeyFiles* keys);

}  // namespace vignette::proxy
