#include "base/file_memory.h"

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.h"

using namespace vignette;

namespace {

std::uint64_t bytes_with_pages(const FileMemory& memory) {
  struct stat status{};
  REQUIRE(::fstat(memory.descriptor(), &status) == 0);
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

struct Pair {
  std::array<int, 2> ends{-1, -1};
  Pair() {
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0);
    const int room = 1 << 20;
    REQUIRE(::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room) == 0);
  }
  ~Pair() {
    for (int end : ends) ::close(end);
  }
  std::string receive(std::size_t size) const {
    std::string got(size, '\0');
    std::size_t done = 0;
    while (done < size) {
      const ssize_t count = ::read(ends[1], got.data() + done, size - done);
      REQUIRE(count > 0);
      done += static_cast<std::size_t>(count);
    }
    return got;
  }
};

void give(const FileMemory& memory, const FileMemory::Range& range, std::size_t size, const Pair& pair) {
  auto offset = static_cast<off_t>(range.offset);
  REQUIRE(::sendfile(pair.ends[0], memory.descriptor(), &offset, size) == static_cast<ssize_t>(size));
}

}  // namespace

TEST_CASE("sizes are rounded to whole pages, and by an eighth at most") {
  CHECK(FileMemory::rounded(1) == 4096);
  CHECK(FileMemory::rounded(16 * 1024) == 16 * 1024);
  CHECK(FileMemory::rounded(16 * 1024 + 1) == 20 * 1024);
  CHECK(FileMemory::rounded(64 * 1024) == 64 * 1024);
  CHECK(FileMemory::rounded(64 * 1024 + 1) == 72 * 1024);
  CHECK(FileMemory::rounded(256 * 1024) == 256 * 1024);
  CHECK(FileMemory::rounded(FileMemory::kMost) == FileMemory::kMost);
  for (std::size_t bytes = 1; bytes < FileMemory::kMost; bytes += 1777) {
    const std::size_t rounded = FileMemory::rounded(bytes);
    CHECK(rounded >= bytes);
    CHECK(rounded % FileMemory::kPage == 0);
    CHECK(rounded - bytes < std::max(FileMemory::kPage, bytes / 8));
  }
}

TEST_CASE("what a socket was given stays as it was when its range is freed and used again") {
  FileMemory memory;
  const Pair pair;
  constexpr std::size_t kSize = 64 * 1024;
  const FileMemory::Range first = memory.allocate(kSize);
  REQUIRE(first.data);
  std::memset(first.data, 'a', kSize);
  give(memory, first, kSize, pair);
  memory.free(first, true);
  const FileMemory::Range second = memory.allocate(kSize);
  REQUIRE(second.data == first.data);  // the same place, or the test shows nothing
  std::memset(second.data, 'b', kSize);
  CHECK(pair.receive(kSize) == std::string(kSize, 'a'));
  CHECK(second.data[0] == 'b');
  memory.free(second, false);
}

TEST_CASE("a range that was given away has no pages once it is freed; another keeps them for the next") {
  FileMemory memory;
  const FileMemory::Range given = memory.allocate(64 * 1024);
  const FileMemory::Range kept = memory.allocate(64 * 1024);
  std::memset(given.data, 'g', given.bytes);
  std::memset(kept.data, 'k', kept.bytes);
  CHECK(bytes_with_pages(memory) == 128 * 1024);
  memory.free(given, true);
  CHECK(bytes_with_pages(memory) == 64 * 1024);
  CHECK(memory.warm_bytes() == 0);
  memory.free(kept, false);
  CHECK(bytes_with_pages(memory) == 64 * 1024);
  CHECK(memory.warm_bytes() == 64 * 1024);
  CHECK(memory.allocate(60 * 1024 + 1).data == kept.data);  // of the same size, warm before cold
  CHECK(memory.warm_bytes() == 0);
  CHECK(memory.allocate(64 * 1024).data == given.data);
}

