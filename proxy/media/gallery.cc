#include "proxy/media/gallery.h"

#include <algorithm>
#include <vector>

#include <fmt/core.h>

#include "base/html.h"
#include "base/strings.h"
#include "proxy/origin/directory_origin.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

constexpr int kWidths[] = {320, 640, 1080};

// The prefix of the images route of this origin on the same site; the loader has checked that there is one.
std::string images_prefix(const Router& router, const Origin& origin, const Route& gallery) {
  for (const auto& site : router.sites()) {
    bool same_site =
        std::ranges::any_of(site->routes, [&](const auto& route) { return route.get() == &gallery; });
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
<title>Vignette</title><link rel="icon" href="data:,"><style>
:root{color-scheme:light dark;--line:color-mix(in srgb,currentColor 14%,transparent);--good:#1a9a5c}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;margin:0;padding:2rem clamp(1rem,4vw,3rem)}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:.2rem 1rem;margin-bottom:1.6rem}
h1{font-size:1.5rem;letter-spacing:-.02em;margin:0}header p{margin:0;opacity:.7}
main{display:grid;gap:1.2rem;grid-template-columns:repeat(auto-fill,minmax(min(20rem,100%),1fr))}
main>p{grid-column:1/-1;padding:4rem 1rem;text-align:center;border:1px dashed var(--line);border-radius:.7rem}
figure{margin:0;border:1px solid var(--line);border-radius:.7rem;overflow:hidden}
img{display:block;width:100%;aspect-ratio:3/2;object-fit:cover;background:var(--line)}
figcaption{padding:.6rem .8rem .7rem;font-size:.85rem;overflow-wrap:anywhere}
code{display:block;font-size:.75rem;opacity:.75;min-height:3em}code.hit{color:var(--good);opacity:1}
button{font:inherit;font-size:.75rem;border:0;padding:0;background:none;color:inherit;opacity:.6;
text-decoration:underline;cursor:pointer}
</style></head><body>
)";

// Asks for what the browser chose, once it is shown, and prints what the cache says of it.
constexpr std::string_view kPageTail = R"(</main><script>
for (const figure of document.querySelectorAll('figure')) {
  const image = figure.querySelector('img'), note = figure.querySelector('code');
  const show = async () => {
    try {
      const answer = await fetch(image.currentSrc,
        {cache: 'no-store', headers: {accept: 'image/avif,image/webp,image/*,*/*;q=0.8'}});
      const bytes = (await answer.blob()).size, status = answer.headers.get('cache-status') ?? 'no Cache-Status';
      note.className = /;\s*hit/.test(status) ? 'hit' : '';
      note.textContent = `${status} · age ${answer.headers.get('age') ?? 0} s · ${(bytes / 1024).toFixed(1)} KiB · ` +
        `${answer.headers.get('content-type')} · ${image.naturalWidth} px`;
    } catch (error) { note.textContent = String(error); }
  };
  figure.querySelector('button').addEventListener('click', show);
  image.addEventListener('error', show, {once: true});
  if (image.complete && image.naturalWidth) show(); else image.addEventListener('load', show, {once: true});
}
</script></body></html>
)";

void append_figure(std::string& page, std::string_view prefix, const std::string& name) {
  const std::string key = percent_encode(name, kUnreservedPath);
  std::string sources;
  for (int width : kWidths) {
    sources += fmt::format("{}{}-/w={}/{} {}w", sources.empty() ? "" : ", ", prefix, width, key, width);
  }
  page += fmt::format(
      "<figure><a href=\"{0}-/original/{1}\"><img loading=\"lazy\" alt=\"{2}\" src=\"{0}-/w={3}/{1}\" "
      "srcset=\"{4}\" sizes=\"(max-width: 22rem) 100vw, 24rem\"></a>"
      "<figcaption>{2}<code></code><button>ask again</button></figcaption></figure>\n",
      prefix, key, escape_html(name), kWidths[0], sources);
}

std::string page_of(const PhotoList& listing, std::string_view prefix) {
  const std::size_t count = listing.names.size();
  std::string page(kPageHead);
  page +=
      fmt::format("<header><h1>Vignette</h1><p>{}{} photo{}, resized on the way to you</p></header><main>\n",
                  listing.cut ? "the first " : "", count, count == 1 ? "" : "s");
  if (listing.names.empty()) {
    page +=
        "<p>There is no photo in this directory yet. Put some in (jpeg, png, webp, gif, avif or heic) and "
        "reload.</p>\n";
  }
  for (const std::string& name : listing.names) append_figure(page, prefix, name);
  page += kPageTail;
  return page;
}

}  // namespace

net::Task<Result<std::string>> gallery_page(WorkerContext& context, const Snapshot& snapshot, Origin& origin,
                                            const Route& route) {
  auto* directory = dynamic_cast<DirectoryOrigin*>(&origin);
  if (!directory) co_return fail(Code::not_found, Blame::origin, "gallery: not a directory");
  const std::string prefix = escape_html(images_prefix(*snapshot.router, origin, route));
  auto listing = co_await context.photo_lists.get(context, directory->path());
  if (!listing) co_return std::unexpected(listing.error());
  co_return page_of(**listing, prefix);
}

}  // namespace vignette::proxy
