// The values of fields and targets: URLs, dates, ranges, Cache-Control, Accept, entity tags.
#include <algorithm>
#include <string>
#include <string_view>

#include "base/check.h"
#include "http/accept.h"
#include "http/cache_control.h"
#include "http/conditional.h"
#include "http/date.h"
#include "http/range.h"
#include "http/url.h"

using namespace vignette::http;

namespace {

// No piece between '/', %2F and %5C of a normal path may be a dot segment.
void check_no_dots(std::string_view path) {
  std::string flat(path);
  for (const std::string_view escape : {"%2F", "%5C"}) {
    for (std::size_t at; (at = flat.find(escape)) != flat.npos;) flat.replace(at, 3, "/");
  }
  flat += '/';
  VCHECK(flat.find("/../") == flat.npos && flat.find("/./") == flat.npos);
}

// Under every rule the normal form is one, and has nothing left that the rule takes away.
void check_rules(std::string_view text) {
  for (const EncodedSlash encoded : {EncodedSlash::keep, EncodedSlash::decode, EncodedSlash::reject}) {
    for (const bool merges : {false, true}) {
      const PathRules rules{merges, encoded};
      const auto path = normalize_path(text, rules);
      if (!path || *path == "*") continue;
      VCHECK(normalize_path(*path, rules) == *path);
      VCHECK(!merges || path->find("//") == path->npos);
      VCHECK(encoded == EncodedSlash::keep || path->find("%2F") == path->npos);
      check_no_dots(*path);
    }
  }
}

void check_path(std::string_view text) {
  check_rules(text);
  const auto path = normalize_path(text);
  if (!path || *path == "*") return;
  VCHECK(path->starts_with('/') && path->size() <= text.size());
  VCHECK(normalize_path(*path) == *path);
  check_no_dots(*path);
  std::string in_place(text);
  VCHECK(normalize_path(in_place, std::span<char>(in_place)) == std::string_view(*path));
}

void check_encoding(std::string_view text) {
  VCHECK(vignette::percent_decode(vignette::percent_encode(text)) == text);
  Parameter parameter;
  std::string_view rest = text;
  while (next_parameter(rest, parameter))
    VCHECK(parameter.name.size() + parameter.value.size() <= text.size());
}

void check_authority(std::string_view text) {
  const auto authority = parse_authority(text);
  if (!authority) return;
  std::string again(authority->host);
  if (authority->port != 0) again += ":" + std::to_string(authority->port);
  const auto parsed = parse_authority(again);
  VCHECK(parsed && parsed->host == authority->host && parsed->port == authority->port);
}

void check_date(std::string_view text) {
  const auto date = parse_date(text);
  if (date) VCHECK(parse_date(format_date(*date)) == date);
}

void check_range(std::string_view text) {
  for (const std::uint64_t length :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1000}, ~std::uint64_t{0} >> 1}) {
    const RangeAnswer answer = parse_range(text, length);
    if (answer.kind != RangeAnswer::Kind::part) continue;
    VCHECK(answer.range.first <= answer.range.last && answer.range.last < length);
    char out[kContentRangeBytes];
    const std::size_t size =
        format_content_range(answer.range, length, std::span<char, kContentRangeBytes>(out));
    const auto read = parse_content_range({out, size});
    VCHECK(read && read->range == answer.range && read->length == length);
  }
  const auto range = parse_content_range(text);
  if (range && range->range && range->length) VCHECK(range->range->last < *range->length);
}

void check_lists(std::string_view text) {
  ResponseDirectives response;
  add_response_directives(text, response);
  VCHECK(!response.max_age || (response.max_age->count() >= 0 && *response.max_age <= kMaxDeltaSeconds));
  RequestDirectives request;
  add_request_directives(text, request);
  FieldList wanted;
  wanted.add(FieldId::accept, text);
  const int weight = quality(wanted, "image/webp").effective();
  VCHECK(weight >= 0 && weight <= 1000);
  FieldList fields;
  fields.add(FieldId::accept_encoding, text);
  fields.add(FieldId::if_none_match, text);
  std::string codings;
  append_accepted_codings(fields, codings);
  FieldList narrowed;
  narrowed.add(FieldId::accept_encoding, codings);
  std::string again;
  append_accepted_codings(narrowed, again);
  VCHECK(again == codings);
  if (parse_etag(text)) VCHECK(etag_list_matches(fields, FieldId::if_none_match, text, Compare::weak));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_path(text);
  check_encoding(text);
  check_authority(text);
  check_date(text);
  check_range(text);
  check_lists(text);
  const auto url = parse_absolute_url(text);
  if (url) VCHECK(!url->authority.empty());
  return 0;
}
