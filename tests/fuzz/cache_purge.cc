// What a start reads of the journal of purges, and what origins write into Cache-Groups: any bytes.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "cache/purge/cache_groups.h"
#include "cache/purge/purge_record.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

constexpr std::size_t kMaxName = 1024;

// A record that is accepted is written as it was read.
void read_records(std::string_view bytes) {
  std::size_t at = 0;
  for (;;) {
    const ReadRecord read = read_record(bytes.substr(at), kMaxName);
    if (read.state != ReadRecord::State::good) return;
    std::string again;
    append_record(read.record, again);
    VCHECK(again == bytes.substr(at, read.size));
    at += read.size;
  }
}

// The same with a record around the bytes whose checks are right, and cut short at its end.
void read_as_name(std::string_view bytes) {
  PurgeRecord record;
  record.kind = PurgeKind::prefix;
  record.name = bytes.substr(0, kMaxName);
  record.epoch = bytes.size();
  std::string written;
  append_record(record, written);
  const ReadRecord read = read_record(written, kMaxName);
  VCHECK(read.state == ReadRecord::State::good && read.record.name == record.name);
  written.pop_back();
  VCHECK(read_record(written, kMaxName).state == ReadRecord::State::torn);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  read_records(bytes);
  read_as_name(bytes);
  std::vector<std::string> groups{"before"};
  if (!parse_cache_groups(bytes, groups)) VCHECK(groups.size() == 1);
  VCHECK(groups.front() == "before");
  return 0;
}
