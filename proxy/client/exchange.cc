#include "proxy/client/exchange.h"

#include "base/strings.h"
#include "cache/vary.h"
#include "http/accept.h"
#include "http/url.h"
#include "proxy/media/image_origin.h"
#include "proxy/policy/address_rules.h"
#include "proxy/policy/cache_key.h"
#include "proxy/policy/client_address.h"
#include "proxy/policy/forwarded.h"
#include "proxy/policy/redirect.h"
#include "proxy/policy/websocket.h"
#include "proxy/route/route_path.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

AskedImageRef make_asked(const Origin& origin, imaging::ImageRequest request, bool accepts_webp) {
  auto asked = std::make_shared<AskedImage>();
  asked->request = std::move(request);
  if (asked->request.kind == imaging::RequestKind::original) {
    asked->origin_path = "/";
    asked->origin_path += percent_encode(asked->request.key, kUnreservedPath);
    asked->key = original_key(origin, asked->origin_path, {}, asked->key_string);
  } else {
    asked->key = variant_key(origin, asked->request, accepts_webp, asked->key_string);
  }
  return asked;
}

// For whose country the node itself asks.
geo::Country told_country(const http::RequestHead& head) {
  const std::string_view told = head.fields.value(http::FieldId::cloudfront_viewer_country);
  return told.size() == 2 ? geo::Country{told[0], told[1]} : geo::kUnknown;
}

}  // namespace

Exchange::Exchange(WorkerContext& context, const ClientFacts& client, http::RequestHead& head,
                   RequestBody* body, Responder& responder, ExchangeScratch& scratch)
    : context_(context),
      client_(client),
      head_(head),
      body_(body),
      responder_(responder),
      scratch_(scratch),
      snapshot_(context.snapshot),
      started_(context.loop.now()),
      address_(client.peer) {}

bool Exchange::answer_now() {
  if (!admit()) return true;
  if (is_purge() && !route_->options->purge_from.empty()) return decide_purge();
  switch (route_->options->kind) {
    case conf::RouteKind::redirect: {
      const conf::Redirect& to = route_->options->redirect;
      redirect(to.status, redirect_location(*route_->options, {viewer_scheme(), head_.host, request_uri(),
                                                               path_, head_.query, head_.has_query}));
      return true;
    }
    case conf::RouteKind::gallery:
      return decide_gallery();
    case conf::RouteKind::images:
      return decide_images();
    case conf::RouteKind::origin:
      return decide_origin();
  }
  return false;
}

net::Task<void> Exchange::answer() {
  switch (plan_) {
    case Plan::pass:
      co_await pass_through();
      break;
    case Plan::cached:
      co_await answer_cached();
      break;
    case Plan::purge:
      co_await answer_purge();
      break;
    case Plan::gallery:
      co_await answer_gallery();
      break;
  }
}

// True when the request may go on; false when it has been answered.
bool Exchange::admit() {
  const std::vector<conf::IpPrefix>& trusted = snapshot_->config->server.trusted;
  address_ = client_address(client_.peer, head_.fields, trusted);
  if (client_.is_own) {
    country_ = told_country(head_);
  } else {
    country_ = context_.databases->country(address_);
  }
  if (!client_.is_own && !set_certificate(head_.fields, client_.certificate.get())) {
    refuse(answer_for_full_head());
    return false;
  }
  return within_rate(snapshot_->config->limits.rate_limit, 0) && normalise() && !answer_options() &&
         redirect_listener() && find_route() && apply_policies();
}

// OPTIONS that is about the node itself: "*" is no path of any site (RFC 9110 section 9.3.7), and
// Max-Forwards: 0 lets nobody behind it answer (section 7.6.2).
bool Exchange::answer_options() {
  if (head_.method != http::Method::options) return false;
  if (path_ != "*" && parse_u64(head_.fields.value(http::FieldId::max_forwards)) != 0u) return false;
  scratch_.extra.append("Allow: ").append(kServedMethods).append("\r\n");
  simple_answer(200, {}, {});
  return true;
}

