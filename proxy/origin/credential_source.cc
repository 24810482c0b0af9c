#include "proxy/origin/credential_source.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/strings.h"
#include "conf/service_url.h"
#include "net/offload.h"
#include "proxy/origin/http_connection.h"
#include "proxy/origin/origin_pools.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

constexpr std::string_view kTokenPath = "/latest/api/token";
constexpr std::string_view kTokenLife = "21600";  // seconds; the longest there is
constexpr std::string_view kRolePath = "/latest/meta-data/iam/security-credentials/";
constexpr std::size_t kMaxTokenFileBytes = 16 * 1024;

using Failure = std::unexpected<std::string>;

struct ServiceAnswer {
  int status = 0;
  std::string body;
};

struct Question {
  http::Method method = http::Method::get;
  std::string_view target;  // path and query
  std::string_view field;   // a further field's lower case name; empty: none
  std::string_view value;
};

// One service and the way to it.
class Service {
 public:
  Service(const conf::ServiceUrl& url, const std::string& origin, Node& node,
          std::shared_ptr<const net::TlsClient> tls)
      : host_(url.host),
        endpoint_(node.servers.server(fmt::format("{} (credentials)", origin), url.address.to_string()),
                  url.address, std::move(tls), url.address.host, Duration::zero()) {}

  net::Task<Result<ServiceAnswer>> ask(WorkerContext& context, const Question& question) const;

 private:
  const std::string host_;
  const Endpoint endpoint_;
};

net::Task<Result<ServiceAnswer>> Service::ask(WorkerContext& context, const Question& question) const {
  auto connection =
      co_await context.pools.connect(endpoint_, context.loop.now() + CredentialSource::kConnect);
  if (!connection) co_return std::unexpected(connection.error());
  http::FieldList fields;
  fields.add(http::FieldId::accept, "application/json");
  fields.add(http::FieldId::user_agent, "vignette");
  if (!question.field.empty()) fields.add(question.field, question.value);
  OriginRequest request;
  request.method = question.method;
  request.method_name = http::to_string(question.method);
  const Halves target = split_once(question.target, '?');
  request.path = target.before;
  request.query = target.after;
  request.has_query = target.found;
  request.host = host_;
  request.fields = &fields;
  OriginResponse response;
  TransactProgress progress;
  auto done =
      co_await transact(std::move(*connection), request,
                        {.first_byte = CredentialSource::kFirstByte, .reusable = false}, response, progress);
  if (!done) co_return std::unexpected(done.error());
  ServiceAnswer answer{.status = response.head->status, .body = {}};
  while (response.body) {
    auto piece = co_await response.body->next(context.loop.now() + CredentialSource::kFirstByte);
    if (!piece) co_return std::unexpected(piece.error());
    answer.body += piece->bytes.view();
    if (answer.body.size() > CredentialSource::kMaxAnswerBytes) {
      co_return fail(Code::limit, Blame::origin, "credentials: the answer is too long");
    }
    if (piece->last) break;
  }
  co_return answer;
}

bool is_cancelled(const Result<ServiceAnswer>& answer) {
  return !answer && answer.error().code == Code::cancelled;
}

// Why there is no 200; "" when there is.
std::string trouble(const Result<ServiceAnswer>& answer) {
  if (!answer) return fmt::format("{} ({})", explain(answer.error()), answer.error().where);
  return answer->status == 200 ? std::string() : fmt::format("it answered {}", answer->status);
}

