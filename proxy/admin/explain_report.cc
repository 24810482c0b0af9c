#include "proxy/admin/explain_report.h"

#include <fmt/core.h>

#include "base/json.h"
#include "base/strings.h"
#include "cache/purge/identity.h"
#include "http/date.h"
#include "proxy/admin/explain_text.h"

namespace vignette::proxy {
namespace {

using std::chrono::seconds;

void write_date(JsonWriter& json, std::string_view name, WallTime at) {
  json.field(name, http::format_date(at));
}

void write_lines(JsonWriter& json, std::string_view name, std::string_view lines) {
  json.key(name).begin_array();
  for (const std::string_view line : split(lines, '\n')) {
    if (!line.empty()) json.value(line);
  }
  json.end_array();
}

void write_key(JsonWriter& json, std::string_view key_string) {
  const Halves halves = split_once(key_string, '\n');
  json.field("key", halves.before);
  write_lines(json, "variant", halves.after);
}

void write_disk(JsonWriter& json, const KeyFacts& facts) {
  if (!facts.disk) return;
  json.key("disk").begin_object().field("volume", facts.disk->volume);
  json.field("path", std::string_view(facts.disk->path)).field("state", to_string(facts.disk->state));
  json.field("is_there", facts.disk->is_there).field("is_queued", facts.disk->is_queued);
  const bool was_refused = facts.tier == Tier::memory && !facts.disk->is_there;
  if (was_refused) json.field("refused", to_string(facts.object->disk_refusal()));
  json.end_object();
}

void write_fill(JsonWriter& json, const KeyFacts& facts) {
  if (!facts.fill) return;
  json.key("fill").begin_object().field("since_seconds", facts.fill->since.count());
  json.field("has_head", facts.fill->has_head).field("bytes", facts.fill->bytes).end_object();
}

void write_lifetime(JsonWriter& json, const KeyFacts& facts) {
  const cache::Object& object = *facts.object;
  const bool is_explained = facts.lifetime.seconds == object.freshness_lifetime();
  json.key("lifetime").begin_object().field("seconds", object.freshness_lifetime().count());
  json.field("rule", is_explained ? to_string(facts.lifetime.rule) : "unknown");
  json.field("bound", is_explained ? to_string(facts.lifetime.bound) : "unknown");
  json.field("by", lifetime_text(object, facts.lifetime)).end_object();
}

void write_stale_rules(JsonWriter& json, const cache::Object& object) {
  json.field("stale_while_revalidate_seconds", object.stale_while_revalidate().count());
  json.field("stale_if_error_seconds", object.stale_if_error().count());
  json.field("must_revalidate", object.flags().must_revalidate).field("no_cache", object.flags().no_cache);
}

void write_tags(JsonWriter& json, const cache::Object& object) {
  json.key("tags").begin_array();
  for (const std::string_view word : split(object.tags(), ' ')) {
    if (!word.empty() && !word.starts_with(cache::kInternalTag)) json.value(cache::tag_name(word));
  }
  json.end_array();
}

std::string_view word_of(cache::Verdict verdict) {
  if (verdict == cache::Verdict::dead) return "dead";
  return verdict == cache::Verdict::stale ? "stale" : "alive";
}

void write_purge(JsonWriter& json, const KeyFacts& facts) {
  json.key("purges").begin_object().field("sequence", facts.object->sequence());
  json.field("state", word_of(facts.verdict));
  if (facts.purge) {
    json.field("by", to_string(facts.purge->by)).field("name", std::string_view(facts.purge->name));
    json.field("id", facts.purge->sequence);
    if (facts.purge->at != WallTime()) write_date(json, "at", facts.purge->at);
  }
  json.end_object();
}

void write_object(JsonWriter& json, const KeyFacts& facts) {
  if (!facts.object || facts.object->flags().is_vary_marker) return;
  const cache::Object& object = *facts.object;
  json.key("object").begin_object().field("status", object.status());
  json.field("bytes", object.content_length().value_or(0));
  if (!object.etag().empty()) json.field("etag", object.etag());
  write_date(json, "stored_at", object.response_time());
  json.field("age_seconds", facts.serve.age.count()).field("remaining_seconds", facts.serve.ttl.count());
  write_lifetime(json, facts);
  write_stale_rules(json, object);
  write_tags(json, object);
  if (facts.chunks > 0) {
    json.key("chunks").begin_object().field("count", facts.chunks);
    json.field("present", facts.chunks_present).end_object();
  }
  json.end_object();
}

void write_last_miss(JsonWriter& json, const KeyFacts& facts, WallTime now) {
  const MissReason reason = why_missed(facts, now);
  json.key("last_miss").begin_object().field("cause", reason.cause);
  if (reason.at) write_date(json, "at", *reason.at);
  json.field("text", reason.text).end_object();
}

void write_facts(JsonWriter& json, const KeyFacts& facts, WallTime now) {
  write_key(json, facts.key_string);
  json.field("tier", to_string(facts.tier));
  write_disk(json, facts);
  write_fill(json, facts);
  write_object(json, facts);
  if (facts.object) write_purge(json, facts);
  if (facts.passes_for > seconds(0)) json.field("hit_for_miss_seconds", facts.passes_for.count());
  write_last_miss(json, facts, now);
}

void write_vary(JsonWriter& json, const Explanation& explanation) {
  if (explanation.vary.empty()) return;
  json.key("vary").begin_object().field("fields", std::string_view(explanation.vary));
  write_lines(json, "selects", explanation.vary_values);
  json.key("known").begin_array();
  for (const KnownVariant& variant : explanation.variants) {
    json.begin_object().field("is_stored", variant.is_stored);
    json.field("is_selected", variant.values == explanation.vary_values);
    write_lines(json, "values", variant.values);
    json.end_object();
  }
  json.end_array().end_object();
}

}  // namespace

std::string explain_json(const Explanation& explanation) {
  std::string text;
  JsonWriter json(text);
  const NextAnswer next = next_answer(explanation);
  json.begin_object().field("url", std::string_view(explanation.url));
  json.field("site", std::string_view(explanation.site)).field("route", std::string_view(explanation.route));
  json.field("origin", std::string_view(explanation.origin));
  write_facts(json, explanation.facts, explanation.now);
  write_vary(json, explanation);
  json.field("purge_sequence", explanation.purge_sequence);
  if (explanation.original) {
    json.key("original").begin_object();
    write_facts(json, *explanation.original, explanation.now);
    json.end_object();
  }
  json.key("next").begin_object().field("answer", next.answer).field("text", next.text);
  json.end_object().end_object();
  return text;
}

}  // namespace vignette::proxy
