#include "cache/disk/volume.h"

#include <catch2/catch.hpp>
#include <mutex>
#include <random>
#include <semaphore>
#include <thread>
#include <vector>

#include "disk_support.h"

using namespace vignette;
using namespace vignette::cache;
using Op = FaultyDisk::Op;

namespace {

const std::string kVolume{kVolumeFile};

Error error_of(const Result<void>& result) {
  REQUIRE_FALSE(result);
  return result.error();
}

}  // namespace

TEST_CASE("What was appended is read at once, from RAM, before anything is written") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  REQUIRE(store.put("h/a", 1000));
  const std::uint64_t reads = disk.count(Op::read);
  const ObjectRef found = store.get("h/a");
  REQUIRE(found);
  CHECK(body_text(*found) == body_for("h/a", 1000));
  CHECK(disk.count(Op::read) == reads);
  CHECK_FALSE(store.get("h/b"));
}

TEST_CASE("A segment is flushed by bytes or by age, whichever comes first") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  REQUIRE(store.put("h/a", 1000));
  const std::uint64_t writes = disk.count(Op::write);
  CHECK(store.volume().next_flush() == store.clock.now() + std::chrono::seconds(1));
  store.clock.advance(std::chrono::milliseconds(999));
  REQUIRE(store.volume().tick());
  CHECK(disk.count(Op::write) == writes);
  store.clock.advance(std::chrono::milliseconds(1));
  REQUIRE(store.volume().tick());
  CHECK(disk.count(Op::write) == writes + 1);
  CHECK_FALSE(store.volume().next_flush());
  REQUIRE(store.put("h/b", 9000));
  CHECK(disk.count(Op::write) == writes + 2);
}

TEST_CASE("Readers of the open segment do not wait for a disk that is slow to write") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  REQUIRE(store.put("h/a", 1000));
  std::binary_semaphore is_writing(0);
  std::binary_semaphore may_go_on(0);
  disk.set_hook([&](Op op) {
    if (op != Op::write) return;
    is_writing.release();
    may_go_on.acquire();
  });
  bool is_flushed = false;
  std::thread writer([&] { is_flushed = store.volume().flush().has_value(); });
  is_writing.acquire();
  CHECK(store.get("h/a"));
  may_go_on.release();
  writer.join();
  CHECK(is_flushed);
}

TEST_CASE("A read of bytes that are not in memory says that it would wait") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  store.fill("h/", 20, 5000);
  const auto plan = store.volume().plan(store.where("h/0").value());
  REQUIRE(plan);
  REQUIRE(plan->ram.empty());
  std::string bytes(plan->bytes, '\0');
  disk.set_resident(false);
  const auto cold = store.volume().file().pread_nowait(bytes, plan->file_offset);
  REQUIRE(cold);
  CHECK_FALSE(*cold);
  disk.set_resident(true);
  const auto warm = store.volume().file().pread_nowait(bytes, plan->file_offset);
  REQUIRE(warm);
  CHECK(**warm == plan->bytes);
  CHECK(store.volume().verify(*plan, bytes, hash_key("h/0"), "h/0"));
}

TEST_CASE("Sealed segments are read from the file") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  store.fill("h/", 20, 5000);
  CHECK(store.volume().counters().sealed == 1);
  for (int i = 0; i < 20; ++i) {
    const std::string name = "h/" + std::to_string(i);
    const ObjectRef found = store.get(name);
    REQUIRE(found);
    CHECK(body_text(*found) == body_for(name, 5000));
  }
}

TEST_CASE("A flipped bit on the disk is a miss that is called damage") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  store.fill("h/", 20, 5000);
  const Location location = store.where("h/0").value();
  disk.flip_bit(kVolume, store.volume().file_offset(location) + 3000, 5);
  CHECK_FALSE(store.get("h/0"));
  CHECK(store.fault == NeedleFault::body_checksum);
  CHECK(store.get("h/1"));
}

