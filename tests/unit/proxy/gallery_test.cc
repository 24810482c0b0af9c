#include "proxy/media/gallery.h"

#include <stdlib.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <vector>

#include "fetch_rig.h"
#include "proxy/origin/directory_origin.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace vignette::proxy::test;
namespace fs = std::filesystem;

namespace {

// A site with a gallery at "/", the images of another origin at "/other/" and of the same one at "/i/".
struct Scene : FetchRig {
  Scene() {
    char pattern[] = "/tmp/vignette-gallery-XXXXXX";
    root = ::mkdtemp(pattern);
    origin = directory("photos", root);
    other = directory("other", root);
    options.hosts = {"*"};
    options.routes.resize(3);
    options.routes[0].kind = conf::RouteKind::gallery;
    options.routes[0].path = "/";
    options.routes[1].kind = options.routes[2].kind = conf::RouteKind::images;
    options.routes[1].path = "/other/";
    options.routes[2].path = "/i/";
    auto site = std::make_unique<Site>();
    for (const conf::Route& route : options.routes) {
      auto made = std::make_unique<Route>();
      made->options = &route;
      made->origins = {&route == &options.routes[1] ? other.get() : origin.get()};
      site->routes.push_back(std::move(made));
    }
    gallery = site->routes[0].get();
    std::vector<std::unique_ptr<Site>> sites;
    sites.push_back(std::move(site));
    snapshot->router = std::make_unique<Router>(std::move(sites), std::vector{options});
  }
  ~Scene() { fs::remove_all(root); }

  static std::unique_ptr<DirectoryOrigin> directory(std::string name, const fs::path& path) {
    conf::Origin options;
    options.name = std::move(name);
    options.kind = conf::OriginKind::directory;
    options.directory = path;
    return std::make_unique<DirectoryOrigin>(options);
  }
  void write(const fs::path& name) const {
    fs::create_directories((root / name).parent_path());
    std::ofstream(root / name) << "x";
  }
  Result<std::string> page() {
    Result<std::string> out = fail(Code::timeout, Blame::internal, "the scene hung");
    struct State {
      Scene& scene;
      Result<std::string>& out;
    } state{*this, out};
    run<State>(
        [](FetchRig& rig, State& asked) -> net::Task<void> {
          auto made = co_await gallery_page(rig.context, *asked.scene.snapshot, *asked.scene.origin,
                                            *asked.scene.gallery);
          asked.out = std::move(made);
        },
        state);
    return out;
  }

  static net::Task<void> ask(Scene& scene, std::vector<Result<std::string>>& pages) {
    auto page = co_await gallery_page(scene.context, *scene.snapshot, *scene.origin, *scene.gallery);
    pages.push_back(std::move(page));
  }

