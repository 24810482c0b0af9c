#include "proxy/media/photo_lists.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "net/offload.h"
#include "net/signal.h"
#include "proxy/origin/directory_origin.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

constexpr std::size_t kMaxPhotos = 500;
constexpr std::size_t kMaxEntries = 50'000;  // looked at; what comes behind is not shown
constexpr int kMaxDepth = 32;
constexpr Duration kListTimeout = std::chrono::seconds(30);
constexpr Duration kRemembered = std::chrono::seconds(1);

bool is_photo(std::string_view name) {
  static constexpr std::string_view kTypes[] = {"image/jpeg", "image/png",  "image/webp",
                                                "image/gif",  "image/avif", "image/heic"};
  return std::ranges::find(kTypes, content_type_of(name)) != std::end(kTypes);
}

// Blocks: on the file pool. Follows no symlinks and shows no hidden names, as the origin serves none.
Result<PhotoList> list_photos(const std::string& directory) {
  namespace fs = std::filesystem;
  PhotoList listing;
  std::error_code error;
  fs::recursive_directory_iterator entry(directory, fs::directory_options::skip_permission_denied, error);
  if (error) return fail(Code::not_found, Blame::origin, "gallery: directory", error.value());
  std::size_t seen = 0;
  // An error on the way (a folder that goes away meanwhile) ends the list, what was found is good.
  for (; entry != fs::recursive_directory_iterator() && !error; entry.increment(error)) {
    std::error_code ignored;
    if (++seen > kMaxEntries) {
      listing.cut = true;
      break;
    }
    const bool hidden = entry->path().filename().native().starts_with('.');
    if (hidden || entry.depth() >= kMaxDepth) entry.disable_recursion_pending();
    if (hidden || entry->symlink_status(ignored).type() != fs::file_type::regular) continue;
    std::string name = entry->path().lexically_relative(directory).string();
    if (is_photo(name)) listing.names.push_back(std::move(name));
  }
  std::ranges::sort(listing.names);
  if (listing.names.size() > kMaxPhotos) {
    listing.names.resize(kMaxPhotos);
    listing.cut = true;
  }
  return listing;
}

}  // namespace

struct PhotoLists::Reading {
  net::Signal over;
  std::optional<Result<PhotoList>> result;
  TimePoint ended{};  // with a result
};

// A strand of its own: whoever asked first may leave.
net::Task<void> PhotoLists::read(WorkerContext& context, std::string directory,
                                 std::shared_ptr<Reading> reading) {
  auto listing = co_await net::offload(
      context.node.file_pool, [directory] { return list_photos(directory); },
      context.loop.now() + kListTimeout);
  reading->result = std::move(listing);
  reading->ended = context.loop.now();
  reading->over.notify_all();
}

std::shared_ptr<PhotoLists::Reading> PhotoLists::current(WorkerContext& context,
                                                         const std::string& directory) {
  const TimePoint now = context.loop.now();
  std::erase_if(readings_, [now](const auto& entry) {
    const Reading& reading = *entry.second;
    return reading.result && now - reading.ended >= kRemembered;
  });
  std::shared_ptr<Reading>& reading = readings_[directory];
  if (!reading) {
    reading = std::make_shared<Reading>();
    context.loop.spawn_named("gallery", read, std::ref(context), directory, reading);
  }
  return reading;
}

net::Task<Result<PhotoListRef>> PhotoLists::get(WorkerContext& context, std::string directory) {
  const std::shared_ptr<Reading> reading = current(context, directory);
  while (!reading->result) {
    auto woken = co_await reading->over.wait();
    if (!woken) co_return std::unexpected(woken.error());
  }
  if (!*reading->result) co_return std::unexpected(reading->result->error());
  co_return PhotoListRef(reading, &**reading->result);
}

}  // namespace vignette::proxy
