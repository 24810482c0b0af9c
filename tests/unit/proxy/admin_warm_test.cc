// Orders to warm: the request that a URL or a key stands for, and the desk that takes them.
#include <catch2/catch.hpp>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cache/warm/hot_list.h"
#include "net/worker.h"
#include "proxy/admin/warm_desk.h"
#include "proxy/admin/warm_order.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace std::chrono_literals;

namespace {

class NamedOrigin final : public Origin {
 public:
  using Origin::Origin;
  net::Task<Result<OriginResponse>> fetch(WorkerContext&, const OriginRequest&) override {
    co_return fail(Code::unavailable, Blame::internal, "test");
  }
};

struct RouteOf {
  std::string host, pattern, origin;
  conf::RouteKind kind = conf::RouteKind::origin;
  bool strip_prefix = false;
};

// A snapshot of routes alone, a site for each run of one host.
class Routes {
 public:
  explicit Routes(const std::vector<RouteOf>& routes) {
    for (const RouteOf& route : routes) add(route);
    snapshot_.router = std::make_unique<Router>(std::move(compiled_), sites_);
  }

  // As HEAD is sent, without the "GET " and "HTTP/1.1" around the target and without the empty line; or "!
  // WHY".
  std::string request_of(const std::string& text) const {
    auto order = read_warm_order(text, snapshot_);
    if (!order) return "! " + order.error();
    std::string head = order->head;
    REQUIRE(head.starts_with("GET "));
    REQUIRE(head.ends_with("\r\n\r\n"));
    head.resize(head.size() - 4);
    const std::size_t version = head.find(" HTTP/1.1\r\nHost: ");
    REQUIRE(version != head.npos);
    const std::string target = head.substr(4, version - 4);
    const std::string rest = head.substr(version + 17);
    const std::size_t host_end = std::min(rest.find("\r\n"), rest.size());
    std::string fields = rest.substr(host_end);
    for (std::size_t at = 0; (at = fields.find("\r\n", at)) != fields.npos; at += 3)
      fields.replace(at, 2, " | ");
    return (order->tls ? "https://" : "http://") + rest.substr(0, host_end) + target + fields;
  }
  std::string request_of_key(const std::string& key) const { return request_of(cache::escape_key(key)); }
  const Snapshot& snapshot() const { return snapshot_; }

 private:
  void add(const RouteOf& route) {
    if (sites_.empty() || sites_.back().hosts.front() != route.host) {
      sites_.emplace_back().hosts = {route.host};
      compiled_.push_back(std::make_unique<Site>());
      compiled_.back()->name = route.host;
    }
    auto& options = options_.emplace_back(std::make_unique<conf::Route>());
    options->prefix = route.pattern.ends_with('*');
    options->path = options->prefix ? route.pattern.substr(0, route.pattern.size() - 1) : route.pattern;
    options->kind = route.kind;
    options->strip_prefix = route.strip_prefix;
    sites_.back().routes.push_back(*options);
    auto made = std::make_unique<Route>();
    made->options = options.get();
    origins_.push_back(std::make_unique<NamedOrigin>(route.origin, Origin::Kind::directory));
    made->origins = {origins_.back().get()};
    compiled_.back()->routes.push_back(std::move(made));
  }

