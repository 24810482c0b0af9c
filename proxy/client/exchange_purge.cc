// PURGE requests from networks that may make them, and what an answer to an unsafe method makes invalid.

#include "base/strings.h"
#include "cache/key.h"
#include "cache/purge/cache_groups.h"
#include "cache/purge/identity.h"
#include "http/url.h"
#include "net/offload.h"
#include "proxy/admin/purge_run.h"
#include "proxy/admin/stored_url.h"
#include "proxy/client/exchange.h"
#include "proxy/policy/address_rules.h"
#include "proxy/policy/client_address.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

constexpr std::string_view kPurgeMode = "purge-mode";
constexpr std::string_view kGroupInvalidation = "cache-group-invalidation";
constexpr Duration kInvalidateWait = std::chrono::seconds(10);

// A reference in a response (RFC 3986 section 5, without dot segments: they have no normal form here to
// compare with) as a URL of the same host; empty: of another one.
std::string same_host_url(std::string_view authority, std::string_view path, std::string_view reference) {
  reference = reference.substr(0, reference.find('#'));
  const std::string base = "http://" + std::string(authority);
  if (reference.empty()) return {};
  if (reference.starts_with("//")) {
    std::string url = "http:" + std::string(reference);
    const auto read = http::parse_absolute_url(url);
    return read && iequals(read->authority, authority) ? url : std::string();
  }
  if (reference.starts_with('/')) return base + std::string(reference);
  if (const auto url = http::parse_absolute_url(reference)) {
    return iequals(url->authority, authority) ? std::string(reference) : std::string();
  }
  if (reference.find(':') < reference.find('/')) return {};  // of another scheme
  return base + std::string(path.substr(0, path.rfind('/') + 1)) + std::string(reference);
}

}  // namespace

bool Exchange::is_purge() const { return head_.method_name == "PURGE"; }

// Asked of routes that take such requests; elsewhere PURGE is a method like any other.
bool Exchange::decide_purge() {
  if (!in_networks(route_->options->purge_from, address_) || !context_.node.purges) {
    refuse({.status = 403, .reason = "purge_denied", .detail = "Your address may not purge."});
    return true;
  }
  status_.forward = cache::Forward::none;
  plan_ = Plan::purge;
  return false;
}

net::Task<void> Exchange::answer_purge() {
  auto found = find_stored(*route_, {.authority = head_.authority,
                                     .raw_path = head_.path,
                                     .path = path_,
                                     .query = head_.query,
                                     .has_query = head_.has_query});
  if (!found) {
    refuse({.status = 400, .reason = "purge_nothing", .detail = found.error()});
    co_return;
  }
  const http::Field* mode = head_.fields.find(kPurgeMode);
  auto order = order_for_url(std::string(head_.host) + std::string(request_uri()), std::move(*found),
                             mode ? mode->value : std::string_view());
  if (!order) {
    refuse({.status = 400, .reason = "purge_mode", .detail = "Purge-Mode is hard, soft or erase."});
    co_return;
  }
  auto reply = co_await run_purge(context_.node, std::move(*order));
  scratch_.extra += "Cache-Control: no-store\r\n";
  if (reply.status != 200) {
    reason_ = "purge_failed";
    context_.node.metrics.refused(context_.index, reason_);
  }
  simple_answer(reply.status, "application/json", reply.body);
}

// Whether anything under this URL is stored or on its way. What a route's own fields add to keys cannot be
// listed, so there it is always taken to be.
bool Exchange::may_be_stored(const StoredUrl& url) {
  const conf::RouteCacheKey& rule = url.route->options->cache.key;
  if (!url.is_photo && (!rule.headers.empty() || !rule.cookies.empty())) return true;
  const auto has = [&](const std::string& key_string) {
    const cache::Key key = cache::hash_key(key_string);
    return context_.node.store.may_have(key, key_string) || context_.node.fills.has_open(key, key_string);
  };
  if (url.is_photo) return has(url.key_string);
  for (const std::string_view variant :
       {viewer_origin(), std::string_view("http"), std::string_view("https")}) {
    if (has(url.key_string + "\n" + std::string(variant))) return true;
  }
  return false;
}

// Groups of this URL's own origin (RFC 9875 section 3), as name_for_purges() has named what is stored.
void Exchange::add_groups(const http::ResponseHead& answer, std::vector<cache::PurgeTarget>& targets) {
  std::string key_string;
  cache::build_key({.host = head_.authority, .path = "/", .variant = viewer_origin()}, key_string);
  for (const std::string& group : cache::read_cache_groups(answer.fields, kGroupInvalidation)) {
    targets.push_back(
        {.kind = cache::PurgeKind::tag, .name = cache::group_tag(key_string, group), .origin = {}});
  }
}

// RFC 9111 section 4.4: before the answer goes on, so that who has it reads what it wrote. The journal is not
// waited for but synced within a second (PurgeKeeper): a power failure can lose a hint of the origin's, not
// an operator's word.
net::Task<void> Exchange::invalidate(const http::ResponseHead& answer) {
  if (!context_.node.purges) co_return;
  std::vector<cache::PurgeTarget> targets;
  const auto add = [&](const std::string& url) {
    auto found = url.empty() ? std::unexpected(std::string()) : find_stored(*snapshot_, url);
    if (found && may_be_stored(*found)) targets.push_back(std::move(found->target));
  };
  const std::string base = "http://" + std::string(head_.authority);
  add(base + std::string(path_) + (head_.has_query ? "?" + std::string(head_.query) : std::string()));
  for (const http::FieldId id : {http::FieldId::location, http::FieldId::content_location}) {
    if (const http::Field* field = answer.fields.find(id)) {
      add(same_host_url(head_.authority, path_, field->value));
    }
  }
  add_groups(answer, targets);
  if (targets.empty()) co_return;
  auto done = co_await net::offload(
      context_.node.purge_pool,
      [book = context_.node.purges, targets = std::move(targets)] {
        return book->purge(targets, cache::PurgeMode::hard, cache::PurgeBook::Durability::written);
      },
      context_.loop.now() + kInvalidateWait);
  if (done && !done->not_durable) co_return;
  const Error& error = done ? *done->not_durable : done.error();
  if (const auto skipped = context_.failed_invalidations.admit()) {
    context_.node.log.warn("invalidation after {}: {}{} ({} more since the last line)", head_.method_name,
                           done ? "in effect, but not durable: " : "", explain(error), *skipped);
  }
}

}  // namespace vignette::proxy
