#include "proxy/origin/s3_origin.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/strings.h"
#include "proxy/origin/sigv4.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

using http::FieldId;

constexpr std::size_t kMaxKeyBytes = 1024;  // S3's own limit

// Of a request: what decides between the object, a part of it and "not modified".
constexpr std::array kConditions = {
    FieldId::if_match, FieldId::if_none_match, FieldId::if_modified_since, FieldId::if_unmodified_since,
    FieldId::range,    FieldId::if_range};
// Of an answer: what belongs to the object. The rest is the store's own (x-amz-*, Server), or ours
// to say (Accept-Ranges).
constexpr std::array kObjectFields = {FieldId::cache_control,
                                      FieldId::content_encoding,
                                      FieldId::content_disposition,
                                      FieldId::content_language,
                                      FieldId::content_range,
                                      FieldId::content_type,
                                      FieldId::date,
                                      FieldId::etag,
                                      FieldId::expires,
                                      FieldId::last_modified};

OriginResponse own_answer(int status) {
  OriginResponse response;
  response.head->status = status;
  response.content_length = 0;
  if (status == 405) response.head->fields.add(FieldId::allow, "GET, HEAD");
  return response;
}

bool is_refused_condition(int status) { return status == 412 || status == 416; }

bool passes(int status) {
  return status == 200 || status == 206 || status == 304 || is_refused_condition(status);
}

void keep_object_fields(http::FieldList& fields) {
  fields.remove_if([](const http::Field& field) {
    return std::ranges::find(kObjectFields, field.id) == kObjectFields.end();
  });
}

// The object as it came; a refused condition without the store's XML.
void clean(OriginResponse& response, bool head_only) {
  keep_object_fields(response.head->fields);
  if (is_refused_condition(response.head->status)) {
    response.head->fields.remove(FieldId::content_type);
    response.body.reset();
    response.content_length = 0;
  } else if (head_only && response.head->has_content_length) {
    response.content_length = response.head->content_length;
  }
}

http::FieldList fields_to_send(const http::FieldList* asked, const SigV4Headers& signature) {
  http::FieldList fields;
  for (FieldId id : kConditions) {
    const http::Field* field = asked ? asked->find(id) : nullptr;
    if (field) fields.add(*field);
  }
  fields.add("x-amz-content-sha256", signature.x_amz_content_sha256);
  fields.add("x-amz-date", signature.x_amz_date);
  if (!signature.x_amz_security_token.empty()) {
    fields.add("x-amz-security-token", signature.x_amz_security_token);
  }
  fields.add(FieldId::authorization, signature.authorization);
  return fields;
}

// What came of it up to the deadline or the limit: half an error is as good as none, then the status decides.
net::Task<std::string> read_error(BodySource* body, TimePoint deadline) {
  std::string text;
  while (body && text.size() <= kMaxS3ErrorBytes) {
    auto piece = co_await body->next(deadline);
    if (!piece) break;
    text += piece->bytes.view();
    if (piece->last) break;
  }
  co_return text;
}

bool may_ask_again(const Error& error, const OriginTrace& trace, bool connected, bool answered) {
  if (error.blame != Blame::origin) return false;
  switch (error.code) {
    case Code::refused:
    case Code::timeout:
    case Code::dns:
      return !connected;
    case Code::closed:
    case Code::reset:
      return !connected || (trace.connection_reused && !answered);
    default:
      return false;
  }
}

Error error_for(S3Failure failure) {
  switch (failure) {
    case S3Failure::throttled:
      return {Code::unavailable, Blame::origin, Retry::yes, 0, "s3: throttled"};
    case S3Failure::credentials:
      return {Code::denied, Blame::origin, Retry::no, 0, "s3: credentials"};
    case S3Failure::clock_skew:
      return {Code::denied, Blame::origin, Retry::no, 0, "s3: clock skew"};
    case S3Failure::misplaced:
      return {Code::denied, Blame::origin, Retry::no, 0, "s3: no such bucket here"};
    case S3Failure::invalid:
      return {Code::unsupported, Blame::origin, Retry::no, 0, "s3: request refused"};
    case S3Failure::missing:
    case S3Failure::denied:
    case S3Failure::failed:
      break;
  }
  return {Code::reset, Blame::origin, Retry::yes, 0, "s3: the store failed"};
}

struct EndpointUrl {
  bool tls = true;
  conf::Address address;
};

std::optional<EndpointUrl> parse_endpoint(std::string_view url) {
  EndpointUrl endpoint;
  endpoint.tls = url.starts_with("https://");
  if (!endpoint.tls && !url.starts_with("http://")) return std::nullopt;
  url.remove_prefix(endpoint.tls ? 8 : 7);
  auto address = conf::parse_address(url);
  if (!address) address = conf::parse_address(fmt::format("{}:{}", url, endpoint.tls ? 443 : 80));
  if (!address || address->kind != conf::Address::Kind::tcp) return std::nullopt;
  endpoint.address = std::move(*address);
  return endpoint;
}

