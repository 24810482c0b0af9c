// The TLS state of one stream. OpenSSL talks to a BIO of ours: reads go straight to recv(), what it writes is
// collected and leaves in one send() of several records. What the kernel does not take stays here, in
// one heap block, and goes out before anything else. Internal to net/.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "net/stream.h"

struct ssl_st;
struct ssl_ctx_st;

namespace vignette::net {

class TlsSession final {
 public:
  // `context` gains a reference. Null when OpenSSL has no memory.
  static std::unique_ptr<TlsSession> create(Socket& socket, ssl_ctx_st* context);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  ssl_st* ssl() const { return ssl_; }
  Outcome handshake(Error& error);
  Outcome read(std::span<char> into, std::size_t& got, Error& error);
  Outcome peek(Error& error);  // done: there are bytes, or the end
  Outcome write(std::span<iovec>& parts, std::size_t& taken, Error& error);
  Outcome flush(Error& error);  // of what the kernel did not take before
  bool has_unsent() const { return unsent_at_ < unsent_size_; }
  bool has_plain_bytes() const;
  void send_close_notify();
  TlsInfo info() const;
  std::optional<PeerCertificate> peer_certificate() const;
  const std::string& reason() const { return reason_; }

 private:
  friend struct SessionBio;
  explicit TlsSession(Socket& socket) : socket_(socket) {}
  Outcome finish(int result, Error& error, const char* where);
  Outcome fail(Error& error, const char* where);
  bool push();  // sends what OpenSSL has written; false on a dead connection
  void keep(std::span<const char> bytes);

  Socket& socket_;
  ssl_st* ssl_ = nullptr;
  std::unique_ptr<char[]> unsent_;
  std::uint32_t unsent_at_ = 0;
  std::uint32_t unsent_size_ = 0;
  int sys_errno_ = 0;
  bool wire_ended_ = false;
  bool broken_ = false;
  std::string reason_;
};

}  // namespace vignette::net
