// One request of an HTTP/2 connection: what the session keeps of it, the exchange, and how the two are told
// of each other. From the worker's free list, warm, so that a hit allocates little. Loop-thread only.
#pragma once

#include <cstdint>
#include <optional>

#include "base/slice_queue.h"
#include "http/h2/session.h"
#include "net/signal.h"
#include "net/strand.h"
#include "proxy/client/exchange.h"
#include "proxy/client/h2_body.h"
#include "proxy/client/h2_responder.h"

namespace vignette::proxy {

struct H2Stream : http::H2Stream {
  // Ready for another request.
  void clear();

  std::size_t place = 0;    // in the connection's list
  SliceQueue in;            // of the request's body: came, and not yet taken by the exchange
  net::Signal changed;      // bytes came or went, or the stream is closed
  std::uint64_t taken = 0;  // bytes of the answer's body that the session has taken
  bool closed = false;      // the session knows it no more
  bool running = false;     // a strand is at its exchange
  bool waits = false;       // that strand is to wait for the answer
  http::H2Error error = http::H2Error::no_error;  // with closed
  net::StrandRef strand;
  ExchangeScratch scratch;
  // Of the request, in order of construction.
  std::optional<H2Responder> responder;
  std::optional<H2Body> body;
  std::optional<Exchange> exchange;
};

}  // namespace vignette::proxy