TEST_CASE("A needle found under the fingerprint of another key is a miss and no damage") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  REQUIRE(store.put("h/a", 1000));
  store.index.places[DiskIndex::hash_of(hash_key("h/other"))] = store.where("h/a").value();
  CHECK_FALSE(store.get("h/other"));
  CHECK(store.fault == NeedleFault::other_key);
}

TEST_CASE("The oldest segment is reclaimed first, and what nobody wants is gone from the index") {
  FaultyDisk disk;
  LogScene store(disk, 4);
  store.start();
  store.fill("h/", 80, 5000);
  CHECK(store.volume().counters().reclaimed > 0);
  CHECK_FALSE(store.get("h/0"));
  CHECK_FALSE(store.where("h/0"));
  CHECK(store.get("h/79"));
  CHECK(store.get("h/70"));
  CHECK(store.volume().counters().dropped > 0);
}

TEST_CASE("Reclaim keeps what is wanted, newest first, up to a quarter of a segment") {
  FaultyDisk disk;
  LogScene store(disk, 4);
  store.index.is_wanted = [](const FooterEntry&) { return true; };
  store.start();
  store.fill("h/", 37, 5000);  // twelve a segment; opening the last of four reclaims the first
  REQUIRE(store.volume().counters().reclaimed == 1);
  CHECK(store.volume().counters().kept == 3);
  CHECK(store.volume().counters().kept_bytes <= kTestSegment / 4);
  for (const int kept : {9, 10, 11}) {
    const std::string name = "h/" + std::to_string(kept);
    const ObjectRef found = store.get(name);
    REQUIRE(found);
    CHECK(body_text(*found) == body_for(name, 5000));
  }
  CHECK_FALSE(store.get("h/8"));
}

TEST_CASE("Reclaim asks again with the object at hand, and drops what was damaged") {
  FaultyDisk disk;
  LogScene store(disk, 4);
  store.index.is_wanted = [](const FooterEntry&) { return true; };
  store.index.is_confirmed = [](const NeedleView& needle) { return needle.key_string() != "h/11"; };
  store.start();
  store.fill("h/", 20, 5000);
  disk.flip_bit(kVolume, store.volume().file_offset(store.where("h/10").value()) + 1000, 0);
  for (int i = 20; i < 37; ++i) REQUIRE(store.put("h/" + std::to_string(i), 5000));
  CHECK_FALSE(store.get("h/11"));
  CHECK_FALSE(store.get("h/10"));
  CHECK(store.get("h/9"));
  CHECK(store.volume().counters().damaged == 1);
}

TEST_CASE("Writing goes on at most a third above what is appended, however much is wanted") {
  FaultyDisk disk;
  LogScene store(disk, 6);
  store.index.is_wanted = [](const FooterEntry&) { return true; };
  store.start();
  store.fill("h/", 600, 3000);
  const VolumeCounters& counters = store.volume().counters();
  CHECK(counters.kept > 0);
  CHECK(static_cast<double>(counters.kept_bytes) <= static_cast<double>(counters.appended_bytes) / 3);
}

TEST_CASE("A segment that is being read is not used again, and takes no new readers once it is reclaimed") {
  FaultyDisk disk;
  LogScene store(disk, 4);
  store.start();
  store.fill("h/", 20, 5000);
  const Location location = store.where("h/0").value();
  std::optional<ReadPlan> plan = store.volume().plan(location);
  REQUIRE(plan);
  Result<Location> last = Location{};
  for (int i = 20; i < 200 && last; ++i) last = store.put("h/" + std::to_string(i), 5000);
  REQUIRE_FALSE(last);
  CHECK(last.error().code == Code::unavailable);
  CHECK(store.volume().counters().refused_pinned == 1);
  CHECK_FALSE(store.volume().plan(location));
  std::string bytes(plan->bytes, '\0');
  REQUIRE(store.volume().file().pread(bytes, plan->file_offset));
  const NeedlePlace place{location.segment, location.offset, location.generation};
  CHECK(parse_needle(bytes, place, store.volume().seed()));
  CHECK(store.volume().verify(*plan, bytes, hash_key("h/0"), "h/0").error() == NeedleFault::reclaimed);
  plan.reset();
  CHECK(store.put("h/again", 5000));
}

