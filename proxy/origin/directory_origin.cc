#include "proxy/origin/directory_origin.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include <fmt/core.h>

#include "base/strings.h"
#include "http/conditional.h"
#include "http/date.h"
#include "http/range.h"
#include "net/offload.h"
#include "net/worker.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

constexpr std::size_t kPieceBytes = 256 * 1024;
constexpr Duration kPoolPause = std::chrono::milliseconds(20);  // until a full pool is asked again
constexpr Duration kOpenTimeout = std::chrono::seconds(30);     // a disk, or a server of files, that hangs

struct OpenFile {
  UniqueFd descriptor;
  std::uint64_t size = 0;
  timespec modified{};
};

int open_beneath(int directory, const char* name) {
  open_how how{};
  // O_NONBLOCK: opening a FIFO must not wait for its writer.
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, directory, name, &how, sizeof how));
}

Error file_error(int number) {
  switch (number) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return {Code::exhausted, Blame::internal, Retry::no, number, "directory: open"};
    case EIO:
      return {Code::io, Blame::origin, Retry::no, number, "directory: open"};
    default:
      return {Code::not_found, Blame::client, Retry::no, number, "directory: open"};
  }
}

// The directory itself is gone: that says nothing about the file, and a stale copy is a better answer.
Error root_error(int number) {
  Error error = file_error(number);
  if (error.code == Code::not_found)
    error = {Code::unavailable, Blame::origin, Retry::no, number, error.where};
  return error;
}

// Blocks: on the file pool.
Result<OpenFile> open_file(const std::string& directory, const std::string& name) {
  UniqueFd root(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return std::unexpected(root_error(errno));
  OpenFile file;
  file.descriptor = UniqueFd(open_beneath(root.get(), name.c_str()));
  if (!file.descriptor) return std::unexpected(file_error(errno));
  struct stat status{};
  if (::fstat(file.descriptor.get(), &status) != 0) return std::unexpected(file_error(errno));
  if (!S_ISREG(status.st_mode)) return std::unexpected(file_error(ENOENT));
  file.size = static_cast<std::uint64_t>(status.st_size);
  file.modified = status.st_mtim;
  return file;
}

// The version that the tag names: one that is written over while it is read must not go on under it.
Result<void> check_unchanged(const OpenFile& file) {
  struct stat now{};
  if (::fstat(file.descriptor.get(), &now) != 0)
    return fail(Code::io, Blame::origin, "directory: read", errno);
  if (static_cast<std::uint64_t>(now.st_size) == file.size && now.st_mtim.tv_sec == file.modified.tv_sec &&
      now.st_mtim.tv_nsec == file.modified.tv_nsec) {
    return {};
  }
  return fail(Code::closed, Blame::origin, "directory: the file has changed");
}

// Blocks: on the file pool. A piece is whole, or the file is another one now.
Result<Slice> read_piece(const OpenFile& file, std::uint64_t offset, std::size_t size) {
  BlockRef block = BlockRef::allocate(size);
  std::size_t done = 0;
  while (done < size) {
    ssize_t got =
        ::pread(file.descriptor.get(), block->data() + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(Code::io, Blame::origin, "directory: read", errno);
    if (got == 0) return fail(Code::closed, Blame::origin, "directory: the file has shrunk");
    done += static_cast<std::size_t>(got);
  }
  if (auto same = check_unchanged(file); !same) return std::unexpected(same.error());
  return Slice(std::move(block), 0, size);
}

class FileBody final : public BodySource {
 public:
  FileBody(TaskPool& pool, OpenFile file, http::ByteRange part)
      : pool_(pool),
        file_(std::make_shared<const OpenFile>(std::move(file))),
        offset_(part.first),
        end_(part.last + 1) {}

  net::Task<Result<Piece>> next(TimePoint deadline) override {
    std::size_t size = static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, end_ - offset_));
    if (size == 0) co_return Piece{.bytes = {}, .last = true};
    auto piece = co_await read(size, deadline);
    if (!piece) co_return std::unexpected(piece.error());
    offset_ += size;
    co_return Piece{.bytes = std::move(*piece), .last = offset_ == end_};
  }

 private:
  // A body that has begun is not broken off because the pool is full for the moment.
  net::Task<Result<Slice>> read(std::size_t size, TimePoint deadline) {
    net::Worker& worker = co_await net::this_worker();
    for (;;) {
      auto piece = co_await net::offload(
          pool_, [file = file_, offset = offset_, size] { return read_piece(*file, offset, size); },
          deadline);
      const bool is_full = !piece && piece.error().code == Code::exhausted;
      if (!is_full || worker.now() >= deadline) co_return piece;
      auto slept = co_await net::sleep_until(std::min(deadline, worker.now() + kPoolPause));
      if (!slept) co_return std::unexpected(slept.error());
    }
  }

  TaskPool& pool_;
  std::shared_ptr<const OpenFile> file_;  // shared with a read that outlives a cancelled strand
  std::uint64_t offset_;
  std::uint64_t end_;
};