  std::vector<conf::Site> sites_;
  std::vector<std::unique_ptr<conf::Route>> options_;
  std::vector<std::unique_ptr<Origin>> origins_;
  std::vector<std::unique_ptr<Site>> compiled_;
  Snapshot snapshot_;
};

const Routes& routes() {
  constexpr auto kImages = conf::RouteKind::images;
  static const Routes all({{"*.img.test", "/i/hidden/*", "app"},
                           {"*.img.test", "/i/*", "photos", kImages},
                           {"*.img.test", "/f/*", "films", conf::RouteKind::origin, true},
                           {"*.img.test", "/docs/*", "docs"},
                           {"*.img.test", "/*", "rest"},
                           {"a.test", "/*", "app"},
                           {"*", "/any/*", "other", conf::RouteKind::origin, true}});
  return all;
}

// One desk on a loop under a manual clock.
struct Desk {
  explicit Desk(WarmDesk::Run run) : desk(loop, std::move(run)) {
    thread = std::thread([this] { loop.run(); });
  }
  ~Desk() {
    loop.stop();
    thread.join();
  }
  std::future<AdminReply> take(std::string text) {
    auto answered = std::make_shared<std::promise<AdminReply>>();
    loop.post([this, text = std::move(text), answered]() mutable {
      loop.spawn_named(
          "order",
          [](WarmDesk& at, SnapshotRef snapshot, std::string order,
             std::shared_ptr<std::promise<AdminReply>> done) -> net::Task<void> {
            auto reply = co_await at.take(std::move(snapshot), std::move(order));
            done->set_value(std::move(reply));
          },
          std::ref(desk), SnapshotRef(SnapshotRef(), &routes().snapshot()), std::move(text), answered);
    });
    return answered->get_future();
  }
  // What was posted before has been done, and what that has spawned.
  void settle() {
    for (int turn = 0; turn < 2; ++turn) {
      std::promise<void> done;
      loop.post([&] { done.set_value(); });
      done.get_future().wait();
    }
  }

  ManualClock clock;
  net::Worker loop{{.name = "desk", .clock = &clock}};
  WarmDesk desk;
  std::thread thread;
};

WarmReply stored() {
  return {.outcome = WarmReply::Outcome::stored, .status = 200, .reason = {}, .body = {}};
}

}  // namespace

TEST_CASE("A URL is asked for as it stands, with the fields behind it") {
  CHECK(routes().request_of("https://a.test/x?q=1\nAccept: image/webp\nX-A: b\n") ==
        "https://a.test/x?q=1 | Accept: image/webp | X-A: b");
  CHECK(routes().request_of("http://a.test:8080") == "http://a.test:8080/");
  CHECK(routes().request_of("http://a.test/?\n") == "http://a.test/?");
}

TEST_CASE("What no request can be is refused before it is one") {
  for (const char* text :
       {"", "\n", "ftp://a.test/", "http://a.test/#x", "http://a.test/a b", "http://a.test/\r",
        "http://a.test/\nX: y\rZ: 1\n", "a.test", "a.test/x", "a.test/x\\nhttp\nX: y", "a.test/x\\nftp",
        "a.test/x\\nhttp:80", "/x\\nhttps", "x\\q", "/x\\n@original=nobody", "/x\\n@image=photos",
        "a.test/x\\nhttps\\nchunk=x", "a.test/a b\\nhttps",
        "a.test/x\\nhttps\\nchunk=99999999999999999999"}) {
    INFO(text);
    CHECK_FALSE(read_warm_order(text, routes().snapshot()));
  }
}

TEST_CASE("The key of an app server's answer gives the URL and the fields that chose it") {
  CHECK(routes().request_of_key("a.test/x?q=1\nhttps") == "https://a.test/x?q=1");
  CHECK(routes().request_of_key("a.test:8080/\nhttp\naccept-encoding:br,gzip\naccept-language:\nx-a: b:c") ==
        "http://a.test:8080/ | accept-encoding: br,gzip | x-a:  b:c");
  CHECK(routes().request_of_key("a.test/\nhttp\ncookie theme:dark\ncookie size:1\nx-a:1") ==
        "http://a.test/ | x-a: 1 | cookie: theme=dark; size=1");
}

