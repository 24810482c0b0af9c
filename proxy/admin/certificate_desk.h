// What the admin API asks of who keeps the node's certificates. Main loop thread only.
#pragma once

#include <string>

#include "net/task.h"
#include "proxy/admin/admin_reply.h"

namespace vignette::proxy {

class CertificateDesk {
 public:
  virtual ~CertificateDesk() = default;
  // Reads all files again, changed or not. 200 with list(), or 409 with the reasons.
  virtual net::Task<AdminReply> reload() = 0;
  // JSON: each certificate's file, names, algorithm and dates.
  virtual std::string list() const = 0;
};

}  // namespace vignette::proxy
