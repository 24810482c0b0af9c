#include "tests/unit/proxy/media_scene.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>

#include "imaging/memfd.h"
#include "proxy/media/fill_follow.h"
#include "proxy/media/image_origin.h"
#include "tests/unit/imaging/png.h"

namespace vignette::proxy::test {
namespace {

using namespace std::chrono_literals;

class ScriptedBody final : public BodySource {
 public:
  explicit ScriptedBody(const Stored& stored) : pieces_(stored.pieces), end_(stored.end) {}

  net::Task<Result<Piece>> next(TimePoint deadline) override {
    if (at_ < pieces_.size()) {
      const bool last = at_ + 1 == pieces_.size() && end_ == Stored::End::complete;
      co_return Piece{.bytes = Slice::copy(pieces_[at_++]), .last = last};
    }
    if (end_ == Stored::End::complete) co_return Piece{.bytes = {}, .last = true};
    if (end_ == Stored::End::cut) co_return fail(Code::closed, Blame::origin, "scripted cut");
    auto slept = co_await net::sleep_until(deadline);
    co_return fail(slept ? Code::timeout : Code::cancelled, Blame::origin, "scripted hang");
  }

 private:
  std::vector<std::string> pieces_;
  Stored::End end_;
  std::size_t at_ = 0;
};

net::Task<void> watchdog(Scene& scene, bool& hung) {
  auto slept = co_await net::sleep_for(60s);
  if (!slept) co_return;
  hung = true;
  scene.loop.stop();
}

net::Task<void> run_and_stop(Scene& scene, net::Task<void> (*body)(Scene&)) {
  co_await body(scene);
  scene.loop.stop();
}

std::string text_of(const cache::ObjectRef& object, std::string_view name) {
  return std::string(object->field(name).value_or(""));
}

Got describe(const cache::ObjectRef& object) {
  Got got;
  got.status = object->status();
  got.content_type = text_of(object, "content-type");
  got.etag = std::string(object->etag());
  got.cache_control = text_of(object, "cache-control");
  got.cdn_cache_control = text_of(object, "cdn-cache-control");
  got.retry_after = text_of(object, "retry-after");
  return got;
}

}  // namespace

Stored Stored::photo(std::string bytes, std::string etag) {
  Stored stored;
  stored.fields = {{"etag", std::move(etag)}, {"last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"}};
  stored.pieces = {std::move(bytes)};
  return stored;
}

net::Task<Result<OriginResponse>> ScriptedStore::fetch(WorkerContext&, const OriginRequest& request) {
  ++fetches;
  OriginResponse response;
  const auto found = objects.find(std::string(request.path));
  if (found == objects.end()) {
    response.head->status = 404;
    response.content_length = 0;
    co_return response;
  }
  const Stored& stored = found->second;
  if (stored.error) co_return std::unexpected(*stored.error);
  response.head->status = stored.status;
  for (const auto& [name, value] : stored.fields) response.head->fields.add(name, value);
  const std::string_view etag = response.head->fields.value(http::FieldId::etag);
  if (!etag.empty() && request.fields->value(http::FieldId::if_none_match) == etag) {
    ++not_modified;
    response.head->status = 304;
    co_return response;
  }
  std::uint64_t size = stored.claims_more;
  for (const std::string& piece : stored.pieces) size += piece.size();
  response.content_length = size;
  if (size > 0) response.body = std::make_unique<ScriptedBody>(stored);
  co_return response;
}

ImagingService::Options program_options() {
  ImagingService::Options options;
  options.program = VIGNETTE_IMAGING_PROGRAM;
  options.workers = 1;
  options.deadline = 30s;
  options.test_faults = true;
  return options;
}

Scene::Scene(ImagingService::Options options)
    : log(LogLevel::debug, [this](LogLevel, std::string_view line) { log_lines.emplace_back(line); }),
      imaging(loop, options.program.empty() ? program_options() : options, log, metrics),
      node{.clock = clock,
           .log = log,
           .metrics = node_metrics,
           .store = store,
           .fills = fills,
           .file_pool = pool,
           .purge_pool = pool,
           .servers = servers,
           .imaging = &imaging,
           .access_log = nullptr},
      context(node, loop, 0, std::make_shared<Snapshot>()) {}

Scene::~Scene() = default;

bool Scene::run(net::Task<void> (*scene)(Scene&)) {
  auto started = imaging.start();
  REQUIRE(started);
  bool hung = false;
  loop.spawn_named("watchdog", watchdog, std::ref(*this), std::ref(hung));
  loop.spawn_named("scene", run_and_stop, std::ref(*this), scene);
  loop.run();
  return !hung && loop.counters().failed == 0;
}

double Scene::metric(const std::string& line_start) const {
  std::string text;
  metrics.render(text);
  const std::size_t at = text.find("\n" + line_start);
  if (at == std::string::npos) return 0;
  const std::size_t space = text.find(' ', at + line_start.size());
  return std::strtod(text.c_str() + space, nullptr);
}

int Scene::jobs() const { return static_cast<int>(metric("vignette_image_job_duration_seconds_count")); }

imaging::ImageRequest photo(std::string key, std::uint32_t width) {
  imaging::ImageRequest request;
  request.key = std::move(key);
  request.transform.width = width;
  return request;
}

net::Task<Got> get(Scene& scene, imaging::ImageRequest request, bool accepts_webp) {
  WorkerContext& context = scene.context;
  std::string key_string;
  const cache::Key key = variant_key(scene.originals, request, accepts_webp, key_string);
  cache::ObjectRef found = scene.store.try_lookup(key, key_string).object;
  const bool fresh = found && cache::decide_serve(*found, context.loop.wall()).serve == cache::Serve::fresh;
  cache::Joined joined;
  if (fresh) {
    joined.hit = found;
  } else {
    joined = scene.fills.join_or_start(key, key_string, context.loop.now(), found.get());
  }
  if (joined.hit) {
    Got got = describe(joined.hit);
    for (const cache::Chunk& chunk : joined.hit->body_chunks()) got.body += chunk.bytes.view();
    got.stored = true;
    got.from_cache = true;
    co_return got;
  }
  FillHub::Follower follower = context.fills.follow(joined.fill);
  const std::function<void(cache::FillWriter)> launch = [&](cache::FillWriter writer) {
    auto job = std::make_unique<FillJob>();
    job->snapshot = context.snapshot;
    job->policy = cache::media_policy();
    job->stale = found;
    job->own_origin = make_image_origin(context.snapshot, scene.originals, request, accepts_webp);
    job->origins = {job->own_origin.get()};
    job->request = std::make_unique<StoredRequest>("", "/", "", false, http::FieldList());
    job->writer = std::move(writer);
    start_fill(context, std::move(job));
  };
  if (joined.started()) launch(std::move(joined.writer));
  auto head =
      co_await wait_for_head(context, joined.reader, joined.fill, follower, context.loop.now() + 50s, launch);
  Got got;
  if (!head) {
    got.error = head.error();
    co_return got;
  }
  if (joined.reader.state() == cache::FillState::refused) {
    got.error = {Code::denied, Blame::internal, Retry::no, 0, "refused to a waiter"};
    co_return got;
  }
  got = describe(joined.reader.object());
  for (;;) {
    auto more = co_await wait_for_bytes(context, joined.reader, follower, 1);
    if (!more || !*more) break;
    Slice slice;
    joined.reader.peek(std::span(&slice, 1));
    got.body += slice.view();
    joined.reader.advance(slice.size());
  }
  got.stored = joined.fill->reason() == cache::Reason::none;
  co_return got;
}

ImageJob job_of(const std::string& source, std::uint32_t width) {
  ImageJob job;
  job.header = imaging::scan_header(source, true).header;
  job.transform.width = width;
  const std::string_view bytes = source;
  job.source = std::move(*imaging::sealed_memfd("source", std::span(&bytes, 1)));
  job.source_bytes = source.size();
  return job;
}

std::string noise_png(int width, int height, int channels) {
  std::uint32_t state = 12345;
  return imaging::test::write_png(imaging::test::draw(width, height, channels, [&state](int, int, int) {
    state = state * 1664525 + 1013904223;
    return static_cast<int>(state >> 24);
  }));
}

std::string png_claiming(std::uint32_t width, std::uint32_t height) {
  std::string header;
  for (const std::uint32_t side : {width, height}) {
    for (int shift = 24; shift >= 0; shift -= 8) header += static_cast<char>((side >> shift) & 255);
  }
  header += std::string("\x08\x02\x00\x00\x00", 5);
  return "\x89PNG\r\n\x1a\n" + imaging::test::png_chunk("IHDR", header);
}

}  // namespace vignette::proxy::test
