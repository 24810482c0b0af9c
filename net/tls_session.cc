#include "net/tls_session.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/hmac.h"
#include "net/openssl_handles.h"
#include "net/socket.h"

namespace vignette::net {
namespace {

constexpr std::size_t kRecord = 16 * 1024;
constexpr int kRecordsASend = 4;

// What OpenSSL writes during one call of this file; empty between the calls, so that all sessions of a thread
// share it.
struct Scratch {
  std::vector<char> wire;
  std::array<char, kRecord> plain;
};
Scratch& scratch() {
  static thread_local Scratch instance;
  return instance;
}

// Up to one record from the front of the parts: in place when the first part fills it, else gathered.
std::span<const char> next_record(std::span<iovec> parts) {
  const auto* first = static_cast<const char*>(parts.front().iov_base);
  if (parts.front().iov_len >= kRecord) return {first, kRecord};
  if (parts.size() == 1) return {first, parts.front().iov_len};
  std::array<char, kRecord>& plain = scratch().plain;
  std::size_t size = 0;
  for (const iovec& part : parts) {
    const std::size_t count = std::min(part.iov_len, kRecord - size);
    if (count > 0) std::memcpy(plain.data() + size, part.iov_base, count);
    size += count;
    if (size == kRecord) break;
  }
  return {plain.data(), size};
}

}  // namespace

struct SessionBio {
  static TlsSession& session(BIO* bio) { return *static_cast<TlsSession*>(BIO_get_data(bio)); }

  static int write(BIO* bio, const char* bytes, std::size_t size, std::size_t* written) {
    BIO_clear_retry_flags(bio);
    std::vector<char>& wire = scratch().wire;
    wire.insert(wire.end(), bytes, bytes + size);
    *written = size;
    return 1;
  }
  static int read(BIO* bio, char* into, std::size_t size, std::size_t* got) {
    TlsSession& self = session(bio);
    BIO_clear_retry_flags(bio);
    *got = 0;
    const Outcome outcome = self.socket_.receive({into, size}, *got, self.sys_errno_);
    if (outcome == Outcome::blocked) BIO_set_retry_read(bio);
    if (outcome == Outcome::done && *got == 0) self.wire_ended_ = true;
    return *got > 0;
  }
  static long control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_EOF) return session(bio).wire_ended_;
    return command == BIO_CTRL_FLUSH;
  }
  static BIO_METHOD* method() {
    static BIO_METHOD* const instance = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "vignette socket");
      VCHECK(made);
      BIO_meth_set_write_ex(made, write);
      BIO_meth_set_read_ex(made, read);
      BIO_meth_set_ctrl(made, control);
      return made;
    }();
    return instance;
  }
};

std::unique_ptr<TlsSession> TlsSession::create(Socket& socket, ssl_ctx_st* context) {
  std::unique_ptr<TlsSession> session(new TlsSession(socket));
  session->ssl_ = SSL_new(context);
  BIO* bio = BIO_new(SessionBio::method());
  if (!session->ssl_ || !bio) {
    BIO_free(bio);
    return nullptr;
  }
  BIO_set_data(bio, session.get());
  BIO_set_init(bio, 1);
  SSL_set_bio(session->ssl_, bio, bio);
  return session;
}

TlsSession::~TlsSession() { SSL_free(ssl_); }

Outcome TlsSession::handshake(Error& error) {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_);
  return finish(result, error, "tls handshake");
}

Outcome TlsSession::read(std::span<char> into, std::size_t& got, Error& error) {
  ERR_clear_error();
  const int result = SSL_read_ex(ssl_, into.data(), into.size(), &got);
  return finish(result, error, "tls read");
}

Outcome TlsSession::peek(Error& error) {
  ERR_clear_error();
  char byte;
  std::size_t got = 0;
  const int result = SSL_peek_ex(ssl_, &byte, 1, &got);
  return finish(result, error, "tls read");
}

bool TlsSession::has_plain_bytes() const { return SSL_pending(ssl_) > 0; }

// Common to all that may read from the wire; what OpenSSL answered meanwhile (alerts, key updates) leaves at
// once.
Outcome TlsSession::finish(int result, Error& error, const char* where) {
  const int kind = SSL_get_error(ssl_, result);
  push();  // a dead connection is met again by the next write
  if (result > 0) return Outcome::done;
  if (kind == SSL_ERROR_WANT_READ) return Outcome::blocked;
  if (kind == SSL_ERROR_ZERO_RETURN) return Outcome::done;
  return fail(error, where);
}

