// Asks responders what they say of the certificates that are to be stapled so (`ocsp = "fetch"`), again
// half-way to the end of each answer, and keeps what it knows when other certificates are taken up. One that
// cannot be reached is asked again after a minute, then after ever longer pauses; the last answer goes along
// until it is too old. No handshake waits for any of this.
//
// Main loop thread only.
#pragma once

#include <memory>

#include "net/worker.h"
#include "proxy/route/tls_setup.h"

namespace vignette::proxy {

struct Node;

class OcspKeeper {
 public:
  // Both outlive it. Its strand ends with it (or with the loop).
  OcspKeeper(Node& node, net::Worker& main_loop);
  ~OcspKeeper();
  OcspKeeper(const OcspKeeper&) = delete;
  OcspKeeper& operator=(const OcspKeeper&) = delete;

  // This setup is in use.
  void adopt(TlsSetupRef setup);

 private:
  struct Shared;
  static net::Task<void> strand(std::shared_ptr<Shared> shared, TlsSetupRef setup);

  net::Worker& loop_;
  std::shared_ptr<Shared> shared_;
  net::StrandRef strand_;
};

}  // namespace vignette::proxy
