#include "proxy/admin/admin_server.h"

#include <array>

#include "base/json.h"
#include "base/strings.h"
#include "cache/warm/hot_list.h"
#include "http/parser.h"
#include "http/url.h"
#include "http/writer.h"
#include "net/offload.h"
#include "proxy/admin/explain_api.h"
#include "proxy/admin/purge_api.h"

namespace vignette::proxy {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(5);
constexpr std::size_t kLineBytes = 8 * 1024;  // a URL that is asked about, encoded, and its headers
constexpr std::size_t kFieldBytes = 5 * 1024;
constexpr std::size_t kHeadBytes = kLineBytes + kFieldBytes + 1024;
constexpr std::string_view kPurge = "/v1/purge";
constexpr std::string_view kWarm = "/v1/warm";
constexpr std::string_view kDocument = "/v1/document";
constexpr std::string_view kHot = "/v1/hot";
constexpr std::string_view kCertificates = "/v1/certificates";
constexpr std::string_view kReloadCertificates = "/v1/certificates/reload";
constexpr std::string_view kExplain = "/v1/explain";

std::string error_json(std::string_view message) {
  std::string text;
  JsonWriter(text).begin_object().field("error", message).end_object();
  return text;
}

// A page in a browser must not reach the API under a name of its own (DNS rebinding): only literal
// addresses and localhost are names of this server.
bool is_own_name(std::string_view host) {
  if (host.empty() || host == "localhost") return true;
  if (host.starts_with('[')) return true;
  return net::IpAddress::parse(host).has_value();
}

constexpr std::string_view kIndex =
    "<!doctype html><meta charset=\"utf-8\"><title>Vignette admin</title><h1>Vignette</h1><ul>"
    "<li><a href=\"/metrics\">/metrics</a><li><a href=\"/v1/status\">/v1/status</a>"
    "<li><a href=\"/v1/origins\">/v1/origins</a><li><a href=\"/v1/strands\">/v1/strands</a>"
    "<li><a href=\"/v1/certificates\">/v1/certificates</a>"
    "<li><a href=\"/v1/top\">/v1/top</a><li><a href=\"/v1/whatif\">/v1/whatif</a>"
    "<li>/v1/explain?url=…<li><a href=\"/v1/hot?limit=100\">/v1/hot</a></ul>\n";

}  // namespace

struct AdminServer::State {
  Sources sources;
  std::size_t connections = 0;
  bool is_unix = false;
  bool closed = false;
};

// One of the connections that may be open, from its acceptance to the end of its strand.
class AdminServer::Place {
 public:
  explicit Place(std::shared_ptr<State> state) : state_(std::move(state)) { ++state_->connections; }
  Place(Place&&) noexcept = default;
  Place& operator=(Place&&) = delete;
  ~Place() {
    if (state_) --state_->connections;
  }
  State& state() const { return *state_; }

 private:
  std::shared_ptr<State> state_;
};

AdminServer::AdminServer(net::Worker& loop, Sources sources)
    : loop_(loop), state_(std::make_shared<State>()) {
  state_->sources = std::move(sources);
}

AdminServer::~AdminServer() {
  state_->closed = true;
  listener_.close();
}

Result<void> AdminServer::open(const net::Address& address) {
  net::ListenOptions options;
  options.reuse_port = false;
  auto listener = net::Listener::open(address, options);
  if (!listener) return std::unexpected(listener.error());
  listener_ = std::move(*listener);
  address_ = listener_.address();
  state_->is_unix = address_.is_unix();
  listener_.serve(loop_, [this](net::Stream stream) {
    if (state_->connections >= kMaxConnections) return;
    loop_.spawn_named("admin", serve, Place(state_), std::move(stream));
  });
  return {};
}

std::optional<AdminServer::Answer> AdminServer::check_source(const State& state,
                                                             const http::RequestHead& request) {
  if (state.closed) return Answer{.status = 503, .body = error_json("the node is stopping")};
  bool rebound = !state.is_unix && !is_own_name(request.host);
  if (const http::Field* from = request.fields.find("origin")) {
    auto url = http::parse_absolute_url(from->value);
    rebound = rebound || !url || url->authority != request.authority;
  }
  if (rebound) return Answer{.status = 403, .body = error_json("this host name is not the admin server's")};
  return std::nullopt;
}

