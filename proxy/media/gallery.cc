#include "proxy/media/gallery.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include <fmt/format.h>

#include "base/strings.h"
#include "net/offload.h"
#include "proxy/origin/directory_origin.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

constexpr std::size_t kMaxPhotos = 500;

struct Listing {
  std::vector<std::string> names;  // below the directory, sorted
  bool cut = false;
};

bool is_photo(std::string_view name) {
  std::string_view type = content_type_of(name);
  return type.starts_with("image/") && type != "image/svg+xml" && type != "image/x-icon";
}

// Blocks: on the file pool. Follows no symlinks and shows no hidden names, as the origin serves none.
Result<Listing> list_photos(const std::string& directory) {
  namespace fs = std::filesystem;
  Listing listing;
  std::error_code error;
  auto options = fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator entry(directory, options, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    if (entry->path().filename().string().starts_with('.')) {
      entry.disable_recursion_pending();
      continue;
    }
    if (entry->symlink_status(ignored).type() != fs::file_type::regular) continue;
    std::string name = entry->path().lexically_relative(directory).string();
    if (!is_photo(name)) continue;
    if (listing.names.size() == kMaxPhotos) {
      listing.cut = true;
      break;
    }
    listing.names.push_back(std::move(name));
  }
  if (error) return fail(Code::not_found, Blame::origin, "gallery: directory", error.value());
  std::ranges::sort(listing.names);
  return listing;
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

// The prefix of the images route of this origin on the same site; the loader has checked that there is one.
std::string images_prefix(const Router& router, const Origin& origin, const Route& gallery) {
  for (const auto& site : router.sites()) {
    bool same_site = std::ranges::any_of(site->routes, [&](const auto& route) { return route.get() == &gallery; });
    for (const auto& route : site->routes) {
      if (same_site && route->options->kind == conf::RouteKind::images && route->origins.front() == &origin) {
        return route->options->path;
      }
    }
  }
  return {};
}

constexpr std::string_view kPageHead = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Vignette</title><style>
:root{color-scheme:light dark;--line:color-mix(in srgb,currentColor 18%,transparent)}
body{font:15px/1.5 system-ui,sans-serif;margin:0;padding:2rem clamp(1rem,4vw,3rem)}
h1{font-size:1.4rem;margin:0}header p{margin:.2rem 0 1.6rem;opacity:.7}
main{display:grid;gap:1.2rem;grid-template-columns:repeat(auto-fill,minmax(min(20rem,100%),1fr))}
figure{margin:0;border:1px solid var(--line);border-radius:.6rem;overflow:hidden}
img{display:block;width:100%;aspect-ratio:3/2;object-fit:cover;background:var(--line)}
figcaption{padding:.6rem .8rem;font-size:.85rem;overflow-wrap:anywhere}
code{display:block;font-size:.75rem;opacity:.75;min-height:1.5em}
</style></head><body>
)";

// Asks for what the browser chose, once it is shown, and prints what the cache said of it.
constexpr std::string_view kPageTail = R"(</main><script>
for (const figure of document.querySelectorAll('figure')) {
  const image = figure.querySelector('img'), note = figure.querySelector('code');
  const show = async () => {
    try {
      const answer = await fetch(image.currentSrc, {cache: 'no-store'});
      const bytes = (await answer.blob()).size;
      note.textContent = `${answer.headers.get('cache-status')} · age ${answer.headers.get('age') ?? 0} s · ` +
        `${answer.headers.get('content-type')} · ${(bytes / 1024).toFixed(1)} KiB · ${image.naturalWidth} px`;
    } catch (error) { note.textContent = String(error); }
  };
  image.complete && image.naturalWidth ? show() : image.addEventListener('load', show, {once: true});
}
</script></body></html>
)";

void append_figure(std::string& page, const std::string& prefix, const std::string& name) {
  std::string key = percent_encode(name, kUnreserved.with("/"));
  auto url = [&](int width) { return fmt::format("{}-/w={}/{}", prefix, width, key); };
  page += fmt::format(
      "<figure><a href=\"{0}-/original/{1}\"><img loading=\"lazy\" alt=\"{2}\" src=\"{3}\" "
      "srcset=\"{3} 320w, {4} 640w, {5} 1080w\" sizes=\"(max-width: 22rem) 100vw, 24rem\"></a>"
      "<figcaption>{2}<code></code></figcaption></figure>\n",
      prefix, key, escape_html(name), url(320), url(640), url(1080));
}

}  // namespace

net::Task<Result<std::string>> gallery_page(WorkerContext& context, Origin& origin, const Route& route) {
  auto* directory = dynamic_cast<DirectoryOrigin*>(&origin);
  if (!directory) co_return fail(Code::not_found, Blame::origin, "gallery: not a directory");
  std::shared_ptr<const Snapshot> snapshot = context.snapshot;
  std::string prefix = images_prefix(*snapshot->router, origin, route);
  auto listing = co_await net::offload(context.node.file_pool,
                                       [path = directory->path()] { return list_photos(path); });
  if (!listing) co_return std::unexpected(listing.error());
  std::string page(kPageHead);
  page += fmt::format("<header><h1>Vignette</h1><p>{}{} photos, resized on the way to you.</p></header><main>\n",
                      listing->cut ? "the first " : "", listing->names.size());
  if (listing->names.empty()) page += "<p>There is no photo in this directory yet.</p>\n";
  for (const std::string& name : listing->names) append_figure(page, prefix, name);
  page += kPageTail;
  co_return page;
}

}  // namespace vignette::proxy
