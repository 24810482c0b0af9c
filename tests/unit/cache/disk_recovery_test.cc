#include "cache/disk/recovery.h"

#include <catch2/catch.hpp>
#include <cstring>

#include "cache/disk/reclaim.h"
#include "cache/disk/snapshot.h"
#include "disk_support.h"

using namespace vignette;
using namespace vignette::cache;
using Op = FaultyDisk::Op;

namespace {

const std::string kVolume{kVolumeFile};
const std::string kIndex{kSnapshotFile};

std::string named(int number) { return "h/" + std::to_string(number); }

// Every object of [from, to) that is found is right; how many are.
int found_between(LogScene& store, int from, int to, std::size_t size = 5000) {
  int found = 0;
  for (int i = from; i < to; ++i) {
    const ObjectRef object = store.get(named(i));
    if (!object) continue;
    REQUIRE(body_text(*object) == body_for(named(i), size));
    ++found;
  }
  return found;
}

std::uint64_t trailer_offset(const Volume& volume, std::uint32_t segment) {
  return volume.file_offset({.segment = segment}) + volume.segment_bytes() - sizeof(SegmentTrailer);
}

}  // namespace

TEST_CASE("After an orderly stop everything is found again, by footers alone") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  store.fill("h/", 50, 5000);
  store.restart();
  CHECK(found_between(store, 0, 50) == 50);
  const RecoveryStats& stats = store.recovery().stats();
  CHECK_FALSE(stats.snapshot_used);
  CHECK_FALSE(stats.snapshot_damaged);
  CHECK(stats.headers_read == 8);
  CHECK(stats.footers_read + stats.segments_scanned == 5);
  CHECK(stats.log_entries == 50);
  CHECK(stats.needles_damaged == 0);
}

TEST_CASE("With a snapshot only what changed since is read") {
  FaultyDisk disk;
  LogScene store(disk, 40);
  store.start();
  store.fill("h/", 300, 5000);
  REQUIRE(store.snapshot());
  for (int i = 300; i < 330; ++i) REQUIRE(store.put(named(i), 5000));
  store.restart();
  const RecoveryStats& stats = store.recovery().stats();
  CHECK(stats.snapshot_used);
  CHECK(stats.snapshot_entries > 250);
  CHECK(stats.log_entries < 80);
  CHECK(stats.headers_read < 16);
  CHECK(found_between(store, 0, 330) == 330);
}

TEST_CASE("A snapshot taken before the log went round names nothing that is no longer there") {
  FaultyDisk disk;
  LogScene store(disk, 8);
  store.start();
  store.fill("h/", 60, 5000);
  REQUIRE(store.snapshot());
  for (int i = 60; i < 500; ++i) REQUIRE(store.put(named(i), 5000));
  const int before = found_between(store, 0, 500);
  store.restart();
  const RecoveryStats& stats = store.recovery().stats();
  CHECK(stats.snapshot_used);
  CHECK(stats.snapshot_entries == 0);
  CHECK(stats.snapshot_stale > 0);
  CHECK(found_between(store, 0, 500) == before);
  for (const auto& [hash, location] : store.index.places) CHECK(store.volume().plan(location));
}

TEST_CASE("Objects that reclaim kept and objects it dropped are the same after a start") {
  FaultyDisk disk;
  LogScene store(disk, 5);
  store.index.is_wanted = [](const FooterEntry& entry) { return entry.key_lo % 3 == 0; };
  store.start();
  const bool has_snapshot = GENERATE(false, true);
  for (int i = 0; i < 300; ++i) {
    REQUIRE(store.put(named(i), 3000));
    if (has_snapshot && i == 200) REQUIRE(store.snapshot());
  }
  REQUIRE(store.volume().counters().kept > 0);
  const auto before = store.index.places;
  store.restart();
  CHECK(store.index.places == before);
}

TEST_CASE("A damaged snapshot anywhere is noticed, and every footer is read instead") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  store.fill("h/", 50, 5000);
  REQUIRE(store.snapshot());
  REQUIRE(store.volume().close());
  const std::string good = disk.content(kIndex);
  for (std::size_t byte = 0; byte < good.size(); byte += 1 + byte % 11) {
    std::string bad = good;
    bad[byte] = static_cast<char>(bad[byte] ^ 0x10);
    disk.set_content(kIndex, bad);
    store.start();
    if (!store.recovery().stats().snapshot_damaged || found_between(store, 0, 50) != 50) {
      FAIL("byte " << byte << " of " << good.size());
    }
  }
}

