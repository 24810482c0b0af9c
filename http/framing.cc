#include "http/framing.h"

#include <algorithm>
#include <cstring>

#include "base/strings.h"
#include "http/chars.h"
#include "http/hop_by_hop.h"
#include "http/status.h"
#include "http/url.h"

namespace vignette::http {
namespace {

constexpr std::size_t kMaxMethodBytes = 32;
constexpr std::size_t kMaxLengthDigits = 19;

// Methods are case-sensitive tokens (RFC 9110 section 9.1). All that are registered are in upper case, and
// what differs from one only in case would be that one to a careless reader behind us.
Refusal check_method(std::string_view name) {
  if (!is_token(name)) return Refusal::bad_method;
  if (std::ranges::any_of(name, [](char c) { return c >= 'a' && c <= 'z'; })) return Refusal::bad_method;
  return name.size() > kMaxMethodBytes ? Refusal::method_too_long : Refusal::none;
}

// A higher minor version is processed as 1.1, the highest we know of that major (RFC 9110 section 2.5).
Refusal parse_version(std::string_view text, Version& version) {
  const bool well_formed = text.size() == 8 && text.starts_with("HTTP/") && is_digit(text[5]) &&
                           text[6] == '.' && is_digit(text[7]);
  if (!well_formed || text[5] == '0') return Refusal::bad_version;
  if (text[5] != '1') return Refusal::unsupported_version;
  version = text[7] == '0' ? Version::http_1_0 : Version::http_1_1;
  return Refusal::none;
}

// Characters and percent-encoding of a path and query.
Refusal check_target(std::string_view text) {
  unsigned allowed = chars::kPathOnly;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '?') allowed = chars::kTarget;
    if (!chars::is(text[i], allowed)) return Refusal::bad_target;
    if (text[i] != '%') continue;
    if (text.size() - i < 3 || !chars::is(text[i + 1], chars::kHex) || !chars::is(text[i + 2], chars::kHex)) {
      return Refusal::bad_percent_encoding;
    }
  }
  return Refusal::none;
}

void set_path_and_query(std::string_view text, RequestHead& head) {
  const std::size_t mark = text.find('?');
  head.has_query = mark != text.npos;
  head.path = text.substr(0, mark);
  head.query = head.has_query ? text.substr(mark + 1) : std::string_view();
}

Refusal parse_absolute_form(std::string_view target, RequestHead& head) {
  const std::optional<AbsoluteUrl> url = parse_absolute_url(target);
  if (!url) return Refusal::bad_target;
  head.scheme = url->scheme.size() == 4 ? "http" : "https";
  head.authority = url->authority;
  head.path = url->path;
  head.query = url->query;
  head.has_query = url->has_query;
  if (head.path.empty()) head.path = head.method == Method::options && !head.has_query ? "*" : "/";
  return Refusal::none;
}

// Lower-cases in place: all views of a head point into the caller's writable buffer.
void lower_view(std::string_view text) {
  char* bytes = const_cast<char*>(text.data());
  for (std::size_t i = 0; i < text.size(); ++i) bytes[i] = to_lower(bytes[i]);
}

Refusal take_authority(std::string_view text, RequestHead& head) {
  const std::optional<Authority> parsed = parse_authority(text);
  if (!parsed) return Refusal::bad_host;
  lower_view(text);
  head.host = parsed->host;
  head.port = parsed->port;
  if (text.ends_with(':')) text.remove_suffix(1);  // an empty port (RFC 3986 section 3.2.3)
  if (parsed->host.size() != text.size() && text[parsed->host.size()] == '.') {
    if (!head.fields.has(FieldId::host)) return Refusal::bad_host;
    char* dot = const_cast<char*>(text.data()) + parsed->host.size();
    std::memmove(dot, dot + 1, text.size() - parsed->host.size() - 1);
    text.remove_suffix(1);
  }
  head.authority = text;
  if (head.fields.has(FieldId::host)) head.fields.find(FieldId::host)->value = text;
  return Refusal::none;
}

// Whether both name the same host and port, where none is the scheme's own (RFC 9110 section 4.2.3).
bool is_same_authority(std::string_view scheme, std::string_view one, std::string_view other) {
  if (iequals(one, other)) return true;
  const std::uint16_t implied = scheme == "https" ? 443 : 80;
  const auto port_of = [&](const Authority& authority) { return authority.port ? authority.port : implied; };
  const std::optional<Authority> a = parse_authority(one);
  const std::optional<Authority> b = parse_authority(other);
  return a && b && iequals(a->host, b->host) && port_of(*a) == port_of(*b);
}

