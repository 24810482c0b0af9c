#include "net/tls.h"

#include <catch2/catch.hpp>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "loop.h"
#include "net/connect.h"
#include "net/listener.h"

using namespace vignette;
using namespace vignette::net;
using namespace vignette::net::test;

namespace {

class Directory {
 public:
  Directory() { VCHECK(::mkdtemp(path_)); }
  ~Directory() {
    for (const std::string& file : files_) ::unlink(file.c_str());
    ::rmdir(path_);
  }
  std::string file(const std::string& name) {
    files_.push_back(std::string(path_) + "/" + name);
    return files_.back();
  }

 private:
  char path_[32] = "/tmp/vignette-tls-XXXXXX";
  std::vector<std::string> files_;
};

TlsCertificate certificate(Directory& directory, const std::string& label, std::vector<std::string> hosts) {
  TlsCertificate files{directory.file(label + ".pem"), directory.file(label + ".key")};
  const auto made = make_self_signed(hosts, files.chain_file, files.key_file);
  VCHECK(made);
  return files;
}

// Signs a certificate again with its own key, as if it had ended an hour ago.
void expire(const TlsCertificate& files) {
  std::FILE* file = std::fopen(files.chain_file.c_str(), "r");
  X509* x = PEM_read_X509(file, nullptr, nullptr, nullptr);
  std::fclose(file);
  file = std::fopen(files.key_file.c_str(), "r");
  EVP_PKEY* key = PEM_read_PrivateKey(file, nullptr, nullptr, nullptr);
  std::fclose(file);
  X509_gmtime_adj(X509_getm_notBefore(x), -7200);
  X509_gmtime_adj(X509_getm_notAfter(x), -3600);
  VCHECK(X509_sign(x, key, EVP_sha256()) > 0);
  file = std::fopen(files.chain_file.c_str(), "w");
  PEM_write_X509(file, x);
  std::fclose(file);
  X509_free(x);
  EVP_PKEY_free(key);
}

// Gives the certificate an RSA key instead of its own.
TlsCertificate make_rsa(const TlsCertificate& files) {
  std::FILE* file = std::fopen(files.chain_file.c_str(), "r");
  X509* x = PEM_read_X509(file, nullptr, nullptr, nullptr);
  std::fclose(file);
  EVP_PKEY* key = EVP_RSA_gen(2048);
  VCHECK(X509_set_pubkey(x, key) == 1 && X509_sign(x, key, EVP_sha256()) > 0);
  file = std::fopen(files.chain_file.c_str(), "w");
  PEM_write_X509(file, x);
  std::fclose(file);
  file = std::fopen(files.key_file.c_str(), "w");
  PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
  X509_free(x);
  EVP_PKEY_free(key);
  return files;
}

struct Seen {
  std::optional<Error> client_error;
  std::optional<Error> server_error;
  std::string reason;
  std::string sni;
  std::string alpn;
  std::string version;
  std::size_t echoed = 0;
};

Task<> serve_tls(Stream raw, std::shared_ptr<const TlsServer> tls, Seen& seen) {
  auto stream = co_await tls_accept(std::move(raw), *tls, kNoDeadline);
  if (!stream) {
    seen.server_error = stream.error();
    co_return;
  }
  seen.sni = stream->tls_info().sni;
  seen.alpn = stream->tls_info().alpn;
  std::vector<char> buffer(65536);
  while (true) {
    auto got = co_await stream->read(buffer, kNoDeadline);
    if (!got || *got == 0) co_return;
    iovec parts[2] = {{buffer.data(), *got / 3}, {buffer.data() + *got / 3, *got - *got / 3}};
    auto sent = co_await stream->write(parts, kNoDeadline);
    if (!sent) co_return;
  }
}

Task<> send_all(Stream& stream, std::size_t size) {
  const std::string text(size, 't');
  iovec parts[3] = {
      {const_cast<char*>(text.data()), 10}, {nullptr, 0}, {const_cast<char*>(text.data()) + 10, size - 10}};
  auto sent = co_await stream.write(parts, kNoDeadline);
  VCHECK(sent);
  stream.shutdown_write();
}

Task<> ask_tls(Stream raw, std::shared_ptr<const TlsClient> tls, std::string name, std::size_t size,
               Seen& seen) {
  Worker& here = co_await this_worker();
  auto stream = co_await tls_connect(std::move(raw), *tls, name, soon(here), &seen.reason);
  if (!stream) {
    seen.client_error = stream.error();
    co_return;
  }
  seen.version = stream->tls_info().version;
  auto shared = std::make_shared<Stream>(std::move(*stream));
  here.spawn([](std::shared_ptr<Stream> via, std::size_t count) -> Task<> { co_await send_all(*via, count); },
             shared, size);
  std::vector<char> buffer(10'000);
  while (true) {
    auto got = co_await shared->read(buffer, soon(here));
    VCHECK(got);
    if (*got == 0) break;
    seen.echoed += *got;
  }
}

Seen converse(const TlsServerOptions& server, const TlsClientOptions& client, const std::string& name,
              std::size_t size = 100) {
  Seen seen;
  Worker worker;
  const auto server_tls = TlsServer::create(server);
  const auto client_tls = TlsClient::create(client);
  VCHECK(server_tls && client_tls);
  auto [left, right] = stream_pair(worker);
  worker.spawn(serve_tls, std::move(left), *server_tls, std::ref(seen));
  worker.spawn(ask_tls, std::move(right), *client_tls, name, size, std::ref(seen));
  VCHECK(run_to_end(worker));
  return seen;
}

}  // namespace

TEST_CASE("Bytes of every amount go through TLS and the end is orderly") {
  Directory directory;
  const TlsCertificate files = certificate(directory, "a", {"a.example"});
  for (const std::size_t size : {std::size_t{11}, std::size_t{16'384}, std::size_t{3'000'000}}) {
    const Seen seen = converse({.certificates = {files}}, {.ca_file = files.chain_file}, "a.example", size);
    CHECK_FALSE(seen.client_error);
    CHECK(seen.echoed == size);
    CHECK(seen.version == "TLSv1.3");
    CHECK(seen.sni == "a.example");
  }
}

TEST_CASE("A wrong name, an expired and an unknown certificate are refused, with the reason in words") {
  Directory directory;
  const TlsCertificate good = certificate(directory, "good", {"good.example", "127.0.0.1"});
  const TlsCertificate other = certificate(directory, "other", {"other.example"});
  const TlsCertificate old = certificate(directory, "old", {"old.example"});
  expire(old);
  const auto reason = [](const TlsCertificate& served, const TlsCertificate& trusted, const char* name) {
    const Seen seen = converse({.certificates = {served}}, {.ca_file = trusted.chain_file}, name);
    if (!seen.client_error) return std::string("accepted");
    CHECK(seen.client_error->code == Code::tls);
    CHECK(seen.client_error->blame == Blame::origin);
    CHECK(seen.server_error);
    CHECK_FALSE(seen.reason.empty());
    return std::string(seen.client_error->where);
  };
  CHECK(reason(good, good, "good.example") == "accepted");
  CHECK(reason(good, good, "127.0.0.1") == "accepted");
  CHECK(reason(good, good, "bad.example") == "hostname mismatch");
  CHECK(reason(good, good, "127.0.0.2") == "IP address mismatch");
  CHECK(reason(old, old, "old.example") == "certificate has expired");
  CHECK(reason(good, other, "good.example") == "self-signed certificate");
  const Seen unverified = converse({.certificates = {old}}, {.verify = false}, "whatever.example");
  CHECK_FALSE(unverified.client_error);
}

TEST_CASE("The certificate follows the name the client asks for") {
  Directory directory;
  const TlsCertificate first = certificate(directory, "first", {"first.example"});
  const TlsCertificate second = certificate(directory, "second", {"second.example", "*.wild.example"});
  const TlsServerOptions options{.certificates = {first, second}};
  const auto server = TlsServer::create(options);
  REQUIRE(server);
  const auto chosen = [&](const char* name) { return (*server)->choose(name).front(); };
  CHECK(chosen("first.example") == 0);
  CHECK(chosen("SECOND.example") == 1);
  CHECK(chosen("second.example.") == 1);
  CHECK(chosen("a.wild.example") == 1);
  CHECK(chosen("a.b.wild.example") == 0);
  CHECK(chosen("wild.example") == 0);
  CHECK(chosen("nobody.example") == 0);
  CHECK_FALSE(converse(options, {.ca_file = second.chain_file}, "x.wild.example").client_error);
  CHECK_FALSE(converse(options, {.ca_file = first.chain_file}, "first.example").client_error);
  CHECK(converse(options, {.ca_file = second.chain_file}, "first.example").client_error);
}

TEST_CASE(
    "A name has a certificate of each algorithm, exact before wildcard, the first of the file before the "
    "next") {
  Directory directory;
  const TlsCertificate ecdsa = certificate(directory, "ecdsa", {"a.example", "b.example"});
  const TlsCertificate rsa = make_rsa(certificate(directory, "rsa", {"a.example"}));
  const TlsCertificate second_ecdsa =
      certificate(directory, "second", {"a.example", "*.example", "only.second"});
  const TlsCertificate wild_rsa = make_rsa(certificate(directory, "wild", {"*.example", "a.example"}));
  TlsServerOptions options{.certificates = {ecdsa, rsa, second_ecdsa, wild_rsa}};
  const auto chosen = [&](const char* name) {
    const auto server = TlsServer::create(options);
    VCHECK(server);
    const auto indices = (*server)->choose(name);
    return std::vector(indices.begin(), indices.end());
  };
  using Indices = std::vector<std::size_t>;
  CHECK(chosen("a.example") == Indices{0, 1});
  CHECK(chosen("b.example") == Indices{0, 3});  // the wildcard has the RSA that no exact name has
  CHECK(chosen("c.example") == Indices{2, 3});
  CHECK(chosen("only.second") == Indices{2});
  CHECK(chosen("unknown") == Indices{0, 1});
  options.default_name = "C.example";
  CHECK(chosen("unknown") == Indices{2, 3});
  CHECK(chosen("a.example") == Indices{0, 1});
  options.default_name = "nobody.covers";
  const auto refused = TlsServer::create(options);
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == "no certificate covers \"nobody.covers\", the default");
}

TEST_CASE("The protocol is the server's first that the client offers, and none is no error") {
  Directory directory;
  const TlsCertificate files = certificate(directory, "a", {"a.example"});
  const TlsServerOptions server{.certificates = {files}, .alpn = {"h2", "http/1.1"}};
  const auto agreed = [&](std::vector<std::string> offered) {
    const Seen seen = converse(server, {.ca_file = files.chain_file, .alpn = offered}, "a.example");
    CHECK_FALSE(seen.client_error);
    return seen.alpn;
  };
  CHECK(agreed({"http/1.1", "h2"}) == "h2");
  CHECK(agreed({"http/1.1"}) == "http/1.1");
  CHECK(agreed({"other"}).empty());
  CHECK(agreed({}).empty());
}

TEST_CASE("Noise instead of a handshake is a TLS error, and silence a timeout") {
  Directory directory;
  const auto server = TlsServer::create({.certificates = {certificate(directory, "a", {"a.example"})}});
  REQUIRE(server);
  for (const bool noise : {true, false}) {
    Worker worker;
    auto [left, right] = stream_pair(worker);
    std::optional<Error> error;
    worker.spawn(
        [](Stream raw, std::shared_ptr<const TlsServer> tls, std::optional<Error>& out) -> Task<> {
          Worker& here = co_await this_worker();
          auto stream = co_await tls_accept(std::move(raw), *tls, here.now() + 50ms);
          VCHECK(!stream);
          out = stream.error();
        },
        std::move(left), *server, std::ref(error));
    worker.spawn(
        [](Stream client, bool talks) -> Task<> {
          std::string text = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
          iovec part = part_of(text);
          if (talks) {
            auto sent = co_await client.write({&part, 1}, kNoDeadline);
            VCHECK(sent);
          }
          auto slept = co_await sleep_for(80ms);
          (void)slept;
        },
        std::move(right), noise);
    REQUIRE(run_to_end(worker));
    REQUIRE(error);
    CHECK(error->code == (noise ? Code::tls : Code::timeout));
    CHECK(error->blame == Blame::client);
  }
}

TEST_CASE("A TLS stream that is cut without close_notify is not an orderly end") {
  Directory directory;
  const TlsCertificate files = certificate(directory, "a", {"a.example"});
  const auto server = TlsServer::create({.certificates = {files}});
  const auto client = TlsClient::create({.ca_file = files.chain_file});
  Worker worker;
  auto [left, right] = stream_pair(worker);
  std::optional<Error> error;
  worker.spawn(
      [](Stream raw, std::shared_ptr<const TlsServer> tls) -> Task<> {
        auto stream = co_await tls_accept(std::move(raw), *tls, kNoDeadline);
        VCHECK(stream);
        ::shutdown(stream->descriptor(), SHUT_WR);
        auto slept = co_await sleep_for(30ms);
        VCHECK(slept);
      },
      std::move(left), *server);
  worker.spawn(
      [](Stream raw, std::shared_ptr<const TlsClient> tls, std::optional<Error>& out) -> Task<> {
        auto stream = co_await tls_connect(std::move(raw), *tls, "a.example", kNoDeadline);
        VCHECK(stream);
        char byte;
        auto got = co_await stream->read({&byte, 1}, kNoDeadline);
        VCHECK(!got);
        out = got.error();
      },
      std::move(right), *client, std::ref(error));
  REQUIRE(run_to_end(worker));
  REQUIRE(error);
  CHECK(error->code == Code::closed);
}

namespace {

// Fills the connection, ends it, and waits for room while the end is still queued behind what was sent.
Task<> end_a_full_stream(Stream raw, std::shared_ptr<const TlsServer> tls) {
  auto stream = co_await tls_accept(std::move(raw), *tls, kNoDeadline);
  VCHECK(stream);
  const std::string text(65536, 't');
  for (std::size_t taken = 1; taken > 0;) {
    iovec part = part_of(text);
    auto sent = stream->try_write({&part, 1});
    VCHECK(sent);
    taken = *sent;
  }
  stream->shutdown_write();
  auto room = co_await stream->wait_writable(kNoDeadline);
  VCHECK(room);
  char byte;
  auto closed = co_await stream->read({&byte, 1}, kNoDeadline);  // by the other side, having seen the end
  (void)closed;
}

// Whether the connection itself ends, not only what TLS says.
Task<> await_both_ends(Stream raw, std::shared_ptr<const TlsClient> tls, bool& tls_ended, bool& wire_ended) {
  Worker& here = co_await this_worker();
  auto stream = co_await tls_connect(std::move(raw), *tls, "a.example", kNoDeadline);
  VCHECK(stream);
  std::vector<char> buffer(65536);
  while (!tls_ended) {
    auto got = co_await stream->read(buffer, kNoDeadline);
    VCHECK(got);
    tls_ended = *got == 0;
  }
  for (const TimePoint deadline = soon(here); !wire_ended && here.now() < deadline;) {
    wire_ended = ::recv(stream->descriptor(), buffer.data(), 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    auto turn = co_await sleep_for(1ms);
    VCHECK(turn);
  }
}

}  // namespace

TEST_CASE("The end of a TLS stream goes out behind what was queued, also when a write waits for room") {
  Directory directory;
  const TlsCertificate files = certificate(directory, "a", {"a.example"});
  const auto server = TlsServer::create({.certificates = {files}});
  const auto client = TlsClient::create({.ca_file = files.chain_file});
  Worker worker;
  auto [left, right] = stream_pair(worker);
  bool tls_ended = false;
  bool wire_ended = false;
  worker.spawn(end_a_full_stream, std::move(left), *server);
  worker.spawn(await_both_ends, std::move(right), *client, std::ref(tls_ended), std::ref(wire_ended));
  REQUIRE(run_to_end(worker));
  CHECK(tls_ended);
  CHECK(wire_ended);
}

TEST_CASE("A session ticket that arrives on an idle TLS connection leaves it clean") {
  Directory directory;
  const TlsCertificate files = certificate(directory, "a", {"a.example"});
  const auto server = TlsServer::create({.certificates = {files}});
  const auto client = TlsClient::create({.ca_file = files.chain_file});
  Worker worker;
  auto [left, right] = stream_pair(worker);
  std::vector<IdleState> states;
  worker.spawn(
      [](Stream raw, std::shared_ptr<const TlsServer> tls) -> Task<> {
        auto stream = co_await tls_accept(std::move(raw), *tls, kNoDeadline);
        VCHECK(stream);
        auto first = co_await sleep_for(60ms);
        std::string text = "x";
        iovec part = part_of(text);
        auto sent = co_await stream->write({&part, 1}, kNoDeadline);
        VCHECK(first && sent);
        auto second = co_await sleep_for(60ms);
        VCHECK(second);
      },
      std::move(left), *server);
  worker.spawn(
      [](Stream raw, std::shared_ptr<const TlsClient> tls, std::vector<IdleState>& out) -> Task<> {
        auto stream = co_await tls_connect(std::move(raw), *tls, "a.example", kNoDeadline);
        VCHECK(stream);
        auto first = co_await sleep_for(30ms);
        out.push_back(stream->idle_state());
        auto readable = co_await stream->wait_readable(kNoDeadline);  // not the ticket: the byte
        out.push_back(stream->idle_state());
        char byte;
        auto got = co_await stream->read({&byte, 1}, kNoDeadline);
        VCHECK(first && readable && got && byte == 'x');
        auto end = co_await stream->wait_readable(kNoDeadline);
        VCHECK(end);
        out.push_back(stream->idle_state());
      },
      std::move(right), *client, std::ref(states));
  REQUIRE(run_to_end(worker));
  CHECK(states == std::vector{IdleState::clean, IdleState::dirty, IdleState::closed});
}

TEST_CASE("A made certificate names its hosts, and its key is for the owner alone") {
  Directory directory;
  const TlsCertificate files = certificate(directory, "q", {"LocalHost", "*.q.example", "127.0.0.1", "::1"});
  struct stat info;
  REQUIRE(::stat(files.key_file.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  const auto names = certificate_names(files.chain_file);
  REQUIRE(names);
  CHECK(names->names == std::vector<std::string>{"localhost", "*.q.example", "127.0.0.1", "::1"});
  CHECK(names->not_after - names->not_before >= 364 * 86'400);
  const std::vector<std::string> evil = {"x,URI:http://y"};
  CHECK_FALSE(make_self_signed(evil, files.chain_file, files.key_file));
}

TEST_CASE("Broken certificate files are errors that name the file") {
  Directory directory;
  const TlsCertificate a = certificate(directory, "a", {"a.example"});
  const TlsCertificate b = certificate(directory, "b", {"b.example"});
  const auto error = [](const TlsCertificate& files) {
    const auto made = TlsServer::create({.certificates = {files}});
    return made ? std::string() : made.error();
  };
  CHECK(error({"/nonexistent.pem", a.key_file}).find("/nonexistent.pem") != std::string::npos);
  CHECK(error({a.chain_file, b.key_file}).find("key values mismatch") != std::string::npos);
  CHECK(error({a.key_file, a.key_file}).find(a.key_file) != std::string::npos);
  CHECK_FALSE(TlsServer::create({}));
  CHECK_FALSE(TlsClient::create({.ca_file = "/nonexistent.pem"}));
}