OriginResponse plain_answer(int status, std::string_view name, std::string_view value) {
  OriginResponse response;
  response.head->status = status;
  response.content_length = 0;
  if (!name.empty()) response.head->fields.add(name, value);
  return response;
}

// A date in the future must not be sent (RFC 9110 §8.8.2.1).
http::HttpDate last_modified(const OpenFile& file, WallTime now) {
  return std::min(http::HttpDate(std::chrono::seconds(file.modified.tv_sec)), now);
}

std::string etag_of(const OpenFile& file) {
  const auto nanoseconds = static_cast<std::uint64_t>(file.modified.tv_sec) * 1'000'000'000 +
                           static_cast<std::uint64_t>(file.modified.tv_nsec);
  return fmt::format("\"{:x}-{:x}\"", nanoseconds, file.size);
}

OriginResponse file_answer(const OpenFile& file, const std::string& name, http::HttpDate modified) {
  OriginResponse response;
  response.head->status = 200;
  response.content_length = file.size;
  const std::string etag = etag_of(file);
  const std::string date = http::format_date(modified);
  response.head_bytes = BlockRef::allocate(etag.size() + date.size() + http::kContentRangeBytes);
  char* bytes = response.head_bytes->data();
  std::memcpy(bytes, etag.data(), etag.size());
  std::memcpy(bytes + etag.size(), date.data(), date.size());
  response.head->fields.add(http::FieldId::content_type, content_type_of(name));
  response.head->fields.add(http::FieldId::etag, {bytes, etag.size()});
  response.head->fields.add(http::FieldId::last_modified, {bytes + etag.size(), date.size()});
  return response;
}

// Makes it an answer with a part (206) or with none (416); whole otherwise. Returns what to read.
http::ByteRange select_part(const http::FieldList* asked, OriginResponse& response, http::HttpDate modified,
                            http::HttpDate now) {
  const std::uint64_t size = *response.content_length;
  const http::ByteRange whole{0, size - 1};
  http::FieldList& fields = response.head->fields;
  if (!asked || asked->count(http::FieldId::range) != 1 ||
      !http::if_range_holds(asked->value(http::FieldId::if_range), fields.value(http::FieldId::etag),
                            modified, now)) {
    return whole;
  }
  const http::RangeAnswer answer = http::parse_range(asked->value(http::FieldId::range), size);
  if (answer.kind == http::RangeAnswer::Kind::whole) return whole;
  const bool is_part = answer.kind == http::RangeAnswer::Kind::part;
  char text[http::kContentRangeBytes];
  const std::size_t length = is_part ? http::format_content_range(answer.range, size, text)
                                     : http::format_unsatisfied_range(size, text);
  char* kept = response.head_bytes->data() + response.head_bytes->capacity() - sizeof text;
  std::memcpy(kept, text, length);
  fields.add(http::FieldId::content_range, {kept, length});
  response.head->status = is_part ? 206 : 416;
  response.content_length = is_part ? answer.range.size() : 0;
  return answer.range;
}

// RFC 9110 §13.1.1.
bool refuses(const http::FieldList* asked, const OriginResponse& response) {
  if (!asked || !asked->has(http::FieldId::if_match)) return false;
  const bool is_any =
      asked->count(http::FieldId::if_match) == 1 && asked->value(http::FieldId::if_match) == "*";
  return !is_any &&
         !http::etag_list_matches(*asked, http::FieldId::if_match,
                                  response.head->fields.value(http::FieldId::etag), http::Compare::strong);
}

