// What the HTTP/2 connections of a worker share. Loop-thread only.
#pragma once

#include <string>
#include <unordered_set>

#include "base/free_list.h"
#include "base/log.h"
#include "proxy/client/h2_stream.h"

namespace vignette::proxy {

class H2Connection;

struct H2Share {
  H2Share(const Clock& clock, Duration complain_every) : complaints(clock, complain_every) {}

  FreeList<H2Stream> streams{256};
  std::string lines;                              // scratch: the head of an answer, valid until the next wait
  std::unordered_set<H2Connection*> connections;  // open now; a drain tells them
  RateLimited complaints;                         // about clients whose connections were refused
};

}  // namespace vignette::proxy