Outcome TlsSession::fail(Error& error, const char* where) {
  broken_ = true;
  const int sys_errno = std::exchange(sys_errno_, 0);
  if (sys_errno != 0) {
    error = socket_.error_of(sys_errno, where);
    reason_ = std::strerror(sys_errno);
    return Outcome::failed;
  }
  if (wire_ended_) {
    error = Error{Code::closed, socket_.blame, Retry::no, 0, "the peer ended without close_notify"};
    if (socket_.blame == Blame::origin) error.retry = Retry::if_reused;
    reason_ = error.where;
    return Outcome::failed;
  }
  const unsigned long code = ERR_peek_error();
  const char* why = ERR_reason_error_string(code);
  if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    why = X509_verify_cert_error_string(SSL_get_verify_result(ssl_));
  }
  char text[256];
  ERR_error_string_n(code, text, sizeof text);
  reason_ = why ? std::string(why) + " (" + text + ")" : text;
  error = Error{Code::tls, socket_.blame, Retry::no, 0, why ? why : where};
  return Outcome::failed;
}

Outcome TlsSession::write(std::span<iovec>& parts, std::size_t& taken, Error& error) {
  const Outcome flushed = flush(error);
  if (flushed != Outcome::done) return flushed;
  consume(parts, 0);
  while (!parts.empty()) {
    for (int record = 0; record < kRecordsASend && !parts.empty(); ++record) {
      const std::span<const char> bytes = next_record(parts);
      std::size_t written = 0;
      ERR_clear_error();
      if (SSL_write_ex(ssl_, bytes.data(), bytes.size(), &written) != 1) {
        push();
        return fail(error, "tls write");
      }
      taken += written;
      consume(parts, written);
    }
    if (!push()) return fail(error, "tls write");
    if (has_unsent()) return Outcome::blocked;
  }
  return Outcome::done;
}

Outcome TlsSession::flush(Error& error) {
  while (has_unsent()) {
    const iovec rest{unsent_.get() + unsent_at_, unsent_size_ - unsent_at_};
    std::size_t taken = 0;
    const Outcome outcome = socket_.send(&rest, 1, taken, sys_errno_);
    if (outcome == Outcome::failed) return fail(error, "tls write");
    if (outcome == Outcome::blocked) return outcome;
    unsent_at_ += static_cast<std::uint32_t>(taken);
    if (has_unsent()) socket_.writable = false;
  }
  unsent_.reset();
  unsent_at_ = unsent_size_ = 0;
  return Outcome::done;
}

bool TlsSession::push() {
  std::vector<char>& wire = scratch().wire;
  if (wire.empty()) return true;
  std::size_t taken = 0;
  Outcome outcome = Outcome::blocked;
  if (!has_unsent()) {
    const iovec all{wire.data(), wire.size()};
    outcome = socket_.send(&all, 1, taken, sys_errno_);
    if (outcome == Outcome::done && taken < wire.size()) socket_.writable = false;
  }
  if (outcome != Outcome::failed && taken < wire.size()) keep(std::span(wire).subspan(taken));
  wire.clear();
  return outcome != Outcome::failed;
}

void TlsSession::keep(std::span<const char> bytes) {
  const std::size_t old = unsent_size_ - unsent_at_;
  auto block = std::make_unique_for_overwrite<char[]>(old + bytes.size());
  if (old > 0) std::memcpy(block.get(), unsent_.get() + unsent_at_, old);
  std::memcpy(block.get() + old, bytes.data(), bytes.size());
  unsent_ = std::move(block);
  unsent_at_ = 0;
  unsent_size_ = static_cast<std::uint32_t>(old + bytes.size());
}

void TlsSession::send_close_notify() {
  if (broken_ || !SSL_is_init_finished(ssl_)) return;
  ERR_clear_error();
  SSL_shutdown(ssl_);
  push();
}

TlsInfo TlsSession::info() const {
  TlsInfo info;
  info.version = SSL_get_version(ssl_);
  if (const char* cipher = SSL_get_cipher_name(ssl_)) info.cipher = cipher;
  if (const char* sni = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name)) info.sni = sni;
  const unsigned char* alpn = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &alpn, &size);
  if (size > 0) info.alpn = {reinterpret_cast<const char*>(alpn), size};
  info.resumed = SSL_session_reused(ssl_);
  return info;
}

std::optional<PeerCertificate> TlsSession::peer_certificate() const {
  X509* shown = SSL_get0_peer_certificate(ssl_);
  if (!shown || SSL_get_verify_result(ssl_) != X509_V_OK || SSL_get_verify_mode(ssl_) == SSL_VERIFY_NONE) {
    return std::nullopt;
  }
  PeerCertificate peer;
  const BioPtr text(BIO_new(BIO_s_mem()));
  VCHECK(text && X509_NAME_print_ex(text.get(), X509_get_subject_name(shown), 0, XN_FLAG_RFC2253) >= 0);
  const char* bytes = nullptr;
  const long size = BIO_get_mem_data(text.get(), &bytes);
  peer.subject.assign(bytes, static_cast<std::size_t>(size));
  Sha256Digest digest{};
  unsigned digest_size = 0;
  VCHECK(X509_digest(shown, EVP_sha256(), digest.data(), &digest_size) == 1);
  peer.fingerprint = to_hex(digest);
  return peer;
}

}  // namespace vignette::net