TEST_CASE("A reader of the open segment keeps its bytes when the segment is long gone") {
  FaultyDisk disk;
  LogScene store(disk, 4);
  store.start();
  REQUIRE(store.put("h/a", 5000));
  Slice held;
  {
    const auto plan = store.volume().plan(store.where("h/a").value());
    REQUIRE(plan);
    held = plan->ram;
  }
  const std::string before(held.view());
  store.fill("h/", 100, 5000);
  CHECK(held.view() == before);
  CHECK_FALSE(store.get("h/a"));
}

TEST_CASE("A place that no needle has is refused before anything is read") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  REQUIRE(store.put("h/a", 1000));
  const Location good = store.where("h/a").value();
  for (const Location& bad : {Location{99, good.offset, good.bytes, good.generation},
                              Location{good.segment, 0, good.bytes, good.generation},
                              Location{good.segment, good.offset, 64, good.generation},
                              Location{good.segment, good.offset, kTestSegment, good.generation},
                              Location{good.segment, 0xFFFFFFC0, 192, good.generation},
                              Location{good.segment, good.offset + good.bytes, 192, good.generation},
                              Location{good.segment, good.offset, good.bytes, 0},
                              Location{good.segment, good.offset, good.bytes, good.generation + 1}}) {
    CHECK_FALSE(store.volume().plan(bad));
  }
  const Volume& volume = store.volume();
  const auto bits = static_cast<std::uint16_t>(good.generation);
  CHECK(volume.locate(volume.file_offset(good), good.bytes, bits) == good);
  CHECK_FALSE(volume.locate(volume.file_offset(good), good.bytes, static_cast<std::uint16_t>(bits + 1)));
  CHECK_FALSE(volume.locate(0, good.bytes, bits));
  CHECK_FALSE(volume.locate(volume.bytes(), good.bytes, bits));
}

TEST_CASE("Objects up to a quarter of a segment are taken, longer ones refused and counted") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  const std::uint32_t limit = store.volume().longest_needle();
  const std::size_t overhead = needle_bytes(*object_for("h/a", 0), limit).value();
  CHECK(store.put("h/a", limit - overhead));
  const auto refused = store.put("h/b", limit);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::limit);
  CHECK(store.volume().counters().refused_too_long == 1);
}

TEST_CASE("A write error quarantines the segment: its needles are misses and writing goes on elsewhere") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  REQUIRE(store.put("h/lost", 1000));
  const bool is_torn = GENERATE(false, true);
  disk.tear_writes(is_torn);
  disk.fail(Op::write, EIO, 1);
  CHECK(error_of(store.volume().flush()).sys_errno == EIO);
  CHECK_FALSE(store.get("h/lost"));
  CHECK(store.volume().counters().segments_quarantined == 1);
  REQUIRE(store.put("h/a", 1000));
  REQUIRE(store.volume().flush());
  CHECK(store.get("h/a"));
  CHECK(store.log_lines.find("cannot be written") != std::string::npos);
  store.index.places.erase(DiskIndex::hash_of(hash_key("h/lost")));
  store.restart();
  CHECK(store.get("h/a"));
  CHECK_FALSE(store.get("h/lost"));
}

