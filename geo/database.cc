#include "geo/database.h"

#include <fmt/core.h>
#include <maxminddb.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <vector>

#include "geo/record.h"

namespace vignette::geo {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
// Of the tree, looked at for a first record that says what it should: any database has one in far fewer.
constexpr std::size_t kProbedNodes = 100'000;

// The record of an address. Without one, `found.entry` is not to be read.
struct Found {
  Outcome outcome = Outcome::absent;
  MMDB_entry_s entry{};
};

Found look_up(const MMDB_s& database, const sockaddr* address) {
  int status = MMDB_SUCCESS;
  const MMDB_lookup_result_s result = MMDB_lookup_sockaddr(&database, address, &status);
  if (status == MMDB_IPV6_LOOKUP_IN_IPV4_DATABASE_ERROR) return {};
  if (status != MMDB_SUCCESS) return {Outcome::bad, {}};
  if (!result.found_entry) return {};
  return {Outcome::found, result.entry};
}

Found look_up_v4(const MMDB_s& database, const std::uint8_t* bytes) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  std::memcpy(&address.sin_addr, bytes, 4);
  sockaddr generic{};
  static_assert(sizeof(generic) == sizeof(address));
  std::memcpy(&generic, &address, sizeof(address));
  return look_up(database, &generic);
}

Found look_up_v6(const MMDB_s& database, const Address& bytes) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  std::memcpy(&address.sin6_addr, bytes.data(), bytes.size());
  return look_up(database, reinterpret_cast<const sockaddr*>(&address));
}

template <class Value>
Answer<Value> read_found(Found found, Answer<Value> (*read)(MMDB_entry_s&)) {
  if (found.outcome == Outcome::found) return read(found.entry);
  return {found.outcome, Value{}};
}

template <class Value>
Answer<Value> look_up_any(const MMDB_s& database, const Address& address,
                          Answer<Value> (*read)(MMDB_entry_s&)) {
  if (std::ranges::equal(kMapped, std::span(address).first(kMapped.size()))) {
    return read_found(look_up_v4(database, address.data() + kMapped.size()), read);
  }
  const Answer<Value> answer = read_found(look_up_v6(database, address), read);
  const bool is_6to4 = address[0] == 0x20 && address[1] == 0x02;
  if (answer.outcome == Outcome::absent && is_6to4) {
    return read_found(look_up_v4(database, address.data() + 2), read);
  }
  return answer;
}

// Whether a record of a database of cities has more than a country.
bool has_place(MMDB_entry_s& record) {
  const Place place = read_place(record).value;
  return !place.city.empty() || !place.region_name.empty() || !place.time_zone.empty() ||
         !place.postal_code.empty() || place.latitude;
}

bool says_it(Kind kind, MMDB_entry_s& record) {
  switch (kind) {
    case Kind::country:
      return read_country(record).outcome == Outcome::found;
    case Kind::city:
      return has_place(record);
    case Kind::asn:
      return read_asn(record).value != 0;
  }
  return false;
}

std::unexpected<std::string> cannot_open(const std::string& path, std::string_view why) {
  return std::unexpected(fmt::format("cannot open the geo database {}: {}", path, why));
}

}  // namespace

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::country:
      return "country";
    case Kind::city:
      return "city";
    case Kind::asn:
      return "asn";
  }
  return "";
}

Database::Database(std::unique_ptr<MMDB_s> handle, const std::string& path, const FileMark& mark,
                   OnBadRecord on_bad_record)
    : handle_(std::move(handle)),
      path_(path),
      mark_(mark),
      type_(handle_->metadata.database_type),
      on_bad_record_(std::move(on_bad_record)) {}

Database::~Database() { MMDB_close(handle_.get()); }

// What is mapped must not be the file itself: who writes a new database over the old one in place, as cp
// does, would take the mapped pages away, and the process with them (SIGBUS).
std::expected<std::shared_ptr<const Database>, std::string> Database::open(const std::string& path,
                                                                           OnBadRecord on_bad_record) {
  auto copy = copy_file(path);
  if (!copy) return cannot_open(path, copy.error());
  auto handle = std::make_unique<MMDB_s>();
  const std::string name =
      fmt::format("/proc/self/fd/{}", copy->memory.get());  // the library opens by name only
  const int status = MMDB_open(name.c_str(), MMDB_MODE_MMAP, handle.get());
  if (status == MMDB_IO_ERROR || status == MMDB_FILE_OPEN_ERROR) {
    return cannot_open(path, std::strerror(errno));
  }
  if (status != MMDB_SUCCESS) {
    return std::unexpected(
        fmt::format("{} is not a usable MaxMind database: {}", path, MMDB_strerror(status)));
  }
  return std::shared_ptr<const Database>(
      new Database(std::move(handle), path, copy->mark, std::move(on_bad_record)));
}

std::expected<std::shared_ptr<const Database>, std::string> Database::open(Kind kind, const std::string& path,
                                                                           OnBadRecord on_bad_record) {
  auto database = open(path, std::move(on_bad_record));
  if (database && !(*database)->says(kind)) {
    return std::unexpected(fmt::format("{} is no database of kind {}: none of its records ({}) says one",
                                       path, to_string(kind), (*database)->type()));
  }
  return database;
}

// Depth first, so that the path to a first record is short.
bool Database::says(Kind kind) const {
  std::vector<std::uint32_t> nodes{0};
  for (std::size_t seen = 0; !nodes.empty() && seen < kProbedNodes; ++seen) {
    MMDB_search_node_s node{};
    const int status = MMDB_read_node(handle_.get(), nodes.back(), &node);
    nodes.pop_back();
    if (status != MMDB_SUCCESS) continue;
    const auto says_there = [&](std::uint8_t type, std::uint64_t record, MMDB_entry_s& entry) {
      if (type == MMDB_RECORD_TYPE_SEARCH_NODE) nodes.push_back(static_cast<std::uint32_t>(record));
      return type == MMDB_RECORD_TYPE_DATA && says_it(kind, entry);
    };
    if (says_there(node.right_record_type, node.right_record, node.right_record_entry)) return true;
    if (says_there(node.left_record_type, node.left_record, node.left_record_entry)) return true;
  }
  return false;
}

void Database::report() const {
  if (on_bad_record_) on_bad_record_();
}

Country Database::country(const Address& address) const {
  const auto answer = look_up_any(*handle_, address, read_country);
  if (answer.outcome == Outcome::bad) report();
  return answer.outcome == Outcome::found ? answer.value : kUnknown;
}

Place Database::place(const Address& address) const {
  const auto answer = look_up_any(*handle_, address, read_place);
  if (answer.outcome == Outcome::bad) report();
  return answer.value;
}

std::uint32_t Database::asn(const Address& address) const {
  const auto answer = look_up_any(*handle_, address, read_asn);
  if (answer.outcome == Outcome::bad) report();
  return answer.value;
}

std::chrono::sys_seconds Database::built() const {
  return std::chrono::sys_seconds(std::chrono::seconds(handle_->metadata.build_epoch));
}

}  // namespace vignette::geo
