// Request traces of caches, read whole. Formats, told by the file's name:
//   *.oracleGeneral.bin   libCacheSim's: packed little-endian u32 time, u64 id, u32 size, i64 next request
//   *.trace, *.trace.xz   the AdaptSize authors': a line is `time id size`; xz is unpacked by the program xz
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace vignette::bench {

struct TraceRequest {
  std::uint64_t id = 0;
  std::uint64_t size = 0;  // bytes
};

using Trace = std::vector<TraceRequest>;

// Errors: the file cannot be read, its name says no format, or a record is cut.
Result<Trace> read_trace(const std::string& path);

// From the bytes themselves.
Result<Trace> parse_oracle_general(std::string_view bytes);
Result<Trace> parse_lines(std::string_view text);

struct TraceFacts {
  std::uint64_t requests = 0;
  std::uint64_t objects = 0;
  std::uint64_t asked_bytes = 0;
  std::uint64_t unique_bytes = 0;  // every object once, at the size it was first asked for
};
TraceFacts facts_of(const Trace& trace);

}  // namespace vignette::bench
