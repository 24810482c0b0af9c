#include "cache/freshness.h"

#include <algorithm>

#include "base/strings.h"
#include "cache/stored_fields.h"
#include "cache/vary.h"
#include "http/date.h"
#include "http/status.h"

namespace vignette::cache {
namespace {

using http::FieldId;
using std::chrono::seconds;

constexpr seconds kNone{0};

bool is_not_found(int status) { return status == 404 || status == 410; }
bool is_server_error(int status) { return status == 500 || (status >= 502 && status <= 504); }

// Statuses whose caching rules we know (must-understand, RFC 9111 section 5.2.2.3).
bool is_understood(int status) {
  return http::is_heuristically_cacheable(status) || is_server_error(status) || status == 302 ||
         status == 303 || status == 307 || status == 400 || status == 403 || status == 451;
}

std::optional<WallTime> date_of(const http::FieldList& fields, FieldId id, WallTime now) {
  const http::Field* field = fields.find(id);
  return field ? http::parse_date(field->value, now) : std::nullopt;
}

// Expires only counts beside Cache-Control (RFC 9213 section 2.2); one that does not parse means the past.
std::optional<seconds> expires_lifetime(const http::FieldList& fields, WallTime date, WallTime now) {
  if (!fields.has(FieldId::expires)) return std::nullopt;
  const auto expires = date_of(fields, FieldId::expires, now);
  return expires ? std::max(kNone, *expires - date) : kNone;
}

// Rule none: the origin says nothing.
Lifetime explicit_lifetime(const http::FieldList& fields, WallTime response_time) {
  const FieldId field = binding_field(fields);
  const http::ResponseDirectives directives = http::response_directives(fields, field);
  if (directives.s_maxage) {
    return {.seconds = *directives.s_maxage, .rule = LifetimeRule::s_maxage, .field = field};
  }
  if (directives.max_age) {
    return {.seconds = *directives.max_age, .rule = LifetimeRule::max_age, .field = field};
  }
  if (field != FieldId::cache_control) return {};
  const WallTime date = date_of(fields, FieldId::date, response_time).value_or(response_time);
  const auto lifetime = expires_lifetime(fields, date, response_time);
  if (!lifetime) return {};
  return {.seconds = *lifetime, .rule = LifetimeRule::expires, .field = FieldId::expires};
}

// Whether a lifetime may be guessed (RFC 9111 section 4.2.2).
bool may_guess(const http::ResponseHead& response) {
  return http::is_heuristically_cacheable(response.status) || effective_directives(response.fields).public_;
}

Lifetime default_lifetime(int status, const CachePolicy& policy) {
  if (is_not_found(status)) return {.seconds = policy.not_found_ttl, .rule = LifetimeRule::negative_ttl};
  if (is_server_error(status)) return {.seconds = policy.error_ttl, .rule = LifetimeRule::error_ttl};
  if (!http::is_heuristically_cacheable(status)) return {};
  return {.seconds = policy.default_ttl, .rule = LifetimeRule::ttl};
}

seconds heuristic_lifetime(const http::ResponseHead& response, WallTime response_time) {
  const auto modified = date_of(response.fields, FieldId::last_modified, response_time);
  const WallTime date = date_of(response.fields, FieldId::date, response_time).value_or(response_time);
  if (!modified || *modified >= date || !may_guess(response)) return kNone;
  return std::min((date - *modified) / 10, kMaxHeuristicLifetime);
}

Lifetime unbounded_lifetime(const http::ResponseHead& response, const CachePolicy& policy,
                            WallTime response_time) {
  if (const Lifetime stated = explicit_lifetime(response.fields, response_time); stated.is_explicit()) {
    return stated;
  }
  if (policy.mode == CacheMode::off) return {};
  if (const Lifetime given = default_lifetime(response.status, policy); given.seconds > kNone) return given;
  if (policy.mode != CacheMode::on || !policy.heuristics) return {};
  const seconds guessed = heuristic_lifetime(response, response_time);
  if (guessed <= kNone) return {};
  return {.seconds = guessed, .rule = LifetimeRule::heuristic};
}

bool has_validator(const http::FieldList& fields, WallTime now) {
  return fields.has(FieldId::etag) || date_of(fields, FieldId::last_modified, now).has_value();
}

Reason check_request(const RequestFacts& request, const CachePolicy& policy) {
  if (policy.mode == CacheMode::off) return Reason::cache_off;
  if (request.method != http::Method::get) return Reason::method;
  if (request.has_body) return Reason::request_body;
  if (policy.obey_request && request.no_store) return Reason::request_no_store;
  return Reason::none;
}

Reason check_directives(const RequestFacts& request, int status, const http::ResponseDirectives& directives) {
  // must-understand overrides no-store for who understands the status (RFC 9111 section 5.2.2.3).
  if (directives.must_understand && !is_understood(status)) return Reason::must_understand;
  if (directives.no_store && !directives.must_understand) return Reason::no_store;
  if (directives.no_store_remote) return Reason::no_store;
  if (directives.private_ || !directives.private_fields.empty()) return Reason::is_private;
  const bool allows_authorized = directives.public_ || directives.must_revalidate || directives.s_maxage;
  if (request.has_authorization && !allows_authorized) return Reason::authorization;
  return Reason::none;
}

Reason check_vary(const http::FieldList& response) {
  std::string list;
  switch (normalise_vary(response, list)) {
    case VaryKind::star:
      return Reason::vary_star;
    case VaryKind::too_long:
      return Reason::vary_limit;
    default:
      return Reason::none;
  }
}

// no-cache without any number is explicit as well: keep it, ask each time.
Reason check_freshness(const http::ResponseHead& response, const CachePolicy& policy, WallTime now) {
  const Lifetime lifetime = freshness_lifetime(response, policy, now);
  const http::ResponseDirectives directives = effective_directives(response.fields);
  const bool has_no_cache = directives.no_cache || !directives.no_cache_fields.empty();
  const bool says_something = lifetime.is_explicit() || has_no_cache;
  if (lifetime.seconds > kNone && !has_no_cache) return Reason::none;
  if (!has_validator(response.fields, now)) {
    return says_something ? Reason::zero_lifetime : Reason::no_freshness;
  }
  if (says_something) return Reason::none;
  const bool may_revalidate = policy.mode == CacheMode::on && may_guess(response);
  return may_revalidate ? Reason::none : Reason::no_freshness;
}

// The first member counts (RFC 9111 section 5.1). What follows its digits is passed over rather than the
// whole ignored: a response is taken for too old, not for too young. Without digits there is no age.
seconds age_value(const http::FieldList& fields) {
  const http::Field* field = fields.find(FieldId::age);
  if (!field) return kNone;
  std::string_view value = trim(field->value);
  value = value.substr(0, value.find_first_not_of("0123456789"));
  return http::parse_delta_seconds(value).value_or(kNone);
}

ObjectFlags flags_of(const http::ResponseDirectives& directives, const Lifetime& lifetime) {
  ObjectFlags flags;
  flags.must_revalidate =
      directives.must_revalidate || directives.proxy_revalidate || directives.s_maxage.has_value();
  flags.no_cache = directives.no_cache || !directives.no_cache_fields.empty();
  flags.heuristic = lifetime.rule == LifetimeRule::heuristic;
  return flags;
}

// The origin's windows count; the policy's only where it allows staleness and there is a lifetime at all.
void set_stale_windows(const http::ResponseDirectives& directives, const CachePolicy& policy,
                       ObjectHead& head) {
  if (directives.must_revalidate || directives.proxy_revalidate || head.flags.no_cache) return;
  const bool use_policy = !directives.s_maxage && head.freshness_lifetime > kNone && head.status < 400;
  head.stale_while_revalidate =
      directives.stale_while_revalidate.value_or(use_policy ? policy.stale_while_revalidate : kNone);
  head.stale_if_error = directives.stale_if_error.value_or(use_policy ? policy.stale_if_error : kNone);
}

}  // namespace

RequestFacts RequestFacts::of(const http::RequestHead& request) {
  RequestFacts facts;
  facts.method = request.method;
  facts.has_body = request.has_body();
  // What a client has proved by its certificate counts like what it says in Authorization.
  facts.has_authorization = request.fields.has(FieldId::authorization) ||
                            request.fields.find("x-client-cert-fingerprint") != nullptr;
  facts.has_range = request.fields.has(FieldId::range);
  facts.no_store = http::request_directives(request.fields).no_store;
  return facts;
}

std::string_view to_string(LifetimeRule rule) {
  switch (rule) {
    case LifetimeRule::none:
      return "none";
    case LifetimeRule::s_maxage:
      return "s-maxage";
    case LifetimeRule::max_age:
      return "max-age";
    case LifetimeRule::expires:
      return "expires";
    case LifetimeRule::ttl:
      return "ttl";
    case LifetimeRule::negative_ttl:
      return "negative_ttl";
    case LifetimeRule::error_ttl:
      return "error_ttl";
    case LifetimeRule::heuristic:
      return "heuristic";
  }
  return "unknown";
}

std::string_view to_string(LifetimeBound bound) {
  switch (bound) {
    case LifetimeBound::none:
      return "none";
    case LifetimeBound::min_ttl:
      return "min_ttl";
    case LifetimeBound::max_ttl:
      return "max_ttl";
  }
  return "unknown";
}

FieldId binding_field(const http::FieldList& response) {
  for (FieldId targeted : {FieldId::cdn_cache_control, FieldId::surrogate_control}) {
    if (response.has(targeted)) return targeted;
  }
  return FieldId::cache_control;
}

http::ResponseDirectives effective_directives(const http::FieldList& response) {
  return http::response_directives(response, binding_field(response));
}

Lifetime freshness_lifetime(const http::ResponseHead& response, const CachePolicy& policy,
                            WallTime response_time) {
  Lifetime lifetime = unbounded_lifetime(response, policy, response_time);
  if (!lifetime.is_explicit() && lifetime.rule != LifetimeRule::heuristic) return lifetime;
  if (lifetime.seconds < policy.min_ttl) {
    lifetime.seconds = policy.min_ttl;
    lifetime.bound = LifetimeBound::min_ttl;
  }
  if (policy.max_ttl && lifetime.seconds > *policy.max_ttl) {
    lifetime.seconds = *policy.max_ttl;
    lifetime.bound = LifetimeBound::max_ttl;
  }
  return lifetime;
}

Lifetime explain_lifetime(const Object& object, const CachePolicy& policy) {
  http::ResponseHead response;
  response.status = object.status();
  std::string names;
  read_stored_fields(object.fields(), names, response.fields);
  return freshness_lifetime(response, policy, object.response_time());
}

Reason decide_storable(const RequestFacts& request, const http::ResponseHead& response,
                       const CachePolicy& policy, WallTime response_time) {
  if (Reason reason = check_request(request, policy); reason != Reason::none) return reason;
  if (response.status == 206) return Reason::partial;
  if (request.has_range && response.status != 200) return Reason::request_range;
  if (response.status == 412 || response.status == 416) return Reason::status;
  if (response.status < 200 || response.status == 304 || response.status > 599) return Reason::status;
  const http::ResponseDirectives directives = effective_directives(response.fields);
  if (Reason reason = check_directives(request, response.status, directives); reason != Reason::none) {
    return reason;
  }
  if (response.fields.has(FieldId::set_cookie) && !policy.store_set_cookie) return Reason::set_cookie;
  if (Reason reason = check_vary(response.fields); reason != Reason::none) return reason;
  return check_freshness(response, policy, response_time);
}

seconds current_age(const Object& object, WallTime now) {
  return object.corrected_initial_age() + std::max(kNone, now - object.response_time());
}

ServeDecision decide_serve(const Object& object, WallTime now, const http::RequestDirectives* request) {
  ServeDecision decision;
  decision.age = current_age(object, now);
  decision.ttl = object.freshness_lifetime() - decision.age;
  if (const auto since = object.stale_since()) decision.ttl = std::min(decision.ttl, *since - now);
  if (object.flags().no_cache || (request && request->no_cache)) return decision;
  seconds left = decision.ttl;
  if (request && request->max_age) left = std::min(left, *request->max_age - decision.age);
  if (request && request->min_fresh) left -= *request->min_fresh;
  if (left > kNone) {
    decision.serve = Serve::fresh;
    return decision;
  }
  const bool was_asked = request && (request->max_stale || request->any_stale);
  if (was_asked && !object.flags().must_revalidate &&
      (request->any_stale || -left <= request->max_stale.value_or(kNone))) {
    decision.serve = Serve::fresh;
    return decision;
  }
  const bool client_wants_newer = left < decision.ttl;
  if (!client_wants_newer && -decision.ttl < object.stale_while_revalidate()) {
    decision.serve = Serve::stale_while_revalidate;
  } else if (-decision.ttl < object.stale_if_error()) {
    decision.serve = Serve::stale_if_error;
  }
  return decision;
}

Assessment assess(const http::RequestHead& request, const http::ResponseHead& response,
                  const CachePolicy& policy, Exchanged times, AssessmentScratch& scratch) {
  Assessment result;
  const http::FieldList& fields = response.fields;
  result.not_stored = decide_storable(RequestFacts::of(request), response, policy, times.response_time);
  scratch.fields.clear();
  scratch.vary.clear();
  scratch.vary_values.clear();
  scratch.tags.clear();
  append_stored_fields(fields, scratch.fields, policy.keep_tag_fields);
  append_date(date_of(fields, FieldId::date, times.response_time).value_or(times.response_time),
              scratch.fields);
  append_tags(fields, scratch.tags);

  ObjectHead& head = result.head;
  const Lifetime lifetime = freshness_lifetime(response, policy, times.response_time);
  const http::ResponseDirectives directives = effective_directives(fields);
  head.status = static_cast<std::uint16_t>(response.status);
  head.request_time = times.request_time;
  head.response_time = times.response_time;
  head.date = date_of(fields, FieldId::date, times.response_time);
  head.last_modified = date_of(fields, FieldId::last_modified, times.response_time);
  head.age_value = age_value(fields);
  head.freshness_lifetime = lifetime.seconds;
  head.flags = flags_of(directives, lifetime);
  set_stale_windows(directives, policy, head);
  if (http::never_has_body(response.status)) head.content_length = 0;
  if (response.framing == http::Framing::length || response.framing == http::Framing::none) {
    head.content_length = response.framing == http::Framing::length || response.has_content_length
                              ? response.content_length
                              : 0;
  }
  if (normalise_vary(fields, scratch.vary) == VaryKind::list && result.not_stored == Reason::none &&
      !append_vary_values(scratch.vary, request.fields, scratch.vary_values)) {
    result.not_stored = Reason::vary_limit;
  }
  head.fields = scratch.fields;
  head.vary = scratch.vary;
  head.vary_values = scratch.vary_values;
  head.tags = scratch.tags;
  return result;
}

}  // namespace vignette::cache
