#include <catch2/catch.hpp>

#include "cache/manifest.h"
#include "proxy/media/image_origin.h"
#include "tests/unit/imaging/png.h"
#include "tests/unit/proxy/media_scene.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace vignette::proxy::test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kSizes = 8;

struct Fetched {
  Got got;
  bool done = false;
};

net::Task<void> fetch_into(Scene& scene, imaging::ImageRequest request, Fetched& fetched) {
  fetched.got = co_await get(scene, std::move(request), false);
  fetched.done = true;
}

net::Task<void> all_done(std::vector<Fetched>& fetched) {
  while (!std::ranges::all_of(fetched, &Fetched::done)) {
    auto slept = co_await net::sleep_for(10ms);
    if (!slept) co_return;
  }
}

imaging::ImageRequest as_png(imaging::ImageRequest request) {
  request.transform.format = imaging::OutputFormat::png;
  return request;
}

}  // namespace

TEST_CASE("Eight sizes of one photo asked for at once are one fetch and eight pictures") {
  Scene scene;
  scene.originals.objects["/a%20b.png"] = Stored::photo(noise_png(200, 100));
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    std::vector<Fetched> sizes(kSizes);
    for (std::size_t i = 0; i < kSizes; ++i) {
      const auto width = static_cast<std::uint32_t>(10 * (i + 1));
      s.loop.spawn_named("size", fetch_into, std::ref(s), as_png(photo("a b.png", width)),
                         std::ref(sizes[i]));
    }
    co_await all_done(sizes);
    for (std::size_t i = 0; i < kSizes; ++i) {
      const Got& got = sizes[i].got;
      REQUIRE(got.status == 200);
      CHECK(got.content_type == "image/png");
      CHECK(got.cache_control == "public, max-age=86400");
      CHECK(got.etag.size() == 34);
      CHECK(got.stored);
      CHECK(imaging::test::read_png(got.body).width == static_cast<int>(10 * (i + 1)));
    }
    CHECK(sizes[0].got.etag != sizes[1].got.etag);
  }));
  CHECK(scene.originals.fetches == 1);
  CHECK(scene.jobs() == static_cast<int>(kSizes));
}

TEST_CASE("Eight sizes of a photo of several MiB are one fetch too, and all read its chunks") {
  Scene scene;
  const std::string bytes = noise_png(1000, 900);
  REQUIRE(bytes.size() > 2 * cache::kChunkBytes);
  scene.originals.objects["/large.png"] = Stored::photo(bytes);
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    std::vector<Fetched> sizes(kSizes);
    for (std::size_t i = 0; i < kSizes; ++i) {
      const auto width = static_cast<std::uint32_t>(10 * (i + 1));
      s.loop.spawn_named("size", fetch_into, std::ref(s), as_png(photo("large.png", width)),
                         std::ref(sizes[i]));
    }
    co_await all_done(sizes);
    for (std::size_t i = 0; i < kSizes; ++i) {
      CHECK(imaging::test::read_png(sizes[i].got.body).width == static_cast<int>(10 * (i + 1)));
    }
    const Got later = co_await get(s, as_png(photo("large.png", 7)), false);
    CHECK(imaging::test::read_png(later.body).width == 7);
  }));
  CHECK(scene.originals.fetches == 1);
  CHECK(scene.metric("vignette_chunks_fetched_total") == 3);
}

TEST_CASE("One size asked for by many at once is one fetch and one job, and later a hit") {
  Scene scene;
  scene.originals.objects["/p.png"] = Stored::photo(noise_png(64, 64));
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    std::vector<Fetched> waiters(50);
    for (Fetched& waiter : waiters) {
      s.loop.spawn_named("waiter", fetch_into, std::ref(s), photo("p.png", 32), std::ref(waiter));
    }
    co_await all_done(waiters);
    for (const Fetched& waiter : waiters) {
      CHECK(waiter.got.status == 200);
      CHECK(waiter.got.content_type == "image/jpeg");
      CHECK(waiter.got.body == waiters[0].got.body);
    }
    auto later = co_await get(s, photo("p.png", 32), false);
    CHECK(later.from_cache);
  }));
  CHECK(scene.originals.fetches == 1);
  CHECK(scene.jobs() == 1);
}