// RFC 9110 §13.1.3: If-Modified-Since counts only without If-None-Match.
bool still_current(const http::FieldList* asked, const OriginResponse& response, http::HttpDate modified) {
  if (!asked) return false;
  if (asked->has(http::FieldId::if_none_match)) {
    return http::etag_list_matches(*asked, http::FieldId::if_none_match,
                                   response.head->fields.value(http::FieldId::etag), http::Compare::weak);
  }
  const auto since = http::parse_date(asked->value(http::FieldId::if_modified_since));
  return since && modified <= *since;
}

}  // namespace

std::string_view content_type_of(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {"jpg", "image/jpeg"},
      {"jpeg", "image/jpeg"},
      {"png", "image/png"},
      {"webp", "image/webp"},
      {"gif", "image/gif"},
      {"avif", "image/avif"},
      {"heic", "image/heic"},
      {"heif", "image/heif"},
      {"jxl", "image/jxl"},
      {"tif", "image/tiff"},
      {"tiff", "image/tiff"},
      {"bmp", "image/bmp"},
      {"svg", "image/svg+xml"},
      {"ico", "image/x-icon"},
      {"css", "text/css; charset=utf-8"},
      {"js", "text/javascript; charset=utf-8"},
      {"mjs", "text/javascript; charset=utf-8"},
      {"html", "text/html; charset=utf-8"},
      {"htm", "text/html; charset=utf-8"},
      {"txt", "text/plain; charset=utf-8"},
      {"csv", "text/csv; charset=utf-8"},
      {"json", "application/json"},
      {"map", "application/json"},
      {"xml", "application/xml"},
      {"pdf", "application/pdf"},
      {"wasm", "application/wasm"},
      {"zip", "application/zip"},
      {"mp3", "audio/mpeg"},
      {"mp4", "video/mp4"},
      {"webm", "video/webm"},
      {"woff", "font/woff"},
      {"woff2", "font/woff2"}};
  std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return "application/octet-stream";
  for (const auto& [extension, type] : kTypes) {
    if (iequals(name.substr(dot + 1), extension)) return type;
  }
  return "application/octet-stream";
}

std::string directory_file_name(std::string_view url_path) {
  if (!url_path.starts_with('/')) return {};
  std::string name;
  for (std::string_view part : split(url_path.substr(1), '/')) {
    auto decoded = percent_decode(part);
    if (!decoded || decoded->empty() || decoded->front() == '.') return {};
    if (decoded->find('\0') != std::string::npos || decoded->find('/') != std::string::npos) return {};
    if (!name.empty()) name += '/';
    name += *decoded;
  }
  return name;
}

DirectoryOrigin::DirectoryOrigin(const conf::Origin& options)
    : Origin(options.name, Kind::directory), path_(options.directory) {}

net::Task<Result<OriginResponse>> DirectoryOrigin::fetch(WorkerContext& context,
                                                         const OriginRequest& request) {
  const bool head_only = request.method == http::Method::head;
  if (request.method != http::Method::get && !head_only) co_return plain_answer(405, "allow", "GET, HEAD");
  const std::string name = directory_file_name(request.path);
  if (name.empty()) co_return plain_answer(404, {}, {});
  const TimePoint started = context.node.clock.now();
  auto file = co_await net::offload(
      context.node.file_pool, [directory = path_, name] { return open_file(directory, name); },
      context.loop.now() + kOpenTimeout);
  if (!file) {
    if (file.error().code == Code::not_found) co_return plain_answer(404, {}, {});
    co_return std::unexpected(file.error());
  }
  const http::HttpDate modified = last_modified(*file, context.loop.wall());
  OriginResponse response = file_answer(*file, name, modified);
  response.trace.server = "directory";
  response.trace.attempts = 1;
  response.trace.first_byte = context.node.clock.now() - started;
  if (refuses(request.fields, response)) {
    response.head->status = 412;
    response.content_length = 0;
    co_return response;
  }
  if (still_current(request.fields, response, modified)) {
    response.head->status = 304;
    response.content_length.reset();
    co_return response;
  }
  if (head_only || file->size == 0) co_return response;
  const http::ByteRange part = select_part(request.fields, response, modified, context.loop.wall());
  if (response.head->status == 416) co_return response;
  response.body = std::make_unique<FileBody>(context.node.file_pool, std::move(*file), part);
  co_return response;
}

}  // namespace vignette::proxy
