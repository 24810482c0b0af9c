#include "imaging/protocol.h"

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <random>

#include "imaging/memfd.h"

namespace vignette::imaging {
namespace {

UniqueFd some_fd() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

Job sample_job() {
  Job job;
  job.id = 0x1122334455667788;
  job.source = SourceFormat::heic;
  job.output = OutputFormat::webp;
  job.transform = {512, 300, Fit::cover, true, 77, OutputFormat::webp};
  job.limits.max_frames = 3;
  job.deadline_ms = 1500;
  job.source_bytes = 12345;
  return job;
}

JobResult sample_result() {
  JobResult result;
  result.id = 9;
  result.output = OutputFormat::png;
  result.width = 512;
  result.height = 300;
  result.output_bytes = 1000;
  result.info = {SourceFormat::gif, 40, 30, 6, 12, true, 500, 777};
  result.timings = {1, 2, 3};
  return result;
}

Result<std::optional<Received>> read_whole(const std::string& frame, int descriptors) {
  FrameReader reader;
  for (int i = 0; i < descriptors; ++i) reader.feed_fd(some_fd());
  reader.feed(frame);
  return reader.next();
}

TEST_CASE("every message survives the wire, cut at any byte") {
  std::string stream;
  encode(Hello{3, 1}, stream);
  encode(sample_job(), stream);
  encode(Cancel{77}, stream);
  encode(sample_result(), stream);
  FrameReader reader;
  reader.feed_fd(some_fd());
  reader.feed_fd(some_fd());
  std::vector<Received> received;
  for (const char byte : stream) {
    reader.feed(std::string_view(&byte, 1));
    auto next = reader.next();
    REQUIRE(next);
    if (*next) received.push_back(std::move(**next));
  }
  REQUIRE(received.size() == 4);
  CHECK(reader.buffered() == 0);
  CHECK(std::get<Hello>(received[0].message).lanes == 3);
  const Job& job = std::get<Job>(received[1].message);
  CHECK(job.id == sample_job().id);
  CHECK(job.transform == sample_job().transform);
  CHECK(job.limits == sample_job().limits);
  CHECK(job.deadline_ms == 1500);
  CHECK(job.source_bytes == 12345);
  CHECK(received[1].fd);
  CHECK(std::get<Cancel>(received[2].message).id == 77);
  const JobResult& result = std::get<JobResult>(received[3].message);
  CHECK(result.info == sample_result().info);
  CHECK(result.output_bytes == 1000);
  CHECK(result.timings.pixels == 3);
  CHECK(received[3].fd);
}

TEST_CASE("a frame without its descriptor, or with one too many, is refused") {
  std::string job;
  encode(sample_job(), job);
  CHECK(!read_whole(job, 0));
  CHECK(read_whole(job, 1));
  std::string cancel;
  encode(Cancel{1}, cancel);
  cancel[6] = 1;
  CHECK(!read_whole(cancel, 1));
}

TEST_CASE("frames with a wrong version, type, length or field end the conversation") {
  std::string good;
  encode(sample_result(), good);
  const auto broken_at = [&good](std::size_t at, char value) {
    std::string frame = good;
    frame[at] = value;
    return frame;
  };
  CHECK(!read_whole(broken_at(4, 9), 1));        // version
  CHECK(!read_whole(broken_at(5, 99), 1));       // type
  CHECK(!read_whole(broken_at(7, 1), 1));        // reserved
  CHECK(!read_whole(broken_at(0, 3), 1));        // shorter than its fields
  CHECK(!read_whole(broken_at(3, '\x7f'), 1));   // 2 GiB
  CHECK(!read_whole(broken_at(16, 99), 1));      // error class out of range
  CHECK(!read_whole(broken_at(16, 8), 1));       // a crash that brings a picture
  CHECK(!read_whole(broken_at(17, 7), 1));       // unknown output format
  CHECK(!read_whole(broken_at(32, '\x7f'), 1));  // more bytes than any picture may have
  FrameReader reader;
  reader.feed(broken_at(4, 9));
  CHECK(!reader.next());
  reader.feed(good);
  CHECK(!reader.next());
}

TEST_CASE("unclaimed descriptors are limited") {
  FrameReader reader;
  for (std::size_t i = 0; i < kMaxQueuedFds; ++i) reader.feed_fd(UniqueFd());
  CHECK(reader.next());
  reader.feed_fd(UniqueFd());
  CHECK(!reader.next());
}

TEST_CASE("random bytes and damaged frames never get past the decoder out of range") {
  std::mt19937 random(7);
  std::string good;
  encode(sample_result(), good);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = good;
    if (round % 2 == 0) {
      bytes.resize(random() % 120);
      for (char& byte : bytes) byte = static_cast<char>(random());
      if (bytes.size() > 8) bytes.replace(0, 8, std::string("\x40\0\0\0\x01\x04\x01\0", 8));
    } else {
      bytes[8 + random() % (bytes.size() - 8)] = static_cast<char>(random());
    }
    FrameReader reader;
    reader.feed_fd(UniqueFd());
    reader.feed(bytes);
    const auto next = reader.next();
    if (!next || !*next) continue;
    const auto* result = std::get_if<JobResult>(&(*next)->message);
    if (result == nullptr) continue;
    REQUIRE(static_cast<std::uint8_t>(result->error) < kErrorClassCount);
    REQUIRE(result->output_bytes <= kMaxResultBytes);
    REQUIRE(result->info.orientation >= 1);
    REQUIRE(result->info.orientation <= 8);
  }
}

TEST_CASE("a sealed memfd can be mapped and neither written nor resized") {
  const std::array<std::string_view, 2> chunks{"hello ", "world"};
  const Result<UniqueFd> fd = sealed_memfd("test", chunks);
  REQUIRE(fd);
  CHECK(check_sealed(fd->get(), 11));
  CHECK(!check_sealed(fd->get(), 12));
  CHECK(::write(fd->get(), "x", 1) < 0);
  CHECK(::ftruncate(fd->get(), 0) < 0);
  CHECK(Mapping::map(fd->get(), 11)->view() == "hello world");
  const Result<UniqueFd> open = create_memfd("open");
  CHECK(!check_sealed(open->get(), 0));
  CHECK(!check_sealed(some_fd().get(), 0));
}

}  // namespace
}  // namespace vignette::imaging
