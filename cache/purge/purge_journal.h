// The file that purges survive in: a header with the state when it was written, then a record for each purge
// since. Appended and synced before a purge counts; written anew beside it and renamed when it has grown.
//
//   header = "VGNPURGE" | version u32 | zero u32 | sequence u64
//            | everything hard u64 | everything soft u64 | soft at i64 | check u64 (XXH3 of all before it)
//
// One thread at a time but for what is marked; every call may block.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "cache/purge/prefix_epochs.h"
#include "cache/purge/purge_record.h"

namespace vignette::cache {

struct JournalHeader {
  std::uint64_t sequence = 0;
  PurgeEpoch everything;
};

class PurgeJournal {
 public:
  static constexpr std::string_view kName = "purges.journal";
  static constexpr std::size_t kHeaderBytes = 56;
  static constexpr std::size_t kMaxBytes = std::size_t{1} << 30;  // longer is taken for damage

  enum class Found : std::uint8_t { none, good, damaged };

  // `directory` must exist.
  explicit PurgeJournal(std::string directory) : directory_(std::move(directory)) {}

  // Calls `header` once and `record` for each purge, as far as they are good, and cuts a torn end off.
  // `damaged`: what could be read has been told, and what follows is lost. Errors: io.
  Result<Found> replay(std::size_t max_name, const std::function<void(const JournalHeader&)>& header,
                       const std::function<void(PurgeRecord&&)>& record);
  // Puts a damaged file aside, as NAME.damaged.
  Result<void> set_aside();
  // A new file with these records in place of what there is; appends go to it from now on. Errors: io: what
  // there was is still there, unless only the directory could not be synced, and nothing is left of the new.
  Result<void> rewrite(const JournalHeader& header, std::string_view records);
  // Durable once it returns, if `sync`. Errors: io: the end is undefined, rewrite() before the next one.
  Result<void> append(std::string_view records, bool sync);
  // What appends go to now, for sync(): makes durable what was appended to it. Thread-safe.
  std::shared_ptr<const UniqueFd> file() const { return file_; }
  static Result<void> sync(const UniqueFd& file);

  std::uint64_t bytes() const { return bytes_; }

 private:
  std::string path() const { return directory_ + "/" + std::string(kName); }
  // Writes the file of that name, and gives it the journal's.
  Result<void> place(int file, std::string_view bytes, const std::string& name) const;
  Result<void> sync_directory() const;

  std::string directory_;
  std::shared_ptr<const UniqueFd> file_;
  std::uint64_t bytes_ = 0;
};

}  // namespace vignette::cache