// What is ordered with POST.
bool AdminServer::is_order(const State& state, std::string_view path) {
  if (path == kPurge) return state.sources.node != nullptr;
  if (path == kReloadCertificates) return state.sources.certificates != nullptr;
  return state.sources.warm && (path == kWarm || path == kDocument);
}

// Read with GET, but by a thread that may take its time.
bool AdminServer::is_list(const State& state, const http::RequestHead& request) {
  const bool reads = request.method == http::Method::get || request.method == http::Method::head;
  return reads && request.path == kHot && state.sources.hot;
}

AdminServer::Answer AdminServer::answer(const State& state, const http::RequestHead& request) {
  if (auto refused = check_source(state, request)) return std::move(*refused);
  if (is_order(state, request.path) ||
      (request.method != http::Method::get && request.method != http::Method::head)) {
    return {.status = 405, .body = error_json("the admin API is read with GET, and orders come with POST")};
  }
  if (request.path == "/metrics")
    return {.type = "text/plain; version=0.0.4; charset=utf-8", .body = state.sources.metrics()};
  if (request.path == "/v1/status") return {.body = state.sources.status()};
  if (request.path == "/v1/origins") return {.body = state.sources.origins()};
  if (request.path == kCertificates && state.sources.certificates) {
    return {.body = state.sources.certificates()->list()};
  }
  if (request.path == "/v1/strands") return {.body = state.sources.strands()};
  if (request.path == "/v1/whatif") return {.body = state.sources.what_if()};
  if (request.path == "/v1/top") {
    auto top = state.sources.top(request.query);
    if (top) return {.body = std::move(*top)};
    return {.status = 400, .body = error_json("by=hits, misses or bytes, and limit=1 to 200")};
  }
  if (request.path == "/") return {.type = "text/html; charset=utf-8", .body = std::string(kIndex)};
  return {.status = 404, .body = error_json("no such resource")};
}

// `body` is what came with the head.
net::Task<AdminServer::Answer> AdminServer::take_order(const State& state, net::Stream& stream,
                                                       http::RequestHead& request, std::string body,
                                                       TimePoint deadline) {
  if (auto refused = check_source(state, request)) co_return std::move(*refused);
  if (request.framing != http::Framing::length) {
    co_return Answer{.status = 411, .body = error_json("an order comes with its Content-Length")};
  }
  if (request.content_length > kMaxBody)
    co_return Answer{.status = 413, .body = error_json("the order is too long")};
  const auto length = static_cast<std::size_t>(request.content_length);
  std::size_t size = std::min(body.size(), length);
  body.resize(length);
  while (size < length) {
    auto got = co_await stream.read(std::span(body).subspan(size), deadline);
    if (!got || *got == 0) co_return Answer{.status = 400, .body = error_json("the order was cut short")};
    size += *got;
  }
  auto reply = co_await carry_out(state, request.path, std::move(body));
  co_return Answer{.status = reply.status, .body = std::move(reply.body)};
}

net::Task<AdminReply> AdminServer::carry_out(const State& state, std::string_view path, std::string body) {
  const Sources& sources = state.sources;
  AdminReply reply;
  if (path == kReloadCertificates) {
    reply = co_await sources.certificates()->reload();
  } else if (path == kWarm) {
    reply = co_await sources.warm->take(sources.snapshot(), std::move(body));
  } else if (path == kDocument) {
    reply = co_await sources.warm->read_document(sources.snapshot(), std::move(body));
  } else {
    reply = co_await answer_purge_order(*sources.node, sources.snapshot(), std::move(body));
  }
  co_return reply;
}

