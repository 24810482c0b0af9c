#include "proxy/client/h1_responder.h"

#include <fmt/format.h>

#include "base/check.h"
#include "http/chunked.h"
#include "http/status.h"

namespace vignette::proxy {
namespace {

bool is_framing(http::FieldId id) {
  using http::FieldId;
  return id == FieldId::content_length || id == FieldId::transfer_encoding || id == FieldId::connection ||
         id == FieldId::date;
}

}  // namespace

void H1Responder::queue(std::string_view text) {
  out_.text(text);
  queued_ += text.size();
}

net::Task<Result<void>> H1Responder::flush() {
  auto sent = co_await out_.flush(stream_, options_.send_stall);
  co_return sent;
}

void H1Responder::interim_continue() {
  DCHECK(state_ == State::idle);
  queue("HTTP/1.1 100 Continue\r\n\r\n");
}

void H1Responder::choose_framing(const ResponseParts& parts) {
  if (options_.head_only || http::never_has_body(parts.status)) {
    body_ = Body::none;
  } else if (parts.content_length) {
    body_ = Body::length;
    body_left_ = *parts.content_length;
  } else if (options_.version == http::Version::http_1_0) {
    body_ = Body::until_close;
    options_.keep_alive = false;
  } else {
    body_ = Body::chunked;
  }
}

void H1Responder::write_lines(const ResponseParts& parts) {
  // The status line says 1.1 whatever the client speaks (RFC 9112 §2.3).
  char line[64];
  auto status = fmt::format_to_n(line, sizeof line, "HTTP/1.1 {} {}\r\nDate: ", parts.status,
                                 http::reason_phrase(parts.status));
  queue({line, std::min(status.size, sizeof line)});
  queue(http_date_);
  queue("\r\n");
  queue(parts.extra);
  if (parts.fields) {
    for (const http::Field& field : *parts.fields) {
      if (is_framing(field.id)) continue;
      queue(field.name);
      queue(": ");
      queue(field.value);
      queue("\r\n");
    }
  }
  // 204 must not say a length (RFC 9110 §8.6); 304 may, and need not.
  if (parts.content_length && !http::never_has_body(parts.status)) {
    auto length = fmt::format_to_n(line, sizeof line, "Content-Length: {}\r\n", *parts.content_length);
    queue({line, length.size});
  } else if (body_ == Body::chunked) {
    queue("Transfer-Encoding: chunked\r\n");
  }
  if (!options_.keep_alive) {
    queue("Connection: close\r\n");
  } else if (options_.version == http::Version::http_1_0) {
    queue("Connection: keep-alive\r\n");
  }
}

void H1Responder::begin(const ResponseParts& parts) {
  VCHECK(state_ == State::idle);
  state_ = State::body;
  if (request_body_ && !request_body_->complete()) options_.keep_alive = false;
  choose_framing(parts);
  write_lines(parts);
  if (parts.wire.empty()) {
    queue("\r\n");
  } else {
    queued_ += parts.wire.size();
    out_.slice(parts.wire);
  }
}

void H1Responder::append(Slice piece) {
  VCHECK(state_ == State::body);
  if (body_ == Body::none || piece.empty()) return;
  queued_ += piece.size();
  switch (body_) {
    case Body::length:
      VCHECK(piece.size() <= body_left_);  // more would be read as the next answer
      body_left_ -= piece.size();
      out_.slice(std::move(piece));
      break;
    case Body::chunked: {
      char header[http::kChunkHeaderBytes];
      queue({header, http::write_chunk_header(piece.size(), header)});
      out_.slice(std::move(piece));
      queue(http::kChunkEnd);
      break;
    }
    case Body::until_close: out_.slice(std::move(piece)); break;
    case Body::none: break;
  }
}

void H1Responder::end() {
  VCHECK(state_ == State::body);
  if (body_ == Body::length && body_left_ > 0) return abort();
  if (body_ == Body::chunked) queue(http::kLastChunk);
  state_ = State::ended;
}

void H1Responder::abort() {
  state_ = State::aborted;
  options_.keep_alive = false;
}

}  // namespace vignette::proxy
