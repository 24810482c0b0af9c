// A scripted object store on loopback, an origin that asks it, and the signature computed once more by hand.
#pragma once

#include <array>
#include <deque>
#include <string>

#include "base/hmac.h"
#include "base/strings.h"
#include "fetch_rig.h"
#include "net/listener.h"
#include "net/tls.h"
#include "proxy/origin/s3_origin.h"

namespace vignette::proxy::test {

inline constexpr const char* kSecret = "wJalrXUtnFEMI/K7MDENG";

// What the store says to the next request, as raw bytes. Empty: it closes without a word.
struct Said {
  std::string bytes;
  bool close = false;
};

inline Said says(std::string_view status, std::string_view fields, std::string_view body) {
  return {fmt::format("HTTP/1.1 {}\r\nContent-Length: {}\r\n{}\r\n{}", status, body.size(), fields, body),
          false};
}

inline Said error(std::string_view status, std::string_view code, std::string_view message = "no") {
  return says(status, "Content-Type: application/xml\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
              fmt::format("<?xml version=\"1.0\"?><Error><Code>{}</Code><Message>{}</Message></Error>", code,
                          message));
}

class Store {
 public:
  explicit Store(net::Worker& worker, std::shared_ptr<const net::TlsServer> tls = nullptr)
      : tls_(std::move(tls)), listener_(*net::Listener::open(*net::Address::parse("127.0.0.1:0"))) {
    listener_.serve(worker, [this, &worker](net::Stream stream) {
      ++connections;
      worker.spawn_named("store", serve, std::move(stream), std::ref(*this));
    });
  }
  std::uint16_t port() const { return listener_.address().port(); }

  std::deque<Said> script;
  std::vector<std::string> heads;  // of the requests, as received
  int connections = 0;
  bool silent = false;  // reads and never answers

 private:
  static net::Task<void> serve(net::Stream stream, Store& store) {
    if (store.tls_) {
      auto secure = co_await net::tls_accept(std::move(stream), *store.tls_, net::kNoDeadline);
      if (!secure) co_return;
      stream = std::move(*secure);
    }
    std::string received;
    std::array<char, 4096> buffer;
    for (;;) {
      auto got = co_await stream.read(buffer, net::kNoDeadline);
      if (!got || *got == 0) co_return;
      received.append(buffer.data(), *got);
      if (!received.ends_with("\r\n\r\n")) continue;
      store.heads.push_back(std::exchange(received, {}));
      if (store.silent) continue;
      VCHECK(!store.script.empty());
      Said said = std::move(store.script.front());
      store.script.pop_front();
      if (said.bytes.empty()) co_return;
      iovec part{said.bytes.data(), said.bytes.size()};
      auto sent = co_await stream.write({&part, 1}, net::kNoDeadline);
      if (!sent || said.close) co_return;
    }
  }

  std::shared_ptr<const net::TlsServer> tls_;
  net::Listener listener_;
};

inline conf::Origin options_for(std::string endpoint) {
  conf::Origin options;
  options.name = "photos";
  options.kind = conf::OriginKind::s3;
  options.s3.bucket = "pics";
  options.s3.region = "eu-central-1";
  options.s3.endpoint = std::move(endpoint);
  options.s3.path_style = true;
  options.s3.access_key = "AKIDEXAMPLE";
  options.s3.secret_key = conf::Secret(kSecret);
  options.timeouts.first_byte = conf::OriginTimeouts::kS3FirstByte;
  return options;
}

struct S3Scene : FetchRig {
  explicit S3Scene(conf::Origin given = options_for("")) : store(worker), options(std::move(given)) {
    if (options.s3.endpoint.empty()) options.s3.endpoint = fmt::format("http://127.0.0.1:{}", store.port());
    auto made = make_s3_origin(options, node);
    VCHECK(made);
    origin = std::move(*made);
  }
  Fetched fetch(const Ask& ask) { return fetch_once(*origin, ask); }

  Store store;
  conf::Origin options;
  std::unique_ptr<Origin> origin;
};

inline std::string target_of(const std::string& head) {
  const std::size_t begin = head.find(' ') + 1;
  return head.substr(begin, head.find(' ', begin) - begin);
}

// The value of a field of a raw head; "<none>" when it is not there.
inline std::string field_of(const std::string& head, std::string_view name) {
  for (std::string_view line : split(head, '\n')) {
    const Halves halves = split_once(line, ':');
    if (halves.found && iequals(halves.before, name))
      return std::string(trim(halves.after.substr(0, halves.after.size() - 1)));
  }
  return "<none>";
}

// Signature Version 4 from what was received, step by step as AWS describes it. Every x-amz-* field must be
// among those that are signed; "<unsigned NAME>" when one is not.
inline std::string signature_of(const std::string& head) {
  const std::string authorization = field_of(head, "authorization");
  const std::size_t begin = authorization.find("SignedHeaders=") + 14;
  const std::string names = authorization.substr(begin, authorization.find(',', begin) - begin);
  for (std::string_view line : split(head, '\n')) {
    const std::string name = to_lower(split_once(line, ':').before);
    const bool must = name.starts_with("x-amz-") || name == "host";
    if (must && (";" + names + ";").find(";" + name + ";") == std::string::npos) {
      return "<unsigned " + name + ">";
    }
  }
  const std::string target = target_of(head);
  const Halves halves = split_once(target, '?');
  std::string canonical =
      fmt::format("{}\n{}\n{}\n", head.substr(0, head.find(' ')), halves.before, halves.after);
  for (std::string_view name : split(names, ';'))
    canonical += fmt::format("{}:{}\n", name, field_of(head, name));
  const std::string hash = field_of(head, "x-amz-content-sha256");
  canonical += "\n" + names + "\n" + hash;
  const std::string date = field_of(head, "x-amz-date");
  const std::string day = date.substr(0, 8);
  const std::string scope = day + "/eu-central-1/s3/aws4_request";
  const std::string to_sign = "AWS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" + to_hex(sha256(canonical));
  std::string key = std::string("AWS4") + kSecret;
  for (const std::string& step :
       {day, std::string("eu-central-1"), std::string("s3"), std::string("aws4_request")}) {
    const Sha256Digest digest = hmac_sha256(key, step);
    key = as_view(digest);
  }
  return fmt::format("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{}, SignedHeaders={}, Signature={}", scope,
                     names, to_hex(hmac_sha256(key, to_sign)));
}

}  // namespace vignette::proxy::test
