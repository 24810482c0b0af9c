#include "cache/warm/hot_file.h"

#include <fmt/core.h>

namespace vignette::cache {
namespace {

constexpr std::string_view kUnfinished = "hot.list.new";

}  // namespace

Result<void> save_hot_file(DiskDirectory& folder, std::span<const HotEntry> entries) {
  auto file = folder.open(kUnfinished, OpenMode::replace);
  if (!file) return std::unexpected(file.error());
  if (auto written = (*file)->pwrite(write_hot_list(entries), 0); !written) return written;
  if (auto synced = (*file)->sync_data(); !synced) return synced;
  return folder.rename(kUnfinished, kHotFile);
}

std::expected<std::vector<HotEntry>, std::string> load_hot_file(DiskDirectory& folder) {
  const auto unreadable = [](const Error& error) {
    return std::unexpected(fmt::format("{} cannot be read ({})", kHotFile, explain(error)));
  };
  auto file = folder.open(kHotFile, OpenMode::existing);
  if (!file && file.error().code == Code::not_found) return std::vector<HotEntry>();
  if (!file) return unreadable(file.error());
  const auto size = (*file)->size();
  if (!size) return unreadable(size.error());
  if (*size > kMaxHotListBytes) return std::unexpected(fmt::format("{} is too long", kHotFile));
  std::string text(static_cast<std::size_t>(*size), '\0');
  const auto count = (*file)->pread(text, 0);
  if (!count) return unreadable(count.error());
  text.resize(*count);
  return read_hot_list(text);
}

}  // namespace vignette::cache
