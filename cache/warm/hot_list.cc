#include "cache/warm/hot_list.h"

#include <fmt/core.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/hash.h"
#include "base/strings.h"
#include "cache/purge/purge_book.h"
#include "cache/tiered_store.h"

namespace vignette::cache {
namespace {

constexpr std::string_view kTitle = "vignette hot list 1\n";
constexpr std::string_view kLastWord = "end ";
constexpr std::size_t kCheckDigits = 16;
constexpr std::size_t kLastLineBytes = 64;  // at most

HotKind kind_of(const Object& object) {
  if (object.flags().is_vary_marker) return HotKind::vary_marker;
  return object.flags().is_manifest ? HotKind::manifest : HotKind::response;
}

std::string check_of(std::string_view lines) { return fmt::format("{:016x}", hash64(lines)); }

// The text before the first blank, which goes with it.
std::string_view take_word(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

std::optional<HotKind> read_kind(std::string_view word) {
  for (const HotKind kind : {HotKind::response, HotKind::manifest, HotKind::vary_marker}) {
    if (word == std::string_view(&reinterpret_cast<const char&>(kind), 1)) return kind;
  }
  return std::nullopt;
}

std::optional<HotEntry> read_entry(std::string_view line) {
  const auto hits = parse_u64(take_word(line));
  const auto bytes = parse_u64(take_word(line));
  const auto kind = read_kind(take_word(line));
  auto key_string = unescape_key(line);
  if (!hits || !bytes || !kind || !key_string) return std::nullopt;
  return HotEntry{*hits, *bytes, *kind, std::move(*key_string)};
}

std::string line_of(const HotEntry& entry) {
  return fmt::format("{} {} {} {}\n", entry.hits, entry.bytes, static_cast<char>(entry.kind),
                     escape_key(entry.key_string));
}

// The lines of entries, where the last line fits them.
std::expected<std::string_view, std::string> checked_lines(std::string_view text, std::uint64_t& count) {
  if (text.size() > kMaxHotListBytes) return std::unexpected("the hot list is too long");
  if (!is_hot_list(text)) return std::unexpected("this is no hot list of version 1");
  const std::size_t end = text.size() < 2 ? text.npos : text.rfind('\n', text.size() - 2);
  if (end == text.npos || !text.ends_with('\n')) return std::unexpected("the hot list is cut short");
  std::string_view last = text.substr(end + 1, text.size() - end - 2);
  if (!last.starts_with(kLastWord)) return std::unexpected("the hot list is cut short");
  last.remove_prefix(kLastWord.size());
  const auto counted = parse_u64(take_word(last), kMaxHotEntries);
  const std::string_view checked = text.substr(0, end + 1);
  if (!counted || last.size() != kCheckDigits || last != check_of(checked)) {
    return std::unexpected("the hot list is damaged");
  }
  count = *counted;
  return checked.substr(kTitle.size());
}

}  // namespace

bool HotRanking::is_hotter(const Place& a, const Place& b) {
  return std::tuple(b.hits, a.bytes) < std::tuple(a.hits, b.bytes);
}

void HotRanking::offer(const ObjectRef& object, std::uint32_t hits) {
  Place place{hits, object->footprint(), object};
  const bool is_full = heap_.size() == limit_;
  if (limit_ == 0 || (is_full && !is_hotter(place, heap_.front()))) return;
  if (is_full) {
    std::ranges::pop_heap(heap_, is_hotter);
    heap_.pop_back();
  }
  heap_.push_back(std::move(place));
  std::ranges::push_heap(heap_, is_hotter);
}

std::vector<HotEntry> HotRanking::take() {
  std::ranges::sort_heap(heap_, is_hotter);
  std::vector<HotEntry> entries;
  entries.reserve(heap_.size());
  for (const Place& place : heap_) {
    entries.push_back(
        {place.hits, place.bytes, kind_of(*place.object), std::string(place.object->key_string())});
  }
  heap_.clear();
  return entries;
}

std::vector<HotEntry> hottest(const TieredStore& store, std::size_t limit) {
  HotRanking ranking(std::min(limit, kMaxHotEntries));
  store.visit_hits([&](const ObjectRef& object, std::uint32_t hits) {
    if (judge(store.purges(), *object) != Verdict::dead) ranking.offer(object, hits);
  });
  return ranking.take();
}

std::string escape_key(std::string_view key_string) {
  std::string line;
  line.reserve(key_string.size());
  while (true) {
    const std::size_t plain = std::min(key_string.find_first_of("\\\n"), key_string.size());
    line += key_string.substr(0, plain);
    if (plain == key_string.size()) return line;
    line += key_string[plain] == '\n' ? "\\n" : "\\\\";
    key_string.remove_prefix(plain + 1);
  }
}

std::optional<std::string> unescape_key(std::string_view line) {
  if (line.empty() || line.size() > kMaxHotKeyBytes || line.find('\n') != line.npos) return std::nullopt;
  std::string key_string;
  key_string.reserve(line.size());
  while (true) {
    const std::size_t plain = std::min(line.find('\\'), line.size());
    key_string += line.substr(0, plain);
    line.remove_prefix(plain);
    if (line.empty()) return key_string;
    if (line.size() < 2 || (line[1] != 'n' && line[1] != '\\')) return std::nullopt;
    key_string += line[1] == 'n' ? '\n' : '\\';
    line.remove_prefix(2);
  }
}

std::string write_hot_list(std::span<const HotEntry> entries) {
  std::string text(kTitle);
  std::size_t count = 0;
  for (const HotEntry& entry : entries.first(std::min(entries.size(), kMaxHotEntries))) {
    const std::string line = line_of(entry);
    if (text.size() + line.size() > kMaxHotListBytes - kLastLineBytes) break;
    text += line;
    ++count;
  }
  text += fmt::format("{}{} {}\n", kLastWord, count, check_of(text));
  return text;
}

bool is_hot_list(std::string_view text) { return text.starts_with(kTitle); }

std::expected<std::vector<HotEntry>, std::string> read_hot_list(std::string_view text) {
  std::uint64_t count = 0;
  auto lines = checked_lines(text, count);
  if (!lines) return std::unexpected(lines.error());
  std::vector<HotEntry> entries;
  entries.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(count, lines->size())));
  while (!lines->empty()) {
    const std::size_t end = lines->find('\n');
    auto entry = read_entry(lines->substr(0, end));
    if (!entry) return std::unexpected(fmt::format("line {} of the hot list is wrong", entries.size() + 2));
    entries.push_back(std::move(*entry));
    lines->remove_prefix(end + 1);
  }
  if (entries.size() != count) return std::unexpected("the hot list has another length than it says");
  return entries;
}

}  // namespace vignette::cache
