#include "geo/database.h"

#include <fmt/core.h>
#include <maxminddb.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace vignette::geo {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

enum class Outcome : std::uint8_t { found, absent, bad };

struct Answer {
  Outcome outcome = Outcome::absent;
  Country country = kUnknown;
};

std::string reason(const std::string& path, int status) {
  if (status == MMDB_IO_ERROR || status == MMDB_FILE_OPEN_ERROR) {
    return fmt::format("cannot open the country database {}: {}", path, std::strerror(errno));
  }
  return fmt::format("{} is not a usable MaxMind database: {}", path, MMDB_strerror(status));
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

// Brings every page in and proves that the file can be read to its end.
void touch(const MMDB_s& database) {
  constexpr std::size_t kPage = 4096;
  const auto size = static_cast<std::size_t>(database.file_size);
  const volatile std::uint8_t* content = database.file_content;
  for (std::size_t i = 0; i < size; i += kPage) static_cast<void>(content[i]);
}

}  // namespace

Database::Database(std::unique_ptr<MMDB_s> handle)
    : handle_(std::move(handle)),
      type_(handle_->metadata.database_type),
      build_epoch_(handle_->metadata.build_epoch) {}

Database::~Database() { MMDB_close(handle_.get()); }

std::expected<std::shared_ptr<const Database>, std::string> Database::open(const std::string& path) {
  auto handle = std::make_unique<MMDB_s>();
  const int status = MMDB_open(path.c_str(), MMDB_MODE_MMAP, handle.get());
  if (status != MMDB_SUCCESS) return std::unexpected(reason(path, status));
  touch(*handle);
  return std::shared_ptr<const Database>(new Database(std::move(handle)));
}

Country Database::country(const Address& address) const {
  const Answer answer = look_up_any(*handle_, address);
  if (answer.outcome == Outcome::bad) bad_records_.fetch_add(1, std::memory_order_relaxed);
  return answer.country;
}

}  // namespace vignette::geo