std::string region_endpoint(const std::string& region) {
  return fmt::format("https://s3.{}.amazonaws.com{}", region, region.starts_with("cn-") ? ".cn" : "");
}

std::string host_field(const EndpointUrl& endpoint) {
  const conf::Address& address = endpoint.address;
  const bool v6 = address.host.find(':') != std::string::npos;
  std::string host = v6 ? fmt::format("[{}]", address.host) : address.host;
  if (address.port != (endpoint.tls ? 443 : 80)) host += fmt::format(":{}", address.port);
  return host;
}

}  // namespace

std::expected<S3Target, std::string> s3_target(const conf::S3Options& options) {
  const std::string url = options.endpoint.empty() ? region_endpoint(options.region) : options.endpoint;
  auto endpoint = parse_endpoint(url);
  if (!endpoint) return std::unexpected(fmt::format("\"{}\" is no endpoint of an object store", url));
  const bool needs_path =
      endpoint->address.is_ip || (endpoint->tls && options.bucket.find('.') != std::string::npos);
  S3Target target;
  if (options.path_style || needs_path) {
    target.prefix = "/" + options.bucket;
  } else {
    endpoint->address.host = fmt::format("{}.{}", to_lower(options.bucket), endpoint->address.host);
  }
  target.tls = endpoint->tls;
  target.host = host_field(*endpoint);
  target.server = std::move(endpoint->address);
  return target;
}

std::optional<std::string> s3_object_path(std::string_view prefix, std::string_view url_path) {
  auto key = percent_decode(url_path);
  if (!key || key->size() < 2 || key->front() != '/' || key->size() - 1 > kMaxKeyBytes) return std::nullopt;
  if (key->find('\0') != std::string::npos || to_utf8(*key) != *key) return std::nullopt;
  for (std::string_view segment : split(*key, '/')) {
    if (segment == "." || segment == "..") return std::nullopt;
  }
  return std::string(prefix) + *key;
}

std::expected<std::unique_ptr<S3Origin>, std::string> S3Origin::create(const conf::Origin& options,
                                                                       Node& node,
                                                                       const std::string& ca_file) {
  const auto wrong = [&](std::string_view what) {
    return std::unexpected(fmt::format("origin \"{}\": {}", options.name, what));
  };
  if (options.s3.access_key.empty() || options.s3.secret_key.empty()) {
    return wrong(fmt::format("no S3 credentials; set {} and {}, or credentials_file",
                             options.s3.access_key_env, options.s3.secret_key_env));
  }
  if (!http::is_field_value(options.s3.access_key) ||
      !http::is_field_value(options.s3.session_token.reveal())) {
    return wrong("the S3 access key or session token has a control character, such as a line end, in it");
  }
  auto target = s3_target(options.s3);
  if (!target) return wrong(target.error());
  std::shared_ptr<const net::TlsClient> tls;
  if (target->tls) {
    auto client = net::TlsClient::create({.verify = true, .ca_file = ca_file});
    if (!client) return wrong(client.error());
    tls = std::move(*client);
  }
  return std::unique_ptr<S3Origin>(new S3Origin(options, node, std::move(*target), std::move(tls)));
}

S3Origin::S3Origin(const conf::Origin& options, Node& node, S3Target target,
                   std::shared_ptr<const net::TlsClient> tls)
    : Origin(options.name, Kind::s3),
      target_(std::move(target)),
      credentials_(credentials_of(options.s3)),
      region_(options.s3.region),
      timeouts_(options.timeouts),
      state_(node.servers.origin(options.name)),
      endpoint_(node.servers.server(options.name, target_.server.to_string()), target_.server, std::move(tls),
                target_.server.host, timeouts_.keep_alive),
      misconfigured_(node.clock, kLogInterval),
      denied_(node.clock, kLogInterval),
      failed_(node.clock, kLogInterval) {}

net::Task<Result<OriginResponse>> S3Origin::fetch(WorkerContext& context, const OriginRequest& request) {
  const bool head_only = request.method == http::Method::head;
  if (request.method != http::Method::get && !head_only) co_return own_answer(405);
  const auto path = s3_object_path(target_.prefix, request.path);
  if (!path) co_return own_answer(404);

  const std::string encoded = canonical_path(*path);
  const SigV4Pair host{"host", target_.host};
  const SigV4Request to_sign{
      .method = http::to_string(request.method), .path = *path, .query = {}, .headers = {&host, 1}};
  const SigV4Headers signature = sign_v4(to_sign, credentials_, region_, "s3", context.loop.wall());
  const http::FieldList fields = fields_to_send(request.fields, signature);
  OriginRequest asked;
  asked.method = request.method;
  asked.method_name = to_sign.method;
  asked.path = encoded;
  asked.host = target_.host;
  asked.fields = &fields;

  OriginResponse response;
  response.trace.server = endpoint_.state->address();
  const TimePoint started = context.node.clock.now();
  auto answered = co_await ask(context, asked, response);
  response.trace.first_byte = context.node.clock.now() - started;
  state_.duration().record(context.index, response.trace.first_byte);
  if (!answered) co_return std::unexpected(answered.error());
  if (!passes(response.head->status)) {
    auto judged = co_await refused(context, std::move(response), encoded);
    co_return judged;
  }
  endpoint_.state->succeeded();
  clean(response, head_only);
  co_return response;
}

