#include "proxy/admin/purge_order.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "cache/key.h"
#include "cache/purge/identity.h"
#include "proxy/admin/stored_url.h"

namespace vignette::proxy {
namespace {

using Failure = std::unexpected<std::string>;
using nlohmann::json;

constexpr std::array<std::string_view, 8> kKnown = {"url", "prefix", "tag",   "origin",
                                                    "all", "mode",   "erase", "dry_run"};

std::expected<std::vector<std::string>, std::string> read_names(const json& value, std::string_view kind) {
  std::vector<std::string> names;
  if (value.is_string()) {
    names.push_back(value.get<std::string>());
  } else if (value.is_array()) {
    for (const json& item : value) {
      if (!item.is_string()) return Failure(fmt::format("\"{}\" is a string or a list of strings", kind));
      names.push_back(item.get<std::string>());
    }
  } else {
    return Failure(fmt::format("\"{}\" is a string or a list of strings", kind));
  }
  if (names.empty() || names.size() > cache::PurgeBook::kMaxTargets) {
    return Failure(fmt::format("\"{}\" has 1 to {} names", kind, cache::PurgeBook::kMaxTargets));
  }
  for (const std::string& name : names) {
    if (name.empty()) return Failure(fmt::format("\"{}\" has an empty name", kind));
  }
  return names;
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

std::expected<cache::PurgeTarget, std::string> tag_target(const std::string& name) {
  if (std::ranges::any_of(name, is_control)) return Failure("a tag has no control characters");
  return cache::PurgeTarget{.kind = cache::PurgeKind::tag, .name = cache::tag_word(name), .origin = {}};
}

std::expected<cache::PurgeTarget, std::string> origin_target(const std::string& name,
                                                             const Snapshot& snapshot) {
  if (!snapshot.origins.contains(name)) return Failure(fmt::format("no origin is called \"{}\"", name));
  return cache::PurgeTarget{.kind = cache::PurgeKind::tag, .name = cache::origin_tag(name), .origin = {}};
}

std::expected<cache::PurgeTarget, std::string> key_prefix_target(const std::string& name,
                                                                 const std::string& origin,
                                                                 const Snapshot& snapshot) {
  if (auto known = origin_target(origin, snapshot); !known) return known;
  if (!name.starts_with('/')) return Failure("a prefix of an origin's keys begins with \"/\"");
  cache::PurgeTarget target{.kind = cache::PurgeKind::prefix, .name = {}, .origin = origin};
  cache::build_key({.path = name}, target.name);
  return target;
}

// What fields and cookies a route's key has cannot be listed: of such URLs nothing is looked for.
void add_url(StoredUrl found, PurgeOrder& order) {
  const conf::RouteCacheKey& rule = found.route->options->cache.key;
  if (found.is_photo) {
    order.keys.push_back(std::move(found.key_string));
  } else if (rule.headers.empty() && rule.cookies.empty()) {
    for (const std::string_view scheme : {"http", "https"}) {
      order.keys.push_back(found.key_string + "\n" + std::string(scheme));
    }
  }
  order.targets.push_back(std::move(found.target));
}

// Adds what one name stands for. The error is why it stands for nothing.
std::expected<void, std::string> add_targets(const std::string& name, const std::string& origin,
                                             const Snapshot& snapshot, PurgeOrder& order) {
  std::expected<cache::PurgeTarget, std::string> target;
  if (order.kind == "url") {
    if (name.ends_with('*')) {
      return Failure(
          fmt::format("\"{}\": a URL is purged as it is, without patterns; for all that begins with it "
                      "purge by prefix (--prefix) \"{}\"",
                      name, name.substr(0, name.size() - 1)));
    }
    auto found = find_stored(snapshot, name);
    if (!found) return Failure(found.error());
    add_url(std::move(*found), order);
    return {};
  }
  if (order.kind == "tag") {
    target = tag_target(name);
  } else if (order.kind == "origin") {
    target = origin_target(name, snapshot);
  } else if (!origin.empty() || name.starts_with('/')) {
    if (origin.empty()) return Failure("a prefix that begins with \"/\" needs \"origin\" beside it");
    target = key_prefix_target(name, origin, snapshot);
  } else {
    auto below = find_below(snapshot, name);
    if (!below) return Failure(below.error());
    std::ranges::move(*below, std::back_inserter(order.targets));
    return {};
  }
  if (!target) return Failure(target.error());
  order.targets.push_back(std::move(*target));
  return {};
}

std::expected<std::string, std::string> chosen_kind(const json& body) {
  const bool has_prefix = body.contains("prefix");
  std::string kind;
  for (const char* name : {"url", "prefix", "tag", "origin", "all"}) {
    if (!body.contains(name) || (has_prefix && std::string_view(name) == "origin")) continue;
    if (!kind.empty()) return Failure(fmt::format("\"{}\" and \"{}\" are two orders", kind, name));
    kind = name;
  }
  if (kind.empty()) return Failure("name what to purge: \"url\", \"prefix\", \"tag\", \"origin\" or \"all\"");
  return kind;
}

std::expected<void, std::string> read_manner(const json& body, PurgeOrder& order) {
  if (auto mode = body.find("mode"); mode != body.end()) {
    if (*mode != "hard" && *mode != "soft") return Failure("\"mode\" is \"hard\" or \"soft\"");
    order.mode = *mode == "soft" ? cache::PurgeMode::soft : cache::PurgeMode::hard;
  }
  bool erases = false;
  for (auto [name, flag] : {std::pair("dry_run", &order.dry_run), std::pair("erase", &erases)}) {
    const auto found = body.find(name);
    if (found == body.end()) continue;
    if (!found->is_boolean()) return Failure(fmt::format("\"{}\" is true or false", name));
    *flag = found->get<bool>();
  }
  if (erases && order.mode == cache::PurgeMode::soft) {
    return Failure("what a soft purge takes is still served: it cannot be erased");
  }
  if (erases) order.mode = cache::PurgeMode::erase;
  for (const auto& [name, value] : body.items()) {
    if (std::ranges::find(kKnown, name) == kKnown.end())
      return Failure(fmt::format("\"{}\" is not known here", name));
  }
  return {};
}

}  // namespace

std::expected<PurgeOrder, std::string> read_purge_order(std::string_view text, const Snapshot& snapshot) {
  const json body = json::parse(text, nullptr, false);
  if (!body.is_object()) return Failure("the body is a JSON object, such as {\"url\": \"https://…\"}");
  PurgeOrder order;
  auto kind = chosen_kind(body);
  if (!kind) return Failure(kind.error());
  order.kind = *kind;
  if (auto manner = read_manner(body, order); !manner) return Failure(manner.error());
  if (order.kind == "all") {
    if (body["all"] != true) return Failure("\"all\" is true");
    order.targets.emplace_back();
    return order;
  }
  auto names = read_names(body[order.kind], order.kind);
  if (!names) return Failure(names.error());
  order.names = std::move(*names);
  std::string origin;
  if (order.kind == "prefix" && body.contains("origin")) {
    if (!body["origin"].is_string()) return Failure("\"origin\" beside \"prefix\" is one name");
    origin = body["origin"].get<std::string>();
  }
  for (const std::string& name : order.names) {
    if (auto added = add_targets(name, origin, snapshot, order); !added) return Failure(added.error());
  }
  return order;
}

std::optional<PurgeOrder> order_for_url(std::string url, StoredUrl found, std::string_view mode) {
  PurgeOrder order;
  order.kind = "url";
  order.names.push_back(std::move(url));
  add_url(std::move(found), order);
  if (mode == "soft") {
    order.mode = cache::PurgeMode::soft;
  } else if (mode == "erase") {
    order.mode = cache::PurgeMode::erase;
  } else if (mode != "hard" && !mode.empty()) {
    return std::nullopt;
  }
  return order;
}

}  // namespace vignette::proxy
