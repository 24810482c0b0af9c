// The body of a client's request, with the limit that only its route knows.
#pragma once

#include "proxy/origin/origin.h"

namespace vignette::proxy {

class RequestBody : public BodySource {
 public:
  // Past it next() fails with Code::limit. To be set before the first next().
  virtual void set_max_bytes(std::uint64_t bytes) = 0;
  // Everything has been taken, and what follows on the connection is the next request's.
  virtual bool complete() const = 0;
  // Body bytes taken so far.
  virtual std::uint64_t bytes() const = 0;
};

}  // namespace vignette::proxy