// At most twice.
net::Task<Result<void>> S3Origin::ask(WorkerContext& context, const OriginRequest& request,
                                      OriginResponse& response) {
  for (bool again = false;; again = true) {
    Attempt attempt{.fresh = again, .connected = false, .progress = {}, .reason = {}};
    auto done = co_await try_once(context, request, response, attempt);
    if (done) co_return done;
    if (!again && may_ask_again(done.error(), response.trace, attempt.connected, attempt.progress.answered))
      continue;
    log_failure(context, done.error(), attempt.reason);
    co_return done;
  }
}

net::Task<Result<void>> S3Origin::try_once(WorkerContext& context, const OriginRequest& request,
                                           OriginResponse& response, Attempt& attempt) {
  OriginTrace& trace = response.trace;
  ++trace.attempts;
  std::optional<OriginConnection> connection;
  if (!attempt.fresh) {
    connection = context.pools.take_idle(endpoint_, endpoint_.keep_alive, OriginPools::Check::flags);
  }
  trace.connection_reused = connection.has_value();
  trace.connect = {};
  if (!connection) {
    const TimePoint started = context.node.clock.now();
    auto opened =
        co_await context.pools.connect(endpoint_, context.loop.now() + timeouts_.connect, &attempt.reason);
    if (!opened) co_return std::unexpected(opened.error());
    trace.connect = context.node.clock.now() - started;
    connection.emplace(std::move(*opened));
  }
  attempt.connected = true;
  const TransactOptions options{.first_byte = timeouts_.first_byte};
  auto done = co_await transact(std::move(*connection), request, options, response, attempt.progress);
  co_return done;
}

// What the store's refusal is for us.
net::Task<Result<OriginResponse>> S3Origin::refused(WorkerContext& context, OriginResponse response,
                                                    std::string_view path) {
  const std::string body =
      co_await read_error(response.body.get(), context.loop.now() + timeouts_.first_byte);
  const std::string our_date(context.http_date());
  const S3Verdict verdict =
      judge_s3_error(response.head->status, body, response.head->fields.value(FieldId::date), our_date);
  log_verdict(context, verdict, response.head->status, path);
  if (verdict.client_status == 404) {
    endpoint_.state->succeeded();
    OriginResponse answer = own_answer(404);
    answer.trace = response.trace;
    co_return answer;
  }
  endpoint_.state->count_failure(context.index);
  co_return std::unexpected(error_for(verdict.failure));
}

void S3Origin::log_verdict(WorkerContext& context, const S3Verdict& verdict, int status,
                           std::string_view path) {
  Logger& log = context.node.log;
  if (!verdict.operator_message.empty()) {
    if (auto more = misconfigured_.admit()) {
      log.error("origin {}: {} (asked {}{}; {} more since the last line)", name(), verdict.operator_message,
                target_.host, path, *more);
    }
  } else if (verdict.failure == S3Failure::denied) {
    if (auto more = denied_.admit()) {
      log.warn(
          "origin {}: {} denies access to {}; clients get 404. Without the right to list the bucket that is "
          "how it says \"not there\"; otherwise these keys lack s3:GetObject ({} more since the last line)",
          name(), target_.host, path, *more);
    }
  } else if (verdict.failure != S3Failure::missing) {
    if (auto more = failed_.admit()) {
      log.warn("origin {}: {} answered {} ({}) to {} ({} more since the last line)", name(), target_.host,
               status, to_string(verdict.failure), path, *more);
    }
  }
}

void S3Origin::log_failure(WorkerContext& context, const Error& error, std::string_view reason) {
  if (error.code == Code::cancelled) return;
  endpoint_.state->count_failure(context.index);
  if (auto more = failed_.admit()) {
    context.node.log.warn("origin {}: {}: {}: {} ({} more since the last line)", name(),
                          target_.server.to_string(), error.where, reason.empty() ? explain(error) : reason,
                          *more);
  }
}

std::expected<std::unique_ptr<Origin>, std::string> make_s3_origin(const conf::Origin& options, Node& node) {
  auto origin = S3Origin::create(options, node);
  if (!origin) return std::unexpected(std::move(origin.error()));
  return std::unique_ptr<Origin>(std::move(*origin));
}

}  // namespace vignette::proxy
