#include <catch2/catch.hpp>
#include <map>
#include <random>

#include "cache/disk/disk_index.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

constexpr HashSecret kSecret = {.first = 0x243f6a8885a308d3, .second = 0x13198a2e03707344};

// An even 64-bit stream (splitmix64).
std::uint64_t mixed(std::uint64_t number) {
  number += 0x9E3779B97F4A7C15;
  number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9;
  number = (number ^ number >> 27) * 0x94D049BB133111EB;
  return number ^ number >> 31;
}
std::uint64_t hash_number(std::uint64_t number) { return DiskIndex::hash_of({mixed(number), 0}); }

DiskPlace place_number(std::uint64_t number) {
  return {.offset = number * 4096 + 64,
          .bytes = static_cast<std::uint32_t>(64 + number % 100'000 * 64),
          .generation = static_cast<std::uint16_t>(number * 7)};
}

void fill(DiskIndex& index, std::uint64_t objects) {
  for (std::uint64_t i = 0; i < objects; ++i) index.put_if_absent(hash_number(i), place_number(i));
}

}  // namespace

TEST_CASE("A slot keeps the widest values there are") {
  DiskIndex index(kSecret);
  const DiskPlace widest{
      .offset = DiskIndex::kMaxOffset, .bytes = DiskIndex::kMaxBytes, .generation = 0xFFFF, .was_hit = true};
  const std::uint64_t hash = (std::uint64_t{1} << DiskIndex::kHashBits) - 1;
  CHECK_FALSE(index.put(hash, widest));
  CHECK(index.find(hash) == widest);
  CHECK_FALSE(index.find(hash - 1));
  CHECK_FALSE(index.find(0));
  CHECK_FALSE(index.put(0, {.offset = 0, .bytes = 64}));
  CHECK(index.find(0) == DiskPlace{.offset = 0, .bytes = 64});
  CHECK(index.size() == 2);
}

TEST_CASE("Only what still lies where it was is moved or erased") {
  DiskIndex index(kSecret);
  index.put(7, place_number(1));
  CHECK_FALSE(index.erase_at(7, place_number(2).offset));
  CHECK_FALSE(index.move(7, place_number(2).offset, place_number(3)));
  CHECK_FALSE(index.put_if_absent(7, place_number(2)));
  CHECK(index.find(7) == place_number(1));
  CHECK(index.move(7, place_number(1).offset, place_number(3)));
  CHECK(index.find(7) == place_number(3));
  CHECK(index.put(7, place_number(4)) == place_number(3));
  CHECK(index.erase_at(7, place_number(4).offset));
  CHECK_FALSE(index.erase(7));
  CHECK(index.size() == 0);
}

TEST_CASE("A hit is remembered until the object moves") {
  DiskIndex index(kSecret);
  index.put(7, place_number(1));
  CHECK_FALSE(index.find(7)->was_hit);
  index.find_and_mark(7);
  CHECK(index.find(7)->was_hit);
  index.move(7, place_number(1).offset, place_number(2));
  CHECK_FALSE(index.find(7)->was_hit);
}

TEST_CASE("The index does what a map does") {
  DiskIndex index(kSecret);
  std::map<std::uint64_t, DiskPlace> model;
  std::mt19937 random(GENERATE(1u, 2u, 3u));
  for (std::uint64_t step = 0; step < 30'000; ++step) {
    const std::uint64_t hash = hash_number(random() % 20'000);
    const auto known = model.find(hash);
    switch (random() % 4) {
      case 0:
      case 1: {
        const auto before = index.put(hash, place_number(step));
        REQUIRE(before.has_value() == (known != model.end()));
        model[hash] = place_number(step);
        break;
      }
      case 2:
        REQUIRE(index.erase(hash).has_value() == (model.erase(hash) == 1));
        break;
      default:
        REQUIRE(index.find(hash).has_value() == (known != model.end()));
        if (known != model.end()) REQUIRE(index.find(hash) == known->second);
    }
    REQUIRE((step % 1000 != 0 || index.size() == model.size()));
  }
  std::map<std::uint64_t, DiskPlace> copied;
  std::vector<DiskIndex::Entry> entries;
  for (std::size_t shard = 0; shard < DiskIndex::kShards; ++shard) index.copy_shard(shard, entries);
  for (const DiskIndex::Entry& entry : entries) copied[entry.hash] = entry.place;
  CHECK(copied == model);
  CHECK(entries.size() == model.size());
  index.clear();
  CHECK(index.size() == 0);
  CHECK_FALSE(index.find(model.begin()->first));
}

TEST_CASE("An object costs at most 20 bytes at every size, and none is lost") {
  DiskIndex index(kSecret);
  std::uint64_t objects = 0;
  for (const std::uint64_t next : {100'000u, 110'000u, 140'000u, 170'000u, 200'000u}) {
    for (; objects < next; ++objects) index.put(hash_number(objects), place_number(objects));
    INFO(objects << " objects");
    CHECK(index.size() == objects);
    CHECK(static_cast<double>(index.footprint()) / static_cast<double>(objects) <= 20.0);
  }
  std::uint64_t lost = 0;
  for (std::uint64_t i = 0; i < objects; ++i) lost += index.find(hash_number(i)) != place_number(i);
  CHECK(lost == 0);
  std::uint64_t found = 0;
  for (std::uint64_t i = objects; i < 2 * objects; ++i) found += index.find(hash_number(i)).has_value();
  CHECK(found == 0);
}

// Hashes that were near each other in both buckets when these followed from the hash alone.
TEST_CASE("Keys that are made up to crowd the same buckets cost no more room than others") {
  DiskIndex index(kSecret);
  std::uint64_t objects = 0;
  for (std::uint64_t hash = 0; objects < 4000; ++hash) {
    if ((hash + 1) * 0xD6E8FEB86659FD93 >> 58 == 0) index.put(hash, place_number(objects++));
  }
  CHECK(index.size() == 4000);
  CHECK(index.footprint() <= DiskIndex(kSecret).footprint() + 4000 * 20);
}

TEST_CASE("What one index gave shard by shard another takes whole, but for what it has already") {
  DiskIndex index(kSecret), other({.first = 0xa4093822299f31d0, .second = 0x082efa98ec4e6c89});
  fill(index, 50'000);
  const DiskPlace newer{.offset = 64, .bytes = 64, .generation = 9};
  other.put(hash_number(7), newer);
  std::vector<DiskIndex::Entry> entries;
  for (std::size_t shard = 0; shard < DiskIndex::kShards; ++shard) index.copy_shard(shard, entries);
  other.put_absent(entries);
  other.put_absent({});
  CHECK(other.size() == 50'000);
  CHECK(other.find(hash_number(7)) == newer);
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 8; i < 50'000; ++i) wrong += other.find(hash_number(i)) != place_number(i);
  CHECK(wrong == 0);
}

TEST_CASE("A reserved index takes its objects without growing") {
  DiskIndex index(kSecret);
  index.reserve(100'000);
  const std::size_t before = index.footprint();
  fill(index, 100'000);
  CHECK(index.footprint() == before);
  CHECK(index.size() == 100'000);
}
