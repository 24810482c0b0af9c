// What purges may name a fetched response by, beside its URL and the tags that its origin gave it.
#pragma once

#include <string>

#include "cache/object.h"
#include "proxy/media/fill_job.h"

namespace vignette::proxy {

// Adds to head.tags: the origin that answered; of an object of a store its own name, which all that is made
// of it inherits; the groups that it is in; what the response says of what it was made from. `tags` keeps
// them as long as the head is used.
void name_for_purges(const FillJob& job, const OriginResponse& response, cache::ObjectHead& head,
                     std::string& tags);

// The same for a stored response that a 304 has confirmed: it keeps the tags it had where the 304 has none.
void name_freshened(const FillJob& job, const OriginResponse& response, cache::ObjectHead& head,
                    std::string& tags);

}  // namespace vignette::proxy
