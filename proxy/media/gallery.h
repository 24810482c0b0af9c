// The page at `/` of the quickstart: what photos a directory holds, as responsive images through the site's
// own images route.
#pragma once

#include <string>

#include "base/error.h"
#include "net/task.h"
#include "proxy/origin/origin.h"
#include "proxy/route/route.h"

namespace vignette::proxy {

struct Snapshot;
struct WorkerContext;

// HTML. `origin` and `route` belong to `snapshot`. Reads the directory on the file pool. not_found: the
// origin is no directory or cannot be read.
net::Task<Result<std::string>> gallery_page(WorkerContext& context, const Snapshot& snapshot, Origin& origin,
                                            const Route& route);

}  // namespace vignette::proxy