Refusal resolve_authority(RequestHead& head) {
  const Field* host = head.fields.find(FieldId::host);
  if (!host) {
    if (head.version != Version::http_1_0) return Refusal::missing_host;
    return head.scheme.empty() ? Refusal::none : take_authority(head.authority, head);
  }
  if (head.fields.count(FieldId::host) > 1) return Refusal::several_hosts;
  if (!head.scheme.empty() && !is_same_authority(head.scheme, head.authority, host->value)) {
    return Refusal::host_mismatch;
  }
  return take_authority(host->value, head);
}

Refusal parse_length(std::string_view text, std::uint64_t& length) {
  if (text.empty() || text.size() > kMaxLengthDigits) return Refusal::bad_content_length;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (!is_digit(c)) return Refusal::bad_content_length;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  length = value;
  return Refusal::none;
}

// The codings before a final "chunked" (or alone) in a list that is more than just "chunked".
Refusal judge_other_codings(std::string_view value) {
  bool final_chunked = false;
  for (bool more = true; more;) {
    const std::size_t comma = value.find(',');
    const std::string_view coding = trim(value.substr(0, comma));
    more = comma != value.npos;
    if (more) value.remove_prefix(comma + 1);
    if (!is_token(coding) || final_chunked || iequals(coding, "identity"))
      return Refusal::bad_transfer_encoding;
    final_chunked = iequals(coding, "chunked");
    if (final_chunked) continue;
    for (std::size_t i = 0; i + 7 <= coding.size(); ++i) {
      if (iequals(coding.substr(i, 7), "chunked")) return Refusal::bad_transfer_encoding;
    }
  }
  return Refusal::unknown_transfer_coding;
}

Refusal check_transfer_encoding(const FieldList& fields, Version version) {
  if (version == Version::http_1_0) return Refusal::transfer_encoding_in_1_0;
  if (fields.count(FieldId::transfer_encoding) > 1) return Refusal::several_transfer_encodings;
  const std::string_view value = fields.value(FieldId::transfer_encoding);
  return iequals(value, "chunked") ? Refusal::none : judge_other_codings(value);
}

Refusal check_length(const FieldList& fields, std::uint64_t& length) {
  if (fields.count(FieldId::content_length) > 1) return Refusal::several_content_lengths;
  const std::string_view value = fields.value(FieldId::content_length);
  return value.find(',') == value.npos ? parse_length(value, length) : Refusal::several_content_lengths;
}

Refusal frame_request(RequestHead& head) {
  if (head.fields.has(FieldId::transfer_encoding)) {
    if (head.fields.has(FieldId::content_length)) return Refusal::length_and_chunked;
    head.framing = Framing::chunked;
    return check_transfer_encoding(head.fields, head.version);
  }
  if (!head.fields.has(FieldId::content_length)) return Refusal::none;
  const Refusal refusal = check_length(head.fields, head.content_length);
  head.framing = head.content_length == 0 ? Framing::none : Framing::length;
  return refusal;
}

// What nearly every request says, and what needs no reading as a list.
bool says_just_keep_alive(const FieldList& fields) {
  return fields.value(FieldId::connection) == "keep-alive" && fields.count(FieldId::connection) == 1;
}

bool stays_open(const FieldList& fields, Version version) {
  if (!fields.has(FieldId::connection)) return version == Version::http_1_1;
  if (says_just_keep_alive(fields)) return true;
  if (fields.has_element(FieldId::connection, "close")) return false;
  return version == Version::http_1_1 || fields.has_element(FieldId::connection, "keep-alive");
}

Refusal take_expectation(RequestHead& head) {
  if (!head.fields.has(FieldId::expect)) return Refusal::none;
  if (head.fields.count(FieldId::expect) > 1 ||
      !iequals(head.fields.value(FieldId::expect), "100-continue")) {
    return Refusal::unknown_expectation;
  }
  head.expect_continue = head.has_body() && head.version != Version::http_1_0;
  return Refusal::none;
}

bool asks_for_websocket(const RequestHead& head) {
  return head.method == Method::get && head.version == Version::http_1_1 && !head.has_body() &&
         head.fields.has_element(FieldId::connection, "upgrade") &&
         head.fields.has_element(FieldId::upgrade, "websocket");
}

