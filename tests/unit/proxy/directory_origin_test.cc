#include "proxy/origin/directory_origin.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>

#include "fetch_rig.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace vignette::proxy::test;
namespace fs = std::filesystem;

namespace {

// Gives both threads of the rig's pool, and all places behind them, something to wait for.
void crowd(BoundedPool& pool, const std::shared_future<void>& gate) {
  auto at_work = std::make_shared<std::atomic<int>>(0);
  const auto wait = [gate, at_work] {
    ++*at_work;
    gate.wait();
  };
  while (*at_work < 2) static_cast<void>(pool.try_submit(wait));
  while (pool.try_submit(wait)) {
  }
}

net::Task<void> open_after_refusal(BoundedPool& pool, std::promise<void>& gate, std::uint64_t refused) {
  while (pool.refused() == refused) {
    auto turn = co_await net::yield();
    if (!turn) break;
  }
  gate.set_value();
}

// 6 November 1994, 08:49:37 GMT, and half a second.
constexpr timespec kThen{784111777, 500'000'000};

struct Scene : FetchRig {
  Scene() {
    char pattern[] = "/tmp/vignette-directory-XXXXXX";
    base = ::mkdtemp(pattern);
    root = base / "photos";
    fs::create_directory(root);
    options.name = "photos";
    options.kind = conf::OriginKind::directory;
    options.directory = root;
  }
  ~Scene() { fs::remove_all(base); }