// The hottest keys.
net::Task<AdminServer::Answer> AdminServer::list_hot(const State& state, const http::RequestHead& request) {
  if (auto refused = check_source(state, request)) co_return std::move(*refused);
  std::size_t limit = cache::kMaxHotEntries;
  if (request.has_query) {
    const auto asked =
        request.query.starts_with("limit=") ? parse_u64(request.query.substr(6)) : std::nullopt;
    if (!asked) co_return Answer{.status = 400, .body = error_json("limit=N is all that is understood")};
    limit = static_cast<std::size_t>(std::min<std::uint64_t>(*asked, limit));
  }
  auto list = co_await net::offload(state.sources.node->file_pool,
                                    [hot = state.sources.hot, limit] { return hot(limit); });
  if (!list) co_return Answer{.status = 503, .body = error_json("the node has too much to read just now")};
  co_return Answer{.type = "text/plain; charset=utf-8", .body = std::move(*list)};
}

net::Task<AdminServer::Answer> AdminServer::explain_url(const State& state,
                                                        const http::RequestHead& request) {
  if (auto refused = check_source(state, request)) co_return std::move(*refused);
  auto reply =
      co_await answer_explain(*state.sources.node, state.sources.snapshot(), std::string(request.query));
  co_return Answer{.status = reply.status, .body = std::move(reply.body)};
}

net::Task<void> AdminServer::serve(Place place, net::Stream stream) {
  net::Worker& worker = co_await net::this_worker();
  TimePoint deadline = worker.now() + kTimeout;
  http::Limits limits;
  limits.request_line_bytes = kLineBytes;
  limits.header_bytes = kFieldBytes;
  http::RequestParser parser(limits);
  http::RequestHead request;
  std::string input(kHeadBytes, '\0');
  std::size_t size = 0;
  Answer reply;
  for (;;) {
    auto got = co_await stream.read(std::span(input).subspan(size), deadline);
    if (!got || *got == 0) co_return;
    size += *got;
    http::Parsed parsed = parser.parse(std::span(input).first(size), request);
    if (parsed.done()) {
      if (request.method == http::Method::post && is_order(place.state(), request.path)) {
        std::string begun = input.substr(parsed.consumed, size - parsed.consumed);
        reply = co_await take_order(place.state(), stream, request, std::move(begun), deadline);
      } else if (is_list(place.state(), request)) {
        reply = co_await list_hot(place.state(), request);
      } else if (request.method == http::Method::get && request.path == kExplain &&
                 place.state().sources.node) {
        reply = co_await explain_url(place.state(), request);
      } else {
        reply = answer(place.state(), request);
      }
      break;
    }
    if (parsed.refused() || size == input.size()) {
      reply = {.status = parsed.refused() ? parsed.status : 431,
               .body = error_json("the request is not well formed")};
      break;
    }
  }
  std::string out;
  http::HeadWriter head(out, http::HeadWriter::Names::conventional);
  head.status_line(reply.status);
  head.add(http::FieldId::content_type, reply.type);
  head.add_number(http::FieldId::content_length, reply.body.size());
  head.add(http::FieldId::cache_control, "no-store");
  if (reply.status == 405) {
    head.add(http::FieldId::allow, is_order(place.state(), request.path) ? "POST" : "GET, HEAD");
  }
  head.add(http::FieldId::connection, "close");
  auto written = head.end();
  if (!written) co_return;
  std::array<iovec, 2> parts{iovec{out.data(), out.size()}, iovec{reply.body.data(), reply.body.size()}};
  std::size_t wanted = request.method == http::Method::head ? 1 : 2;
  auto sent = co_await stream.write(std::span(parts).first(wanted), worker.now() + kTimeout);
  if (!sent) co_return;
  stream.shutdown_write();
  // The peer's end, so that what it had not read yet is not lost to a reset.
  char rest[512];
  for (;;) {
    auto got = co_await stream.read(rest, deadline);
    if (!got || *got == 0) co_return;
  }
}

std::string AdminServer::strands_json(const net::Worker& loop) {
  std::string text;
  JsonWriter json(text);
  json.begin_array();
  for (const net::StrandInfo& strand : loop.dump_strands()) {
    json.begin_object().field("name", strand.name).field("waits_on", strand.waits_on);
    json.field("cancelled", strand.cancelled);
    json.key("age_ms").fixed(std::chrono::duration<double, std::milli>(strand.age).count(), 1);
    json.key("stack").begin_array();
    for (const std::string& frame : strand.stack) json.value(std::string_view(frame));
    json.end_array().end_object();
  }
  json.end_array();
  return text;
}

}  // namespace vignette::proxy
