#include <catch2/catch.hpp>
#include <csignal>
#include <thread>

#include "imaging/memfd.h"
#include "tests/unit/imaging/png.h"
#include "tests/unit/proxy/media_scene.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace vignette::proxy::test;
using namespace std::chrono_literals;
using imaging::ErrorClass;
using imaging::Fault;

namespace {

struct Outcome {
  bool done = false;
  bool cancelled = false;
  ErrorClass error = ErrorClass::none;
  TimePoint at{};
};

ImageJob faulty(Fault fault, std::uint64_t key) {
  ImageJob job = job_of(noise_png(8, 8), 4);
  job.fault = fault;
  job.quarantine_key = key;
  return job;
}

net::Task<void> run_job(Scene& scene, std::unique_ptr<ImageJob> job, Duration patience, Outcome& outcome) {
  auto result = co_await scene.imaging.run(scene.loop, std::move(*job), scene.loop.now() + patience);
  outcome.cancelled = !result;
  if (result) outcome.error = result->result.error;
  outcome.at = scene.loop.now();
  outcome.done = true;
}

net::StrandRef start(Scene& scene, ImageJob job, Duration patience, Outcome& outcome) {
  return scene.loop.spawn_named("job", run_job, std::ref(scene), std::make_unique<ImageJob>(std::move(job)),
                                patience, std::ref(outcome));
}

net::Task<void> until(std::function<bool()> condition) {
  while (!condition()) {
    auto slept = co_await net::sleep_for(10ms);
    if (!slept) co_return;
  }
}

std::string result_line(ErrorClass error) {
  return "vignette_image_jobs_total{result=\"" + std::string(imaging::to_string(error)) + "\"}";
}

}  // namespace

TEST_CASE("A picture is made by the program and comes back sealed") {
  Scene scene;
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    ImageJob job = job_of(noise_png(40, 20), 10);
    job.output = imaging::OutputFormat::png;
    auto made = co_await s.imaging.run(s.loop, std::move(job), s.loop.now() + 30s);
    REQUIRE(made);
    REQUIRE(made->result.error == ErrorClass::none);
    REQUIRE(imaging::check_sealed(made->picture.get(), made->result.output_bytes));
    auto mapped = imaging::Mapping::map(made->picture.get(), made->result.output_bytes);
    REQUIRE(mapped);
    const imaging::test::Pixels pixels = imaging::test::read_png(mapped->view());
    CHECK(pixels.width == 10);
    CHECK(pixels.height == 5);
  }));
  CHECK(scene.metric(result_line(ErrorClass::none)) == 1);
  CHECK(scene.jobs() == 1);
}

TEST_CASE("A strand of another worker gets its picture on its own loop") {
  Scene scene;
  static net::Worker* other = nullptr;
  static bool made_there = false;
  net::Worker worker;
  other = &worker;
  made_there = false;
  struct Far {
    static net::Task<void> run(Scene& s) {
      auto made = co_await s.imaging.run(*other, job_of(noise_png(16, 16), 4), other->now() + 30s);
      made_there = made && made->result.error == ErrorClass::none;
      other->stop();
    }
  };
  worker.spawn_named("far", Far::run, std::ref(scene));
  std::thread thread([&worker] { worker.run(); });
  CHECK(scene.run([](Scene& s) -> net::Task<void> { co_await until([&s] { return s.jobs() == 1; }); }));
  thread.join();
  CHECK(made_there);
}

TEST_CASE("A program that is not there is an error at the start") {
  ImagingService::Options options = program_options();
  options.program = "/nonexistent/vignette-imaging";
  net::Worker loop;
  Logger log(LogLevel::off);
  Metrics metrics(1);
  ImagingService service(loop, options, log, metrics);
  auto started = service.start();
  REQUIRE(!started);
  CHECK(started.error() == "/nonexistent/vignette-imaging: No such file or directory");
}

TEST_CASE(
    "With every lane taken and the queue full the next job is refused at once, and the deadline frees the "
    "lanes") {
  ImagingService::Options options = program_options();
  options.max_waiting = 1;
  Scene scene(options);
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    // Ready first, so that both lanes are known.
    auto warm = co_await s.imaging.run(s.loop, job_of(noise_png(8, 8), 4), s.loop.now() + 30s);
    REQUIRE(warm);
    Outcome lanes[2];
    Outcome waits;
    Outcome refused;
    start(s, faulty(Fault::hang, 1), 2s, lanes[0]);
    start(s, faulty(Fault::hang, 2), 2s, lanes[1]);
    co_await until([&s] { return s.metric("vignette_image_jobs_running") == 2; });
    start(s, job_of(noise_png(8, 8), 4), 30s, waits);
    co_await until([&s] { return s.imaging.waiting() == 1; });
    start(s, job_of(noise_png(8, 8), 4), 30s, refused);
    co_await until([&] { return refused.done; });
    CHECK(refused.error == ErrorClass::busy);
    CHECK(!lanes[0].done);
    CHECK(!lanes[1].done);
    CHECK(!waits.done);
    co_await until([&] { return waits.done && lanes[0].done && lanes[1].done; });
    CHECK(lanes[0].error == ErrorClass::deadline);
    CHECK(lanes[1].error == ErrorClass::deadline);
    CHECK(waits.error == ErrorClass::none);
  }));
  CHECK(scene.metric(result_line(ErrorClass::busy)) == 1);
  CHECK(scene.metric("vignette_imaging_restarts_total") == 0);
}

