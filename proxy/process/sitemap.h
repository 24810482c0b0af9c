// Sitemaps (sitemaps.org): the URLs of a site, or the sitemaps that an index names. Plain or gzipped.
#pragma once

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace vignette::proxy {

inline constexpr std::size_t kMaxSitemapBytes = std::size_t{50} << 20;  // unpacked; the protocol's own limit
inline constexpr std::size_t kMaxSitemapDepth = 64;                     // of elements

struct Sitemap {
  std::vector<std::string> pages;
  std::vector<std::string> sitemaps;  // of an index
};

// Reads what a sitemap needs of XML: elements, text, CDATA, comments and the predefined and numeric entities;
// a document type with declarations of its own is refused. Any prefix of names goes. The error is a sentence.
std::expected<Sitemap, std::string> read_sitemap(std::string_view bytes);

}  // namespace vignette::proxy
