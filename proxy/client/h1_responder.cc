#include "proxy/client/h1_responder.h"

#include <charconv>
#include <cstring>

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

// Room for what is ours in a head: status code, Date, framing and Connection lines.
constexpr std::size_t kOwnLines = 256;

void put(char*& at, std::string_view text) {
  if (text.empty()) return;
  std::memcpy(at, text.data(), text.size());
  at += text.size();
}

void put_number(char*& at, std::uint64_t number) { at = std::to_chars(at, at + 20, number).ptr; }

void put_line(char*& at, std::string_view name, std::string_view value) {
  put(at, name);
  put(at, ": ");
  put(at, value);
  put(at, "\r\n");
}

}  // namespace

void H1Responder::queue(std::string_view text) {
  out_.text(text);
  queued_ += text.size();
}

net::Task<Result<void>> H1Responder::flush() {
  auto sent = co_await out_.flush(stream_);
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

// The status line says 1.1 whatever the client speaks (RFC 9112 §2.3).
void H1Responder::write_lines(const ResponseParts& parts) {
  std::string_view phrase = http::reason_phrase(parts.status);
  std::size_t most = kOwnLines + phrase.size() + parts.extra.size();
  if (parts.fields) {
    for (const http::Field& field : *parts.fields) most += field.name.size() + field.value.size() + 4;
  }
  char* const start = out_.reserve_text(most);
  char* at = start;
  put(at, "HTTP/1.1 ");
  put_number(at, static_cast<std::uint64_t>(parts.status));
  put(at, " ");
  put(at, phrase);
  put(at, "\r\n");
  if (parts.wire.empty()) put_line(at, "Date", date_for(parts, http_date_));
  put(at, parts.extra);
  if (parts.fields) {
    for (const http::Field& field : *parts.fields) {
      if (!is_framing(field.id)) put_line(at, field.name, field.value);
    }
  }
  // 204 must not say a length (RFC 9110 §8.6); 304 may, and need not.
  if (parts.content_length && !http::never_has_body(parts.status)) {
    put(at, "Content-Length: ");
    put_number(at, *parts.content_length);
    put(at, "\r\n");
  } else if (body_ == Body::chunked) {
    put_line(at, "Transfer-Encoding", "chunked");
  }
  if (parts.status == 101) {
    put_line(at, "Connection", "Upgrade");
    put_line(at, "Upgrade", "websocket");
  } else if (!options_.keep_alive) {
    put_line(at, "Connection", "close");
  } else if (options_.version == http::Version::http_1_0) {
    put_line(at, "Connection", "keep-alive");
  }
  if (parts.wire.empty()) put(at, "\r\n");
  std::size_t size = static_cast<std::size_t>(at - start);
  VCHECK(size <= most);
  out_.commit_text(size);
  queued_ += size;
}

void H1Responder::begin(const ResponseParts& parts) {
  VCHECK(state_ == State::idle);
  state_ = State::body;
  if (request_body_ && !request_body_->complete()) options_.keep_alive = false;
  if (parts.status == 101) options_.keep_alive = false;  // what follows is a tunnel
  choose_framing(parts);
  write_lines(parts);
  if (!parts.wire.empty()) {
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
    case Body::until_close:
      out_.slice(std::move(piece));
      break;
    case Body::none:
      break;
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