  fs::path write(const fs::path& path, std::string_view bytes) const {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
    const timespec times[] = {kThen, kThen};
    VCHECK(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
    return path;
  }
  std::vector<Fetched> ask(std::vector<Ask> asks) {
    DirectoryOrigin origin(options);
    return fetch_all(origin, std::move(asks));
  }

  fs::path base;  // holds what must not be reached
  fs::path root;
  conf::Origin options;
};

void check_all_not_found(const std::vector<Fetched>& answers) {
  for (std::size_t i = 0; i < answers.size(); ++i) {
    INFO("path number " << i);
    CHECK_FALSE(answers[i].error);
    CHECK(answers[i].status == 404);
    CHECK(answers[i].body.empty());
    CHECK_FALSE(answers[i].has_body);
    CHECK(answers[i].content_length == 0);
  }
}

}  // namespace

TEST_CASE("A file is served with its type, its length and validators of its own") {
  Scene scene;
  scene.write(scene.root / "a b" / "Käfer.JPG", "photo");
  const Fetched got = scene.ask({{.path = "/a%20b/K%C3%A4fer.JPG"}}).front();
  REQUIRE_FALSE(got.error);
  CHECK(got.status == 200);
  CHECK(got.body == "photo");
  CHECK(got.content_length == 5);
  CHECK(got.fields == Pairs{{"content-type", "image/jpeg"},
                            {"etag", "\"ae1b981da166f00-5\""},
                            {"last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"}});
}

TEST_CASE("HEAD has the length and no body, an empty file has neither a body nor an error") {
  Scene scene;
  scene.write(scene.root / "a.png", "photo");
  scene.write(scene.root / "empty.txt", "");
  const auto got = scene.ask({{.path = "/a.png", .method = "HEAD"}, {.path = "/empty.txt"}});
  CHECK(got[0].status == 200);
  CHECK(got[0].content_length == 5);
  CHECK_FALSE(got[0].has_body);
  CHECK(got[1].status == 200);
  CHECK(got[1].content_length == 0);
  CHECK_FALSE(got[1].has_body);
}

TEST_CASE("Nothing outside the directory is reached, whatever the path says") {
  Scene scene;
  scene.write(scene.base / "secret.txt", "secret");
  scene.write(scene.root / "in.txt", "in");
  scene.write(scene.root / "sub" / "in.txt", "in");
  fs::create_symlink(scene.base / "secret.txt", scene.root / "link.txt");
  fs::create_symlink("in.txt", scene.root / "inner.txt");
  fs::create_directory_symlink(scene.base, scene.root / "up");
  std::vector<Ask> asks;
  for (const char* path :
       {"/../secret.txt", "/%2e%2e/secret.txt", "/sub/../../secret.txt", "/..%2fsecret.txt", "/sub%2Fin.txt",
        "/in.txt%00", "/in.txt%00.jpg", "/link.txt", "/inner.txt", "/up/secret.txt", "//in.txt",
        "/sub//in.txt", "/./in.txt", "/in.txt/", "/%zz", "/%", "in.txt", ""}) {
    asks.push_back({.path = path});
  }
  asks.push_back({.path = "/" + (scene.base / "secret.txt").string()});
  check_all_not_found(scene.ask(std::move(asks)));
}

TEST_CASE("Only regular files with ordinary names are served") {
  Scene scene;
  scene.write(scene.root / ".hidden", "x");
  scene.write(scene.root / ".git" / "config", "x");
  scene.write(scene.root / "sub" / "file", "x");
  REQUIRE(::mkfifo((scene.root / "fifo").c_str(), 0600) == 0);
  const std::string too_long(300, 'x');
  check_all_not_found(scene.ask({{.path = "/"},
                                 {.path = "/sub"},
                                 {.path = "/sub/"},
                                 {.path = "/.hidden"},
                                 {.path = "/.git/config"},
                                 {.path = "/fifo"},
                                 {.path = "/missing"},
                                 {.path = "/sub/file/more"},
                                 {.path = "/" + too_long}}));
}

TEST_CASE("A client that has the file already gets 304") {
  Scene scene;
  scene.write(scene.root / "a.png", "photo");
  const std::string etag = "\"ae1b981da166f00-5\"";
  const std::string then = "Sun, 06 Nov 1994 08:49:37 GMT";
  const auto got =
      scene.ask({{.path = "/a.png", .fields = {{"if-none-match", "\"x\", W/" + etag}}},
                 {.path = "/a.png", .fields = {{"if-none-match", "\"x\""}, {"if-modified-since", then}}},
                 {.path = "/a.png", .fields = {{"if-modified-since", then}}},
                 {.path = "/a.png", .fields = {{"if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT"}}},
                 {.path = "/a.png", .fields = {{"if-modified-since", "yesterday"}}}});
  const int expected[] = {304, 200, 304, 200, 200};
  for (std::size_t i = 0; i < got.size(); ++i) {
    INFO(i);
    CHECK(got[i].status == expected[i]);
    CHECK(got[i].body == (expected[i] == 200 ? "photo" : ""));
    CHECK(got[i].has_body == (expected[i] == 200));
    CHECK(got[i].field("etag") == etag);
  }
}

TEST_CASE("A change of the file changes its tag, and a date in the future is not sent") {
  Scene scene;
  const fs::path path = scene.write(scene.root / "a.png", "photo");
  const timespec later[] = {{784111777, 500'000'001}, {784111777, 500'000'001}};
  REQUIRE(::utimensat(AT_FDCWD, path.c_str(), later, 0) == 0);
  const fs::path future = scene.write(scene.root / "b.png", "photo");
  const timespec far[] = {{16'000'000'000, 0}, {16'000'000'000, 0}};
  REQUIRE(::utimensat(AT_FDCWD, future.c_str(), far, 0) == 0);
  const auto got = scene.ask({{.path = "/a.png"}, {.path = "/b.png"}});
  CHECK(got[0].field("etag") == "\"ae1b981da166f01-5\"");
  CHECK(got[0].field("last-modified") == "Sun, 06 Nov 1994 08:49:37 GMT");
  const auto sent = http::parse_date(got[1].field("last-modified"));
  REQUIRE(sent);
  CHECK(*sent <= scene.clock.wall());
}

TEST_CASE("A large file comes in pieces of 256 KiB, whole") {
  Scene scene;
  std::string bytes(600 * 1024 + 7, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 >> 8);
  scene.write(scene.root / "big.bin", bytes);
  scene.write(scene.root / "even.bin", bytes.substr(0, 512 * 1024));
  const auto got = scene.ask({{.path = "/big.bin"}, {.path = "/even.bin"}});
  CHECK(got[0].body == bytes);
  CHECK(got[0].pieces == std::vector<std::size_t>{256 * 1024, 256 * 1024, 88 * 1024 + 7});
  CHECK(got[0].field("content-type") == "application/octet-stream");
  CHECK(got[1].body.size() == 512 * 1024);
  CHECK(got[1].pieces == std::vector<std::size_t>{256 * 1024, 256 * 1024});
}

TEST_CASE("A single range of a file is served, also across its pieces") {
  Scene scene;
  std::string bytes(600 * 1024 + 7, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 >> 8);
  scene.write(scene.root / "big.bin", bytes);
  struct Row {
    const char* range;
    std::size_t first, last;
  };
  const std::string size = std::to_string(bytes.size());
  const std::vector<Row> rows = {{"bytes=0-0", 0, 0},
                                 {"bytes=262143-262144", 262143, 262144},
                                 {"bytes=100-", 100, bytes.size() - 1},
                                 {"bytes=-7", bytes.size() - 7, bytes.size() - 1},
                                 {"bytes=614400-999999", 614400, bytes.size() - 1}};
  std::vector<Ask> asks;
  for (const Row& row : rows) asks.push_back({.path = "/big.bin", .fields = {{"range", row.range}}});
  for (const char* range : {"bytes=700000-", "bytes=0-1,3-4"}) {
    asks.push_back({.path = "/big.bin", .fields = {{"range", range}}});
  }
  asks.push_back({.path = "/big.bin", .fields = {{"range", "bytes=0-1"}, {"if-range", "\"x\""}}});
  const auto got = scene.ask(std::move(asks));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    INFO(row.range);
    CHECK(got[i].status == 206);
    CHECK((got[i].body == bytes.substr(row.first, row.last - row.first + 1)));
    CHECK(got[i].content_length == row.last - row.first + 1);
    CHECK(got[i].field("content-range") ==
          "bytes " + std::to_string(row.first) + "-" + std::to_string(row.last) + "/" + size);
  }
  CHECK(got[5].status == 416);
  CHECK(got[5].field("content-range") == "bytes */" + size);
  CHECK_FALSE(got[5].has_body);
  CHECK(got[6].status == 200);
  CHECK(got[7].status == 200);
  CHECK(got[7].body.size() == bytes.size());
}

