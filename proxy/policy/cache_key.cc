#include "proxy/policy/cache_key.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "base/strings.h"
#include "cache/vary.h"

namespace vignette::proxy {
namespace {

struct Parameter {
  std::string name;  // decoded
  std::string_view text;
};

std::string decoded_name(std::string_view parameter) {
  const std::string_view name = parameter.substr(0, parameter.find('='));
  return percent_decode(name).value_or(std::string(name));
}

bool is_named(const std::vector<std::string>& patterns, std::string_view name) {
  return std::ranges::any_of(patterns, [&](std::string_view pattern) {
    return pattern.ends_with('*') ? name.starts_with(pattern.substr(0, pattern.size() - 1)) : name == pattern;
  });
}

bool is_kept(const conf::RouteCacheKey& key, std::string_view name) {
  if (key.query == conf::RouteCacheKey::Query::listed) return is_named(key.query_names, name);
  return !is_named(key.ignore_query, name);
}

std::vector<Parameter> kept_parameters(const conf::RouteCacheKey& key, std::string_view query) {
  std::vector<Parameter> kept;
  for (std::string_view parameter : split(query, '&')) {
    if (parameter.empty()) continue;
    std::string name = decoded_name(parameter);
    if (is_kept(key, name)) kept.push_back({std::move(name), parameter});
  }
  // Equal names by where they are in the query.
  std::ranges::sort(kept, [](const Parameter& a, const Parameter& b) {
    return std::tuple(std::string_view(a.name), a.text.data()) <
           std::tuple(std::string_view(b.name), b.text.data());
  });
  return kept;
}

// All values of that name: which of several counts is for the application to say.
void append_cookie(const http::FieldList& request, std::string_view name, std::string& out) {
  for (const http::Field& field : request) {
    if (field.id != http::FieldId::cookie) continue;
    for (std::string_view pair : split(field.value, ';')) {
      pair = trim(pair);
      const std::size_t equals = pair.find('=');
      if (equals == pair.npos || trim(pair.substr(0, equals)) != name) continue;
      out.append("\ncookie ").append(name).append(":").append(trim(pair.substr(equals + 1)));
    }
  }
}

}  // namespace

std::optional<std::string_view> select_query(const conf::RouteCacheKey& key, bool has_query,
                                             std::string_view query, std::string& scratch) {
  using Query = conf::RouteCacheKey::Query;
  if (!has_query || key.query == Query::none) return std::nullopt;
  if (key.query == Query::all && key.ignore_query.empty()) return query;
  scratch.clear();
  for (const Parameter& parameter : kept_parameters(key, query)) {
    if (!scratch.empty()) scratch += '&';
    scratch += parameter.text;
  }
  if (scratch.empty()) return std::nullopt;
  return scratch;
}

bool is_odd_port(std::string_view scheme, std::uint16_t port) {
  return (port == 80 && scheme != "http") || (port == 443 && scheme != "https");
}

void append_viewer_origin(std::string_view scheme, std::uint16_t port, std::string_view told_host,
                          std::string& out) {
  out += scheme;
  if (is_odd_port(scheme, port)) out.append(":").append(std::to_string(port));
  if (!told_host.empty()) out.append(" ").append(told_host);
}

bool append_key_fields(const conf::RouteCacheKey& key, const http::FieldList& request, std::string& out) {
  const std::size_t start = out.size();
  for (const std::string& name : key.headers) {
    out += '\n';
    if (!cache::append_vary_values(name, request, out)) return false;
  }
  for (const std::string& name : key.cookies) append_cookie(request, name, out);
  return out.size() - start <= cache::kMaxVaryBytes;
}

}  // namespace vignette::proxy