TEST_CASE("The key of a photo gives a URL on a route that leads to its origin") {
  CHECK(routes().request_of_key("/a/cat.jpg\n@image=photos\nf=webp,w=640") ==
        "http://warm.img.test/i/-/f=webp,w=640/a/cat.jpg");
  CHECK(routes().request_of_key("/cat.jpg\n@image=photos\nw=640,f=auto") ==
        "http://warm.img.test/i/-/w=640/cat.jpg");
  CHECK(routes().request_of_key("/cat.jpg\n@image=photos\n,f=auto") ==
        "http://warm.img.test/i/-/fit=inside/cat.jpg");
  CHECK(routes().request_of_key("/cat.jpg\n@info=photos") == "http://warm.img.test/i/-/info/cat.jpg");
  CHECK(routes().request_of_key("/cat.jpg\n@original=photos") == "http://warm.img.test/i/-/original/cat.jpg");
  CHECK(routes().request_of_key("/a.mp4\n@original=films") == "http://warm.img.test/f/a.mp4");
  CHECK(routes().request_of_key("/docs/a.pdf?versionId=3\n@original=docs\naccept:x/y") ==
        "http://warm.img.test/docs/a.pdf?versionId=3 | accept: x/y");
  CHECK(routes().request_of_key("/x\n@original=other") == "http://localhost/any/x");
}

TEST_CASE("A route that another one hides, or that is not for the path, does not lead to a photo") {
  CHECK(routes().request_of_key("/elsewhere/a.pdf\n@original=docs") ==
        "! no route leads to this of origin \"docs\"");
  CHECK(routes().request_of_key("/docs/a.pdf\n@original=rest") ==
        "! no route leads to this of origin \"rest\"");
  CHECK(routes().request_of_key("/a.pdf\n@original=rest") == "http://warm.img.test/a.pdf");
  CHECK(routes().request_of_key("/a.mp4\n@image=films\nf=webp,w=640") ==
        "! no route leads to this of origin \"films\"");
}

TEST_CASE("The key of a chunk gives its range") {
  CHECK(routes().request_of_key("/a.mp4\n@original=films\nchunk=2") ==
        "http://warm.img.test/f/a.mp4 | range: bytes=2097152-3145727");
  CHECK(routes().request_of_key("a.test/a.mp4\nhttps\nchunk=0") ==
        "https://a.test/a.mp4 | range: bytes=0-1048575");
}

TEST_CASE("The desk answers what became of an order, and counts it") {
  Desk at([](WarmOrder, WarmDesk::Done done) { done(stored()); });
  AdminReply reply = at.take("http://a.test/x").get();
  CHECK(reply.status == 200);
  CHECK(reply.body == R"({"outcome":"stored","status":200})");
  CHECK(at.desk.count(WarmReply::Outcome::stored) == 1);
  reply = at.take("nonsense").get();
  CHECK(reply.status == 400);
  CHECK(at.desk.count(WarmReply::Outcome::failed) == 0);
}

TEST_CASE("The desk takes 32 orders at once, and more when one has ended") {
  std::mutex mutex;
  std::vector<WarmDesk::Done> open;
  Desk at([&](WarmOrder, WarmDesk::Done done) {
    const std::lock_guard lock(mutex);
    open.push_back(std::move(done));
  });
  std::vector<std::future<AdminReply>> waiting;
  for (std::size_t i = 0; i < WarmDesk::kMaxOpen; ++i) waiting.push_back(at.take("http://a.test/x"));
  CHECK(at.take("http://a.test/x").get().status == 503);
  {
    const std::lock_guard lock(mutex);
    REQUIRE(open.size() == WarmDesk::kMaxOpen);
    open.front()(stored());
  }
  CHECK(waiting.front().get().status == 200);
  auto late = at.take("http://a.test/x");
  at.settle();
  const std::lock_guard lock(mutex);
  CHECK(open.size() == WarmDesk::kMaxOpen + 1);
  for (std::size_t i = 1; i < open.size(); ++i) open[i](stored());
  CHECK(late.get().status == 200);
}

TEST_CASE("An order that no worker ends is answered in time") {
  std::vector<WarmDesk::Done> open;
  Desk at([&](WarmOrder, WarmDesk::Done done) { open.push_back(std::move(done)); });
  auto waiting = at.take("http://a.test/x");
  at.settle();
  at.clock.advance(WarmDesk::kLongest + 1s);
  at.settle();
  CHECK(waiting.get().body == R"({"outcome":"failed","status":0,"reason":"no answer in time"})");
  // The answer that comes after all is nobody's.
  at.loop.post([&] { open.front()(stored()); });
  at.settle();
}