TEST_CASE("A snapshot cut short or of another volume is not believed") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  store.fill("h/", 20, 5000);
  REQUIRE(store.snapshot());
  REQUIRE(store.volume().close());
  const std::string good = disk.content(kIndex);
  for (std::size_t size = 0; size < good.size(); size += 7) {
    disk.set_content(kIndex, good.substr(0, size));
    store.start();
    CHECK(store.recovery().stats().snapshot_damaged);
    CHECK(found_between(store, 0, 20) == 20);
  }
  FaultyDisk other;
  LogScene stranger(other);
  stranger.start();
  REQUIRE(stranger.snapshot());
  disk.set_content(kIndex, other.content(kIndex));
  store.start();
  CHECK(store.recovery().stats().snapshot_damaged);
  CHECK(found_between(store, 0, 20) == 20);
}

TEST_CASE("A snapshot of many blocks is read in order, up to the block that is damaged or cannot be read") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  constexpr std::uint64_t kEntries = 2 * kSnapshotBlockEntries + 1000;
  auto writer = SnapshotWriter::begin(store.volume());
  REQUIRE(writer);
  const std::uint64_t begin = store.volume().file_offset({.segment = 1});
  for (std::uint64_t i = 0; i < kEntries; ++i) {
    if (!writer->add(i, begin + i % 100 * kNeedleAlignment, kNeedleAlignment, false)) FAIL(i);
  }
  REQUIRE(writer->commit());
  const auto opened = [&] {
    auto reader = SnapshotReader::open(disk, store.volume().uuid(), store.volume().segment_bytes());
    REQUIRE(reader);
    return std::move(*reader);
  };
  std::vector<SnapshotEntry> block;
  SECTION("whole") {
    SnapshotReader reader = opened();
    std::uint64_t count = 0;
    do {
      REQUIRE(reader.next(block));
      for (const SnapshotEntry& entry : block) {
        bool was_hit = true;
        const Location location = unpack_place(entry.place, was_hit);
        if (entry.hash != count || location.offset != count % 100 * kNeedleAlignment || was_hit) FAIL(count);
        ++count;
      }
    } while (!block.empty());
    CHECK(count == kEntries);
  }
  SECTION("left in the middle") {
    SnapshotReader reader = opened();
    REQUIRE(reader.next(block));
    CHECK(block.size() == kSnapshotBlockEntries);
  }
  SECTION("damaged in the second block") {
    const std::string content = disk.content(kIndex);
    disk.flip_bit(kIndex, content.size() / 2, 3);
    SnapshotReader reader = opened();
    REQUIRE(reader.next(block));
    const auto second = reader.next(block);
    REQUIRE_FALSE(second);
    CHECK(second.error().code == Code::malformed);
  }
  SECTION("unreadable in the second block") {
    SnapshotReader reader = opened();
    disk.fail(Op::read, EIO, 1, 2);  // the first block is two reads
    REQUIRE(reader.next(block));
    const auto second = reader.next(block);
    REQUIRE_FALSE(second);
    CHECK(second.error().code == Code::io);
  }
}

TEST_CASE("A snapshot that cannot be written leaves the last one in its place") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  store.fill("h/", 20, 5000);
  REQUIRE(store.snapshot());
  const std::string good = disk.content(kIndex);
  REQUIRE(store.put("h/20", 5000));
  const Op op = GENERATE(Op::write, Op::sync);
  disk.fail(op, ENOSPC);
  CHECK_FALSE(store.snapshot());
  disk.heal();
  CHECK(disk.content(kIndex) == good);
}

TEST_CASE("A damaged footer or trailer costs a scan of the segment and no object") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  store.fill("h/", 60, 5000);
  REQUIRE(store.volume().close());
  const std::uint64_t trailer = trailer_offset(store.volume(), 1);
  const int from_trailer = GENERATE(0, 12, 20, 63, -1, -100);
  const std::uint64_t byte = trailer + static_cast<std::uint64_t>(from_trailer);
  disk.flip_bit(kVolume, byte, 3);
  store.start();
  CHECK(store.recovery().stats().footers_damaged == 1);
  CHECK(found_between(store, 0, 60) == 60);
  store.start();
  CHECK(store.recovery().stats().footers_damaged == 0);
  CHECK(found_between(store, 0, 60) == 60);
}

TEST_CASE("A tail without footer is scanned, sealed, and not scanned for its footer again") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  store.fill("h/", 30, 5000);
  REQUIRE(store.volume().flush());
  store.start();
  CHECK(found_between(store, 0, 30) == 30);
  const Location last = store.where(named(29)).value();
  const auto footer = disk.content(kVolume).substr(trailer_offset(store.volume(), last.segment), 4);
  CHECK(footer == "VEND");
}

