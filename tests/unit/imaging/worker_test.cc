// The real program: isolation, deadlines, limits. Every wait is for an answer, never for time.
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "tests/unit/imaging/png.h"
#include "tests/unit/imaging/program.h"

namespace vignette::imaging::test {
namespace {

std::string small_png() {
  return write_png(draw(64, 48, 3, [](int x, int y, int c) { return (x * 3 + y * 5 + c * 60) & 255; }));
}

std::string status_line(pid_t pid, const std::string& name) {
  const std::string status = read_file("/proc/" + std::to_string(pid) + "/status");
  const std::size_t at = status.find("\n" + name + ":");
  REQUIRE(at != std::string::npos);
  const std::size_t start = at + name.size() + 3;
  return status.substr(start, status.find('\n', start) - start);
}

Job faulty(Fault fault) {
  Job job = resize_job(10, 0, OutputFormat::jpeg);
  job.fault = fault;
  return job;
}

// Answers in the order of their jobs' ids.
std::vector<Answer> collect(Program& program, std::size_t count) {
  std::vector<Answer> answers;
  for (std::size_t i = 0; i < count; ++i) answers.push_back(program.receive());
  std::ranges::sort(answers, {}, [](const Answer& answer) { return answer.result.id; });
  return answers;
}

TEST_CASE(
    "an idle worker is filtered, holds no descriptor but its socket, and the supervisor has one thread") {
  Program program;
  REQUIRE(program.run(resize_job(10, 0, OutputFormat::jpeg), small_png()).result.error == ErrorClass::none);
  CHECK(program.hello().lanes == 2);
  CHECK(program.hello().heavy_lanes == 1);
  CHECK(status_line(program.pid(), "Threads") == "1");
  bool filtered = false;  // the other may still be warming up
  for (const pid_t worker : program.workers()) {
    if (status_line(worker, "Seccomp") != "2") continue;
    filtered = true;
    CHECK(status_line(worker, "NoNewPrivs") == "1");
    std::set<std::string> names;
    for (const auto& fd : std::filesystem::directory_iterator("/proc/" + std::to_string(worker) + "/fd")) {
      names.insert(fd.path().filename());
    }
    CHECK(names == std::set<std::string>{"0", "1", "2", "3"});
  }
  CHECK(filtered);
  CHECK(program.close_and_wait() == 0);
}

TEST_CASE("whatever a decoder tries beyond pixels kills its worker, costs one job, and the next works") {
  Program program;
  const std::string source = small_png();
  for (const Fault fault : {Fault::segv, Fault::open_file, Fault::open_socket, Fault::exec}) {
    INFO(int(fault));
    const Answer answer = program.run(faulty(fault), source);
    CHECK(to_string(answer.result.error) == "crashed");
    CHECK(status_for(answer.result.error) == 500);
    const Answer next = program.run(resize_job(10, 0, OutputFormat::jpeg), source);
    CHECK(to_string(next.result.error) == "none");
    CHECK(next.result.width == 10);
  }
}

TEST_CASE("a job beside a crash is not disturbed") {
  Program program;
  const std::string source = small_png();
  program.send(faulty(Fault::segv), source);
  program.send(resize_job(12, 0, OutputFormat::png), source);
  const std::vector<Answer> answers = collect(program, 2);
  CHECK(to_string(answers[0].result.error) == "crashed");
  CHECK(to_string(answers[1].result.error) == "none");
  CHECK(read_png(answers[1].picture).width == 12);
}

TEST_CASE("a hanging job ends at its deadline while others go on") {
  Program program;
  Job hang = faulty(Fault::hang);
  hang.deadline_ms = 300;
  program.send(hang, small_png());
  program.send(resize_job(10, 0, OutputFormat::jpeg), small_png());
  const std::vector<Answer> answers = collect(program, 2);
  CHECK(to_string(answers[0].result.error) == "deadline");
  CHECK(status_for(answers[0].result.error) == 503);
  CHECK(to_string(answers[1].result.error) == "none");
  CHECK(program.run(resize_job(10, 0, OutputFormat::jpeg), small_png()).result.error == ErrorClass::none);
}

TEST_CASE("kill -9 of every worker costs the running job and nothing after it") {
  Program program;
  program.send(faulty(Fault::hang), small_png());
  program.send(resize_job(10, 0, OutputFormat::jpeg), small_png());
  CHECK(to_string(program.receive().result.error) == "none");
  const std::vector<pid_t> killed = program.workers();
  for (const pid_t worker : killed) kill(worker, SIGKILL);
  CHECK(to_string(program.receive().result.error) == "crashed");
  const auto reaped = [&] {
    const std::vector<pid_t> now = program.workers();
    return std::ranges::none_of(killed, [&](pid_t pid) { return std::ranges::find(now, pid) != now.end(); });
  };
  while (!reaped()) sched_yield();
  CHECK(to_string(program.run(resize_job(11, 0, OutputFormat::jpeg), small_png()).result.error) == "none");
}

TEST_CASE("more jobs than lanes are answered busy, and a cancelled one frees its lane") {
  Program program;
  const std::uint64_t first = program.send(faulty(Fault::hang), small_png());
  const std::uint64_t second = program.send(faulty(Fault::hang), small_png());
  const Answer refused = program.run(resize_job(10, 0, OutputFormat::jpeg), small_png());
  CHECK(to_string(refused.result.error) == "busy");
  program.cancel(first);
  const Answer cancelled = program.receive();
  CHECK(cancelled.result.id == first);
  CHECK(to_string(cancelled.result.error) == "cancelled");
  CHECK(program.run(resize_job(10, 0, OutputFormat::jpeg), small_png()).result.error == ErrorClass::none);
  program.cancel(second);
  CHECK(to_string(program.receive().result.error) == "cancelled");
}

TEST_CASE("a worker is replaced after its share of jobs and when it has grown too large") {
  SECTION("jobs") {
    Program program({"--lanes", "1", "--heavy-lanes", "1", "--max-jobs", "1"});
    std::set<pid_t> seen;
    for (int i = 0; i < 3; ++i) {
      for (const pid_t worker : program.workers()) seen.insert(worker);
      REQUIRE(program.run(resize_job(10, 0, OutputFormat::jpeg), small_png()).result.error ==
              ErrorClass::none);
    }
    CHECK(seen.size() > 2);
  }
  SECTION("memory") {
    Program program({"--lanes", "1", "--heavy-lanes", "1", "--test-faults", "--max-rss-mib", "400"});
    const std::vector<pid_t> before = program.workers();
    CHECK(to_string(program.run(faulty(Fault::leak), small_png()).result.error) == "internal");
    REQUIRE(program.run(resize_job(10, 0, OutputFormat::jpeg), small_png()).result.error == ErrorClass::none);
    CHECK(program.workers() != before);
  }
}

TEST_CASE("faults are refused without the flag, and the program leaves when the node does") {
  Program program({"--lanes", "1", "--heavy-lanes", "1"});
  CHECK(to_string(program.run(faulty(Fault::segv), small_png()).result.error) == "internal");
  CHECK(program.run(resize_job(10, 0, OutputFormat::jpeg), small_png()).result.error == ErrorClass::none);
  CHECK(program.close_and_wait() == 0);
}

}  // namespace
}  // namespace vignette::imaging::test