TEST_CASE("Without a format WebP goes to who lists it, PNG where there is transparency, JPEG otherwise") {
  Scene scene;
  scene.originals.objects["/opaque.png"] = Stored::photo(noise_png(16, 16));
  scene.originals.objects["/clear.png"] = Stored::photo(noise_png(16, 16, 4));
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    auto webp = co_await get(s, photo("opaque.png", 8), true);
    CHECK(webp.content_type == "image/webp");
    auto jpeg = co_await get(s, photo("opaque.png", 8), false);
    CHECK(jpeg.content_type == "image/jpeg");
    auto png = co_await get(s, photo("clear.png", 8), false);
    CHECK(png.content_type == "image/png");
    imaging::ImageRequest asked = photo("opaque.png", 8);
    asked.transform.format = imaging::OutputFormat::webp;
    auto same = co_await get(s, asked, false);
    CHECK(same.from_cache);  // it is what the first one got
  }));
  CHECK(scene.originals.fetches == 2);
}

TEST_CASE("A fill that still has the picture is told so without making it again") {
  Scene scene;
  scene.originals.objects["/p.png"] = Stored::photo(noise_png(16, 16));
  scene.originals.objects["/untagged.png"] = Stored::photo(noise_png(16, 16));
  scene.originals.objects["/untagged.png"].fields.clear();
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    for (const char* key : {"p.png", "untagged.png"}) {
      auto first = co_await get(s, photo(key, 8), false);
      REQUIRE(first.status == 200);
      auto origin = make_image_origin(s.context.snapshot, s.originals, photo(key, 8), false);
      http::FieldList fields;
      fields.add(http::FieldId::if_none_match, first.etag);
      OriginRequest request;
      request.fields = &fields;
      auto again = co_await origin->fetch(s.context, request);
      REQUIRE(again);
      CHECK(again->head->status == 304);
      CHECK(again->head->fields.value(http::FieldId::etag) == first.etag);
      CHECK(again->body == nullptr);
      http::FieldList other;
      other.add(http::FieldId::if_none_match, "\"another\"");
      request.fields = &other;
      auto anew = co_await origin->fetch(s.context, request);
      REQUIRE(anew);
      CHECK(anew->head->status == 200);
    }
  }));
  CHECK(scene.jobs() == 4);
}

TEST_CASE("What the origin of originals says becomes what the client may know") {
  Scene scene;
  auto& objects = scene.originals.objects;
  objects["/403"].status = 403;
  objects["/429"].status = 429;
  objects["/429"].fields = {{"retry-after", "7"}};
  objects["/500"].status = 500;
  objects["/timeout"].error = Error{Code::timeout, Blame::origin, Retry::no, 0, "scripted"};
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    auto missing = co_await get(s, photo("missing"), false);
    CHECK(missing.status == 404);
    CHECK(missing.stored);
    auto forbidden = co_await get(s, photo("403"), false);
    CHECK(forbidden.status == 404);
    auto many = co_await get(s, photo("429"), false);
    CHECK(many.status == 503);
    CHECK(many.retry_after == "7");
    auto broken = co_await get(s, photo("500"), false);
    CHECK(broken.status == 502);
    auto late = co_await get(s, photo("timeout"), false);
    CHECK(late.status == 0);
    CHECK(late.error.code == Code::timeout);  // which an exchange answers with 504
  }));
  CHECK(scene.jobs() == 0);
}

