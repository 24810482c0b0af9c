#include <unistd.h>

#include <cstdio>

#include <fmt/core.h>

#include "base/places.h"
#include "conf/loader.h"
#include "net/limits.h"
#include "proxy/client/spool.h"
#include "proxy/process/cli.h"
#include "proxy/route/snapshot.h"

namespace vignette::proxy {
namespace {

using Diagnostics = std::vector<conf::Diagnostic>;

void print_all(const Diagnostics& diagnostics, std::string_view severity) {
  for (const conf::Diagnostic& diagnostic : diagnostics) print(diagnostic.to_string(severity) + "\n");
}

Diagnostics find_wrong(const std::string& file, const conf::Checks& checks) {
  auto loaded = conf::load_file(file, checks);
  return loaded ? Diagnostics() : std::move(loaded.error());
}

// What the start needs while the process may still be root.
conf::Checks first_checks() {
  conf::Checks checks = snapshot_checks();
  checks.user = net::why_no_user;
  checks.access_log = why_not_writable_file;
  return checks;
}

// The node starts without these, and says so.
Diagnostics missing_disks(const conf::CacheOptions& cache) {
  Diagnostics missing;
  for (const conf::DiskOptions& disk : cache.disk) {
    auto wrong = why_not_writable_folder(disk.path);
    if (wrong) missing.push_back({disk.where.file, disk.where.line, disk.where.column, std::move(*wrong)});
  }
  return missing;
}

// The node streams request bodies then.
void warn_of_spool(const std::string& file, const conf::SpoolOptions& spool) {
  const auto spooled = try_spool(spool);
  if (spooled) return;
  print(fmt::format("{}: warning: [spool] path: {}: {}; request bodies would be streamed\n", file, spool.path,
                    vignette::explain(spooled.error())));
}

// Whether this process now is who the node would be. Gives root up for good.
bool become_user(const std::string& name) { return name.empty() || net::drop_user(name).has_value(); }

}  // namespace

int run_check(const std::string& file) {
  const conf::CheckReport report = conf::check_file(file, first_checks());
  const conf::Loaded loaded = conf::load_file(file);
  if (!report.ok || !loaded) {
    print(report.text);
    return 1;
  }
  const std::string& user = (*loaded)->server.user;
  // Whoever is neither root nor that user cannot tell what that user may.
  if (!become_user(user)) {
    print(report.text);
    return 0;
  }
  const conf::CacheOptions& cache = (*loaded)->cache;
  if (const auto wrong = cache.state.empty() ? std::nullopt : why_not_writable_folder(cache.state)) {
    print(fmt::format("{}: error: [cache] state: {}\n", file, *wrong));
    return 1;
  }
  print(report.text);
  print_all(missing_disks(cache), "warning");
  warn_of_spool(file, (*loaded)->spool);
  if (user.empty()) return 0;
  // What root may read and the node's user may not: the node would start, and then refuse every reload.
  const Diagnostics hidden = find_wrong(file, snapshot_checks());
  if (hidden.empty()) return 0;
  print_all(hidden, "warning");
  print(fmt::format("{}: warning: user {} may not read all that root may; it has to for reloads\n", file,
                    user));
  return 0;
}

}  // namespace vignette::proxy
