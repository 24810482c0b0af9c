#include "http/accept.h"

#include <algorithm>

namespace vignette::http {
namespace {

constexpr int kFull = 1000;

// weight (RFC 9110 §12.4.2): 0[.ddd] or 1[.000]; nullopt when malformed.
std::optional<int> parse_weight(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return std::nullopt;
  int value = (text[0] - '0') * kFull;
  if (text.size() == 1) return value;
  if (text[1] != '.') return std::nullopt;
  int unit = 100;
  for (std::size_t i = 2; i < text.size(); ++i, unit /= 10) {
    if (!is_digit(text[i])) return std::nullopt;
    value += (text[i] - '0') * unit;
  }
  return value <= kFull ? std::optional(value) : std::nullopt;
}

// "name;param;q=0.5" to its name and weight; nullopt when the weight is malformed.
std::optional<int> split_weight(std::string_view element, std::string_view& name) {
  std::size_t semicolon = element.find(';');
  name = trim(element.substr(0, semicolon));
  while (semicolon != element.npos) {
    element.remove_prefix(semicolon + 1);
    semicolon = element.find(';');
    const std::string_view parameter = trim(element.substr(0, semicolon));
    if (parameter.size() >= 2 && iequals(parameter.substr(0, 2), "q="))
      return parse_weight(parameter.substr(2));
  }
  return kFull;
}

void keep_highest(std::optional<int>& slot, int weight) { slot = std::max(slot.value_or(0), weight); }

void add_types(std::string_view value, std::string_view media_type, TypeQuality& result) {
  const std::string_view major = media_type.substr(0, media_type.find('/'));
  std::string_view element;
  while (next_element(value, element)) {
    std::string_view range;
    const std::optional<int> weight = split_weight(element, range);
    if (!weight) continue;
    if (range == "*/*") {
      keep_highest(result.any, *weight);
    } else if (iequals(range, media_type)) {
      keep_highest(result.listed, *weight);
    } else if (range.size() == major.size() + 2 && range.ends_with("/*") &&
               iequals(range.substr(0, major.size()), major)) {
      keep_highest(result.type_range, *weight);
    }
  }
}

struct CodingQuality {
  std::optional<int> listed;
  std::optional<int> any;
};

constexpr std::array<std::string_view, 4> kCodings = {"identity", "zstd", "br", "gzip"};

bool names_coding(std::string_view name, std::string_view coding) {
  return iequals(name, coding) || (coding == "gzip" && iequals(name, "x-gzip"));
}

CodingQuality find_quality(const FieldList& request, std::string_view coding) {
  CodingQuality found;
  request.for_each_element(FieldId::accept_encoding, [&](std::string_view element) {
    std::string_view name;
    const std::optional<int> weight = split_weight(element, name);
    if (!weight) return;
    if (name == "*") keep_highest(found.any, *weight);
    if (names_coding(name, coding)) keep_highest(found.listed, *weight);
  });
  return found;
}

}  // namespace

int TypeQuality::effective() const {
  if (!field_present) return kFull;
  return listed ? *listed : type_range ? *type_range : any.value_or(0);
}

TypeQuality quality(const FieldList& request, std::string_view media_type) {
  TypeQuality result;
  result.field_present = request.has(FieldId::accept);
  if (!result.field_present) return result;
  for (const Field& line : request) {
    if (line.id == FieldId::accept) add_types(line.value, media_type, result);
  }
  return result;
}

int encoding_quality(const FieldList& request, std::string_view coding) {
  const bool identity = iequals(coding, "identity");
  if (!request.has(FieldId::accept_encoding)) return identity ? kFull : 0;
  const CodingQuality found = find_quality(request, coding);
  if (found.listed) return *found.listed;
  // A wildcard does not raise identity; it takes it away only with q=0.
  if (identity) return found.any == 0 ? 0 : kFull;
  return found.any.value_or(0);
}

std::string_view to_string(Coding coding) { return kCodings[static_cast<std::size_t>(coding)]; }

std::optional<Coding> parse_coding(std::string_view name) {
  for (std::size_t i = 0; i < kCodings.size(); ++i) {
    if (names_coding(name, kCodings[i])) return static_cast<Coding>(i);
  }
  return std::nullopt;
}

bool AcceptedCodings::has(Coding coding) const { return std::ranges::find(list(), coding) != list().end(); }

AcceptedCodings accepted_codings(const FieldList& request) {
  AcceptedCodings accepted;
  if (!request.has(FieldId::accept_encoding)) return accepted;
  const CodingQuality of_identity = find_quality(request, "identity");
  const int least = std::max(of_identity.listed.value_or(0), 1);
  std::array<int, 3> weights{};
  for (const Coding coding : {Coding::zstd, Coding::br, Coding::gzip}) {
    const int weight = encoding_quality(request, to_string(coding));
    if (weight < least) continue;
    // Sorted in, behind those that are liked as well.
    std::size_t at = accepted.count++;
    for (; at > 0 && weights[at - 1] < weight; --at) {
      weights[at] = weights[at - 1];
      accepted.codings[at] = accepted.codings[at - 1];
    }
    weights[at] = weight;
    accepted.codings[at] = coding;
  }
  return accepted;
}

void append_accepted_codings(const FieldList& request, std::string& out) {
  const AcceptedCodings accepted = accepted_codings(request);
  const std::span<const Coding> list = accepted.list();
  const bool is_our_order = std::ranges::is_sorted(list);
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (i > 0) out += ',';
    out += to_string(list[i]);
    if (i > 0 && !is_our_order) out += i == 1 ? ";q=0.9" : ";q=0.8";
  }
}

}  // namespace vignette::http