bool is_token_list(const FieldList& fields, FieldId id) {
  bool tokens = true;
  fields.for_each_element(id, [&](std::string_view element) { tokens = tokens && is_token(element); });
  return tokens;
}

}  // namespace

Refusal take_method(std::string_view name, RequestHead& head) {
  head.method_name = name;
  head.method = method_from(name);
  return check_method(name);
}

Refusal parse_target(std::string_view target, RequestHead& head) {
  head.target = target;
  if (target == "*") {
    head.path = target;
    return head.method == Method::options ? Refusal::none : Refusal::bad_target;
  }
  if (const Refusal refusal = check_target(target); refusal != Refusal::none) return refusal;
  if (!target.starts_with('/')) return parse_absolute_form(target, head);
  set_path_and_query(target, head);
  return Refusal::none;
}

Refusal parse_request_line(std::string_view line, RequestHead& head) {
  const std::size_t first = line.find(' ');
  if (first == line.npos) return Refusal::bad_request_line;
  const std::size_t second = line.find(' ', first + 1);
  if (second == line.npos || second == first + 1 || line.find(' ', second + 1) != line.npos) {
    return Refusal::bad_request_line;
  }
  if (const Refusal refusal = take_method(line.substr(0, first), head); refusal != Refusal::none)
    return refusal;
  if (const Refusal refusal = parse_version(line.substr(second + 1), head.version);
      refusal != Refusal::none) {
    return refusal;
  }
  if (head.method == Method::connect) return Refusal::method_not_allowed;
  return parse_target(line.substr(first + 1, second - first - 1), head);
}

Refusal parse_status_line(std::string_view line, ResponseHead& head) {
  if (line.size() < 12 || line[8] != ' ' || (line.size() > 12 && line[12] != ' ')) {
    return Refusal::bad_status_line;
  }
  if (parse_version(line.substr(0, 8), head.version) != Refusal::none) return Refusal::bad_version;
  const std::string_view code = line.substr(9, 3);
  if (!chars::all(code, chars::kDigit)) return Refusal::bad_status_code;
  head.status = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
  return head.status >= 100 && head.status <= 599 ? Refusal::none : Refusal::bad_status_code;
}

Refusal finish_request(RequestHead& head) {
  if (const Refusal refusal = resolve_authority(head); refusal != Refusal::none) return refusal;
  if (const Refusal refusal = frame_request(head); refusal != Refusal::none) return refusal;
  if (head.fields.has(FieldId::connection) && !says_just_keep_alive(head.fields)) {
    if (const Refusal refusal = check_connection(head.fields); refusal != Refusal::none) return refusal;
  }
  head.keep_alive = stays_open(head.fields, head.version);
  head.upgrade_websocket = head.fields.has(FieldId::upgrade) && asks_for_websocket(head);
  return take_expectation(head);
}

Refusal finish_response(Method method, ResponseHead& head) {
  const bool chunked = head.fields.has(FieldId::transfer_encoding);
  if (chunked) {
    const Refusal refusal = check_transfer_encoding(head.fields, head.version);
    if (refusal != Refusal::none) return refusal;
  }
  const bool length_given = head.fields.has(FieldId::content_length);
  if (length_given) {
    const Refusal refusal = check_length(head.fields, head.content_length);
    if (refusal != Refusal::none) return refusal;
  }
  head.keep_alive = stays_open(head.fields, head.version) &&
                    is_token_list(head.fields, FieldId::connection) && !(chunked && length_given);
  head.has_content_length = length_given && !chunked;
  if (method == Method::head || never_has_body(head.status)) {
    // A 304 and an answer to HEAD may announce the length of the body that a GET would have had; the others
    // must not announce one, so bytes of it may follow.
    const bool announced = chunked || head.content_length != 0;
    if (method != Method::head && announced && (head.status != 304 || chunked)) head.keep_alive = false;
    return Refusal::none;
  }
  if (chunked) {
    head.content_length = 0;
    head.framing = Framing::chunked;
  } else if (length_given) {
    head.framing = head.content_length == 0 ? Framing::none : Framing::length;
  } else {
    head.framing = Framing::until_close;
    head.keep_alive = false;
  }
  return Refusal::none;
}

}  // namespace vignette::http