std::expected<std::string, std::string> read_token(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"), &std::fclose);
  if (!file) return Failure(fmt::format("the token file {} cannot be read", path));
  std::string text(kMaxTokenFileBytes + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  if (text.empty() || text.size() > kMaxTokenFileBytes || !http::is_field_value(text)) {
    return Failure(fmt::format("the token file {} holds no token", path));
  }
  return text;
}

class ContainerSource final : public CredentialSource {
 public:
  ContainerSource(const conf::S3Options& options, const conf::ServiceUrl& url, const std::string& origin,
                  Node& node, std::shared_ptr<const net::TlsClient> tls)
      : name_(fmt::format("the container's endpoint {}{}", url.host, split_once(url.target, '?').before)),
        target_(url.target),
        token_file_(options.container_token_file),
        token_(options.container_token),
        service_(url, origin, node, std::move(tls)) {}

  std::string_view name() const override { return name_; }

  net::Task<std::expected<Credentials, std::string>> ask(WorkerContext& context) override {
    std::string token(token_.reveal());
    if (!token_file_.empty()) {
      auto read = co_await net::offload(
          context.node.file_pool, [path = token_file_] { return read_token(path); },
          context.loop.now() + kFirstByte);
      if (!read) {
        if (read.error().code == Code::cancelled) co_return Failure("");
        co_return Failure(fmt::format("the token file {} cannot be read now", token_file_));
      }
      if (!*read) co_return Failure(std::move(read->error()));
      token = std::move(**read);
    }
    Question question{.method = http::Method::get, .target = target_, .field = {}, .value = token};
    if (!token.empty()) question.field = "authorization";
    auto answer = co_await service_.ask(context, question);
    if (is_cancelled(answer)) co_return Failure("");
    if (const std::string wrong = trouble(answer); !wrong.empty()) co_return Failure(wrong);
    co_return parse_credentials_json(answer->body);
  }

 private:
  const std::string name_;
  const std::string target_;
  const std::string token_file_;
  const conf::Secret token_;
  const Service service_;
};

bool is_role(std::string_view name) {
  return !name.empty() && name.size() <= 256 &&
         std::ranges::all_of(name, [](char c) { return kUnreserved.with("+=,@").contains(c); });
}

class InstanceSource final : public CredentialSource {
 public:
  InstanceSource(const conf::ServiceUrl& url, const std::string& origin, Node& node)
      : name_(fmt::format("the metadata service at {}", url.host)), service_(url, origin, node, nullptr) {}

  std::string_view name() const override { return name_; }

  net::Task<std::expected<Credentials, std::string>> ask(WorkerContext& context) override {
    auto token = co_await service_.ask(context, {.method = http::Method::put,
                                                 .target = kTokenPath,
                                                 .field = "x-aws-ec2-metadata-token-ttl-seconds",
                                                 .value = kTokenLife});
    if (is_cancelled(token)) co_return Failure("");
    if (const std::string wrong = trouble(token); !wrong.empty()) co_return Failure(no_token(token, wrong));
    if (token->body.empty() || !http::is_field_value(token->body)) {
      co_return Failure("its session token is none");
    }
    auto roles = co_await get(context, kRolePath, token->body);
    if (is_cancelled(roles)) co_return Failure("");
    if (roles && roles->status == 404) co_return Failure("no IAM role is attached to this instance");
    if (const std::string wrong = trouble(roles); !wrong.empty()) co_return Failure(wrong);
    const std::string role(trim(split_once(roles->body, '\n').before));
    if (!is_role(role)) co_return Failure("it names no role");
    const std::string path = fmt::format("{}{}", kRolePath, percent_encode(role));
    auto answer = co_await get(context, path, token->body);
    if (is_cancelled(answer)) co_return Failure("");
    if (const std::string wrong = trouble(answer); !wrong.empty()) co_return Failure(wrong);
    co_return parse_credentials_json(answer->body);
  }

 private:
  net::Task<Result<ServiceAnswer>> get(WorkerContext& context, std::string_view path,
                                       std::string_view token) const {
    auto answer = co_await service_.ask(
        context,
        {.method = http::Method::get, .target = path, .field = "x-aws-ec2-metadata-token", .value = token});
    co_return answer;
  }

  static std::string no_token(const Result<ServiceAnswer>& answer, const std::string& wrong) {
    if (!answer && answer.error().code == Code::timeout) {
      return fmt::format(
          "no session token came ({}); in a container the instance's hop limit (HttpPutResponseHopLimit) "
          "must "
          "be at least 2",
          wrong);
    }
    if (answer && answer->status == 403) return "it is switched off for this instance (it answered 403)";
    return fmt::format("no session token came: {}", wrong);
  }

  const std::string name_;
  const Service service_;
};

}  // namespace

std::expected<std::unique_ptr<CredentialSource>, std::string> make_credential_source(
    const conf::S3Options& options, const std::string& origin, Node& node) {
  const bool container = options.credentials == conf::S3Credentials::container;
  const std::string& text = container ? options.container_url : options.metadata_endpoint;
  const auto url = conf::parse_service_url(text);
  if (!url || (url->tls && !container)) {
    return Failure(fmt::format("\"{}\" is nothing to ask for credentials", text));
  }
  if (!container) return std::make_unique<InstanceSource>(*url, origin, node);
  std::shared_ptr<const net::TlsClient> tls;
  if (url->tls) {
    auto client = net::TlsClient::create({.verify = true});
    if (!client) return Failure(client.error());
    tls = std::move(*client);
  }
  return std::make_unique<ContainerSource>(options, *url, origin, node, std::move(tls));
}

}  // namespace vignette::proxy