bool Exchange::normalise() {
  if (head_.method == http::Method::connect || head_.method == http::Method::trace) {
    refuse({.status = 405,
            .reason = "method_not_allowed",
            .detail = "This method is not served here.",
            .retry_after = 0,
            .allow = kServedMethods});
    return false;
  }
  site_ = snapshot_->router->find_site(head_.host);
  scratch_.path.resize(head_.path.size());
  auto normal = http::normalize_path(head_.path, scratch_.path, path_rules(site_));
  if (!normal) {
    refuse({.status = 400, .reason = to_string(normal.error()), .detail = "The path is not acceptable."});
    return false;
  }
  path_ = *normal;
  if (is_loop(head_.fields)) {
    refuse({.status = 508, .reason = "loop", .detail = "This request has been here before."});
    return false;
  }
  return true;
}

bool Exchange::redirect_listener() {
  if (!client_.redirect_https_port) return true;
  bool simple = head_.method == http::Method::get || head_.method == http::Method::head;
  if (head_.host.empty()) {
    refuse({.status = 400, .reason = "missing_host", .detail = "The request names no host."});
    return false;
  }
  redirect(simple ? 301 : 308,
           https_location({"http", head_.host, request_uri(), path_, head_.query, head_.has_query},
                          *client_.redirect_https_port));
  return false;
}

bool Exchange::find_route() {
  RouteMatch match = Router::match(site_, path_, is_purge() ? "GET" : head_.method_name);
  if (is_purge() && (!match.route || match.route->options->purge_from.empty())) {
    match = Router::match(site_, path_, head_.method_name);
  }
  using Outcome = RouteMatch::Outcome;
  switch (match.outcome) {
    case Outcome::found:
      route_ = match.route;
      return true;
    case Outcome::no_site:
      refuse({.status = 404, .reason = "no_site", .detail = "No site of that name is served here."});
      return false;
    case Outcome::no_route:
      refuse({.status = 404, .reason = "no_route", .detail = "There is nothing at this address."});
      return false;
    case Outcome::method_not_allowed:
      refuse({.status = 405,
              .reason = "method_not_allowed",
              .detail = "This method is not served here.",
              .retry_after = 0,
              .allow = match.allowed_methods});
      return false;
  }
  return false;
}

bool Exchange::apply_policies() {
  if (client_.is_own) return true;
  if (!address_allowed(*route_->options, address_)) {
    refuse({.status = 403, .reason = "address_denied", .detail = "Your address may not use this."});
    return false;
  }
  if (route_->uses_geo && !route_->geo.allowed(country_)) {
    refuse({.status = 403, .reason = "country_denied", .detail = "This is not available in your country."});
    return false;
  }
  if (!within_rate(route_->options->rate_limit, route_->rate_scope)) return false;
  if (!body_) return true;
  if (head_.framing == http::Framing::length && head_.content_length > route_->options->max_body) {
    refuse({.status = 413, .reason = "body_too_large", .detail = "The request body is too large."});
    return false;
  }
  body_->set_max_bytes(route_->options->max_body);
  return true;
}

bool Exchange::within_rate(const std::optional<conf::RateLimit>& limit, std::uint64_t scope) {
  if (!limit || client_.is_own) return true;
  // A trusted hop that does not say for whom it asks.
  if (in_networks(snapshot_->config->server.trusted, address_)) return true;
  const auto wait = context_.node.clients.rates.take(client_of(address_), scope, *limit, started_);
  if (wait) refuse(answer_for_rate(*wait));
  return !wait;
}

void Exchange::redirect(int status, std::string location) {
  static constexpr CharSet kUrlBytes = kUnreserved.with("!#$%&'()*+,/:;=?@[]");
  scratch_.extra.append("Location: ").append(percent_encode(location, kUrlBytes)).append("\r\n");
  simple_answer(status, {}, {});
}

void Exchange::object_path(std::string_view path) {
  origin_path_ = origin_path(*route_->options, path, scratch_.made);
}

