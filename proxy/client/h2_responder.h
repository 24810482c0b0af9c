// HTTP/2 framing of answers (RFC 9113 section 8.1). Loop-thread only; lives for one request.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/client/pace.h"
#include "proxy/client/responder.h"

namespace vignette::proxy {

class H2Connection;
struct H2Stream;

class H2Responder final : public Responder {
 public:
  struct Options {
    bool head_only = false;
    Pace pace;  // slower than that, by the client's own fault: Code::timeout
  };

  // Both outlive it.
  H2Responder(H2Connection& connection, H2Stream& stream, const Options& options)
      : connection_(connection), stream_(stream), options_(options), pace_(options.pace) {}

  void begin(const ResponseParts& parts) override;
  void append(Slice piece) override;
  void end() override;
  void abort() override;
  // Waits until the stream has less than kQueued left to send.
  net::Task<Result<void>> flush() override;
  bool begun() const override { return state_ != State::idle; }
  std::uint64_t answered_bytes() const override { return queued_; }
  bool wants_body() const override { return state_ == State::idle ? !options_.head_only : has_body_; }

  // Waits until everything has been handed to the connection. Errors as flush().
  net::Task<Result<void>> finish();
  bool ended() const { return state_ == State::ended; }
  bool aborted() const { return state_ == State::aborted; }

 private:
  enum class State : std::uint8_t { idle, body, ended, aborted };
  static constexpr std::size_t kQueued = 64 * 1024;

  net::Task<Result<void>> wait_while(bool (*waits)(const H2Stream&));

  H2Connection& connection_;
  H2Stream& stream_;
  Options options_;
  Pace pace_;
  State state_ = State::idle;
  bool has_body_ = false;
  bool has_length_ = false;
  std::uint64_t left_ = 0;  // has_length_: bytes still promised
  std::uint64_t queued_ = 0;
};

}  // namespace vignette::proxy
