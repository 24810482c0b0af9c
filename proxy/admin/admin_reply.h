// What an order to the admin API is answered.
#pragma once

#include <string>

namespace vignette::proxy {

struct AdminReply {
  int status = 200;
  std::string body;  // JSON
};

}  // namespace vignette::proxy