TEST_CASE("When every segment was quarantined nothing is appended until the quarantine is lifted") {
  FaultyDisk disk;
  LogScene store(disk, 4);
  store.start();
  disk.fail(Op::write, EIO);
  Error last;
  for (int i = 0; i < 10; ++i) {
    const auto location = store.put("h/a", 10'000);
    if (!location) last = location.error();
  }
  CHECK(last.code == Code::unavailable);
  CHECK(store.volume().counters().segments_quarantined == 4);
  disk.heal();
  CHECK(store.volume().lift_quarantine() == 4);
  REQUIRE(store.put("h/a", 10'000));
  CHECK(store.get("h/a"));
}

TEST_CASE("The oldest sequence in the log rises as segments are reclaimed") {
  FaultyDisk disk;
  LogScene store(disk, 4);
  store.start();
  for (std::uint64_t sequence = 1; sequence <= 100; ++sequence) {
    ObjectHead head = fresh_head();
    head.sequence = sequence;
    const std::string name = "h/" + std::to_string(sequence);
    REQUIRE(store.put(Object::complete(head, hash_key(name), name, body_for(name, 5000))));
    if (sequence == 10) CHECK(store.volume().oldest_sequence() == 1);
  }
  const std::uint64_t oldest = store.volume().oldest_sequence();
  CHECK(oldest > 20);
  CHECK_FALSE(store.get("h/" + std::to_string(oldest - 1)));
  store.restart();
  CHECK(store.volume().oldest_sequence() >= oldest);
}

TEST_CASE("Nothing is appended before the table of segments is read") {
  FaultyDisk disk;
  LogScene store(disk);
  REQUIRE(store.open());
  const auto early = store.put("h/a", 10);
  REQUIRE_FALSE(early);
  CHECK(early.error().code == Code::unavailable);
  CHECK_FALSE(store.snapshot());
  while (!store.recovery().is_started()) store.recovery().step();
  CHECK(store.put("h/a", 10));
}

TEST_CASE("A foreign file is refused and stays as it is") {
  FaultyDisk disk;
  LogScene store(disk);
  const std::string foreign =
      GENERATE(std::string("my thesis"), std::string(200'000, 'x'), std::string(200'000, '\0'));
  disk.set_content(kVolume, foreign);
  const Error error = error_of(store.open());
  CHECK(error.code == Code::malformed);
  CHECK(std::string_view(error.where).find("not a Vignette volume") != std::string_view::npos);
  CHECK(disk.content(kVolume) == foreign);
}

TEST_CASE("Another format version or segment size is refused and stays as it is") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  REQUIRE(store.put("h/a", 10));
  REQUIRE(store.volume().close());
  store.stop();
  std::string bytes = disk.content(kVolume);
  for (const std::uint64_t offset : kSuperblockOffsets) bytes[offset + 8] = 99;
  disk.set_content(kVolume, bytes);
  const Error error = error_of(store.open());
  CHECK(error.code == Code::unsupported);
  CHECK(std::string_view(error.where).find("format version") != std::string_view::npos);
  CHECK(disk.content(kVolume) == bytes);
}

TEST_CASE("One damaged superblock is repaired from the other; two are an error") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  REQUIRE(store.put("h/a", 10));
  REQUIRE(store.volume().close());
  store.stop();
  const std::size_t copy = GENERATE(std::size_t{0}, std::size_t{1});
  const std::uint64_t byte =
      GENERATE(std::uint64_t{0}, std::uint64_t{9}, std::uint64_t{20}, std::uint64_t{63});
  disk.flip_bit(kVolume, kSuperblockOffsets[copy] + byte, 2);
  store.start();
  CHECK(store.get("h/a"));
  CHECK(store.log_lines.find("superblocks") != std::string::npos);
  store.stop();
  disk.flip_bit(kVolume, kSuperblockOffsets[1 - copy] + byte, 2);
  store.start();
  CHECK(store.get("h/a"));
  store.stop();
  for (const std::uint64_t offset : kSuperblockOffsets) disk.flip_bit(kVolume, offset + 20, 2);
  const std::string before = disk.content(kVolume);
  CHECK(error_of(store.open()).code == Code::malformed);
  CHECK(disk.content(kVolume) == before);
}

TEST_CASE("A volume whose formatting was cut short is formatted again") {
  FaultyDisk disk;
  LogScene store(disk);
  disk.set_content(kVolume, std::string(GENERATE(0UL, 100UL, 4160UL, 65'536UL), '\0'));
  store.start();
  CHECK(store.put("h/a", 10));
}

TEST_CASE("A volume in use by another process is refused") {
  FaultyDisk disk;
  LogScene store(disk);
  disk.set_locked(true);
  CHECK(error_of(store.open()).code == Code::refused);
}

TEST_CASE("A volume below four segments is refused") {
  FaultyDisk disk;
  LogScene store(disk, 3);
  CHECK(error_of(store.open()).code == Code::limit);
  CHECK_FALSE(disk.exists(kVolume));
}

TEST_CASE("A full disk makes the volume smaller, with a warning and room left for the snapshot") {
  FaultyDisk disk;
  LogScene store(disk, 32);
  disk.set_capacity(kSegmentsBegin + 20 * kTestSegment);
  store.start();
  CHECK(store.volume().segments() == 19);
  CHECK(store.log_lines.find("disk is full") != std::string::npos);
  store.fill("h/", 300, 5000);
  CHECK(store.get("h/299"));
  store.restart();
  CHECK(store.get("h/299"));
  CHECK(store.volume().segments() == 19);
}

TEST_CASE("A disk without room for four segments is an error, as is one that fails otherwise") {
  FaultyDisk disk;
  LogScene store(disk, 32);
  disk.set_capacity(kSegmentsBegin + 3 * kTestSegment);
  CHECK(error_of(store.open()).code == Code::exhausted);
  disk.fail(Op::allocate, EIO);
  CHECK(error_of(store.open()).sys_errno == EIO);
}

TEST_CASE("Readers on other threads see whole objects while segments are written, reclaimed and used again") {
  FaultyDisk disk;
  LogScene store(disk, 4);
  store.start();
  Volume& volume = store.volume();
  struct Known {
    std::string name;
    Location location;
  };
  std::mutex mutex;
  std::vector<Known> known;
  std::atomic<bool> is_over{false};
  std::atomic<int> wrong{0};
  std::atomic<int> right{0};
  const auto read = [&](unsigned seed) {
    std::mt19937 random(seed);
    while (!is_over) {
      Known one;
      {
        const std::lock_guard lock(mutex);
        if (known.empty()) continue;
        one = known[known.size() - 1 - random() % std::min<std::size_t>(known.size(), 60)];
      }
      const auto plan = volume.plan(one.location);
      if (!plan) continue;
      std::string bytes(plan->bytes, '\0');
      if (plan->ram.empty()) {
        if (!volume.file().pread(bytes, plan->file_offset)) continue;
      } else {
        bytes = plan->ram.view();
      }
      const auto needle = volume.verify(*plan, bytes, hash_key(one.name), one.name);
      if (needle && needle->body() != body_for(one.name, 3000)) ++wrong;
      if (!needle && needle.error() != NeedleFault::reclaimed) ++wrong;
      if (needle) ++right;
    }
  };
  std::vector<std::thread> readers;
  readers.reserve(2);
  for (unsigned i = 0; i < 2; ++i) readers.emplace_back(read, i);
  for (int i = 0; i < 100'000 && (right < 50 || volume.counters().reclaimed <= 10); ++i) {
    const std::string name = "h/" + std::to_string(i);
    const auto location = volume.append(*object_for(name, 3000));
    if (!location) {
      REQUIRE(location.error().code == Code::unavailable);
      continue;
    }
    const std::lock_guard lock(mutex);
    known.push_back({name, *location});
  }
  is_over = true;
  for (std::thread& reader : readers) reader.join();
  CHECK(wrong == 0);
  CHECK(right >= 50);
  CHECK(volume.counters().reclaimed > 10);
}
