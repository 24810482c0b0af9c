#include "proxy/admin/explain_text.h"

#include <fmt/core.h>

#include "http/date.h"

namespace vignette::proxy {
namespace {

using cache::Departed;
using cache::DiskRefusal;
using std::chrono::seconds;

std::string_view text_of(DiskRefusal refusal) {
  switch (refusal) {
    case DiskRefusal::none:
      return "not on disk any more";
    case DiskRefusal::once:
      return "not admitted to disk: it was asked for only once";
    case DiskRefusal::over_budget:
      return "not admitted to disk: the day's writes were spent";
    case DiskRefusal::queue_full:
    case DiskRefusal::queue_old:
      return "not admitted to disk: the disk was behind";
    case DiskRefusal::offline:
      return "not admitted to disk: the disk was away";
    case DiskRefusal::too_large:
      return "not admitted to disk: it is longer than an object there may be";
  }
  return "";
}

// What the answer to a POST takes is a purge of its URL like an ordered one.
std::string_view text_of(cache::PurgedBy by) {
  switch (by) {
    case cache::PurgedBy::everything:
      return "everything";
    case cache::PurgedBy::url:
      return "its URL, as ordered or after a request such as POST";
    case cache::PurgedBy::tag:
      return "tag";
    case cache::PurgedBy::prefix:
      return "prefix";
    case cache::PurgedBy::origin:
      return "origin";
  }
  return "";
}

std::string text_of(const cache::PurgeCause& purge) {
  std::string text(text_of(purge.by));
  if (!purge.name.empty()) text.append(" ").append(purge.name);
  return fmt::format("{} (purge {})", text, purge.sequence);
}

std::string text_of(const cache::Departure& departure, bool has_disk) {
  const std::string at = http::format_date(departure.at);
  const std::string_view stale = departure.was_stale ? ", when its lifetime had ended" : "";
  switch (departure.cause) {
    case Departed::evicted:
      return fmt::format("evicted from memory {}{}{}{}", at, stale, has_disk ? "; " : "",
                         has_disk ? text_of(departure.not_on_disk) : "");
    case Departed::reclaimed:
      return fmt::format("given up by the disk {}{}", at, stale);
    case Departed::expired:
      return fmt::format("its lifetime ended {}", at);
    case Departed::replaced:
      return fmt::format("fetched again {}, before its lifetime ended", at);
    case Departed::purged:
      return fmt::format("purged {} by {}", at, text_of(departure.purged_by));
    case Departed::dropped:
      return fmt::format("dropped {}: of a URL with too many variants, or a part of an older version", at);
    case Departed::not_stored:
      return fmt::format("the answer of {} was not stored: {}", at, to_string(departure.reason));
    case Departed::failed:
      return fmt::format("the fetch of {} failed: {}", at, to_string(departure.code));
    case Departed::unknown:
      break;
  }
  return "";
}

MissReason why_dead(const KeyFacts& facts) {
  const std::string_view cause = to_string(Departed::purged);
  if (!facts.purge) return {cause, {}, "it is older than what the book of purges knows"};
  if (facts.purge->at == WallTime()) return {cause, {}, "purged by " + text_of(*facts.purge)};
  return {cause, facts.purge->at,
          fmt::format("purged {} by {}", http::format_date(facts.purge->at), text_of(*facts.purge))};
}

MissReason why_stale(const KeyFacts& facts, WallTime now) {
  const WallTime since = now + facts.serve.ttl;
  const std::string at = http::format_date(since);
  if (facts.verdict == cache::Verdict::stale && facts.purge) {
    return {"stale", since, fmt::format("made stale {} (a soft purge) by {}", at, text_of(*facts.purge))};
  }
  return {"stale", since, fmt::format("its lifetime ended {}", at)};
}

bool is_usable(const KeyFacts& facts) {
  return facts.object && facts.verdict != cache::Verdict::dead && !facts.object->flags().is_vary_marker;
}

std::string missing_text(const Explanation& explanation) {
  if (!explanation.original) return fmt::format("a miss: fetched from {}", explanation.origin);
  const KeyFacts& original = *explanation.original;
  if (!is_usable(original)) return fmt::format("a miss: made from a photo that {} gives", explanation.origin);
  return fmt::format("a miss: made from the photo in the cache ({})", to_string(original.tier));
}

NextAnswer next_without_object(const Explanation& explanation) {
  const KeyFacts& facts = explanation.facts;
  if (facts.fill) return {"join", "joins the fill that is under way"};
  if (facts.passes_for > seconds(0)) {
    return {"miss", fmt::format("a fetch of its own: answers are not shared for {} s more",
                                facts.passes_for.count())};
  }
  return {"miss", missing_text(explanation)};
}

NextAnswer next_fresh(const KeyFacts& facts) {
  if (facts.chunks_present < facts.chunks) {
    return {"partial", fmt::format("a hit but for what is missing of {} chunks", facts.chunks)};
  }
  return {"hit", facts.tier == Tier::disk ? "a hit, read from disk" : "a hit"};
}

std::string field_name(const cache::Lifetime& lifetime) {
  return std::string(http::conventional_name(lifetime.field));
}

std::string rule_text(const cache::Lifetime& lifetime) {
  switch (lifetime.rule) {
    case cache::LifetimeRule::none:
      return "nothing";
    case cache::LifetimeRule::s_maxage:
    case cache::LifetimeRule::max_age:
      return fmt::format("{} of {}", to_string(lifetime.rule), field_name(lifetime));
    case cache::LifetimeRule::expires:
      return "Expires";
    case cache::LifetimeRule::ttl:
    case cache::LifetimeRule::negative_ttl:
    case cache::LifetimeRule::error_ttl:
      return fmt::format("{} of the route", to_string(lifetime.rule));
    case cache::LifetimeRule::heuristic:
      return "a tenth of the time since Last-Modified";
  }
  return "";
}

}  // namespace

std::string_view to_string(Tier tier) {
  switch (tier) {
    case Tier::none:
      return "none";
    case Tier::memory:
      return "memory";
    case Tier::disk:
      return "disk";
    case Tier::filling:
      return "filling";
  }
  return "unknown";
}

std::string lifetime_text(const cache::Object& object, const cache::Lifetime& lifetime) {
  if (lifetime.seconds != object.freshness_lifetime()) {
    return "a configuration or a field that is not there any more";
  }
  std::string text = rule_text(lifetime);
  if (lifetime.bound == cache::LifetimeBound::min_ttl) text += ", raised to min_ttl of the route";
  if (lifetime.bound == cache::LifetimeBound::max_ttl) text += ", cut to max_ttl of the route";
  return text;
}

MissReason why_missed(const KeyFacts& facts, WallTime now) {
  if (facts.object && facts.verdict == cache::Verdict::dead) return why_dead(facts);
  if (is_usable(facts) && facts.serve.ttl <= seconds(0)) return why_stale(facts, now);
  const bool is_remembered = facts.last.cause != Departed::unknown;
  const std::string departed = text_of(facts.last, facts.disk.has_value());
  if (!facts.object && facts.passes_for > seconds(0)) {
    const std::string before = is_remembered ? departed + "; " : std::string();
    return {"hit-for-miss", is_remembered ? std::optional(facts.last.at) : std::nullopt,
            fmt::format("{}requests go side by side for {} s more", before, facts.passes_for.count())};
  }
  if (is_remembered) return {to_string(facts.last.cause), facts.last.at, departed};
  if (facts.lacks_variant) return {"vary", {}, "nothing is stored for these values of the Vary fields"};
  return {"never-seen", {}, facts.may_be_forgotten ? "never seen, or too long ago" : "never seen before"};
}

NextAnswer next_answer(const Explanation& explanation) {
  if (explanation.mode == cache::CacheMode::off) {
    return {"pass", "goes to the origin: the route's cache is off"};
  }
  if (!is_usable(explanation.facts)) return next_without_object(explanation);
  switch (explanation.facts.serve.serve) {
    case cache::Serve::fresh:
      return next_fresh(explanation.facts);
    case cache::Serve::stale_while_revalidate:
      return {"stale", "the stale answer, and a fetch behind it"};
    case cache::Serve::stale_if_error:
      return {"revalidate", "the origin is asked first; the stale answer if it fails"};
    case cache::Serve::must_revalidate:
      return {"revalidate", "the origin is asked first"};
  }
  return {};
}

}  // namespace vignette::proxy
