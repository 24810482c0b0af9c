// The lines of `vignette explain`, made from the document.
#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "proxy/admin/explain_report.h"

namespace vignette::proxy {
namespace {

using nlohmann::json;

std::string text_at(const json& object, const char* name) { return object.at(name).get<std::string>(); }
std::int64_t number_at(const json& object, const char* name) { return object.at(name).get<std::int64_t>(); }
bool flag_at(const json& object, const char* name) { return object.at(name).get<bool>(); }

std::string joined_texts(const json& list, std::string_view separator = ", ") {
  std::string all;
  for (const json& item : list) {
    if (!all.empty()) all += separator;
    all += item.get<std::string>();
  }
  return all;
}

// Lines with a word in front, further in for an original.
class ExplainLines {
 public:
  explicit ExplainLines(std::string_view indent) : indent_(indent) {}
  void add(std::string_view word, const std::string& what) {
    out_ += fmt::format("{}{:<10} {}\n", indent_, word, what);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string_view indent_;
  std::string out_;
};

std::string tier_line(const json& facts) {
  std::string tier = text_at(facts, "tier");
  if (tier == "none") tier = "neither memory nor disk";
  if (!facts.contains("disk")) return tier == "neither memory nor disk" ? "nowhere" : tier;
  const json& disk = facts.at("disk");
  std::string name = fmt::format("disk {} ({}, {})", number_at(disk, "volume"), text_at(disk, "path"),
                                 text_at(disk, "state"));
  if (tier == "disk") return name;
  if (disk.contains("refused") && text_at(disk, "refused") != "none") {
    return fmt::format("{}; not on {}: {}", tier, name, text_at(disk, "refused"));
  }
  if (!flag_at(disk, "is_there")) return fmt::format("{}; not on {}", tier, name);
  return fmt::format("{} and {}{}", tier, name, flag_at(disk, "is_queued") ? ", still to be written" : "");
}

void add_key(const json& facts, ExplainLines& lines) {
  const std::string variant = joined_texts(facts.at("variant"), "; ");
  lines.add("key", text_at(facts, "key") + (variant.empty() ? "" : "  [" + variant + "]"));
  lines.add("in", tier_line(facts));
}

std::string left_text(std::int64_t seconds) {
  return seconds < 0 ? fmt::format("ended {} s ago", -seconds) : fmt::format("{} s left", seconds);
}

void add_freshness(const json& object, ExplainLines& lines) {
  const json& lifetime = object.at("lifetime");
  lines.add("fresh",
            fmt::format("{} s by {}; age {} s, {}", number_at(lifetime, "seconds"), text_at(lifetime, "by"),
                        number_at(object, "age_seconds"), left_text(number_at(object, "remaining_seconds"))));
  std::string stale = fmt::format("{} s while it is fetched again, {} s when the origin fails",
                                  number_at(object, "stale_while_revalidate_seconds"),
                                  number_at(object, "stale_if_error_seconds"));
  if (flag_at(object, "no_cache")) stale += "; validated before each use (no-cache)";
  if (flag_at(object, "must_revalidate")) stale += "; must-revalidate";
  lines.add("stale", stale);
}

void add_object(const json& object, ExplainLines& lines) {
  std::string stored = fmt::format("{}, status {}, {} bytes", text_at(object, "stored_at"),
                                   number_at(object, "status"), number_at(object, "bytes"));
  if (object.contains("etag")) stored += ", ETag " + text_at(object, "etag");
  lines.add("stored", stored);
  add_freshness(object, lines);
  if (!object.at("tags").empty()) lines.add("tags", joined_texts(object.at("tags")));
  if (!object.contains("chunks")) return;
  const json& chunks = object.at("chunks");
  lines.add("chunks",
            fmt::format("{} of {} present", number_at(chunks, "present"), number_at(chunks, "count")));
}

void add_purge(const json& purges, ExplainLines& lines) {
  std::string state = text_at(purges, "state");
  if (purges.contains("by")) {
    const std::string name = text_at(purges, "name");
    state +=
        fmt::format(" by {}{}{}{}, purge {}", state == "stale" ? "a soft purge: " : "", text_at(purges, "by"),
                    name.empty() ? "" : " ", name, purges.at("id").get<std::uint64_t>());
    if (purges.contains("at")) state += " of " + text_at(purges, "at");
  }
  lines.add("purges", fmt::format("{}; its fill began at number {}", state,
                                  purges.at("sequence").get<std::uint64_t>()));
}

void add_vary(const json& vary, ExplainLines& lines) {
  lines.add("vary", fmt::format("{}; this request: {}", text_at(vary, "fields"),
                                joined_texts(vary.at("selects"), "; ")));
  for (const json& variant : vary.at("known")) {
    lines.add("", fmt::format("{}{}{}", joined_texts(variant.at("values"), "; "),
                              flag_at(variant, "is_stored") ? "" : " (gone)",
                              flag_at(variant, "is_selected") ? " <- selected" : ""));
  }
}

void add_facts(const json& facts, ExplainLines& lines) {
  add_key(facts, lines);
  if (facts.contains("fill")) {
    const json& fill = facts.at("fill");
    lines.add("filling", fmt::format("for {} s, {} bytes so far", number_at(fill, "since_seconds"),
                                     number_at(fill, "bytes")));
  }
  if (facts.contains("object")) add_object(facts.at("object"), lines);
  if (facts.contains("purges")) add_purge(facts.at("purges"), lines);
  lines.add("last miss", text_at(facts.at("last_miss"), "text"));
}

std::string explain_lines(const json& document) {
  ExplainLines lines("  ");
  lines.add("route", fmt::format("{} of site {}, origin {}", text_at(document, "route"),
                                 text_at(document, "site"), text_at(document, "origin")));
  add_facts(document, lines);
  if (document.contains("vary")) add_vary(document.at("vary"), lines);
  lines.add("next", text_at(document.at("next"), "text"));
  std::string out = text_at(document, "url") + "\n" + lines.take();
  if (!document.contains("original")) return out;
  ExplainLines further("    ");
  add_facts(document.at("original"), further);
  return out + "  original\n" + further.take();
}

}  // namespace

std::string explain_summary(const std::string& document) {
  const json parsed = json::parse(document, nullptr, false);
  if (!parsed.is_object()) return document;
  try {
    return explain_lines(parsed);
  } catch (const json::exception&) {
    return document;
  }
}

}  // namespace vignette::proxy
