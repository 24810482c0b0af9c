// Why a response was not stored, or is in memory only. Reaches log, metrics and the detail of Cache-Status.
#pragma once

#include <cstdint>
#include <string_view>

namespace vignette::cache {

enum class Reason : std::uint8_t {
  none,              // it is stored
  cache_off,         // the route's policy
  method,            // neither GET nor a HEAD answered from one
  request_body,      // a GET with a body
  request_no_store,  // the request's Cache-Control, where the route obeys it
  request_range,     // the answer belongs to a range
  status,            // a status that is not understood or not cacheable
  partial,           // 206
  no_store,          // Cache-Control of the response
  is_private,        // Cache-Control: private
  authorization,     // RFC 9111 section 3.5
  set_cookie,        // Set-Cookie is never stored by default
  vary_star,         // Vary: *
  vary_limit,        // a Vary list past kMaxVaryFields
  must_understand,   // must-understand with a status that we do not understand
  no_freshness,      // neither a lifetime nor a validator
  zero_lifetime,     // a lifetime of zero and nothing to revalidate with
  too_large,         // longer than the store takes
  no_room,           // the store could not reserve the bytes
  displaced,         // a 304 for what has left the store meanwhile, or given way to another
  purged,            // a purge named it while it was on its way
};

// Short token for logs and Cache-Status; static.
std::string_view to_string(Reason reason);

// Why a disk did not take an object that was offered to it.
enum class DiskRefusal : std::uint8_t {
  none,         // it did, or there is no disk
  once,         // asked for only once, and no unused space is left
  over_budget,  // the day's bytes are spent
  queue_full,   // too many bytes wait for the disk
  queue_old,    // the oldest waits too long
  offline,      // the volume is away
  too_large,    // longer than a needle may be
};
std::string_view to_string(DiskRefusal refusal);

}  // namespace vignette::cache
