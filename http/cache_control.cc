#include "http/cache_control.h"

#include <algorithm>

namespace vignette::http {
namespace {

using std::chrono::seconds;

struct Directive {
  std::string_view name;
  std::string_view argument;  // unquoted
  bool has_argument = false;
};

// Surrogate-Control may target one of several surrogates: max-age=60;edge.
Directive split(std::string_view element) {
  Directive directive;
  const std::size_t equals = element.find('=');
  directive.has_argument = equals != element.npos;
  directive.name = trim(element.substr(0, equals));
  if (!directive.has_argument) {
    directive.name = trim(directive.name.substr(0, directive.name.find(';')));
    return directive;
  }
  std::string_view argument = trim(element.substr(equals + 1));
  if (argument.starts_with('"')) {
    argument.remove_prefix(1);
    argument = argument.substr(0, argument.find('"'));
  } else {
    argument = trim(argument.substr(0, argument.find(';')));
  }
  directive.argument = trim(argument);
  return directive;
}

// The first one counts; what is not a number counts as 0.
void take_lifetime(std::optional<seconds>& slot, const Directive& directive) {
  if (!slot) slot = parse_delta_seconds(directive.argument).value_or(seconds(0));
}

// no-cache and private apply to the whole response or, with an argument, to the named fields only.
void take_fields(bool& whole, std::string_view& names, const Directive& directive) {
  if (!directive.has_argument || directive.argument.empty()) {
    whole = true;
  } else if (names.empty()) {
    names = directive.argument;
  } else {
    whole = true;  // two lists: the strict reading needs no joining
  }
}

bool take_response_flag(std::string_view name, ResponseDirectives& directives) {
  struct Flag {
    std::string_view name;
    bool ResponseDirectives::* member;
  };
  static constexpr Flag kFlags[] = {
      {"no-store", &ResponseDirectives::no_store},
      {"public", &ResponseDirectives::public_},
      {"must-revalidate", &ResponseDirectives::must_revalidate},
      {"proxy-revalidate", &ResponseDirectives::proxy_revalidate},
      {"must-understand", &ResponseDirectives::must_understand},
      {"no-transform", &ResponseDirectives::no_transform},
      {"immutable", &ResponseDirectives::immutable},
      {"no-store-remote", &ResponseDirectives::no_store_remote},
  };
  for (const Flag& flag : kFlags) {
    if (!iequals(name, flag.name)) continue;
    directives.*flag.member = true;
    return true;
  }
  return false;
}

}  // namespace

std::optional<seconds> parse_delta_seconds(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::int64_t value = 0;
  for (const char c : text) {
    if (!is_digit(c)) return std::nullopt;
    value = std::min(value * 10 + (c - '0'), kMaxDeltaSeconds.count());
  }
  return seconds(value);
}

void add_response_directives(std::string_view value, ResponseDirectives& directives) {
  directives.present = true;
  std::string_view element;
  while (next_element(value, element)) {
    const Directive directive = split(element);
    if (take_response_flag(directive.name, directives)) continue;
    if (iequals(directive.name, "max-age")) {
      take_lifetime(directives.max_age, directive);
    } else if (iequals(directive.name, "s-maxage")) {
      take_lifetime(directives.s_maxage, directive);
    } else if (iequals(directive.name, "stale-while-revalidate")) {
      take_lifetime(directives.stale_while_revalidate, directive);
    } else if (iequals(directive.name, "stale-if-error")) {
      take_lifetime(directives.stale_if_error, directive);
    } else if (iequals(directive.name, "no-cache")) {
      take_fields(directives.no_cache, directives.no_cache_fields, directive);
    } else if (iequals(directive.name, "private")) {
      take_fields(directives.private_, directives.private_fields, directive);
    }
  }
}

void add_request_directives(std::string_view value, RequestDirectives& directives) {
  directives.present = true;
  std::string_view element;
  while (next_element(value, element)) {
    const Directive directive = split(element);
    if (iequals(directive.name, "no-cache")) {
      directives.no_cache = true;
    } else if (iequals(directive.name, "no-store")) {
      directives.no_store = true;
    } else if (iequals(directive.name, "no-transform")) {
      directives.no_transform = true;
    } else if (iequals(directive.name, "only-if-cached")) {
      directives.only_if_cached = true;
    } else if (iequals(directive.name, "max-age")) {
      take_lifetime(directives.max_age, directive);
    } else if (iequals(directive.name, "min-fresh")) {
      take_lifetime(directives.min_fresh, directive);
    } else if (iequals(directive.name, "stale-if-error")) {
      take_lifetime(directives.stale_if_error, directive);
    } else if (iequals(directive.name, "max-stale")) {
      if (directive.has_argument) {
        take_lifetime(directives.max_stale, directive);
      } else {
        directives.any_stale = true;
      }
    }
  }
}

ResponseDirectives response_directives(const FieldList& fields, FieldId field) {
  ResponseDirectives directives;
  if (!fields.has(field)) return directives;
  for (const Field& line : fields) {
    if (line.id == field) add_response_directives(line.value, directives);
  }
  return directives;
}

RequestDirectives request_directives(const FieldList& fields) {
  RequestDirectives directives;
  if (!fields.has(FieldId::cache_control)) {
    directives.no_cache = fields.has_element(FieldId::pragma, "no-cache");
    return directives;
  }
  for (const Field& line : fields) {
    if (line.id == FieldId::cache_control) add_request_directives(line.value, directives);
  }
  return directives;
}

}  // namespace vignette::http
