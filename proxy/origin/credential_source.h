// Asking a service for credentials that expire: the endpoint of a container, or EC2's metadata service.
//
//   container   one GET; a token goes along when the platform gave one (read from its file each time, as it
//               is exchanged now and then)
//   instance    version 2 of the metadata service only: a PUT for a session token, then the role's name, then
//               its credentials. Its answers do not cross more hops than the instance allows (1 unless it
//               was raised), so that in a container the PUT may go unanswered; the older version, which any
//               request that a server can be talked into would reach, is never asked.
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "conf/config.h"
#include "net/task.h"
#include "proxy/origin/credentials.h"

namespace vignette::proxy {

struct Node;
struct WorkerContext;

// Immutable after construction; asked by one strand at a time.
class CredentialSource {
 public:
  static constexpr std::size_t kMaxAnswerBytes = 64 * 1024;
  // Both bound one request, of which an answer takes up to three.
  static constexpr Duration kConnect = std::chrono::seconds(1);
  static constexpr Duration kFirstByte = std::chrono::seconds(2);

  virtual ~CredentialSource() = default;
  // The error is a sentence for the operator's log; it never holds a secret. Empty: the strand was cancelled.
  virtual net::Task<std::expected<Credentials, std::string>> ask(WorkerContext& context) = 0;
  // "the container's endpoint http://…"; valid as long as the source.
  virtual std::string_view name() const = 0;
};

// For options whose credentials are `container` or `instance`. `origin` names it in the registry of servers.
// Main thread only; the error is a sentence for the operator.
std::expected<std::unique_ptr<CredentialSource>, std::string> make_credential_source(
    const conf::S3Options& options, const std::string& origin, Node& node);

// A service's JSON: AccessKeyId, SecretAccessKey, Token and Expiration, and when it is there Code, which must
// be "Success". The error says what is missing and never holds a value.
std::expected<Credentials, std::string> parse_credentials_json(std::string_view body);

// "2026-11-22T15:00:00Z" (ISO 8601; fractions of a second are cut). nullopt when malformed or impossible.
std::optional<WallTime> parse_utc(std::string_view text);

}  // namespace vignette::proxy
