#include <algorithm>
#include <catch2/catch.hpp>

#include "conf/loader.h"
#include "conf/schema.h"

namespace vignette::conf {
namespace {

void collect_restart_rows(const std::vector<Option>& rows, const std::string& path, bool repeated,
                          std::vector<std::string>& names) {
  for (const Option& row : rows) {
    const std::string name = path + row.key;
    if (row.shape == Option::Shape::list && row.find_restarts) {
      names.push_back(name);  // as a whole, with what is in it
      continue;
    }
    const bool many = repeated || row.shape == Option::Shape::list || row.shape == Option::Shape::map;
    if (row.shape == Option::Shape::value && row.reload == Reload::restart) {
      names.push_back(name);
      INFO(name);
      CHECK_FALSE(many);
      CHECK(static_cast<bool>(row.find_restarts));
    }
    collect_restart_rows(row.children, name + ".", many, names);
  }
}

}  // namespace

TEST_CASE("What only a restart applies is found by its name when it has changed") {
  const Config running;
  Config next;
  CHECK(changes_that_need_restart(running, next).empty());

  next.server.workers = 3;
  next.server.user = "nobody";
  next.server.admin = parse_address("127.0.0.1:9180");
  next.log.access = "off";
  next.cache.memory += 1;
  next.cache.max_object += 1;
  next.cache.state = "state";
  next.cache.disk.push_back({.where = {}, .path = "/disk", .size = 1});
  next.cache.disk_writes_per_day = 1;
  next.cache.warm_per_second += 1;
  next.spool.path = "/spool";
  next.spool.size += 1;
  next.spool.memory += 1;
  next.images.max_pixels += 1;
  next.images.max_source += 1;
  next.images.deadline += milliseconds(1);
  next.images.workers = 3;
  std::vector<std::string> expected;
  collect_restart_rows(schema(), "", false, expected);
  CHECK(expected.size() == 17);
  CHECK(changes_that_need_restart(running, next) == expected);
}

TEST_CASE("What SIGHUP applies is not among the changes that need a restart") {
  const Config running;
  Config next;
  next.server.trusted.push_back(*IpPrefix::parse("10.0.0.0/8"));
  next.log.level = LogLevel::error;
  next.limits.body += 1;
  next.timeouts.drain += milliseconds(1);
  next.listeners.emplace_back().tls = true;
  next.images.ladder = {100};
  next.geo.country = "countries.mmdb";
  next.geo.poll = milliseconds(1);
  CHECK(changes_that_need_restart(running, next).empty());
}

}  // namespace vignette::conf