TEST_CASE("Bad sources are refused with the right status, remembered, and need no worker") {
  Scene scene;
  auto& objects = scene.originals.objects;
  objects["/empty"] = Stored::photo("");
  objects["/empty"].pieces.clear();
  objects["/text"] = Stored::photo("<html><body>not a picture, whatever its name says</body></html>");
  objects["/stub"] = Stored::photo(png_claiming(10, 10).substr(0, 20));
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    auto empty = co_await get(s, photo("empty"), false);
    CHECK(empty.status == 422);
    CHECK(empty.body == "The original is empty.\n");
    auto text = co_await get(s, photo("text"), false);
    CHECK(text.status == 415);
    CHECK(text.content_type == "text/plain; charset=utf-8");
    auto stub = co_await get(s, photo("stub"), false);
    CHECK(stub.status == 422);
    for (const char* key : {"empty", "text", "stub"}) {
      auto again = co_await get(s, photo(key), false);
      CHECK(again.from_cache);
      CHECK(again.cdn_cache_control.starts_with("max-age=30"));
    }
  }));
  CHECK(scene.originals.fetches == 3);
  CHECK(scene.jobs() == 0);
}

TEST_CASE("A bomb is refused by its header, before the rest of its body has come") {
  Scene scene;
  auto& objects = scene.originals.objects;
  objects["/wide"] = Stored::photo(png_claiming(64'250, 10));
  objects["/large"] = Stored::photo(png_claiming(16'000, 16'000));
  objects["/allowed"] = Stored::photo(png_claiming(10, 10));
  for (auto& [path, stored] : objects) {
    stored.claims_more = 1'000'000;
    stored.end = Stored::End::hang;
  }
  objects["/long"] = Stored::photo(png_claiming(10, 10));
  objects["/long"].claims_more = std::uint64_t{65} << 20;
  objects["/long"].end = Stored::End::hang;
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    for (const char* key : {"wide", "large", "long"}) {
      auto refused = co_await get(s, photo(key), false);
      CHECK(refused.status == 413);
      CHECK(refused.stored);
    }
    // The control: one that is within the limits does wait for its body.
    std::vector<Fetched> waits(1);
    net::StrandRef strand =
        s.loop.spawn_named("waits", fetch_into, std::ref(s), photo("allowed"), std::ref(waits[0]));
    auto slept = co_await net::sleep_for(100ms);
    CHECK(slept);
    CHECK(!waits[0].done);
    strand.cancel();
    co_await all_done(waits);
  }));
  CHECK(scene.jobs() == 0);
}

TEST_CASE("An original without room in memory beside others is busy before it is copied") {
  static constexpr std::uint64_t kSlow = 1'000'000;
  const std::string file = noise_png(64, 64);
  ImagingService::Options options = program_options();
  options.source_budget_bytes = kSlow + file.size() - 1;
  Scene scene(options);
  auto& objects = scene.originals.objects;
  objects["/slow"] = Stored::photo(png_claiming(10, 10));
  objects["/slow"].claims_more = kSlow - objects["/slow"].pieces[0].size();
  objects["/slow"].end = Stored::End::hang;
  objects["/other"] = Stored::photo(file);
  objects["/small"] = Stored::photo(noise_png(8, 8));
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    std::vector<Fetched> waits(1);
    const net::StrandRef waiting =
        s.loop.spawn_named("waits", fetch_into, std::ref(s), photo("slow"), std::ref(waits[0]));
    while (s.imaging.source_bytes() == 0) {
      auto turn = co_await net::yield();
      if (!turn) co_return;
    }
    CHECK(s.imaging.source_bytes() == kSlow);
    const Got other = co_await get(s, photo("other"), false);
    CHECK(other.status == 503);
    CHECK(other.retry_after == "1");
    CHECK(s.metric("vignette_image_jobs_total{result=\"busy\"}") == 1);
    const Got small = co_await get(s, photo("small"), false);
    CHECK(small.status == 200);
    CHECK(s.imaging.source_bytes() == kSlow);
    CHECK_FALSE(waits[0].done);
    waiting.cancel();
    co_await all_done(waits);
  }));
  CHECK(scene.imaging.source_bytes() == 0);
}

