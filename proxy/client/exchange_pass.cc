// Passing a request through to its origin, and the answer back, without the cache.

#include "base/strings.h"
#include "cache/stored_fields.h"
#include "proxy/client/exchange.h"
#include "proxy/client/spool.h"
#include "proxy/media/coded_body.h"
#include "proxy/policy/client_address.h"
#include "proxy/policy/forwarded.h"
#include "proxy/policy/viewer.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

// They are for caches of ours.
void remove_tag_fields(http::FieldList& fields) {
  fields.remove_if([](const http::Field& field) { return cache::is_tag_field(field.name); });
}

}  // namespace

// What the route says of the client to servers, and nothing that the client says so of itself. False: as
// below.
bool Exchange::tell_viewer() {
  const bool to_servers = route_->origins.front()->kind() == Origin::Kind::servers;
  const conf::ViewerFields wanted = to_servers ? route_->options->geo.headers : conf::ViewerFields();
  const Viewer* asking = viewer();
  if (!asking) {
    keep_viewer_fields(wanted, head_.fields);
    return true;
  }
  const ViewerFacts facts{.address = asking->address,
                          .port = asking->port,
                          .country = country_,
                          .databases = context_.databases.get()};
  return set_viewer_fields(wanted, facts, head_.fields, scratch_.texts);
}

// Once: a request that was tried through a fill first must not name its client twice. False: there is no room
// for what the origin must know of the client.
bool Exchange::prepare_origin_fields() {
  if (has_origin_fields_) return *has_origin_fields_;
  ForwardedFacts facts;
  facts.peer = client_.peer;
  facts.client = address_;
  facts.trusted = in_networks(snapshot_->config->server.trusted, client_.peer);
  facts.scheme = client_.scheme();
  facts.authority = head_.authority;
  facts.port = client_.local_port;
  facts.certificate = client_.certificate.get();
  const bool fits = prepare_forwarded(head_, facts, scratch_.texts);
  has_origin_fields_ = fits;
  return fits;
}

// Null: nobody but the node.
const Viewer* Exchange::viewer() {
  if (client_.is_own) return nullptr;
  viewer_.address = address_;
  viewer_.port = address_ == client_.peer ? client_.peer_port : 0;  // a trusted hop tells no port
  viewer_.local = client_.local;
  viewer_.local_port = client_.local_port;
  return &viewer_;
}

OriginRequest Exchange::origin_request() {
  OriginRequest request;
  request.method = head_.method;
  request.method_name = head_.method_name;
  request.path = origin_path_;
  request.query = head_.query;
  request.has_query = head_.has_query;
  request.host = head_.authority;
  request.fields = &head_.fields;
  request.body = body_;
  request.framing = head_.framing;
  request.content_length = head_.content_length;
  request.idempotent = http::is_idempotent(head_.method);
  request.viewer = viewer();
  request.upgrades_to_websocket = upgrades_;
  return request;
}

// A call of gRPC may stay open both ways for as long as it likes.
bool Exchange::is_spooled() const {
  if (!body_ || !context_.node.spool || route_->options->uploads == conf::Uploads::stream) return false;
  if (route_->origins.front()->kind() != Origin::Kind::servers) return false;
  constexpr std::string_view kGrpc = "application/grpc";
  return !iequals(head_.fields.value(http::FieldId::content_type).substr(0, kGrpc.size()), kGrpc);
}

void Exchange::refuse_fetch(const Error& error) {
  if (error.code == Code::cancelled) {  // this strand was: there is nobody to answer
    reason_ = "client_gone";
    return;
  }
  refuse(error.blame == Blame::client ? answer_for_body(error) : answer_for(error));
}

net::Task<void> Exchange::pass_through() {
  if (!prepare_origin_fields()) {
    refuse(answer_for_full_head());
    co_return;
  }
  OriginRequest request = origin_request();
  origin_name_ = route_->origins.front()->name();
  std::unique_ptr<SpooledBody> spooled;
  if (is_spooled()) {
    const bool has_length = head_.framing == http::Framing::length;
    spooled = std::make_unique<SpooledBody>(context_, *body_, has_length ? head_.content_length : 0);
    auto filled = co_await spooled->fill();
    if (!filled) co_return refuse_fetch(filled.error());
    request.body = spooled.get();
    if (spooled->is_whole()) {
      request.framing = http::Framing::length;
      request.content_length = spooled->bytes();
    }
  }
  auto response = co_await fetch_with_failover(context_, route_->origins, request);
  if (!response) co_return refuse_fetch(response.error());
  spooled.reset();
  co_await relay(*response);
}

net::Task<void> Exchange::relay(OriginResponse& response) {
  trace_ = std::make_shared<OriginTrace>(response.trace);
  status_.forward_status = response.head->status;
  if (!http::is_safe(head_.method) && response.head->status < 400) co_await invalidate(*response.head);
  code_response(context_, route_->options->compress, head_, response);
  if (!response.body && refuse_for_store(response.head->status, response.content_length)) co_return;
  if (!route_->cache_policy.keep_tag_fields) remove_tag_fields(response.head->fields);
  edit_fields(response.head->fields);
  bool bodiless = !response.body;
  auto length = response.content_length;
  if (bodiless && !length && responder_.wants_body()) length = 0;
  begin(response.head->status, &response.head->fields, {}, length);
  while (!bodiless && responder_.wants_body()) {
    auto piece = co_await response.body->next(context_.loop.now() + kBodyStall);
    if (!piece) co_return break_off(to_string(piece.error().code));
    responder_.append(std::move(piece->bytes));
    if (piece->last) break;
    auto sent = co_await flush_or_abort();
    if (!sent) co_return;
  }
  responder_.end();
  tunnel_ = std::move(response.tunnel);
}

}  // namespace vignette::proxy
