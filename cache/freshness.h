// RFC 9111 as pure functions: may it be stored (section 3), for how long is it fresh (4.2), may it be served
// now (4.2.4, RFC 5861). Ours is a shared cache: s-maxage counts, private does not get in.
//
// Directives come from the most specific field (RFC 9213): CDN-Cache-Control, else Surrogate-Control, else
// Cache-Control with Expires. The forms private="…" and no-cache="…" count as the forms without names.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "cache/object.h"
#include "cache/policy.h"
#include "cache/reason.h"
#include "http/cache_control.h"
#include "http/message.h"

namespace vignette::cache {

inline constexpr std::chrono::seconds kMaxHeuristicLifetime = std::chrono::hours(24);

// What the decision needs to know of the request.
struct RequestFacts {
  http::Method method = http::Method::get;
  bool has_body = false;
  bool has_authorization = false;
  bool has_range = false;  // a Range was sent to the origin
  bool no_store = false;

  static RequestFacts of(const http::RequestHead& request);
};

// The field whose directives bind us, and what they are.
http::FieldId binding_field(const http::FieldList& response);
http::ResponseDirectives effective_directives(const http::FieldList& response);

// What a lifetime comes from.
enum class LifetimeRule : std::uint8_t {
  none,  // nothing gives it one
  s_maxage,
  max_age,
  expires,
  ttl,           // the route's, where the origin says nothing
  negative_ttl,  // the same of 404 and 410
  error_ttl,     // the same of 500, 502, 503 and 504
  heuristic,     // a tenth of the time since Last-Modified (section 4.2.2)
};
enum class LifetimeBound : std::uint8_t { none, min_ttl, max_ttl };  // which of the route's changed it
std::string_view to_string(LifetimeRule rule);
std::string_view to_string(LifetimeBound bound);

struct Lifetime {
  std::chrono::seconds seconds{0};
  LifetimeRule rule = LifetimeRule::none;
  LifetimeBound bound = LifetimeBound::none;
  http::FieldId field = http::FieldId::cache_control;  // where s-maxage or max-age was read

  // The origin said so.
  bool is_explicit() const {
    return rule == LifetimeRule::s_maxage || rule == LifetimeRule::max_age || rule == LifetimeRule::expires;
  }
};
// `response_time` stands in for a missing Date.
Lifetime freshness_lifetime(const http::ResponseHead& response, const CachePolicy& policy,
                            WallTime response_time);
// The same of a stored response. The seconds are not freshness_lifetime()'s of the object where the policy
// has changed since, or where the origin said it in a field that is not stored (Surrogate-Control).
Lifetime explain_lifetime(const Object& object, const CachePolicy& policy);

// none: store it.
Reason decide_storable(const RequestFacts& request, const http::ResponseHead& response,
                       const CachePolicy& policy, WallTime response_time);

// Age now, RFC 9111 section 4.2.3.
std::chrono::seconds current_age(const Object& object, WallTime now);

enum class Serve : std::uint8_t {
  fresh,
  stale_while_revalidate,  // send it, and fetch behind
  stale_if_error,          // ask the origin first; if that fails, this may be sent
  must_revalidate,         // ask the origin first; nothing else is allowed
};

struct ServeDecision {
  Serve serve = Serve::must_revalidate;
  std::chrono::seconds age{0};
  std::chrono::seconds ttl{0};  // lifetime left; negative when stale
};
// `request` only where the route obeys it, else null.
ServeDecision decide_serve(const Object& object, WallTime now,
                           const http::RequestDirectives* request = nullptr);

// Everything set_head() wants to know about an answer of the origin.
struct Assessment {
  Reason not_stored = Reason::none;
  ObjectHead head;  // views into the response and into `scratch`
};
struct Exchanged {
  WallTime request_time;
  WallTime response_time;
};
// `scratch` is overwritten and must live as long as the head is used.
struct AssessmentScratch {
  std::string fields, vary, vary_values, tags;
};
Assessment assess(const http::RequestHead& request, const http::ResponseHead& response,
                  const CachePolicy& policy, Exchanged times, AssessmentScratch& scratch);

// The stored head that a 304 makes of `old` (RFC 9111 section 3.2 and 4.3.4): fields of the 304 replace those
// of the same name, but not those that describe the stored bytes.
Assessment assess_not_modified(const Object& old, const http::RequestHead& request,
                               const http::ResponseHead& not_modified, const CachePolicy& policy,
                               Exchanged times, AssessmentScratch& scratch);

}  // namespace vignette::cache
