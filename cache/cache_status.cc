#include "cache/cache_status.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <string>

#include "http/field_list.h"

namespace vignette::cache {
namespace {

// RFC 9651 strings hold visible ASCII and spaces; anything else is not sent.
bool is_string(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; });
}

// Tokens of structured fields begin with a letter or '*'.
bool is_sf_token(std::string_view text) {
  const char first = text.empty() ? '0' : text.front();
  const bool begins_well = (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') || first == '*';
  return begins_well && http::is_token(text);
}

class Writer {
 public:
  explicit Writer(std::span<char> out) : out_(out) {}
  // All or nothing.
  void add(std::initializer_list<std::string_view> parts) {
    std::size_t total = 0;
    for (std::string_view part : parts) total += part.size();
    if (total > out_.size() - used_) return;
    for (std::string_view part : parts) {
      std::ranges::copy(part, out_.begin() + static_cast<std::ptrdiff_t>(used_));
      used_ += part.size();
    }
  }
  void add_number(std::string_view name, std::int64_t value) {
    char digits[24];
    add({name, {digits, std::to_chars(digits, std::end(digits), value).ptr}});
  }
  void add_text(std::string_view name, std::string_view text) {
    if (text.empty() || !is_string(text)) return;
    if (text.find_first_of("\"\\") == std::string_view::npos) return add({name, "\"", text, "\""});
    std::string escaped;
    for (char c : text) {
      if (c == '"' || c == '\\') escaped += '\\';
      escaped += c;
    }
    add({name, "\"", escaped, "\""});
  }
  std::string_view view() const { return {out_.data(), used_}; }

 private:
  std::span<char> out_;
  std::size_t used_ = 0;
};

}  // namespace

std::string_view to_string(Forward forward) {
  switch (forward) {
    case Forward::none:
      return "";
    case Forward::uri_miss:
      return "uri-miss";
    case Forward::vary_miss:
      return "vary-miss";
    case Forward::stale:
      return "stale";
    case Forward::partial:
      return "partial";
    case Forward::request:
      return "request";
    case Forward::bypass:
      return "bypass";
    case Forward::method:
      return "method";
  }
  return "";
}

std::string_view render(const CacheStatus& status, std::span<char> out) {
  Writer writer(out);
  writer.add({"Vignette"});
  if (status.forward != Forward::none) {
    writer.add({"; fwd=", to_string(status.forward)});
    if (status.forward_status) writer.add_number("; fwd-status=", status.forward_status);
  } else if (status.hit) {
    writer.add({"; hit"});
  }
  if (status.ttl) writer.add_number("; ttl=", status.ttl->count());
  if (status.stored && status.forward != Forward::none) writer.add({"; stored"});
  if (status.collapsed && status.forward != Forward::none) writer.add({"; collapsed"});
  if (is_sf_token(status.detail)) {
    writer.add({"; detail=", status.detail});
  } else {
    writer.add_text("; detail=", status.detail);
  }
  writer.add_text("; key=", status.key);
  return writer.view();
}

}  // namespace vignette::cache
