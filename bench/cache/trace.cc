#include "bench/cache/trace.h"

#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <unordered_map>

namespace vignette::bench {
namespace {

constexpr std::size_t kOracleRecord = 24;

Result<std::string> read_plain(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.good() && !file.eof()) return fail(Code::io, Blame::internal, "read trace", errno);
  return text;
}

// Quoted for the shell; a name with a quote in it is refused.
Result<std::string> read_xz(const std::string& path) {
  if (path.contains('\'')) return fail(Code::unsupported, Blame::internal, "trace name with a quote");
  auto closer = [](std::FILE* pipe) { return pclose(pipe); };
  std::unique_ptr<std::FILE, decltype(closer)> pipe(popen(("xz -dc '" + path + "'").c_str(), "r"), closer);
  if (!pipe) return fail(Code::io, Blame::internal, "start xz", errno);
  std::string text;
  char block[64 * 1024];
  while (const std::size_t got = std::fread(block, 1, sizeof block, pipe.get())) text.append(block, got);
  if (pclose(pipe.release()) != 0) return fail(Code::malformed, Blame::internal, "unpack trace");
  return text;
}

template <typename T>
T little_endian(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Takes one number and the spaces after it off `line`.
std::optional<std::uint64_t> take_number(std::string_view& line) {
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(line.data(), line.data() + line.size(), value);
  if (failure != std::errc()) return std::nullopt;
  line.remove_prefix(static_cast<std::size_t>(end - line.data()));
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  return value;
}

}  // namespace

Result<Trace> parse_oracle_general(std::string_view bytes) {
  if (bytes.empty() || bytes.size() % kOracleRecord != 0) {
    return fail(Code::malformed, Blame::internal, "oracleGeneral record");
  }
  Trace trace;
  trace.reserve(bytes.size() / kOracleRecord);
  for (std::size_t at = 0; at < bytes.size(); at += kOracleRecord) {
    const char* record = bytes.data() + at;
    trace.push_back({little_endian<std::uint64_t>(record + 4), little_endian<std::uint32_t>(record + 12)});
  }
  return trace;
}

Result<Trace> parse_lines(std::string_view text) {
  Trace trace;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto time = take_number(line), id = take_number(line), size = take_number(line);
    if (!time || !id || !size || !line.empty()) return fail(Code::malformed, Blame::internal, "trace line");
    trace.push_back({*id, *size});
  }
  if (trace.empty()) return fail(Code::malformed, Blame::internal, "empty trace");
  return trace;
}

Result<Trace> read_trace(const std::string& path) {
  const bool packed = path.ends_with(".xz");
  const bool lines = path.ends_with(".trace") || path.ends_with(".trace.xz");
  if (!lines && !path.ends_with(".oracleGeneral.bin")) {
    return fail(Code::unsupported, Blame::internal, "trace format");
  }
  const Result<std::string> bytes = packed ? read_xz(path) : read_plain(path);
  if (!bytes) return std::unexpected(bytes.error());
  return lines ? parse_lines(*bytes) : parse_oracle_general(*bytes);
}

TraceFacts facts_of(const Trace& trace) {
  TraceFacts facts{.requests = trace.size()};
  std::unordered_map<std::uint64_t, std::uint64_t> sizes;
  for (const TraceRequest& request : trace) {
    facts.asked_bytes += request.size;
    sizes.try_emplace(request.id, request.size);
  }
  facts.objects = sizes.size();
  for (const auto& [id, size] : sizes) facts.unique_bytes += size;
  return facts;
}

}  // namespace vignette::bench
