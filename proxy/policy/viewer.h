// CloudFront-Viewer-*: what an origin is told of a client. Clients never say it themselves.
#pragma once

#include "base/arena.h"
#include "conf/address.h"
#include "conf/viewer_fields.h"
#include "geo/databases.h"
#include "http/field_list.h"

namespace vignette::proxy {

struct ViewerFacts {
  conf::IpBytes address{};
  std::uint16_t port = 0;                     // of its end of the connection; 0: not known
  geo::Country country = geo::kUnknown;       // kUnknown: not told
  const geo::Databases* databases = nullptr;  // null: nothing else is known of where it is
};

// Takes away all fields of that prefix, known or not.
void drop_viewer_fields(http::FieldList& fields);

// Adds those of `wanted` whose values are known, in place of any of the prefix. Values live in `texts`:
// ASCII, what is not is percent-encoded UTF-8, and so is '%'. False: list or texts are full and a field is
// missing, so that the request must not go on.
[[nodiscard]] bool set_viewer_fields(const conf::ViewerFields& wanted, const ViewerFacts& facts,
                                     http::FieldList& fields, Arena& texts);

// For requests of the node itself, which say where their viewer is: takes away what is not wanted.
void keep_viewer_fields(const conf::ViewerFields& wanted, http::FieldList& fields);

}  // namespace vignette::proxy
