// How an exchange answers, whatever the protocol of its client. The codec behind it knows framing; the
// exchange knows meaning. Loop-thread only.
//
//   begin  ->  append*  ->  end          a complete answer
//   begin  ->  append*  ->  abort        the origin failed after the head: never a clean end
//
// begin, append and end only queue. flush() sends and is the one place that waits: an exchange that
// streams calls it after each piece, so that the slowest side sets the pace.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "http/message.h"
#include "net/task.h"

namespace vignette::proxy {

// The head of an answer. Status line, framing and connection fields are the codec's, and Date where `fields`
// has none and there is no `wire`; then come `extra`, `fields` and `wire`, whichever is there. Texts are
// copied, `wire` is kept by reference.
struct ResponseParts {
  int status = 200;                         // 101: from its end on, what the client sends is the tunnel's
  std::string_view extra;                   // complete "Name: value\r\n" lines, this answer's own
  const http::FieldList* fields = nullptr;  // end-to-end fields; framing fields in it are ignored
  Slice wire;  // stored lines of a cached object, Date among them, with the blank line behind them
  // Of the body as GET would get it; nullopt: unknown, the codec chooses its framing.
  std::optional<std::uint64_t> content_length;
};

// Who made a response dates it (RFC 9110 section 6.6.1): its own Date where it has a good one, else `now`.
std::string_view date_for(const ResponseParts& parts, std::string_view now);

class Responder {
 public:
  virtual ~Responder() = default;
  virtual void begin(const ResponseParts& parts) = 0;
  // The bytes are referenced until sent. Ignored where the answer has no body (HEAD, 204, 304).
  virtual void append(Slice piece) = 0;
  virtual void end() = 0;
  // After begin(): the connection or stream is reset; what was queued may be lost.
  virtual void abort() = 0;
  // Sends what is queued. Errors: the client's (reset, closed, timeout by the send stall).
  virtual net::Task<Result<void>> flush() = 0;
  virtual bool begun() const = 0;
  // Bytes of the answer queued so far, head and framing included; not all of them need have been sent.
  virtual std::uint64_t answered_bytes() const = 0;
  // Whether append() does anything for the request at hand (false for HEAD).
  virtual bool wants_body() const = 0;
};

}  // namespace vignette::proxy
