#include "geo/databases.h"

namespace vignette::geo {
namespace {

bool is_in_use(const Databases& in_use, Kind kind, const std::string& path, const FileMark& mark) {
  const Database* database = in_use.find(kind);
  return database && database->path() == path && database->mark() == mark;
}

}  // namespace

Country Databases::country(const Address& address) const {
  for (const Kind kind : {Kind::country, Kind::city}) {
    if (const Database* database = find(kind)) return database->country(address);
  }
  return kUnknown;
}

std::expected<DatabasesRef, std::vector<std::string>> load_databases(const Paths& paths,
                                                                     const DatabasesRef& in_use,
                                                                     const BadRecordReports& reports) {
  auto databases = std::make_shared<Databases>();
  std::vector<std::string> errors;
  for (const Kind kind : kKinds) {
    const std::string& path = paths[index(kind)];
    if (path.empty()) continue;
    if (in_use && is_in_use(*in_use, kind, path, FileMark::of(path))) {
      databases->by_kind[index(kind)] = in_use->by_kind[index(kind)];
      continue;
    }
    auto opened = Database::open(kind, path, reports(path));
    if (opened) {
      databases->by_kind[index(kind)] = std::move(*opened);
    } else {
      errors.push_back(std::move(opened.error()));
    }
  }
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return databases;
}

std::vector<Change> look_again(const Paths& paths, const Databases& in_use,
                               const ByKind<std::optional<FileMark>>& refused,
                               const BadRecordReports& reports) {
  std::vector<Change> changes;
  for (const Kind kind : kKinds) {
    const std::string& path = paths[index(kind)];
    if (path.empty()) continue;
    const FileMark mark = FileMark::of(path);
    if (is_in_use(in_use, kind, path, mark) || refused[index(kind)] == mark) continue;
    auto opened = Database::open(kind, path, reports(path));
    if (opened) {
      changes.push_back({.kind = kind, .mark = (*opened)->mark(), .database = *opened, .error = {}});
    } else {
      changes.push_back({.kind = kind, .mark = mark, .database = nullptr, .error = opened.error()});
    }
  }
  return changes;
}

}  // namespace vignette::geo
