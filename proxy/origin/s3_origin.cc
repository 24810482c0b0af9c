#include "proxy/origin/s3_origin.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/strings.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

using http::FieldId;

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

}  // namespace

std::expected<std::unique_ptr<S3Origin>, std::string> S3Origin::create(const conf::Origin& options,
                                                                       Node& node,
                                                                       const std::string& ca_file) {
  const conf::S3Options& s3 = options.s3;
  const auto wrong = [&](std::string_view what) {
    return std::unexpected(fmt::format("origin \"{}\": {}", options.name, what));
  };
  CredentialsRef keys;
  std::shared_ptr<CredentialProvider> provider;
  if (s3.credentials == conf::S3Credentials::container || s3.credentials == conf::S3Credentials::instance) {
    auto made = node.servers.origin(options.name).s3().provider(s3, node);
    if (!made) return wrong(made.error());
    provider = std::move(*made);
  } else {
    if (s3.access_key.empty() || s3.secret_key.empty()) {
      return wrong(fmt::format("no S3 credentials; set {} and {}, or credentials_file", s3.access_key_env,
                               s3.secret_key_env));
    }
    if (!http::is_field_value(s3.access_key) || !http::is_field_value(s3.session_token.reveal())) {
      return wrong("the S3 access key or session token has a control character, such as a line end, in it");
    }
    keys = std::make_shared<const Credentials>(
        Credentials{.access_key = s3.access_key,
                    .secret_key = std::string(s3.secret_key.reveal()),
                    .session_token = std::string(s3.session_token.reveal())});
  }
  auto target = s3_target(s3);
  if (!target) return wrong(target.error());
  std::shared_ptr<const net::TlsClient> tls;
  if (target->tls) {
    auto client = net::TlsClient::create({.verify = true, .ca_file = ca_file});
    if (!client) return wrong(client.error());
    tls = std::move(*client);
  }
  return std::unique_ptr<S3Origin>(
      new S3Origin(options, node, std::move(*target), std::move(tls), std::move(keys), std::move(provider)));
}

S3Origin::S3Origin(const conf::Origin& options, Node& node, S3Target target,
                   std::shared_ptr<const net::TlsClient> tls, CredentialsRef keys,
                   std::shared_ptr<CredentialProvider> provider)
    : Origin(options.name, Kind::s3),
      state_(node.servers.origin(options.name)),
      store_(state_.s3()),
      writer_(options.s3, std::move(target), store_.keys),
      version_query_(options.s3.version_query),
      checksums_(options.s3.checksums),
      timeouts_(options.timeouts),
      keys_(std::move(keys)),
      provider_(std::move(provider)),
      endpoint_(node.servers.server(options.name, writer_.target().server.to_string()),
                writer_.target().server, std::move(tls), writer_.target().server.host, timeouts_.keep_alive),
      misconfigured_(node.clock, kLogInterval),
      denied_(node.clock, kLogInterval),
      failed_(node.clock, kLogInterval),
      skewed_(node.clock, kLogInterval),
      mismatched_(node.clock, kLogInterval) {}

net::Task<Result<OriginResponse>> S3Origin::fetch(WorkerContext& context, const OriginRequest& request) {
  if (request.method != http::Method::get && request.method != http::Method::head)
    co_return own_s3_answer(405);
  const auto path = s3_object_path(writer_.target().prefix, request.path);
  const std::string_view pair = object_query(request.query);
  const auto version = pair.empty() ? std::optional<std::string>("") : s3_version(pair);
  if (!path || !version) co_return own_s3_answer(404);

  Course course;
  course.trace.server = endpoint_.state->address();
  course.started = context.node.clock.now();
  switch (store_.backoff.admit(context.loop.now())) {
    case S3Backoff::Admission::refuse:
      store_.held_back.add(context.index);
      co_return fail(Code::unavailable, Blame::origin, "s3: backing off", 0, Retry::yes);
    case S3Backoff::Admission::probe:
      course.is_probe = true;
      break;
    case S3Backoff::Admission::go:
      break;
  }
  const S3Ask ask{.method = request.method, .path = *path, .version = *version, .fields = request.fields};
  auto answer = co_await pursue(context, ask, course);
  co_return answer;
}

// Until the store has answered, or there is no point in asking once more.
net::Task<Result<OriginResponse>> S3Origin::pursue(WorkerContext& context, const S3Ask& ask, Course& course) {
  for (;;) {
    auto keys = co_await credentials(context);
    if (!keys) co_return std::unexpected(keys.error());
    course.keys = std::move(*keys);
    OriginResponse response;
    auto answered = co_await ask_store(context, ask, course, response);
    if (!answered) co_return std::unexpected(answered.error());
    if (passes(response.head->status)) co_return accept(context, ask, std::move(response));
    const Refused refused = co_await read_refusal(context, response);
    auto again = co_await try_again(context, refused, course);
    if (!again) co_return std::unexpected(again.error());
    if (!*again) co_return give_up(context, ask, refused, course);
  }
}

net::Task<Result<CredentialsRef>> S3Origin::credentials(WorkerContext& context) {
  if (keys_) co_return keys_;
  auto keys = co_await CredentialProvider::get(provider_, context, context.loop.now() + kCredentialsWait);
  co_return keys;
}

net::Task<Result<void>> S3Origin::ask_store(WorkerContext& context, const S3Ask& ask, Course& course,
                                            OriginResponse& response) {
  S3Request request;
  writer_.write(ask, *course.keys, store_.clock.signing_time(context.loop.wall()), request);
  response.trace = course.trace;
  auto answered = co_await ask_twice(context, writer_.as_origin_request(ask, request), response);
  response.trace.first_byte = context.node.clock.now() - course.started;
  state_.duration().record(context.index, response.trace.first_byte);
  course.trace = response.trace;
  co_return answered;
}

net::Task<Result<void>> S3Origin::ask_twice(WorkerContext& context, const OriginRequest& request,
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

// An answer that is the object's.
Result<OriginResponse> S3Origin::accept(WorkerContext& context, const S3Ask& ask, OriginResponse response) {
  endpoint_.state->succeeded();
  store_.backoff.succeeded(context.loop.now());
  watch_clock(context, response.head->fields);
  const bool head_only = ask.method == http::Method::head;
  S3Verifier verifier(*response.head, head_only ? conf::S3Checksums::off : checksums_);
  clean(response, head_only);
  if (!verifier.checks_anything()) return response;
  if (!response.body) {
    const auto mismatch = verifier.finish();
    if (!mismatch) return response;
    log_mismatch(context, *mismatch, ask.path);
    return fail(Code::malformed, Blame::origin, "s3: checksum mismatch");
  }
  response.body = verified_body(std::move(response.body), std::move(verifier),
                                [this, &context, path = std::string(ask.path)](const S3Mismatch& mismatch) {
                                  log_mismatch(context, mismatch, path);
                                });
  return response;
}

void S3Origin::log_failure(WorkerContext& context, const Error& error, std::string_view reason) {
  if (error.code == Code::cancelled) return;
  endpoint_.state->count_failure(context.index);
  if (auto more = failed_.admit()) {
    context.node.log.warn("origin {}: {}: {}: {} ({} more since the last line)", name(),
                          writer_.target().server.to_string(), error.where,
                          reason.empty() ? explain(error) : reason, *more);
  }
}

std::expected<std::unique_ptr<Origin>, std::string> make_s3_origin(const conf::Origin& options, Node& node) {
  auto origin = S3Origin::create(options, node);
  if (!origin) return std::unexpected(std::move(origin.error()));
  return std::unique_ptr<Origin>(std::move(*origin));
}

}  // namespace vignette::proxy