TEST_CASE("A photo without a strong tag is named by its bytes, in however many pieces they come") {
  Scene scene;
  const std::string bytes = noise_png(700, 700);
  REQUIRE(bytes.size() > 1'000'000);  // more than one turn's worth
  for (const char* path : {"/a.png", "/b.png"}) {
    scene.originals.objects[path] = Stored::photo(bytes);
    scene.originals.objects[path].fields = {{"etag", "W/\"" + std::string(path) + "\""}};
  }
  scene.originals.objects["/c.png"] = scene.originals.objects["/a.png"];
  scene.originals.objects["/c.png"].pieces = {bytes.substr(0, 500'000), bytes.substr(500'000)};
  scene.originals.objects["/other.png"] = Stored::photo(noise_png(16, 16), "W/\"one\"");
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    const Got a = co_await get(s, as_png(photo("a.png", 8)), false);
    const Got b = co_await get(s, as_png(photo("b.png", 8)), false);
    const Got c = co_await get(s, as_png(photo("c.png", 8)), false);
    const Got other = co_await get(s, as_png(photo("other.png", 8)), false);
    CHECK(a.status == 200);
    CHECK(a.etag == b.etag);
    CHECK(a.etag == c.etag);
    CHECK(a.etag != other.etag);
  }));
}

TEST_CASE("An original that is cut on the way is read once more, then the fill fails and nothing is stored") {
  Scene scene;
  const std::string file = noise_png(32, 32);
  Stored cut = Stored::photo(file.substr(0, file.size() / 2));
  cut.claims_more = file.size() - file.size() / 2;
  cut.end = Stored::End::cut;
  scene.originals.objects["/cut.png"] = cut;
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    auto got = co_await get(s, photo("cut.png"), false);
    CHECK(got.status == 0);
    CHECK(got.error.code == Code::closed);  // which an exchange answers with 502
    CHECK(s.originals.fetches == 2);
    s.originals.objects["/cut.png"] = Stored::photo(noise_png(32, 32));
    auto mended = co_await get(s, photo("cut.png"), false);
    CHECK(mended.status == 200);
  }));
  CHECK(scene.jobs() == 1);
}

TEST_CASE("A picture that cannot be decoded to its end is 422 and remembered") {
  Scene scene;
  const std::string file = noise_png(64, 64);
  scene.originals.objects["/half.png"] = Stored::photo(file.substr(0, file.size() / 2));
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    auto got = co_await get(s, photo("half.png", 32), false);
    CHECK(got.status == 422);
    auto again = co_await get(s, photo("half.png", 32), false);
    CHECK(again.from_cache);
  }));
  CHECK(scene.jobs() == 1);
}

TEST_CASE("A stale original stands in while its origin fails, and is validated when it does not") {
  Scene scene;
  Stored stale = Stored::photo(noise_png(16, 16));
  stale.fields.emplace_back("cache-control", "max-age=0, stale-if-error=3600");
  scene.originals.objects["/p.png"] = stale;
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    auto first = co_await get(s, photo("p.png", 8), false);
    CHECK(first.status == 200);
    auto second = co_await get(s, photo("p.png", 9), false);
    CHECK(second.status == 200);
    CHECK(s.originals.not_modified == 1);
    s.originals.objects["/p.png"].error = Error{Code::refused, Blame::origin, Retry::yes, 0, "scripted"};
    auto third = co_await get(s, photo("p.png", 10), false);
    CHECK(third.status == 200);
    CHECK(s.originals.fetches == 3);
  }));
}