TEST_CASE("A part is given only of the version that If-Match names") {
  Scene scene;
  scene.write(scene.root / "a.png", "photo");
  const std::string etag = "\"ae1b981da166f00-5\"";
  const auto got = scene.ask({{.path = "/a.png", .fields = {{"if-match", etag}, {"range", "bytes=1-2"}}},
                              {.path = "/a.png", .fields = {{"if-match", "*"}, {"range", "bytes=1-2"}}},
                              {.path = "/a.png", .fields = {{"if-match", "\"x\""}, {"range", "bytes=1-2"}}},
                              {.path = "/a.png", .fields = {{"if-match", "W/" + etag}}}});
  CHECK(got[0].body == "ho");
  CHECK(got[1].body == "ho");
  CHECK(got[2].status == 412);
  CHECK_FALSE(got[2].has_body);
  CHECK(got[3].status == 412);
}

TEST_CASE("A file that is written over while it is read does not go on under its old tag") {
  Scene scene;
  const fs::path path = scene.write(scene.root / "big.bin", std::string(512 * 1024, 'x'));
  DirectoryOrigin origin(scene.options);
  struct Changing {
    Origin& origin;
    Scene& scene;
    Fetched got;
  } state{origin, scene, {}};
  REQUIRE(scene.run<Changing>(
      [](FetchRig& rig, Changing& changing) -> net::Task<void> {
        OriginRequest request;
        request.path = "/big.bin";
        auto response = co_await changing.origin.fetch(rig.context, request);
        VCHECK(response);
        const fs::path file = changing.scene.root / "big.bin";
        std::fstream(file, std::ios::in | std::ios::out | std::ios::binary) << "yyyy";
        const timespec later[] = {{784111778, 0}, {784111778, 0}};
        VCHECK(::utimensat(AT_FDCWD, file.c_str(), later, 0) == 0);
        co_await take_body(rig.context, std::move(*response), changing.got);
      },
      state));
  CHECK(state.got.body.empty());
  REQUIRE(state.got.body_error);
  CHECK(state.got.body_error->code == Code::closed);
}