TEST_CASE("A torn needle in the tail is skipped and counted, and what follows it is found") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  store.fill("h/", 5, 5000);
  REQUIRE(store.volume().flush());
  disk.flip_bit(kVolume, store.volume().file_offset(store.where(named(2)).value()) + 2000, 1);
  store.start();
  CHECK_FALSE(store.get(named(2)));
  CHECK(found_between(store, 0, 5) == 4);
  CHECK(store.recovery().stats().needles_damaged == 1);
}

TEST_CASE("What was flushed and synced survives a crash; what was not is found whole or not at all") {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    FaultyDisk disk(seed);
    LogScene store(disk);
    store.start();
    store.fill("h/", 20, 5000);
    REQUIRE(store.volume().flush());
    REQUIRE(store.volume().file().sync_data());
    for (int i = 20; i < 45; ++i) REQUIRE(store.put(named(i), 5000));
    store.stop();
    disk.crash();
    store.start();
    REQUIRE(found_between(store, 0, 20) == 20);
    found_between(store, 20, 45);
    // Every place that was recovered from the newest segments had its bytes looked at.
    store.fill("n/", 30, 5000);
    CHECK(store.get("n/29"));
  }
}

TEST_CASE("An erased object stays erased after a start, with and without a snapshot before it") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  store.fill("h/", 30, 5000);
  const bool has_snapshot = GENERATE(false, true);
  if (has_snapshot) REQUIRE(store.snapshot());
  store.erase(named(3));
  store.erase(named(29));
  REQUIRE(store.put(named(29), 5000));
  store.restart();
  CHECK_FALSE(store.get(named(3)));
  CHECK(store.get(named(29)));
  CHECK(found_between(store, 0, 30) == 29);
}

TEST_CASE("Reading and writing go on while the index comes back, and the newer object wins") {
  FaultyDisk disk;
  LogScene store(disk, 40);
  store.start();
  store.fill("h/", 300, 5000);
  const bool has_snapshot = GENERATE(false, true);
  if (has_snapshot) REQUIRE(store.snapshot());
  for (int i = 300; i < 320; ++i) REQUIRE(store.put(named(i), 5000));
  REQUIRE(store.volume().close());
  REQUIRE(store.open());
  while (!store.recovery().is_started()) REQUIRE(store.recovery().step());
  const auto fresh = [](int number) {
    return Object::complete(fresh_head("ETag: \"v2\"\r\n"), hash_key(named(number)), named(number), "new");
  };
  for (const int number : {0, 150, 319}) REQUIRE(store.put(fresh(number)));
  for (const int number : {1, 151, 318}) store.erase(named(number));
  while (store.recovery().step()) REQUIRE(store.put("n/" + std::to_string(store.index.places.size()), 2000));
  for (const int number : {0, 150, 319}) CHECK(body_text(*store.get(named(number))) == "new");
  for (const int number : {1, 151, 318}) CHECK_FALSE(store.get(named(number)));
  for (const int number : {2, 149, 317}) CHECK(store.get(named(number)));
}

TEST_CASE("More erasures than can be remembered end the recovery early, and none comes back") {
  FaultyDisk disk;
  LogScene store(disk, 200);
  store.start();
  store.fill("h/", 10, 5000);
  REQUIRE(store.volume().close());
  REQUIRE(store.open());
  while (!store.recovery().is_started()) store.recovery().step();
  for (std::size_t i = 0; i < Recovery::kMostErasures; ++i) {
    store.recovery().forget(Key{i << 20, 0}, {0, 64, 192, 1'000'000});
  }
  CHECK_FALSE(store.recovery().is_done());
  store.erase(named(1));
  CHECK(store.recovery().is_done());
  CHECK(store.recovery().stats().cut_short);
  CHECK(store.volume().is_recovered());
  CHECK_FALSE(store.recovery().step());
  CHECK_FALSE(store.get(named(1)));
}

TEST_CASE("A volume that shrank has lost what lay behind its end and nothing else") {
  FaultyDisk disk;
  LogScene store(disk, 12);
  store.start();
  store.fill("h/", 100, 5000);
  const bool has_snapshot = GENERATE(false, true);
  if (has_snapshot) REQUIRE(store.snapshot());
  REQUIRE(store.volume().close());
  int kept = 0;
  for (const auto& [hash, location] : store.index.places) kept += location.segment < 5 ? 1 : 0;
  store.resize(5);
  store.start();
  CHECK(store.volume().segments() == 5);
  CHECK(disk.content(kVolume).size() == kSegmentsBegin + 5 * kTestSegment);
  CHECK(found_between(store, 0, 100) == kept);
  store.fill("n/", 200, 5000);
  CHECK(store.get("n/199"));
}