// Path and query as received, in origin-form also when the target came in absolute-form.
std::string_view Exchange::request_uri() {
  if (head_.target.starts_with('/')) return head_.target;
  scratch_.made = head_.path;
  if (head_.has_query) scratch_.made.append("?").append(head_.query);
  return scratch_.made;
}

// What the client itself speaks, which a trusted hop in front knows better.
std::string_view Exchange::viewer_scheme() const {
  std::string_view told = head_.fields.value(http::FieldId::x_forwarded_proto);
  bool believed = !told.empty() && in_networks(snapshot_->config->server.trusted, client_.peer);
  return believed ? told : client_.scheme();
}

// What apps make redirects and absolute links of, beside the host: an answer that has them is for those alone
// who asked in the same way. Keys leave out ports 80 and 443, which the other scheme must not; and the host
// that a trusted hop tells is not always one that it checked.
std::string_view Exchange::viewer_origin() {
  std::string_view told = head_.fields.value(http::FieldId::x_forwarded_host);
  if (told == head_.authority || !in_networks(snapshot_->config->server.trusted, client_.peer)) told = {};
  scratch_.variant.clear();
  append_viewer_origin(viewer_scheme(), head_.port, told, scratch_.variant);
  return scratch_.variant;
}

bool Exchange::may_use_cache() const {
  bool reads = head_.method == http::Method::get || head_.method == http::Method::head;
  return reads && !body_ && route_->cache_policy.mode != cache::CacheMode::off;
}

// A HEAD becomes a GET only where answers are sure to be kept; elsewhere it would cost a body for nothing.
bool Exchange::may_fill_cache() const {
  return head_.method == http::Method::get || route_->cache_policy.mode == cache::CacheMode::on;
}

// Whether the last answer under this key was not for others, and this request wants a part of one or names
// one that it has: a fill would ask for the whole without conditions, and nothing of that would be kept.
bool Exchange::is_passed_by() const {
  if (found_ || image_ || std::ranges::none_of(head_.fields, is_left_out_of_fills)) return false;
  return context_.node.fills.passes_for(key_, context_.loop.now()) > Duration::zero();
}

void Exchange::plan_pass() {
  plan_ = Plan::pass;
  found_ = nullptr;
  bool safe = head_.method == http::Method::get || head_.method == http::Method::head;
  status_.forward = safe ? cache::Forward::bypass : cache::Forward::method;
  outcome_ = route_->cache_policy.mode == cache::CacheMode::off ? CacheOutcome::none : CacheOutcome::bypass;
}

// Past the cache, and with nothing of the client's own Connection and Upgrade.
bool Exchange::decide_websocket() {
  if (!is_websocket_handshake(head_.fields)) {
    refuse(
        {.status = 400, .reason = "bad_websocket", .detail = "The WebSocket handshake is not well formed."});
    return true;
  }
  plan_pass();
  upgrades_ = true;
  return false;
}

bool Exchange::decide_origin() {
  object_path(path_);
  // Before the lookup: keys and Vary may name it.
  if (!tell_viewer()) {
    refuse(answer_for_full_head());
    return true;
  }
  if (head_.upgrade_websocket && route_->options->websocket) return decide_websocket();
  if (!may_use_cache()) {
    plan_pass();
    return false;
  }
  Origin& origin = *route_->origins.front();
  if (origin.kind() == Origin::Kind::servers) {
    if (!make_servers_key()) {
      plan_pass();
      status_.detail = cache::to_string(cache::Reason::vary_limit);
      return false;
    }
  } else {
    object_query_ = origin.object_query(head_.query);
    key_ = original_key(origin, origin_path_, object_query_, scratch_.key);
  }
  if (try_hit()) return true;
  const bool only_if_cached = obeyed() && obeyed()->only_if_cached;
  if (!may_fill_cache() && !only_if_cached && !is_on_disk_ && !has_fresh_manifest()) plan_pass();
  return false;
}

