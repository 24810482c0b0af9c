// What of a stored 200 a request gets (RFC 9110 sections 13.2.2 and 14.2).
#pragma once

#include <cstdint>
#include <optional>

#include "cache/object.h"
#include "http/message.h"
#include "http/range.h"

namespace vignette::proxy {

struct Part {
  enum class Kind : std::uint8_t {
    whole,
    part,                 // `range` of it
    not_modified,         // 304
    precondition_failed,  // 412
    unsatisfiable,        // 416
  };
  Kind kind = Kind::whole;
  http::ByteRange range;
};

// Whether ranges of it mean something to who has other ranges. Bytes that were compressed on the way are not
// the same each time, and a weak tag does not say so: of these the whole is sent.
bool may_be_parted(const cache::Object& object);

// Ranges are taken only of an object whose length is known, and which may be parted.
Part choose_part(const http::RequestHead& request, const cache::Object& object);

// The one range that a GET asks for, whatever it is a part of; nullopt: none, several, or no range that can
// be read. Two Range lines make one value that is no range (RFC 9110 section 5.2): caches may differ in which
// they take.
std::optional<http::RangeSpec> asked_range(const http::RequestHead& request);

}  // namespace vignette::proxy