TEST_CASE("A volume that grew uses its new segments before it reclaims any") {
  FaultyDisk disk;
  LogScene store(disk, 5);
  store.start();
  store.fill("h/", 30, 5000);
  const bool has_snapshot = GENERATE(false, true);
  if (has_snapshot) REQUIRE(store.snapshot());
  REQUIRE(store.volume().close());
  store.resize(20);
  store.start();
  CHECK(store.volume().has_unused_space());
  for (int i = 30; i < 150; ++i) REQUIRE(store.put(named(i), 5000));
  CHECK(store.volume().counters().reclaimed == 0);
  CHECK(found_between(store, 0, 150) == 150);
  store.restart();
  CHECK(found_between(store, 0, 150) == 150);
}

TEST_CASE("Generations that a lost run may have used are not given out again") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  REQUIRE(store.put(named(0), 5000));
  const std::uint32_t first = store.where(named(0))->generation;
  store.stop();
  disk.crash();
  store.start();
  REQUIRE(store.put(named(1), 5000));
  CHECK(store.where(named(1))->generation >= first + Recovery::kGenerationGap);
}

TEST_CASE("A disk that cannot be read gives an empty start and no error") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  store.fill("h/", 30, 5000);
  REQUIRE(store.volume().close());
  REQUIRE(store.open());
  disk.fail(Op::read, EIO);
  store.recover();
  CHECK(store.recovery().stats().read_errors > 0);
  CHECK(store.index.places.empty());
}

TEST_CASE("Entries of a snapshot keep their place and mark through packing") {
  for (const Location& location :
       {Location{0, 64, 192, 0}, Location{0xFFFFFF, 64 * 1024 * 1024 - 64, 16 * 1024 * 1024, 0}}) {
    for (const bool was_hit : {false, true}) {
      bool back = !was_hit;
      CHECK(unpack_place(pack_place(location, was_hit), back) == location);
      CHECK(back == was_hit);
    }
  }
}

TEST_CASE("What reclaim keeps is not lost by a kill right after it") {
  FaultyDisk disk;
  LogScene store(disk, 4);
  store.index.is_wanted = [](const FooterEntry& entry) { return entry.key() == hash_key("h/0"); };
  store.start();
  for (int i = 0; store.volume().counters().reclaimed == 0; ++i) REQUIRE(store.put(named(i), 5000));
  REQUIRE(store.index.moved == 1);
  store.start();
  CHECK(body_text(*store.get("h/0")) == body_for("h/0", 5000));
}

TEST_CASE("A segment that failed half way does not come back when what replaced its needles has gone") {
  FaultyDisk disk;
  LogScene store(disk, 4);
  store.start();
  REQUIRE(store.put("h/0", 5000));
  REQUIRE(store.volume().flush());
  disk.fail(Op::write, EIO, 1);
  REQUIRE(store.put("h/1", 5000));
  REQUIRE_FALSE(store.volume().flush());
  store.start();
  CHECK_FALSE(store.where("h/0"));
  CHECK_FALSE(store.where("h/1"));
}

TEST_CASE("Hashes and places that no index can hold are left out of a sound snapshot") {
  FaultyDisk disk;
  LogScene store(disk);
  store.start();
  store.fill("h/", 40, 5000);
  auto writer = SnapshotWriter::begin(store.volume());
  REQUIRE(writer);
  const std::uint64_t offset = store.volume().file_offset(store.where(named(0)).value());
  REQUIRE(writer->add(~std::uint64_t{0}, offset, 5184, true));
  REQUIRE(writer->add(std::uint64_t{1} << DiskIndex::kHashBits, offset, 5184, true));
  CHECK_FALSE(writer->add(1, offset + 8 * kTestSegment, 5184, true));
  CHECK_FALSE(writer->add(1, 0, 5184, true));
  REQUIRE(writer->commit());
  REQUIRE(store.volume().close());
  store.start();
  CHECK(store.recovery().stats().snapshot_used);
  CHECK(store.recovery().stats().snapshot_entries == 0);
}

TEST_CASE("Reclaim finds the needles of a segment whose footer is damaged") {
  FaultyDisk disk;
  LogScene store(disk, 4);
  store.index.is_wanted = [](const FooterEntry&) { return true; };
  store.start();
  store.fill("h/", 20, 5000);
  disk.flip_bit(kVolume, trailer_offset(store.volume(), store.where(named(0))->segment), 0);
  for (int i = 20; i < 37; ++i) REQUIRE(store.put(named(i), 5000));
  REQUIRE(store.volume().counters().reclaimed == 1);
  CHECK(store.volume().counters().damaged == 1);
  CHECK_FALSE(store.where(named(0)));
  CHECK(found_between(store, 0, 37) == 28);
}
