// HTTP/1.1 framing of answers (RFC 9112 §6, §7, §9.3). Loop-thread only; lives for one request.
#pragma once

#include "http/message.h"
#include "net/stream.h"
#include "proxy/client/out_queue.h"
#include "proxy/client/request_body.h"
#include "proxy/client/responder.h"

namespace vignette::proxy {

class H1Responder final : public Responder {
 public:
  struct Options {
    http::Version version = http::Version::http_1_1;
    bool head_only = false;
    bool keep_alive = true;  // what the request and we would like
  };

  H1Responder(net::Stream& stream, OutQueue& out, std::string_view http_date, const Options& options)
      : stream_(stream), out_(out), http_date_(http_date), options_(options) {}

  void begin(const ResponseParts& parts) override;
  void append(Slice piece) override;
  void end() override;
  void abort() override;
  net::Task<Result<void>> flush() override;
  bool begun() const override { return state_ != State::idle; }
  std::uint64_t answered_bytes() const override { return queued_; }
  bool wants_body() const override {
    return state_ == State::idle ? !options_.head_only : body_ != Body::none;
  }

  // "HTTP/1.1 100 Continue", before the answer proper.
  void interim_continue();
  // The request's body: an answer that begins before all of it was taken is the connection's last, since
  // what follows would be read as a request.
  void watch_body(const RequestBody& body) { request_body_ = &body; }

  bool ended() const { return state_ == State::ended; }
  bool aborted() const { return state_ == State::aborted; }
  bool keep_alive() const { return options_.keep_alive && ended(); }

 private:
  enum class State : std::uint8_t { idle, body, ended, aborted };
  enum class Body : std::uint8_t { none, length, chunked, until_close };

  void write_lines(const ResponseParts& parts);
  void choose_framing(const ResponseParts& parts);
  void queue(std::string_view text);

  net::Stream& stream_;
  OutQueue& out_;
  std::string_view http_date_;
  Options options_;
  const RequestBody* request_body_ = nullptr;
  State state_ = State::idle;
  Body body_ = Body::none;
  std::uint64_t body_left_ = 0;  // Body::length: bytes still promised
  std::uint64_t queued_ = 0;
};

}  // namespace vignette::proxy