TEST_CASE("A job that would pass the budget by itself is too large; together they take turns") {
  ImagingService::Options options = program_options();
  const std::string source = noise_png(64, 64);
  ImageJob probe = job_of(source, 64);
  const std::uint64_t cost = imaging::estimate_bytes(probe.header, 64, 64);
  options.budget_bytes = cost + cost / 2;
  Scene scene(options);
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    const std::string small = noise_png(64, 64);
    auto huge = co_await s.imaging.run(s.loop, job_of(noise_png(256, 256), 256), s.loop.now() + 30s);
    REQUIRE(huge);
    CHECK(huge->result.error == ErrorClass::too_large);
    CHECK(s.metric("vignette_image_jobs_running") == 0);
    auto warm = co_await s.imaging.run(s.loop, job_of(small, 64), s.loop.now() + 30s);
    REQUIRE(warm);
    CHECK(warm->result.error == ErrorClass::none);
    Outcome first;
    Outcome second;
    ImageJob hangs = job_of(small, 64);
    hangs.fault = Fault::hang;
    start(s, std::move(hangs), 1s, first);
    start(s, job_of(small, 64), 30s, second);
    co_await until([&s] { return s.imaging.waiting() == 1; });
    CHECK(s.metric("vignette_image_jobs_running") == 1);  // though a lane is free
    co_await until([&] { return second.done; });
    CHECK(first.done);
    CHECK(second.error == ErrorClass::none);
  }));
}

TEST_CASE("When the program dies its jobs have crashed, those that wait go on, and it is started again") {
  Scene scene;
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    auto warm = co_await s.imaging.run(s.loop, job_of(noise_png(8, 8), 4), s.loop.now() + 30s);
    REQUIRE(warm);
    Outcome at_work[2];
    Outcome waits;
    start(s, faulty(Fault::hang, 1), 30s, at_work[0]);
    start(s, faulty(Fault::hang, 2), 30s, at_work[1]);
    start(s, job_of(noise_png(8, 8), 4), 30s, waits);
    co_await until([&s] { return s.imaging.waiting() == 1; });
    const int pid = s.imaging.program_pid();
    REQUIRE(pid > 0);
    ::kill(pid, SIGKILL);
    co_await until([&] { return waits.done; });
    CHECK(at_work[0].error == ErrorClass::crashed);
    CHECK(at_work[1].error == ErrorClass::crashed);
    CHECK(waits.error == ErrorClass::none);
    CHECK(s.imaging.program_pid() != pid);
    auto next = co_await s.imaging.run(s.loop, job_of(noise_png(8, 8), 4), s.loop.now() + 30s);
    REQUIRE(next);
    CHECK(next->result.error == ErrorClass::none);
  }));
  CHECK(scene.metric("vignette_imaging_restarts_total") == 1);
}

TEST_CASE("A picture that killed two workers is refused without a third; others are not") {
  Scene scene;
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    for (int i = 0; i < 2; ++i) {
      auto crashed = co_await s.imaging.run(s.loop, faulty(Fault::segv, 7), s.loop.now() + 30s);
      REQUIRE(crashed);
      CHECK(crashed->result.error == ErrorClass::crashed);
    }
    // Healthy now, which nobody finds out.
    auto third = co_await s.imaging.run(s.loop, faulty(Fault::none, 7), s.loop.now() + 30s);
    REQUIRE(third);
    CHECK(third->result.error == ErrorClass::crashed);
    auto other = co_await s.imaging.run(s.loop, faulty(Fault::none, 8), s.loop.now() + 30s);
    REQUIRE(other);
    CHECK(other->result.error == ErrorClass::none);
  }));
  CHECK(scene.metric(result_line(ErrorClass::crashed)) == 3);
  CHECK(scene.metric("vignette_imaging_restarts_total") == 0);
}

TEST_CASE("A strand that is cancelled takes its job out of the queue, or cancels it at work") {
  Scene scene;
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    auto warm = co_await s.imaging.run(s.loop, job_of(noise_png(8, 8), 4), s.loop.now() + 30s);
    REQUIRE(warm);
    Outcome at_work[2];
    Outcome waits;
    net::StrandRef first = start(s, faulty(Fault::hang, 1), 30s, at_work[0]);
    start(s, faulty(Fault::hang, 2), 1s, at_work[1]);
    net::StrandRef third = start(s, job_of(noise_png(8, 8), 4), 30s, waits);
    co_await until([&s] { return s.imaging.waiting() == 1; });
    first.cancel();
    third.cancel();
    co_await until([&s] { return s.imaging.waiting() == 0; });
    CHECK(waits.cancelled);
    CHECK(at_work[0].cancelled);
    co_await until([&] { return at_work[1].done; });
    co_await until([&s] { return s.metric("vignette_image_jobs_running") == 0; });
  }));
  CHECK(scene.metric(result_line(ErrorClass::cancelled)) == 2);
}

TEST_CASE(
    "A job that the queue would not reach in time is refused at once, one that finds no queue never is") {
  Scene scene;
  CHECK(scene.run([](Scene& s) -> net::Task<void> {
    auto warm = co_await s.imaging.run(s.loop, job_of(noise_png(8, 8), 4), s.loop.now() + 30s);
    REQUIRE(warm);
    Outcome at_work[2];
    for (Outcome& outcome : at_work) start(s, faulty(Fault::hang, 1), 3s, outcome);
    co_await until([&s] { return s.metric("vignette_image_jobs_running") == 2; });
    Outcome first;
    start(s, job_of(noise_png(8, 8), 4), 100ms, first);
    co_await until([&s] { return s.imaging.waiting() == 1; });
    Outcome second;
    start(s, job_of(noise_png(8, 8), 4), 100ms, second);
    co_await until([&] { return first.done && second.done; });
    CHECK(second.error == ErrorClass::busy);
    CHECK(first.error == ErrorClass::deadline);
    CHECK(!at_work[0].done);
    co_await until([&] { return at_work[0].done && at_work[1].done; });
  }));
}
