#include "cache/purge/purge_journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/hash.h"

namespace vignette::cache {
namespace {

constexpr std::string_view kMagic = "VGNPURGE";
constexpr std::uint32_t kVersion = 1;
constexpr mode_t kFileMode = 0640;

std::unexpected<Error> io_error(const char* where) { return fail(Code::io, Blame::internal, where, errno); }

Result<void> write_all(int file, std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return io_error("purge journal: write");
    bytes.remove_prefix(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

Result<std::string> read_all(int file, std::uint64_t size) {
  std::string bytes(size, '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::pread(file, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return io_error("purge journal: read");
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  bytes.resize(done);
  return bytes;
}

void append_header(const JournalHeader& header, std::string& out) {
  const std::size_t start = out.size();
  out += kMagic;
  append_number(kVersion, out);
  append_number(std::uint32_t{0}, out);
  append_number(header.sequence, out);
  append_number(header.everything.hard, out);
  append_number(header.everything.soft, out);
  append_number(std::int64_t{header.everything.soft_at.time_since_epoch().count()}, out);
  append_number(hash64(std::string_view(out).substr(start)), out);
}

bool read_header(std::string_view bytes, JournalHeader& header) {
  constexpr std::size_t kChecked = PurgeJournal::kHeaderBytes - 8;
  if (bytes.size() < PurgeJournal::kHeaderBytes || !bytes.starts_with(kMagic) ||
      read_number<std::uint32_t>(bytes, 8) != kVersion ||
      read_number<std::uint64_t>(bytes, kChecked) != hash64(bytes.substr(0, kChecked))) {
    return false;
  }
  header.sequence = read_number<std::uint64_t>(bytes, 16);
  header.everything.hard = read_number<std::uint64_t>(bytes, 24);
  header.everything.soft = read_number<std::uint64_t>(bytes, 32);
  header.everything.soft_at = WallTime(std::chrono::seconds(read_number<std::int64_t>(bytes, 40)));
  return true;
}

}  // namespace

Result<PurgeJournal::Found> PurgeJournal::replay(std::size_t max_name,
                                                 const std::function<void(const JournalHeader&)>& header,
                                                 const std::function<void(PurgeRecord&&)>& record) {
  file_ = std::make_shared<UniqueFd>(::open(path().c_str(), O_RDWR | O_CLOEXEC));
  if (!*file_) {
    if (errno == ENOENT) return Found::none;
    return io_error("purge journal: open");
  }
  struct stat facts{};
  if (::fstat(file_->get(), &facts) != 0) return io_error("purge journal: stat");
  const auto size = static_cast<std::uint64_t>(facts.st_size);
  if (!S_ISREG(facts.st_mode) || size > kMaxBytes) return Found::damaged;
  auto bytes = read_all(file_->get(), size);
  if (!bytes) return std::unexpected(bytes.error());
  JournalHeader head;
  if (!read_header(*bytes, head)) return Found::damaged;
  header(head);
  bytes_ = kHeaderBytes;
  for (;;) {
    ReadRecord read = read_record(std::string_view(*bytes).substr(bytes_), max_name);
    if (read.state == ReadRecord::State::damaged) return Found::damaged;
    if (read.state != ReadRecord::State::good) break;
    bytes_ += read.size;
    record(std::move(read.record));
  }
  if (bytes_ == bytes->size()) return Found::good;
  if (::ftruncate(file_->get(), static_cast<off_t>(bytes_)) != 0 || ::fdatasync(file_->get()) != 0) {
    return io_error("purge journal: cut the torn end");
  }
  return Found::good;
}

Result<void> PurgeJournal::set_aside() {
  file_.reset();
  const std::string aside = path() + ".damaged";
  if (std::rename(path().c_str(), aside.c_str()) != 0) return io_error("purge journal: set aside");
  return sync_directory();
}

Result<void> PurgeJournal::sync_directory() const {
  const UniqueFd directory(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.get()) != 0) return io_error("purge journal: sync the directory");
  return {};
}

Result<void> PurgeJournal::rewrite(const JournalHeader& header, std::string_view records) {
  const std::string next = path() + ".new";
  UniqueFd file(::open(next.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, kFileMode));
  if (!file) return io_error("purge journal: create");
  std::string bytes;
  bytes.reserve(kHeaderBytes + records.size());
  append_header(header, bytes);
  bytes += records;
  if (auto placed = place(file.get(), bytes, next); !placed) {
    ::unlink(next.c_str());
    return placed;
  }
  file_ = std::make_shared<UniqueFd>(std::move(file));
  bytes_ = bytes.size();
  return sync_directory();
}

Result<void> PurgeJournal::place(int file, std::string_view bytes, const std::string& name) const {
  if (auto written = write_all(file, bytes, 0); !written) return written;
  if (::fsync(file) != 0) return io_error("purge journal: sync");
  if (std::rename(name.c_str(), path().c_str()) != 0) return io_error("purge journal: rename");
  return {};
}

Result<void> PurgeJournal::append(std::string_view records, bool sync) {
  if (auto written = write_all(file_->get(), records, bytes_); !written) return written;
  if (sync) {
    if (auto synced = PurgeJournal::sync(*file_); !synced) return synced;
  }
  bytes_ += records.size();
  return {};
}

Result<void> PurgeJournal::sync(const UniqueFd& file) {
  if (::fdatasync(file.get()) != 0) return io_error("purge journal: sync");
  return {};
}

}  // namespace vignette::cache
