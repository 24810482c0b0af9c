// Resized photos as an origin: imaging over the original, which is read through this same cache.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "cache/key.h"
#include "imaging/url.h"
#include "proxy/origin/origin.h"

namespace vignette::proxy {

struct Snapshot;

// Key of an object of a store of photos (s3, directory). No host or route is in it: however a photo is asked
// for, it is read once. `path` is percent-encoded and begins with '/',
// `query` is what Origin::object_query() found, mostly nothing.
cache::Key original_key(const Origin& origin, std::string_view path, std::string_view query,
                        std::string& key_string);

// Key of a variant (or of `info`). The format is in it: as asked for, else webp where the client lists it,
// else "auto" (JPEG or PNG, as the source's transparency decides).
cache::Key variant_key(const Origin& origin, const imaging::ImageRequest& image, bool accepts_webp,
                       std::string& key_string);

// The origin of one fill. Its answers: 200 with the picture and a strong ETag; 304 when the fill's
// If-None-Match still names it; 4xx/5xx of imaging/errors.h with a lifetime of their own, so that bad sources
// are remembered. Errors: those of reading the original. `originals` belongs to `snapshot`, which the fill of
// the original keeps even when this one has ended.
std::unique_ptr<Origin> make_image_origin(std::shared_ptr<const Snapshot> snapshot, Origin& originals,
                                          const imaging::ImageRequest& image, bool accepts_webp);

}  // namespace vignette::proxy
