// What `vignette warm` is given as a sitemap, or told to warm: any bytes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/check.h"
#include "proxy/admin/warm_order.h"
#include "proxy/process/sitemap.h"

using namespace vignette;
using namespace vignette::proxy;

namespace {

const Snapshot& snapshot() {
  static const Snapshot without_sites = [] {
    Snapshot made;
    made.router = std::make_unique<Router>(std::vector<std::unique_ptr<Site>>(), std::vector<conf::Site>());
    return made;
  }();
  return without_sites;
}

// A head is one head, whatever was ordered: no line of it is empty but the last.
void read_order(std::string_view text) {
  const auto order = read_warm_order(text, snapshot());
  if (!order) return;
  VCHECK(order->head.starts_with("GET ") && order->head.ends_with("\r\n\r\n"));
  VCHECK(order->head.find("\r\n\r\n") == order->head.size() - 4);
  VCHECK(std::ranges::count(order->head, '\r') == std::ranges::count(order->head, '\n'));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto sitemap = read_sitemap(bytes)) {
    for (const std::string& page : sitemap->pages) VCHECK(!page.empty() && page.size() <= kMaxSitemapBytes);
  }
  read_order(bytes);
  return 0;
}