TEST_CASE("free pages stay below their limit, whatever the sizes are") {
  FileMemory memory;
  std::mt19937 random(7);
  std::vector<FileMemory::Range> ranges;
  for (int i = 0; i < 400; ++i) {
    const FileMemory::Range range = memory.allocate(16 * 1024 + random() % (200 * 1024));
    std::memset(range.data, 'x', range.bytes);
    ranges.push_back(range);
  }
  REQUIRE(bytes_with_pages(memory) > 2 * FileMemory::kMostWarm);
  for (const FileMemory::Range& range : ranges) {
    memory.free(range, false);
    CHECK(memory.warm_bytes() <= FileMemory::kMostWarm);
  }
  CHECK(bytes_with_pages(memory) <= FileMemory::kMostWarm);
  CHECK(memory.warm_bytes() > FileMemory::kMostWarm / 2);
}

TEST_CASE("no two ranges in use overlap, on several threads") {
  FileMemory memory;
  auto work = [&memory](unsigned seed) {
    std::mt19937 random(seed);
    std::vector<std::pair<FileMemory::Range, char>> mine;
    for (int i = 0; i < 500; ++i) {
      if (mine.size() < 8 && random() % 3 != 0) {
        const FileMemory::Range range = memory.allocate(16 * 1024 + random() % (48 * 1024));
        const char mark = static_cast<char>(random());
        std::memset(range.data, mark, range.bytes);
        mine.emplace_back(range, mark);
      } else if (!mine.empty()) {
        const auto [range, mark] = mine.back();
        mine.pop_back();
        const auto is_mark = [expected = mark](char byte) { return byte == expected; };
        VCHECK(std::all_of(range.data, range.data + range.bytes, is_mark));
        memory.free(range, random() % 2 == 0);
      }
    }
    for (const auto& [range, mark] : mine) memory.free(range, false);
  };
  std::thread one(work, 1u);
  std::thread two(work, 2u);
  one.join();
  two.join();
  CHECK(memory.warm_bytes() <= FileMemory::kMostWarm);
}

TEST_CASE("blocks of some size lie in the file, others and longer ones do not") {
  CHECK_FALSE(BlockRef::allocate(64 * 1024)->has_file());
  CHECK_FALSE(BlockRef::allocate_in_file(1000)->has_file());
  CHECK_FALSE(BlockRef::allocate_in_file(FileMemory::kMost)->has_file());  // its header comes on top
  const BlockRef block = BlockRef::allocate_in_file(64 * 1024);
  REQUIRE(block->has_file());
  CHECK(block->footprint() == FileMemory::rounded(64 * 1024 + sizeof(Block)));
  for (std::uint32_t i = 0; i < Block::kCopiedTimes; ++i) CHECK_FALSE(block->note_sent(block->capacity()));
  CHECK(block->note_sent(1));
  CHECK(block->note_sent(1));
}

TEST_CASE("the file has a block's bytes where the block says, also after its memory was used again") {
  for (int round = 0; round < 3; ++round) {
    const BlockRef block = BlockRef::allocate_in_file(100'000);
    REQUIRE(block->has_file());
    for (std::size_t i = 0; i < 100'000; ++i)
      block->data()[i] = static_cast<char>(i * 7 + static_cast<std::size_t>(round));
    const std::uint64_t offset = block->give(block->data() + 5000);
    std::string read(95'000, '\0');
    REQUIRE(::pread(FileMemory::process().descriptor(), read.data(), read.size(),
                    static_cast<off_t>(offset)) == 95'000);
    CHECK(read == std::string_view(block->data() + 5000, 95'000));
  }
}

TEST_CASE("the last reference to a block that was given away ends it without changing what was sent") {
  const Pair pair;
  std::string expected(80'000, '\0');
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = static_cast<char>(i % 251);
  {
    const BlockRef block = BlockRef::allocate_in_file(expected.size());
    std::memcpy(block->data(), expected.data(), expected.size());
    auto offset = static_cast<off_t>(block->give(block->data()));
    const int file = FileMemory::process().descriptor();
    REQUIRE(::sendfile(pair.ends[0], file, &offset, expected.size()) == 80'000);
  }
  std::vector<BlockRef> others;
  for (int i = 0; i < 20; ++i) {
    others.push_back(BlockRef::allocate_in_file(expected.size()));
    std::memset(others.back()->data(), 'z', expected.size());
  }
  CHECK(pair.receive(expected.size()) == expected);
}