  fs::path root;
  std::unique_ptr<Origin> origin;
  std::unique_ptr<Origin> other;
  conf::Site options;
  Route* gallery = nullptr;
};

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE(
    "The gallery shows the photos below the directory, sorted, in three widths of the site's images route") {
  Scene scene;
  for (const char* name : {"z.jpg", "a/b.JPEG", "m.webp", "n.avif", "o.heic", "p.gif", "q.png", "readme.txt",
                           "s.svg", ".hidden.jpg", ".cache/t.jpg"}) {
    scene.write(name);
  }
  fs::create_symlink("z.jpg", scene.root / "link.jpg");
  const auto page = scene.page();
  REQUIRE(page);
  CHECK(holds(*page, "7 photos"));
  CHECK(count(*page, "<figure>") == 7);
  CHECK(holds(*page,
              "srcset=\"/i/-/w=320/a/b.JPEG 320w, /i/-/w=640/a/b.JPEG 640w, /i/-/w=1080/a/b.JPEG 1080w\""));
  CHECK(page->find("w=320/a/b.JPEG") < page->find("w=320/m.webp"));
  CHECK(page->find("w=320/q.png") < page->find("w=320/z.jpg"));
  for (const char* absent :
       {"/other/", "readme", "s.svg", ".hidden", "t.jpg", "link.jpg", "http://", "https://"}) {
    INFO(absent);
    CHECK_FALSE(holds(*page, absent));
  }
}

TEST_CASE("Names are escaped for HTML and for URLs") {
  Scene scene;
  scene.write("\"><script>alert(1)<&script>'.jpg");
  scene.write("100% a,b?#.jpg");
  scene.write("bad\xff.jpg");
  const auto page = scene.page();
  REQUIRE(page);
  CHECK(holds(*page, "<figcaption>&quot;&gt;&lt;script&gt;alert(1)&lt;&amp;script&gt;&#39;.jpg<code>"));
  CHECK(holds(*page, "/i/-/w=320/%22%3E%3Cscript%3Ealert%281%29%3C%26script%3E%27.jpg 320w"));
  CHECK(holds(*page, "/i/-/w=640/100%25%20a%2Cb%3F%23.jpg 640w"));
  CHECK(holds(*page, "/i/-/w=640/bad%FF.jpg 640w"));
  CHECK(holds(*page, "alt=\"bad\xEF\xBF\xBD.jpg\""));
  CHECK_FALSE(holds(*page, "<script>alert"));
}

TEST_CASE("Of many photos the first 500 by name are shown, and the page says so") {
  Scene scene;
  for (int i = 0; i < 501; ++i) scene.write(fmt::format("{:03}.jpg", i));
  const auto page = scene.page();
  REQUIRE(page);
  CHECK(holds(*page, "the first 500 photos"));
  CHECK(count(*page, "<figure>") == 500);
  CHECK(holds(*page, "w=320/499.jpg"));
  CHECK_FALSE(holds(*page, "w=320/500.jpg"));
}

TEST_CASE("Exactly 500 photos are all of them, one photo is one") {
  Scene scene;
  for (int i = 0; i < 500; ++i) scene.write(fmt::format("{:03}.jpg", i));
  const auto page = scene.page();
  REQUIRE(page);
  CHECK(holds(*page, "<p>500 photos,"));
  Scene single;
  single.write("one.jpg");
  const auto small = single.page();
  REQUIRE(small);
  CHECK(holds(*small, "<p>1 photo,"));
}

TEST_CASE("An empty directory has a page that says what to do") {
  Scene scene;
  const auto page = scene.page();
  REQUIRE(page);
  CHECK(holds(*page, "0 photos"));
  CHECK(holds(*page, "There is no photo in this directory yet."));
  CHECK(count(*page, "<figure>") == 0);
}

TEST_CASE("Many who ask for a gallery at once cost one look at its directory") {
  Scene scene;
  scene.write("a.jpg");
  struct State {
    Scene& scene;
    std::promise<void> gate;
    std::vector<Result<std::string>> pages;
  } state{scene, {}, {}};
  REQUIRE(scene.run<State>(
      [](FetchRig& rig, State& asked) -> net::Task<void> {
        const std::shared_future<void> gate = asked.gate.get_future().share();
        auto at_work = std::make_shared<std::atomic<int>>(0);
        for (int thread = 0; thread < 2; ++thread) {
          VCHECK(rig.files.try_submit([gate, at_work] {
            ++*at_work;
            gate.wait();
          }));
        }
        while (*at_work < 2) {
        }
        for (int i = 0; i < 5; ++i)
          rig.worker.spawn_named("asker", Scene::ask, std::ref(asked.scene), std::ref(asked.pages));
        auto turn = co_await net::yield();
        CHECK(rig.files.queued() == 1);
        asked.gate.set_value();
        while (turn && asked.pages.size() < 5) turn = co_await net::yield();
      },
      state));
  REQUIRE(state.pages.size() == 5);
  for (const Result<std::string>& page : state.pages) {
    REQUIRE(page);
    CHECK(page->find("a.jpg") != std::string::npos);
  }
}

TEST_CASE("A directory that is not there has no page") {
  Scene scene;
  fs::remove_all(scene.root);
  const auto page = scene.page();
  REQUIRE_FALSE(page);
  CHECK(page.error().code == Code::not_found);
}
