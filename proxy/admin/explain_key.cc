#include "proxy/admin/explain_key.h"

#include <fmt/core.h>

#include <optional>

#include "base/strings.h"
#include "cache/key.h"
#include "http/accept.h"
#include "http/url.h"
#include "proxy/admin/stored_url.h"
#include "proxy/media/image_origin.h"
#include "proxy/policy/cache_key.h"
#include "proxy/policy/viewer.h"
#include "proxy/route/route_path.h"

namespace vignette::proxy {
namespace {

using Failure = std::unexpected<std::string>;

std::expected<std::pair<std::string, std::string>, std::string> read_header_line(std::string_view line) {
  const Halves halves = split_once(line, ':');
  std::string name = to_lower(trim(halves.before));
  std::string value(trim(halves.after));
  if (!halves.found || !http::is_token(name) || !http::is_field_value(value)) {
    return Failure(fmt::format("\"{}\" is not a header; write it as \"Name: value\"", line));
  }
  return std::pair(std::move(name), std::move(value));
}

AskedKey asked_of(const Route& route) {
  return {.route = &route, .site = {}, .policy = route.cache_policy, .key_string = {}, .original = {}};
}

std::expected<std::string, std::string> servers_key(const Route& route, const ReadUrl& read,
                                                    const http::FieldList& fields) {
  const conf::RouteCacheKey& rule = route.options->cache.key;
  std::string scratch, variant, key_string;
  const auto query = select_query(rule, read.url.has_query, read.url.query, scratch);
  append_viewer_origin(to_lower(read.url.scheme), read.port, {}, variant);
  if (!append_key_fields(rule, fields, variant)) return Failure("the headers make the key too long");
  cache::build_key({.host = read.authority, .path = read.normal_path, .query = query, .variant = variant},
                   key_string);
  return key_string;
}

std::expected<AskedKey, std::string> photo_key(const Snapshot& snapshot, const Route& route,
                                               const ReadUrl& read, const http::FieldList& fields,
                                               WallTime now) {
  const std::string_view path = image_path(*route.options, read.url.path, read.normal_path);
  const auto image = snapshot.image_urls->parse(path, read.url.query, now, imaging::Asker::node);
  if (!image) return Failure(image.error().message);
  std::string photo = "/";
  photo += percent_encode(image->key, kUnreservedPath);
  AskedKey asked = asked_of(route);
  const Origin& origin = *route.origins.front();
  original_key(origin, photo, {}, asked.original);
  if (image->kind == imaging::RequestKind::original) {
    asked.key_string.swap(asked.original);
  } else {
    const bool accepts_webp = http::quality(fields, "image/webp").explicitly_accepted();
    variant_key(origin, *image, accepts_webp, asked.key_string);
  }
  return asked;
}

std::expected<AskedKey, std::string> object_key(const Route& route, const ReadUrl& read,
                                                http::FieldList& fields) {
  AskedKey asked = asked_of(route);
  const Origin& origin = *route.origins.front();
  if (origin.kind() != Origin::Kind::servers) {
    std::string scratch;
    original_key(origin, origin_path(*route.options, read.normal_path, scratch),
                 origin.object_query(read.url.query), asked.key_string);
    return asked;
  }
  keep_viewer_fields(route.options->geo.headers, fields);  // as a client there would have them
  auto key_string = servers_key(route, read, fields);
  if (!key_string) return Failure(key_string.error());
  asked.key_string = std::move(*key_string);
  return asked;
}

}  // namespace

http::FieldList ExplainQuestion::field_list() const {
  http::FieldList list;
  for (const auto& [name, value] : fields) list.add(name, value);
  return list;
}

std::expected<ExplainQuestion, std::string> read_explain_question(std::string_view query) {
  ExplainQuestion question;
  for (const std::string_view parameter : split(query, '&')) {
    const Halves halves = split_once(parameter, '=');
    auto value = percent_decode(halves.after);
    if (!value) return Failure(fmt::format("\"{}\" is not percent-encoded as it should be", parameter));
    if (halves.before == "url") {
      question.url = std::move(*value);
    } else if (halves.before == "header") {
      auto header = read_header_line(*value);
      if (!header) return Failure(header.error());
      if (question.fields.size() == http::kMaxFields) return Failure("there are too many headers");
      question.fields.push_back(std::move(*header));
    } else if (!parameter.empty()) {
      return Failure("url=… and header=… are what is understood");
    }
  }
  if (question.url.empty()) return Failure("name the URL: url=https%3A%2F%2F…");
  return question;
}

std::string explain_query(std::string_view url, const std::vector<std::string>& headers) {
  std::string query = "url=" + percent_encode(url);
  for (const std::string& header : headers) query += "&header=" + percent_encode(header);
  return query;
}

std::expected<AskedKey, std::string> find_key(const Snapshot& snapshot, const ExplainQuestion& question,
                                              http::FieldList& fields, WallTime now) {
  const auto read = read_url(*snapshot.router, question.url);
  if (!read) return Failure(read.error());
  const RouteMatch match = snapshot.router->match(read->host, read->normal_path, "GET");
  if (!match.route) return Failure(fmt::format("no route answers GET {}", question.url));
  const conf::RouteKind kind = match.route->options->kind;
  if (kind != conf::RouteKind::images && kind != conf::RouteKind::origin) {
    return Failure(
        fmt::format("nothing at this URL is ever stored: {} answers it itself", match.route->label));
  }
  auto asked = kind == conf::RouteKind::images ? photo_key(snapshot, *match.route, *read, fields, now)
                                               : object_key(*match.route, *read, fields);
  if (asked) asked->site = snapshot.router->find_site(read->host)->name;
  return asked;
}

}  // namespace vignette::proxy
