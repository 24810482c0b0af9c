#include "cache/reason.h"

namespace vignette::cache {

std::string_view to_string(Reason reason) {
  switch (reason) {
    case Reason::none:
      return "none";
    case Reason::cache_off:
      return "cache-off";
    case Reason::method:
      return "method";
    case Reason::request_body:
      return "request-body";
    case Reason::request_no_store:
      return "request-no-store";
    case Reason::request_range:
      return "request-range";
    case Reason::status:
      return "status";
    case Reason::partial:
      return "partial";
    case Reason::no_store:
      return "no-store";
    case Reason::is_private:
      return "private";
    case Reason::authorization:
      return "authorization";
    case Reason::set_cookie:
      return "set-cookie";
    case Reason::vary_star:
      return "vary-star";
    case Reason::vary_limit:
      return "vary-limit";
    case Reason::must_understand:
      return "must-understand";
    case Reason::no_freshness:
      return "no-freshness";
    case Reason::zero_lifetime:
      return "zero-lifetime";
    case Reason::too_large:
      return "too-large";
    case Reason::no_room:
      return "no-room";
    case Reason::displaced:
      return "displaced";
    case Reason::purged:
      return "purged";
  }
  return "unknown";
}

std::string_view to_string(DiskRefusal refusal) {
  switch (refusal) {
    case DiskRefusal::none:
      return "none";
    case DiskRefusal::once:
      return "once";
    case DiskRefusal::over_budget:
      return "over-budget";
    case DiskRefusal::queue_full:
      return "queue-full";
    case DiskRefusal::queue_old:
      return "queue-old";
    case DiskRefusal::offline:
      return "offline";
    case DiskRefusal::too_large:
      return "too-large";
  }
  return "unknown";
}

}  // namespace vignette::cache
