// Memory for large blocks that a socket can take without a copy: ranges of a memfd, mapped, so that
// sendfile(2) can name them.
//
// A socket holds the pages that it was given until the peer has acknowledged them, long after the call and
// after the block has gone. So a range that was given away is never written again as it is: when it is freed
// its pages are cut out of the file, the socket keeps them, and whoever gets the range next gets fresh ones.
// A range that was not is kept as it is (`warm`) up to kMostWarm, as fresh pages cost a fault and zeros each.
//
// Ranges have a few sizes (whole pages, eighths of powers of two) and keep them for ever: the file has holes
// where nothing is in use, so that addresses and their page tables are all that is lost. Thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "base/fd.h"

namespace vignette {

class FileMemory {
 public:
  static constexpr std::size_t kPage = 4096;
  static constexpr std::size_t kLeast = 16 * 1024;  // bytes; below, copying is cheaper than a second call
  static constexpr std::size_t kMost = 4 << 20;
  static constexpr std::size_t kMostWarm = 8 << 20;  // bytes that are free and have pages
  static constexpr std::size_t kSpan = 1 << 30;      // bytes that are mapped at once

  struct Range {
    char* data = nullptr;  // null: none
    std::uint64_t offset = 0;
    std::size_t bytes = 0;
  };

  // Of this process, as its allocator is: made when it is first asked for, there until the end.
  static FileMemory& process();

  FileMemory();
  ~FileMemory();
  FileMemory(const FileMemory&) = delete;
  FileMemory& operator=(const FileMemory&) = delete;

  int descriptor() const { return file_.get(); }  // -1: the kernel has none to give that can be cut
  static std::size_t rounded(std::size_t bytes);
  // At least `bytes`, which is at most kMost. No range: there is no file, or no more addresses.
  Range allocate(std::size_t bytes);
  // `was_given`: to a socket, some of it.
  void free(Range range, bool was_given);

  std::size_t warm_bytes() const;

 private:
  struct Place {
    char* data;
    std::uint64_t offset;
  };
  struct Free {
    std::vector<Place> warm, cold;
  };

  bool take(std::size_t bytes, Range& range, bool& has_pages);
  bool carve(std::size_t bytes, Range& range);
  bool make_room_in_warm(Range& victim);

  UniqueFd file_;
  mutable std::mutex mutex_;                  // guards what follows
  std::array<Free, kMost / kPage + 1> free_;  // by pages
  std::vector<char*> spans_;
  std::size_t warm_bytes_ = 0;
  std::size_t next_victim_ = 0;  // of free_
  std::size_t span_used_ = kSpan;
};

}  // namespace vignette
