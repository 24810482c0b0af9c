// Shared by the tests of purges: targets, objects that a book has numbered, and a folder with a journal.
#pragma once

#include <signal.h>
#include <sys/resource.h>

#include <catch2/catch.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "cache/purge/purge_book.h"
#include "cache/purge/purge_journal.h"
#include "cache_support.h"
#include "disk_tier_support.h"

namespace vignette::cache {

inline PurgeTarget url(std::string key_string) {
  return {.kind = PurgeKind::url, .name = std::move(key_string), .origin = {}};
}
inline PurgeTarget tag(std::string word) {
  return {.kind = PurgeKind::tag, .name = std::move(word), .origin = {}};
}
inline PurgeTarget prefix(std::string text, std::string origin = "") {
  return {.kind = PurgeKind::prefix, .name = std::move(text), .origin = std::move(origin)};
}
inline PurgeTarget everything() { return {}; }

inline ObjectRef stored(const PurgeBook& book, std::string_view key_string, std::string_view tags = "") {
  ObjectHead head = fresh_head();
  head.sequence = book.sequence();
  head.tags = tags;
  return Object::complete(head, hash_key(key_string), key_string, "bytes");
}

// While it lives, no file grows beyond so many bytes.
class FullFileSystem {
 public:
  explicit FullFileSystem(std::uint64_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
    const rlimit now{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &now) == 0);
  }
  ~FullFileSystem() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }
  FullFileSystem(const FullFileSystem&) = delete;
  FullFileSystem& operator=(const FullFileSystem&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

// A folder with a journal, and books that are opened on it one after the other.
struct JournalScene {
  std::string journal() const { return folder.path() + "/" + std::string(PurgeJournal::kName); }
  void open(PurgeBook& book) {
    report.clear();
    REQUIRE(book.open_journal(folder.path(), report));
  }

  TemporaryFolder folder;
  ManualClock clock;
  std::string report;
};

}  // namespace vignette::cache
