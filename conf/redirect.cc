#include "conf/redirect.h"

#include <fmt/core.h>

#include <algorithm>

#include "conf/context.h"

namespace vignette::conf {
namespace {

struct Variable {
  std::string_view name;
  RedirectPart::Kind kind;
};

constexpr Variable kVariables[] = {{"scheme", RedirectPart::Kind::scheme},
                                   {"host", RedirectPart::Kind::host},
                                   {"request_uri", RedirectPart::Kind::request_uri},
                                   {"rest", RedirectPart::Kind::rest}};

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

void add_text(std::vector<RedirectPart>& parts, std::string_view text) {
  if (text.empty()) return;
  if (parts.empty() || parts.back().kind != RedirectPart::Kind::text) parts.emplace_back();
  parts.back().text += text;
}

std::string unknown_variable(std::string_view name) {
  std::vector<std::string> known;
  for (const Variable& variable : kVariables) known.emplace_back(variable.name);
  return fmt::format("unknown variable \"${}\"{}; there are $scheme, $host, $request_uri and $rest", name,
                     suggestion(name, known));
}

}  // namespace

std::expected<std::vector<RedirectPart>, std::string> parse_redirect(std::string_view target) {
  static constexpr std::string_view kBegins[] = {"/", "http://", "https://", "$scheme://"};
  if (std::ranges::none_of(kBegins, [&](std::string_view begin) { return target.starts_with(begin); })) {
    return std::unexpected(
        fmt::format("expected a URL such as \"https://$host$request_uri\" or a path, not \"{}\"", target));
  }
  if (std::ranges::any_of(target, [](char c) { return c <= ' ' || c == '\x7f'; })) {
    return std::unexpected("a redirect target holds only printable ASCII without spaces");
  }
  std::vector<RedirectPart> parts;
  while (!target.empty()) {
    const std::size_t dollar = target.find('$');
    add_text(parts, target.substr(0, dollar));
    if (dollar == target.npos) break;
    target.remove_prefix(dollar + 1);
    if (target.starts_with('$')) {
      add_text(parts, "$");
      target.remove_prefix(1);
      continue;
    }
    const auto end = std::ranges::find_if_not(target, is_word);
    const std::string_view name = target.substr(0, static_cast<std::size_t>(end - target.begin()));
    const auto found = std::ranges::find(kVariables, name, &Variable::name);
    if (found == std::end(kVariables)) return std::unexpected(unknown_variable(name));
    parts.push_back({found->kind, {}});
    target.remove_prefix(name.size());
  }
  return parts;
}

}  // namespace vignette::conf
