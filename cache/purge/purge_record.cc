#include "cache/purge/purge_record.h"

#include <algorithm>

#include "base/hash.h"

namespace vignette::cache {
namespace {

constexpr std::uint64_t kLengthSeed = 0x70757267;

std::uint32_t length_check(std::string_view length) {
  return static_cast<std::uint32_t>(hash64(length, kLengthSeed));
}

bool all_zero(std::string_view bytes) {
  return std::ranges::all_of(bytes, [](char byte) { return byte == 0; });
}

bool decode(std::string_view payload, PurgeRecord& record) {
  const auto kind = read_number<std::uint8_t>(payload, 24);
  const auto mode = read_number<std::uint8_t>(payload, 25);
  if (kind > static_cast<std::uint8_t>(PurgeKind::prefix)) return false;
  if (mode > static_cast<std::uint8_t>(PurgeMode::erased)) return false;
  if (!all_zero(payload.substr(26, 6))) return false;
  record.epoch = read_number<std::uint64_t>(payload, 0);
  record.at = WallTime(std::chrono::seconds(read_number<std::int64_t>(payload, 8)));
  record.identity = read_number<std::uint64_t>(payload, 16);
  record.kind = static_cast<PurgeKind>(kind);
  record.mode = static_cast<PurgeMode>(mode);
  record.name = payload.substr(kPurgePayloadHead);
  const bool is_purge = record.mode != PurgeMode::erased;
  return is_purge || (record.kind == PurgeKind::everything && record.name.empty());
}

}  // namespace

void append_record(const PurgeRecord& record, std::string& out) {
  std::string payload;
  append_number(record.epoch, payload);
  append_number(std::int64_t{record.at.time_since_epoch().count()}, payload);
  append_number(record.identity, payload);
  append_number(static_cast<std::uint8_t>(record.kind), payload);
  append_number(static_cast<std::uint8_t>(record.mode), payload);
  append_number(std::uint16_t{0}, payload);
  append_number(std::uint32_t{0}, payload);
  payload += record.name;
  const std::size_t start = out.size();
  append_number(static_cast<std::uint32_t>(payload.size()), out);
  append_number(length_check(std::string_view(out).substr(start, 4)), out);
  append_number(hash64(payload), out);
  out += payload;
}

// A file may have grown by zeros whose bytes never came; anything else that is wrong was right once.
ReadRecord read_record(std::string_view bytes, std::size_t max_name) {
  using State = ReadRecord::State;
  ReadRecord read;
  if (bytes.empty()) return read;
  if (bytes.size() < kPurgeRecordHead) {
    read.state = State::torn;
    return read;
  }
  const auto length = read_number<std::uint32_t>(bytes, 0);
  if (read_number<std::uint32_t>(bytes, 4) != length_check(bytes.substr(0, 4)) ||
      length < kPurgePayloadHead || length > kPurgePayloadHead + max_name) {
    read.state = all_zero(bytes) ? State::torn : State::damaged;
    return read;
  }
  if (bytes.size() - kPurgeRecordHead < length) {
    read.state = State::torn;
    return read;
  }
  const std::string_view payload = bytes.substr(kPurgeRecordHead, length);
  if (hash64(payload) != read_number<std::uint64_t>(bytes, 8)) {
    const bool is_last = bytes.size() == kPurgeRecordHead + length;
    read.state = is_last && all_zero(payload) ? State::torn : State::damaged;
    return read;
  }
  read.size = kPurgeRecordHead + length;
  read.state = decode(payload, read.record) ? State::good : State::damaged;
  return read;
}

}  // namespace vignette::cache
