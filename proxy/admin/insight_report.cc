#include "proxy/admin/insight_report.h"

#include <algorithm>
#include <charconv>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/json.h"

namespace vignette::proxy {
namespace {

struct TopQuery {
  cache::TopBy by = cache::TopBy::hits;
  std::size_t limit = kDefaultTop;
};

std::optional<cache::TopBy> read_by(std::string_view word) {
  if (word == "hits") return cache::TopBy::hits;
  if (word == "misses") return cache::TopBy::misses;
  if (word == "bytes") return cache::TopBy::bytes;
  return std::nullopt;
}

std::string_view name_of(cache::TopBy by) {
  if (by == cache::TopBy::hits) return "hits";
  return by == cache::TopBy::misses ? "misses" : "bytes";
}

bool read_parameter(std::string_view parameter, TopQuery& query) {
  if (parameter.starts_with("by=")) {
    const auto by = read_by(parameter.substr(3));
    query.by = by.value_or(query.by);
    return by.has_value();
  }
  if (!parameter.starts_with("limit=")) return false;
  const char* const end = parameter.data() + parameter.size();
  const auto [stopped, failure] = std::from_chars(parameter.data() + 6, end, query.limit);
  return failure == std::errc() && stopped == end && query.limit >= 1 && query.limit <= kMaxTop;
}

std::optional<TopQuery> read_query(std::string_view text) {
  TopQuery query;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('&'), text.size());
    if (!read_parameter(text.substr(0, end), query)) return std::nullopt;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return query;
}

void write_entry(JsonWriter& json, const cache::HeavyHitter& entry) {
  const std::size_t line = std::min(entry.name.find('\n'), entry.name.size());
  json.begin_object().field("key", std::string_view(entry.name).substr(0, line));
  if (line < entry.name.size()) {
    std::string variant = entry.name.substr(line + 1);
    std::ranges::replace(variant, '\n', ';');
    json.field("variant", variant);
  }
  json.field("count", entry.count).field("error", entry.error).end_object();
}

// Lines of `summarize`, or the text itself.
template <typename Summary>
std::string summary_or_text(const std::string& text, Summary summarize) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return text;
  try {
    return summarize(json);
  } catch (const nlohmann::json::exception&) {
    return text;
  }
}

std::string top_lines(const nlohmann::json& top) {
  const auto by = top.at("by").get<std::string>();
  std::string text = fmt::format("{} over the last {} s\n", by, top.at("over_seconds").get<std::uint64_t>());
  for (const nlohmann::json& entry : top.at("entries")) {
    text +=
        fmt::format("{:>14}  {}", entry.at("count").get<std::uint64_t>(), entry.at("key").get<std::string>());
    if (entry.contains("variant")) text += "  [" + entry.at("variant").get<std::string>() + "]";
    text += '\n';
  }
  if (top.at("entries").empty()) text += "nothing yet\n";
  return text;
}

std::string what_if_lines(const nlohmann::json& curve) {
  std::string text = fmt::format(
      "estimated from {:.0f} requests to {} objects, 1 key in {:.0f}\n", curve.at("references").get<double>(),
      curve.at("sampled_objects").get<std::uint64_t>(), 1 / curve.at("sampling_rate").get<double>());
  text += "  memory  MiB        misses\n";
  for (const nlohmann::json& point : curve.at("points")) {
    text +=
        fmt::format("  {:>5}x  {:<10.0f} {:.1f} %\n", point.at("factor").get<double>(),
                    point.at("bytes").get<double>() / (1 << 20), 100 * point.at("miss_ratio").get<double>());
  }
  return text;
}

}  // namespace

std::optional<std::string> top_json(cache::Insight& insight, std::string_view query, TimePoint now) {
  const auto asked = read_query(query);
  if (!asked) return std::nullopt;
  const cache::Insight::Top top = insight.top(asked->by, asked->limit, now);
  std::string text;
  JsonWriter json(text);
  json.begin_object().field("by", name_of(asked->by)).field("over_seconds", top.over.count());
  json.key("entries").begin_array();
  for (const cache::HeavyHitter& entry : top.entries) write_entry(json, entry);
  json.end_array().end_object();
  return text;
}

std::string what_if_json(cache::Insight& insight, std::uint64_t memory_bytes) {
  const cache::ReuseCurve::Answer answer = insight.what_if();
  std::string text;
  JsonWriter json(text);
  json.begin_object().field("memory_bytes", memory_bytes);
  json.fixed_field("references", answer.references, 0).field("sampled_objects", answer.sampled_objects);
  json.fixed_field("sampling_rate", answer.sampling_rate, 6).key("points").begin_array();
  for (std::size_t i = 0; i < cache::ReuseCurve::kFactors.size(); ++i) {
    const double factor = cache::ReuseCurve::kFactors[i];
    json.begin_object().fixed_field("factor", factor, 2);
    json.field("bytes", static_cast<std::uint64_t>(factor * static_cast<double>(memory_bytes)));
    json.fixed_field("miss_ratio", answer.miss_ratios[i], 4).end_object();
  }
  json.end_array().end_object();
  return text;
}

std::string top_summary(const std::string& json) { return summary_or_text(json, top_lines); }
std::string what_if_summary(const std::string& json) { return summary_or_text(json, what_if_lines); }

}  // namespace vignette::proxy
