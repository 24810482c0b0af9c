#include "proxy/admin/purge_receipt.h"

#include <fmt/core.h>

#include "base/json.h"
#include "cache/key.h"
#include "http/date.h"

namespace vignette::proxy {
namespace {

void count_in_memory(const cache::Store& store, const PurgeOrder& order, const Clock& clock,
                     PurgeCount& count) {
  // A book of its own, in which nothing but this has been purged, says what it would take.
  cache::PurgeBook trial(clock);
  const std::uint64_t before = trial.sequence();
  if (!trial.purge(order.targets, cache::PurgeMode::hard)) return;
  std::uint64_t objects = 0;
  store.visit([&](const cache::Object& object) {
    if (object.flags().is_vary_marker) return;
    if (trial.judge(before, object.key_string(), object.tags()) != cache::Verdict::dead) return;
    if (cache::judge(store.purges(), object) == cache::Verdict::dead) return;
    ++objects;
    count.body_bytes += object.content_length().value_or(0);
  });
  count.in_memory = objects;
}

std::optional<std::uint64_t> count_on_disk(const cache::Store& store, const PurgeOrder& order) {
  if (order.keys.empty()) return std::nullopt;
  std::uint64_t found = 0;
  for (const std::string& key_string : order.keys) {
    const auto residence = store.residence(cache::hash_key(key_string), key_string);
    found += residence.disk && residence.disk->is_there ? 1 : 0;
  }
  return found;
}

void write_what(JsonWriter& json, const PurgeOrder& order) {
  json.field("mode", order.mode == cache::PurgeMode::soft ? "soft" : "hard");
  json.field("kind", order.kind);
  json.key("names").begin_array();
  for (const std::string& name : order.names) json.value(std::string_view(name));
  json.end_array();
}

void write_number(JsonWriter& json, std::string_view name, const std::optional<std::uint64_t>& number) {
  json.key(name);
  if (number) {
    json.value(*number);
  } else {
    json.null();
  }
}

std::string_view how_disks_counted(const PurgeOrder& order, bool is_erased) {
  if (is_erased) return "on disk, every object as it was overwritten";
  return order.keys.empty() ? "on disk, nothing"
                            : "on disk, what lies under the URLs themselves, not their sizes and variants";
}

void write_count(JsonWriter& json, const PurgeOrder& order, const PurgeCount& count, bool is_erased) {
  write_number(json, "known_in_memory", count.in_memory);
  write_number(json, "known_on_disk", count.on_disk);
  const std::string memory =
      count.in_memory ? "every object" : fmt::format("nothing, as there are more than {}", kMostCounted);
  json.field("counted", fmt::format("in memory, {}; {}", memory, how_disks_counted(order, is_erased)));
}

}  // namespace

PurgeCount count_known(const cache::Store& store, const PurgeOrder& order, const Clock& clock,
                       std::uint64_t most) {
  PurgeCount count;
  if (store.stats().objects <= most) count_in_memory(store, order, clock, count);
  count.on_disk = count_on_disk(store, order);
  return count;
}

std::string receipt_json(const PurgeOrder& order, const cache::PurgeReceipt& receipt, const PurgeCount& count,
                         const std::optional<cache::Erased>& erased) {
  std::string text;
  JsonWriter json(text);
  json.begin_object();
  if (receipt.not_durable) {
    json.field(
        "error",
        "purged in memory and on disks, but the journal of purges could not be written: until it can be, "
        "which is tried again every second, a restart brings what is on disk back");
    json.field("detail", explain(*receipt.not_durable));
  }
  json.field("id", receipt.sequence).field("at", http::format_date(receipt.at));
  json.field("durable", !receipt.not_durable);
  write_what(json, order);
  write_count(json, order, count, erased.has_value());
  if (erased) {
    json.key("erased").begin_object().field("copies", erased->copies).field("bytes", erased->bytes);
    json.end_object();
  }
  json.end_object();
  return text;
}

std::string dry_run_json(const PurgeOrder& order, const PurgeCount& count) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().field("dry_run", true);
  write_what(json, order);
  write_count(json, order, count, false);
  json.field("body_bytes_in_memory", count.body_bytes).end_object();
  return text;
}

AdminReply purge_refusal(const Error& error) {
  AdminReply reply{.status = 500, .body = {}};
  std::string_view why = "a purge that erases must be durable; it could not be made so, and is not in effect";
  if (error.code == Code::limit) {
    reply.status = 400;
    why = "a name is too long, or there are too many";
  } else if (error.code == Code::timeout) {
    reply.status = 504;
    why = "it is not known yet whether the purge is in effect; order it again";
  } else if (error.code == Code::exhausted && error.retry == Retry::yes) {
    reply.status = 503;
    why = "too much is being read from disk; try again";
  } else if (error.code == Code::exhausted) {
    reply.status = 507;
    why = "too many purged names are remembered; purge everything, or wait until older objects have gone";
  } else if (error.code == Code::unavailable || error.code == Code::cancelled) {
    reply.status = 503;
    why = "the node is stopping";
  }
  JsonWriter(reply.body).begin_object().field("error", why).field("detail", explain(error)).end_object();
  return reply;
}

AdminReply not_erased(const cache::PurgeReceipt& receipt, const Error& error) {
  AdminReply reply{.status = 500, .body = {}};
  std::string_view why = "a disk failed while they were overwritten";
  if (error.code == Code::timeout) {
    reply.status = 504;
    why = "they are still being overwritten";
  } else if (error.code != Code::io) {
    reply.status = 503;
    why = "a disk is away, or the node is stopping";
  }
  JsonWriter json(reply.body);
  json.begin_object().field(
      "error", fmt::format("purged, but some of its bytes may still be on disk: {}. What is left is "
                           "overwritten when the disk is back, at the next start or the next erase",
                           why));
  json.field("incomplete", true).field("id", receipt.sequence);
  json.field("at", http::format_date(receipt.at)).field("detail", explain(error)).end_object();
  return reply;
}

}  // namespace vignette::proxy
