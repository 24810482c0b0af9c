// Image URLs that a worker has read lately, with what was made of them, so that a hit on a photo parses
// nothing and allocates nothing. Direct-mapped and bounded: a URL that falls on another's place replaces it.
// Loop-thread only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/hash.h"
#include "cache/key.h"
#include "imaging/url.h"

namespace vignette::proxy {

// An accepted image URL. Immutable after construction.
struct AskedImage {
  imaging::ImageRequest request;
  cache::Key key;
  std::string key_string;
  std::string origin_path;  // of `original` only: what the origin is asked for
};
using AskedImageRef = std::shared_ptr<const AskedImage>;

class ImageMemo {
 public:
  static constexpr std::size_t kPlaces = 1024;
  static constexpr std::size_t kMaxTextBytes = 512;  // longer URLs are read anew each time

  // What decides how a URL is read. A generation is never used twice, so a route of it is who it was.
  struct Url {
    std::uint64_t generation = 0;  // of the snapshot
    const void* route = nullptr;
    std::string_view path;
    std::string_view query;
    bool accepts_webp = false;
  };

  // Null: not known, or its signature has expired meanwhile.
  AskedImageRef find(const Url& url, WallTime now) const {
    const Place& place = places_[index(url)];
    if (!place.asked || place.generation != url.generation || place.route != url.route ||
        place.accepts_webp != url.accepts_webp || place.path != url.path || place.query != url.query) {
      return nullptr;
    }
    const auto& expires = place.asked->request.expires;
    return expires && now.time_since_epoch().count() >= *expires ? nullptr : place.asked;
  }

  void keep(const Url& url, AskedImageRef asked) {
    if (url.path.size() + url.query.size() > kMaxTextBytes) return;
    places_[index(url)] = {url.generation,         url.route,       url.accepts_webp, std::string(url.path),
                           std::string(url.query), std::move(asked)};
  }

 private:
  struct Place {
    std::uint64_t generation = 0;
    const void* route = nullptr;
    bool accepts_webp = false;
    std::string path;
    std::string query;
    AskedImageRef asked;
  };

  static std::size_t index(const Url& url) {
    return (hash64(url.path, url.accepts_webp ? 1 : 0) ^ hash64(url.query)) % kPlaces;
  }

  std::array<Place, kPlaces> places_;
};

}  // namespace vignette::proxy
