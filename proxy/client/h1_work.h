// What a connection needs only while a request is in progress. Idle connections hold none: it comes from and
// goes back to the worker's free list, warm, so that a hit allocates nothing.
#pragma once

#include <optional>
#include <span>

#include "base/bytes.h"
#include "http/message.h"
#include "http/parser.h"
#include "proxy/client/exchange.h"
#include "proxy/client/h1_body.h"
#include "proxy/client/h1_responder.h"
#include "proxy/client/out_queue.h"

namespace vignette::proxy {

struct H1Work {
  static constexpr std::size_t kInputBytes = 8 * 1024;  // grows to what the limits allow for long heads

  BlockRef input;
  std::size_t begin = 0;  // of bytes not yet parsed
  std::size_t end = 0;
  http::RequestParser parser;
  http::RequestHead head;
  OutQueue out;
  ExchangeScratch scratch;
  // Of the request in progress, in order of construction.
  std::optional<H1Responder> responder;
  std::optional<H1Body> body;
  std::optional<Exchange> exchange;

  std::span<char> unparsed() { return {input->data() + begin, end - begin}; }
  // Ends the request in progress.
  void clear_request() {
    exchange.reset();
    body.reset();
    responder.reset();
    scratch.clear();
  }
};

}  // namespace vignette::proxy