// False: what the route puts into the key is too long for one.
bool Exchange::make_servers_key() {
  const conf::RouteCacheKey& rule = route_->options->cache.key;
  fill_query_ = select_query(rule, head_.has_query, head_.query, scratch_.query);
  viewer_origin();  // into the variant
  if (!append_key_fields(rule, head_.fields, scratch_.variant)) return false;
  key_ = cache::build_key(
      {.host = head_.authority, .path = path_, .query = fill_query_, .variant = scratch_.variant},
      scratch_.key);
  return true;
}

// What the request asks of the cache, where the route obeys it; else null.
const http::RequestDirectives* Exchange::obeyed() {
  if (!route_->cache_policy.obey_request) return nullptr;
  if (!wishes_) wishes_ = http::request_directives(head_.fields);
  return &*wishes_;
}

bool Exchange::only_reads() {
  if (head_.method == http::Method::get || head_.method == http::Method::head) return true;
  refuse(answer_for_store(405));
  return false;
}

bool Exchange::decide_gallery() {
  plan_ = Plan::gallery;
  return !only_reads();
}

bool Exchange::decide_images() {
  if (!only_reads() || !read_image_request()) return true;
  image_ = &asked_->request;
  key_ = asked_->key;
  scratch_.key = asked_->key_string;
  origin_path_ = asked_->origin_path;
  return try_hit();
}

bool Exchange::read_image_request() {
  const std::string_view path = image_path(*route_->options, head_.path, path_);
  accepts_webp_ = http::quality(head_.fields, "image/webp").explicitly_accepted();
  const ImageMemo::Url url{snapshot_->generation, route_, path, head_.query, accepts_webp_};
  asked_ = context_.images.find(url, context_.loop.wall());
  if (asked_) return true;
  const auto asker = client_.is_own ? imaging::Asker::node : imaging::Asker::client;
  auto parsed = snapshot_->image_urls->parse(path, head_.query, context_.loop.wall(), asker);
  if (!parsed) {
    bool forbidden = parsed.error().error == imaging::ErrorClass::forbidden;
    refuse({.status = imaging::status_for(parsed.error().error),
            .reason = forbidden ? "image_forbidden" : "image_bad_request",
            .detail = parsed.error().message});
    return false;
  }
  asked_ = make_asked(*route_->origins.front(), std::move(*parsed), accepts_webp_);
  // A URL that only the node may use must not be known to clients' requests.
  if (!client_.is_own) context_.images.keep(url, asked_);
  return true;
}

// True when the answer is there already.
bool Exchange::try_hit() {
  plan_ = Plan::cached;
  return take_found(cache::try_lookup_variant(context_.node.store, head_.fields, key_, scratch_.key));
}

// True when that has answered.
bool Exchange::take_found(cache::VariantLookup variant) {
  is_on_disk_ = variant.lookup.outcome == cache::Lookup::Outcome::must_wait;
  status_.forward = variant.vary_miss ? cache::Forward::vary_miss : cache::Forward::uri_miss;
  outcome_ = CacheOutcome::miss;
  if (variant.lookup.outcome != cache::Lookup::Outcome::hit) return false;
  found_ = std::move(variant.lookup.object);
  decision_ = cache::decide_serve(*found_, context_.loop.wall(), obeyed());
  if (decision_.serve == cache::Serve::fresh) {
    outcome_ = CacheOutcome::hit;
    status_.hit = true;
    status_.forward = cache::Forward::none;
    status_.ttl = decision_.ttl;
    if (variant.lookup.from_disk) status_.detail = "disk";
    if (found_->flags().is_manifest) return false;  // its chunks may have to be waited for
    send_object(found_);
    return true;
  }
  const bool is_fresh = decision_.ttl > std::chrono::seconds(0) && !found_->flags().no_cache;
  status_.forward = is_fresh ? cache::Forward::request : cache::Forward::stale;
  outcome_ = CacheOutcome::revalidated;
  return false;
}

}  // namespace vignette::proxy
