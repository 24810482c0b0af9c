// The databases that are in use together, and looking whether a file has become another one.
//
//   load_databases()   all that are named; what has not changed since is shared with those in use
//   look_again()       what has changed; a file that is named in `refused` is not opened
//
// Both block and belong on no loop. Errors are sentences for the operator, with the path.
#pragma once

#include <array>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "geo/database.h"

namespace vignette::geo {

template <class Value>
using ByKind = std::array<Value, kKinds.size()>;  // in the order of Kind

inline constexpr std::size_t index(Kind kind) { return static_cast<std::size_t>(kind); }

using Paths = ByKind<std::string>;  // "": there is none

// Immutable after construction.
struct Databases {
  ByKind<std::shared_ptr<const Database>> by_kind;  // null: there is none

  const Database* find(Kind kind) const { return by_kind[index(kind)].get(); }
  // By the database of countries, else by that of cities; kUnknown without both.
  Country country(const Address& address) const;
};
using DatabasesRef = std::shared_ptr<const Databases>;  // never null, but where it is said

// Makes what Database::open() is given, for each file that is opened.
using BadRecordReports = std::function<Database::OnBadRecord(const std::string& path)>;

// `in_use` may be null.
std::expected<DatabasesRef, std::vector<std::string>> load_databases(const Paths& paths,
                                                                     const DatabasesRef& in_use,
                                                                     const BadRecordReports& reports);

struct Change {
  Kind kind = Kind::country;
  FileMark mark;                             // of the file that was opened, or refused
  std::shared_ptr<const Database> database;  // null: it is refused
  std::string error;                         // why
};

// `refused` are marks of files that were found bad.
std::vector<Change> look_again(const Paths& paths, const Databases& in_use,
                               const ByKind<std::optional<FileMark>>& refused,
                               const BadRecordReports& reports);

}  // namespace vignette::geo