TEST_CASE("A file that shrinks while it is read ends in an error, not in a short body") {
  Scene scene;
  const fs::path path = scene.write(scene.root / "big.bin", std::string(512 * 1024, 'x'));
  DirectoryOrigin origin(scene.options);
  struct Shrinking {
    Origin& origin;
    fs::path path;
    Fetched got;
  } state{origin, path, {}};
  REQUIRE(scene.run<Shrinking>(
      [](FetchRig& rig, Shrinking& shrinking) -> net::Task<void> {
        OriginRequest request;
        request.path = "/big.bin";
        auto response = co_await shrinking.origin.fetch(rig.context, request);
        VCHECK(response);
        fs::resize_file(shrinking.path, 300 * 1024);
        co_await take_body(rig.context, std::move(*response), shrinking.got);
      },
      state));
  CHECK(state.got.body.empty());
  REQUIRE(state.got.body_error);
  CHECK(state.got.body_error->code == Code::closed);
  CHECK(state.got.body_error->blame == Blame::origin);
}

TEST_CASE("A body that has begun waits for a pool that is full instead of breaking off") {
  Scene scene;
  scene.write(scene.root / "big.bin", std::string(512 * 1024, 'x'));
  DirectoryOrigin origin(scene.options);
  struct Crowded {
    Origin& origin;
    std::promise<void> gate;
    Fetched got;
  } state{origin, {}, {}};
  REQUIRE(scene.run<Crowded>(
      [](FetchRig& rig, Crowded& crowded) -> net::Task<void> {
        OriginRequest request;
        request.path = "/big.bin";
        auto response = co_await crowded.origin.fetch(rig.context, request);
        VCHECK(response);
        crowd(rig.files, crowded.gate.get_future().share());
        rig.worker.spawn_named("opener", open_after_refusal, std::ref(rig.files), std::ref(crowded.gate),
                               rig.files.refused());
        co_await take_body(rig.context, std::move(*response), crowded.got);
      },
      state));
  CHECK_FALSE(state.got.body_error);
  CHECK(state.got.body.size() == 512 * 1024);
}

TEST_CASE("Methods that change something are refused with what is allowed") {
  Scene scene;
  scene.write(scene.root / "a.png", "photo");
  for (const Fetched& got : scene.ask({{.path = "/a.png", .method = "POST"},
                                       {.path = "/a.png", .method = "DELETE"},
                                       {.path = "/a.png", .method = "BREW"}})) {
    CHECK(got.status == 405);
    CHECK(got.field("allow") == "GET, HEAD");
    CHECK_FALSE(got.has_body);
  }
}

TEST_CASE("A directory that has gone is no reason to say that its files are missing") {
  Scene scene;
  fs::remove_all(scene.root);
  const Fetched got = scene.ask({{.path = "/a.png"}}).front();
  REQUIRE(got.error);
  CHECK(got.error->code == Code::unavailable);
  CHECK(got.error->blame == Blame::origin);
}

TEST_CASE("Without a descriptor to spare a file is exhausted, not missing") {
  Scene scene;
  scene.write(scene.root / "a.png", "photo");
  DirectoryOrigin origin(scene.options);
  struct Starved {
    Origin& origin;
    Fetched got;
  } state{origin, {}};
  REQUIRE(scene.run<Starved>(
      [](FetchRig& rig, Starved& starved) -> net::Task<void> {
        rlimit before{};
        VCHECK(::getrlimit(RLIMIT_NOFILE, &before) == 0);
        rlimit none = before;
        none.rlim_cur = 0;
        VCHECK(::setrlimit(RLIMIT_NOFILE, &none) == 0);
        co_await fetch(rig.context, starved.origin, {.path = "/a.png"}, starved.got);
        VCHECK(::setrlimit(RLIMIT_NOFILE, &before) == 0);
      },
      state));
  REQUIRE(state.got.error);
  CHECK(state.got.error->code == Code::exhausted);
}

TEST_CASE("The name's extension says the type, in any case of letters") {
  CHECK(content_type_of("a/b.JPeG") == "image/jpeg");
  CHECK(content_type_of("a.tar.webp") == "image/webp");
  CHECK(content_type_of("page.html") == "text/html; charset=utf-8");
  CHECK(content_type_of("jpg") == "application/octet-stream");
  CHECK(content_type_of("a.") == "application/octet-stream");
  CHECK(content_type_of("v1.2/name") == "application/octet-stream");
}