TEST_CASE("Trouble of our own is stored just long enough that those who waited do not all try again") {
  ImagingService::Options options = program_options();
  options.deadline = 1500ms;
  options.workers = 1;
  Scene scene(options);
  scene.originals.objects["/p.png"] = Stored::photo(noise_png(16, 16));
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    // Both lanes are taken for longer than anybody waits.
    struct Hog {
      static net::Task<void> run(Scene& scene) {
        ImageJob job = job_of(noise_png(8, 8), 4);
        job.fault = imaging::Fault::hang;
        auto result = co_await scene.imaging.run(scene.loop, std::move(job), scene.loop.now() + 60s);
        if (!result) co_return;  // the scene is over
        CHECK(result->result.error == imaging::ErrorClass::deadline);
      }
    };
    auto warm = co_await s.imaging.run(s.loop, job_of(noise_png(8, 8), 4), s.loop.now() + 30s);
    REQUIRE(warm);
    for (int i = 0; i < 6; ++i) s.loop.spawn_named("hog", Hog::run, std::ref(s));
    auto turn = co_await net::sleep_for(50ms);
    CHECK(turn);
    std::vector<Fetched> waiters(20);
    for (Fetched& waiter : waiters) {
      s.loop.spawn_named("waiter", fetch_into, std::ref(s), photo("p.png", 8), std::ref(waiter));
    }
    co_await all_done(waiters);
    for (const Fetched& waiter : waiters) {
      CHECK(waiter.got.status == 503);
      CHECK(waiter.got.retry_after == "1");
      CHECK(waiter.got.stored);
    }
  }));
  CHECK(scene.originals.fetches == 1);
}

TEST_CASE("Info is JSON about the original") {
  Scene scene;
  scene.originals.objects["/p.png"] = Stored::photo(noise_png(30, 20, 4), "\"tag\"");
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    imaging::ImageRequest request = photo("p.png");
    request.kind = imaging::RequestKind::info;
    auto info = co_await get(s, request, false);
    CHECK(info.status == 200);
    CHECK(info.content_type == "application/json");
    CHECK(info.body.starts_with("{\"w\":30,\"h\":20,\"format\":\"png\""));
    CHECK(info.body.find("\"alpha\":true") != std::string::npos);
    CHECK(info.body.find("\"etag\":\"\\\"tag\\\"\"") != std::string::npos);
  }));
}

TEST_CASE("A signed expiry caps how long a picture may be kept") {
  Scene scene;
  scene.originals.objects["/p.png"] = Stored::photo(noise_png(16, 16));
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    imaging::ImageRequest request = photo("p.png", 8);
    request.expires = s.loop.wall().time_since_epoch().count() + 100;
    auto got = co_await get(s, request, false);
    CHECK(got.status == 200);
    // However long the picture took: never more than what is left, and not the usual day.
    constexpr std::string_view kBegin = "public, max-age=";
    REQUIRE(got.cache_control.starts_with(kBegin));
    const int seconds = std::stoi(got.cache_control.substr(kBegin.size()));
    CHECK(seconds > 0);
    CHECK(seconds <= 100);
  }));
}

TEST_CASE("Keys tell origins, formats and kinds apart, and nothing else") {
  ScriptedStore origin;
  std::string a;
  std::string b;
  imaging::ImageRequest request = photo("x/y.jpg", 100);
  CHECK(variant_key(origin, request, false, a) != variant_key(origin, request, true, b));
  imaging::ImageRequest webp = request;
  webp.transform.format = imaging::OutputFormat::webp;
  CHECK(variant_key(origin, webp, false, a) == variant_key(origin, request, true, b));
  CHECK(variant_key(origin, webp, true, a) == variant_key(origin, webp, false, b));
  imaging::ImageRequest expiring = request;
  expiring.expires = 12345;
  CHECK(variant_key(origin, expiring, false, a) == variant_key(origin, request, false, b));
  imaging::ImageRequest info = request;
  info.kind = imaging::RequestKind::info;
  CHECK(variant_key(origin, info, false, a) != variant_key(origin, request, false, b));
  CHECK(original_key(origin, "/x/y.jpg", {}, a) != variant_key(origin, request, false, b));
}
