#include "geo/database.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <maxminddb.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "base/fd.h"

namespace vignette::geo {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

enum class Outcome : std::uint8_t { found, absent, bad };

struct Answer {
  Outcome outcome = Outcome::absent;
  Country country = kUnknown;
};

constexpr std::size_t kCopyBytes = std::size_t{1} << 20;

std::unexpected<std::string> cannot_open(const std::string& path, int number) {
  return std::unexpected(fmt::format("cannot open the country database {}: {}", path, std::strerror(number)));
}

// The file's bytes in memory of ours. What is mapped must not be the file itself: who writes a new database
// over the old one in place, as cp does, would take the mapped pages away and the process with them.
std::expected<UniqueFd, std::string> copy_of(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return cannot_open(path, errno);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return cannot_open(path, errno);
  if (!S_ISREG(status.st_mode)) return cannot_open(path, S_ISDIR(status.st_mode) ? EISDIR : EINVAL);
  UniqueFd copy(::memfd_create("country database", MFD_CLOEXEC));
  if (!copy) return cannot_open(path, errno);
  for (;;) {
    const ssize_t done = ::sendfile(copy.get(), file.get(), nullptr, kCopyBytes);
    if (done == 0) return copy;
    if (done < 0 && errno != EINTR) return cannot_open(path, errno);
  }
}

bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }

// Found only when the value is two capital letters; a value of another shape is bad data.
Answer read_country(MMDB_entry_s& entry, const char* const* keys) {
  MMDB_entry_data_s data{};
  const int status = MMDB_aget_value(&entry, &data, keys);
  if (status == MMDB_LOOKUP_PATH_DOES_NOT_MATCH_DATA_ERROR) return {};
  if (status != MMDB_SUCCESS) return {Outcome::bad};
  if (!data.has_data) return {};
  if (data.type != MMDB_DATA_TYPE_UTF8_STRING || data.data_size != 2) return {Outcome::bad};
  const Country country{data.utf8_string[0], data.utf8_string[1]};
  if (!is_capital(country[0]) || !is_capital(country[1])) return {Outcome::bad};
  return {Outcome::found, country};
}

Answer read_record(MMDB_entry_s& entry) {
  static constexpr const char* kNested[] = {"country", "iso_code", nullptr};
  static constexpr const char* kFlat[] = {"country_code", nullptr};
  const Answer nested = read_country(entry, kNested);
  if (nested.outcome != Outcome::absent) return nested;
  return read_country(entry, kFlat);
}

Answer look_up(const MMDB_s& database, const sockaddr* address) {
  int status = MMDB_SUCCESS;
  MMDB_lookup_result_s result = MMDB_lookup_sockaddr(&database, address, &status);
  if (status == MMDB_IPV6_LOOKUP_IN_IPV4_DATABASE_ERROR) return {};
  if (status != MMDB_SUCCESS) return {Outcome::bad};
  if (!result.found_entry) return {};
  return read_record(result.entry);
}

Answer look_up_v4(const MMDB_s& database, const std::uint8_t* bytes) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  std::memcpy(&address.sin_addr, bytes, 4);
  sockaddr generic{};
  static_assert(sizeof(generic) == sizeof(address));
  std::memcpy(&generic, &address, sizeof(address));
  return look_up(database, &generic);
}

Answer look_up_v6(const MMDB_s& database, const Address& bytes) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  std::memcpy(&address.sin6_addr, bytes.data(), bytes.size());
  return look_up(database, reinterpret_cast<const sockaddr*>(&address));
}

Answer look_up_any(const MMDB_s& database, const Address& address) {
  if (std::ranges::equal(kMapped, std::span(address).first(kMapped.size()))) {
    return look_up_v4(database, address.data() + kMapped.size());
  }
  const Answer answer = look_up_v6(database, address);
  const bool is_6to4 = address[0] == 0x20 && address[1] == 0x02;
  if (answer.outcome == Outcome::absent && is_6to4) return look_up_v4(database, address.data() + 2);
  return answer;
}

}  // namespace

Database::Database(std::unique_ptr<MMDB_s> handle, OnBadRecord on_bad_record)
    : handle_(std::move(handle)),
      type_(handle_->metadata.database_type),
      on_bad_record_(std::move(on_bad_record)) {}

Database::~Database() { MMDB_close(handle_.get()); }

std::expected<std::shared_ptr<const Database>, std::string> Database::open(const std::string& path,
                                                                           OnBadRecord on_bad_record) {
  auto copy = copy_of(path);
  if (!copy) return std::unexpected(std::move(copy.error()));
  auto handle = std::make_unique<MMDB_s>();
  const std::string name = fmt::format("/proc/self/fd/{}", copy->get());  // the library opens by name only
  const int status = MMDB_open(name.c_str(), MMDB_MODE_MMAP, handle.get());
  if (status == MMDB_IO_ERROR || status == MMDB_FILE_OPEN_ERROR) return cannot_open(path, errno);
  if (status != MMDB_SUCCESS) {
    return std::unexpected(
        fmt::format("{} is not a usable MaxMind database: {}", path, MMDB_strerror(status)));
  }
  return std::shared_ptr<const Database>(new Database(std::move(handle), std::move(on_bad_record)));
}

Country Database::country(const Address& address) const {
  const Answer answer = look_up_any(*handle_, address);
  if (answer.outcome == Outcome::bad && on_bad_record_) on_bad_record_();
  return answer.country;
}

}  // namespace vignette::geo
