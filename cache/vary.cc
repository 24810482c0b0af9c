#include "cache/vary.h"

#include <algorithm>
#include <vector>

#include "base/strings.h"
#include "http/accept.h"

namespace vignette::cache {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }

// Without the blanks around commas, but for those in quoted strings.
void append_list(std::string_view value, std::string& out) {
  const std::size_t start = out.size();
  bool is_quoted = false;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    if (is_quoted && c == '\\' && i + 1 < value.size()) {
      out.append(value.substr(i++, 2));
      continue;
    }
    if (c == '"') is_quoted = !is_quoted;
    if (!is_quoted && is_blank(c) && (out.size() == start || out.back() == ',')) continue;
    if (!is_quoted && c == ',') {
      while (out.size() > start && is_blank(out.back())) out.pop_back();
    }
    out += c;
  }
}

void append_joined(const http::FieldList& request, std::string_view name, std::string& out) {
  bool is_first = true;
  for (const http::Field& field : request) {
    if (field.name != name) continue;
    if (!is_first) out += ',';
    append_list(trim(field.value), out);
    is_first = false;
  }
}

// Language tags and qualities know neither case nor blanks (RFC 9110 section 12.5.4).
void append_languages(const http::FieldList& request, std::string& out) {
  const std::size_t start = out.size();
  append_joined(request, "accept-language", out);
  const auto end = std::remove_if(out.begin() + static_cast<std::ptrdiff_t>(start), out.end(), is_blank);
  out.erase(end, out.end());
  std::transform(out.begin() + static_cast<std::ptrdiff_t>(start), out.end(),
                 out.begin() + static_cast<std::ptrdiff_t>(start), [](char c) { return to_lower(c); });
}

}  // namespace

VaryKind normalise_vary(const http::FieldList& response, std::string& list) {
  std::vector<std::string> names;
  bool has_star = false;
  response.for_each_element(http::FieldId::vary, [&](std::string_view element) {
    if (element == "*") has_star = true;
    names.push_back(to_lower(element));
  });
  if (has_star) return VaryKind::star;
  std::ranges::sort(names);
  const auto repeated = std::ranges::unique(names);
  names.erase(repeated.begin(), repeated.end());
  if (names.empty()) return VaryKind::none;
  if (names.size() > kMaxVaryFields) return VaryKind::too_long;
  for (const std::string& name : names) {
    if (&name != &names.front()) list += ',';
    list += name;
  }
  return VaryKind::list;
}

bool append_vary_values(std::string_view list, const http::FieldList& request, std::string& values) {
  const std::size_t start = values.size();
  for (std::string_view name : split(list, ',')) {
    if (values.size() != start) values += '\n';
    values += name;
    values += ':';
    if (name == "accept-encoding") {
      http::append_accepted_codings(request, values);
    } else if (name == "accept-language") {
      append_languages(request, values);
    } else {
      append_joined(request, name, values);
    }
    if (values.size() - start > kMaxVaryBytes) return false;
  }
  return true;
}

bool vary_matches(const Object& object, const http::FieldList& request) {
  if (object.vary().empty()) return true;
  std::string values;
  return append_vary_values(object.vary(), request, values) && values == object.vary_values();
}

bool key_selects(std::string_view key_string, std::string_view values) {
  for (std::size_t at = key_string.find('\n'); at != std::string_view::npos;
       at = key_string.find('\n', at + 1)) {
    const std::string_view rest = key_string.substr(at + 1);
    if (rest.starts_with(values) && (rest.size() == values.size() || rest[values.size()] == '\n'))
      return true;
  }
  return false;
}

ObjectRef make_vary_marker(const Key& key, std::string_view key_string, std::string_view list,
                           std::uint64_t sequence) {
  ObjectHead head;
  head.sequence = sequence;
  head.flags.is_vary_marker = true;
  head.vary = list;
  return Object::complete(head, key, key_string, "");
}

VariantLookup try_lookup_variant(Store& store, const http::FieldList& request, Key& key,
                                 std::string& key_string) {
  VariantLookup result;
  std::string values;
  for (int depth = 0; depth < kMaxVaryDepth; ++depth) {
    result.lookup = store.try_lookup(key, key_string);
    const ObjectRef& found = result.lookup.object;
    if (!found) return result;
    if (!found->flags().is_vary_marker) {
      if (result.vary_miss) found->note_use();
      result.vary_miss = false;
      return result;
    }
    values.clear();
    if (!append_vary_values(found->vary(), request, values)) break;
    key = extend_key(values, key_string);
    result.vary_miss = true;
  }
  result.lookup = {};
  return result;
}

}  // namespace vignette::cache
