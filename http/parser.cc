#include "http/parser.h"

#include <array>

#include "base/check.h"
#include "base/strings.h"
#include "http/chars.h"
#include "http/framing.h"

namespace vignette::http {
namespace {

// The lower-case form of a token character, 0 for anything else.
consteval std::array<char, 256> make_name_table() {
  std::array<char, 256> table{};
  for (unsigned c = 0; c < 256; ++c) {
    if ((chars::kTable[c] & chars::kToken) != 0) table[c] = to_lower(static_cast<char>(c));
  }
  return table;
}
constexpr std::array<char, 256> kNameChar = make_name_table();

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view text_of(std::span<char> line) { return {line.data(), line.size()}; }

// What stands where a colon was expected.
Refusal name_fault(std::string_view line, std::size_t at) {
  if (at == line.size()) return Refusal::bad_field_line;
  if (!is_blank(line[at])) return Refusal::bad_field_name;
  while (at < line.size() && is_blank(line[at])) ++at;
  return at < line.size() && line[at] == ':' ? Refusal::space_before_colon : Refusal::bad_field_name;
}

}  // namespace

void HeadScanner::rewind() {
  line_start_ = scanned_ = fields_start_ = field_lines_ = base_size_ = 0;
  base_ = nullptr;
  first_line_done_ = false;
}

void HeadScanner::follow(std::span<char> buffer, std::string_view& view) const {
  const auto address = reinterpret_cast<std::uintptr_t>(view.data());
  const auto old = reinterpret_cast<std::uintptr_t>(base_);
  if (view.data() == nullptr || address < old || address > old + base_size_) return;
  view = std::string_view(buffer.data() + (address - old), view.size());
}

void HeadScanner::follow(std::span<char> buffer, FieldList& fields) const {
  for (Field& field : fields) {
    follow(buffer, field.name);
    follow(buffer, field.value);
  }
}

void HeadScanner::remember(std::span<char> buffer) {
  base_ = buffer.data();
  base_size_ = buffer.size();
}

// `line_end` is the offset of the line's CRLF, or of the end of what is there.
Refusal HeadScanner::check_size(std::size_t line_end) const {
  if (!first_line_done_) {
    return line_end - line_start_ > limits_.request_line_bytes ? Refusal::request_line_too_long
                                                               : Refusal::none;
  }
  const bool last = line_end == line_start_;
  const std::size_t bytes = line_end - fields_start_ + (last ? 0 : 2);
  return bytes > limits_.header_bytes ? Refusal::header_too_large : Refusal::none;
}

HeadScanner::Line HeadScanner::next_line(std::span<char> buffer, std::span<char>& line, Refusal& refusal) {
  DCHECK(scanned_ <= buffer.size());
  const char* data = buffer.data();
  const char* end = data + buffer.size();
  const char* found = chars::find_control(data + scanned_, end);
  const std::size_t at = static_cast<std::size_t>(found - data);
  scanned_ = at;
  refusal = check_size(at);
  if (refusal != Refusal::none) return Line::broken;
  if (found == end) return Line::partial;
  if (*found == '\r') {
    if (found + 1 == end) return Line::partial;
    if (found[1] == '\n') {
      line = buffer.subspan(line_start_, at - line_start_);
      line_start_ = scanned_ = at + 2;
      return Line::complete;
    }
    refusal = Refusal::bare_cr;
  } else {
    refusal = *found == '\n' ? Refusal::bare_lf : Refusal::control_character;
  }
  return Line::broken;
}

Refusal HeadScanner::take_field(std::span<char> line, FieldList& fields) {
  if (is_blank(line[0])) return field_lines_ == 0 ? Refusal::bad_field_line : Refusal::obs_fold;
  bool underscore = false;
  std::size_t at = 0;
  for (; at < line.size(); ++at) {
    const char c = kNameChar[static_cast<unsigned char>(line[at])];
    if (c == 0) break;
    underscore |= c == '_';
    line[at] = c;
  }
  if (at == 0) return Refusal::bad_field_name;
  const std::string_view text = text_of(line);
  if (at == text.size() || text[at] != ':') return name_fault(text, at);
  if (++field_lines_ > limits_.fields) return Refusal::too_many_fields;
  if (underscore && !limits_.underscores) return Refusal::none;
  const std::string_view name = text.substr(0, at);
  const bool added = fields.add(Field{field_id(name), name, trim(text.substr(at + 1))});
  return added ? Refusal::none : Refusal::too_many_fields;
}

Parsed RequestParser::refuse(Refusal refusal) {
  fresh_ = true;
  return {Parsed::State::refused, refusal, status_for(refusal), 0};
}

void RequestParser::reset() {
  fresh_ = true;
  started_ = false;
}

Refusal RequestParser::take_line(std::span<char> line, RequestHead& head, bool& complete) {
  if (first_line_done_) {
    if (!line.empty()) return take_field(line, head.fields);
    complete = true;
    return finish_request(head);
  }
  if (line.empty()) {
    return ++empty_lines_ > limits_.empty_lines ? Refusal::too_many_empty_lines : Refusal::none;
  }
  first_line_done_ = true;
  fields_start_ = line_start_;
  return parse_request_line(text_of(line), head);
}

Parsed RequestParser::parse(std::span<char> buffer, RequestHead& head) {
  if (fresh_) {
    rewind();
    head.clear();
    fresh_ = started_ = false;
    empty_lines_ = 0;
  } else if (moved(buffer)) {
    for (std::string_view* view :
         {&head.method_name, &head.target, &head.scheme, &head.authority, &head.path, &head.query}) {
      follow(buffer, *view);
    }
    follow(buffer, head.fields);
  }
  remember(buffer);
  for (bool complete = false; !complete;) {
    std::span<char> line;
    Refusal refusal = Refusal::none;
    const Line found = next_line(buffer, line, refusal);
    started_ = first_line_done_ || scanned_ > line_start_ || !line.empty();
    if (found == Line::partial) return {};
    if (found == Line::complete) refusal = take_line(line, head, complete);
    if (refusal != Refusal::none) return refuse(refusal);
  }
  fresh_ = true;
  return {Parsed::State::done, Refusal::none, 0, line_start_};
}

void ResponseParser::reset(Method request_method, bool upgrade_asked) {
  method_ = request_method;
  upgrade_asked_ = upgrade_asked;
  fresh_ = true;
  tainted_ = false;
  interim_ = 0;
}

Refusal ResponseParser::take_line(std::span<char> line, ResponseHead& head, bool& complete) {
  if (first_line_done_) {
    if (!line.empty()) return take_field(line, head.fields);
    complete = true;
    return finish(head);
  }
  first_line_done_ = true;
  fields_start_ = line_start_;
  return parse_status_line(text_of(line), head);
}

Refusal ResponseParser::finish(ResponseHead& head) {
  const Refusal refusal = finish_response(method_, head);
  if (refusal != Refusal::none) return refusal;
  if (head.status == 101 && !upgrade_asked_) return Refusal::unexpected_upgrade;
  if (head.is_interim()) {
    tainted_ |= head.content_length != 0 || head.fields.has(FieldId::transfer_encoding);
    return ++interim_ > limits_.interim_responses ? Refusal::too_many_interim_responses : Refusal::none;
  }
  head.keep_alive = head.keep_alive && !tainted_;
  return Refusal::none;
}

Parsed ResponseParser::parse(std::span<char> buffer, ResponseHead& head) {
  if (fresh_) {
    rewind();
    head.clear();
    fresh_ = false;
  } else if (moved(buffer)) {
    follow(buffer, head.fields);
  }
  remember(buffer);
  for (bool complete = false; !complete;) {
    std::span<char> line;
    Refusal refusal = Refusal::none;
    const Line found = next_line(buffer, line, refusal);
    if (found == Line::partial) return {};
    if (found == Line::complete) refusal = take_line(line, head, complete);
    if (refusal == Refusal::request_line_too_long) refusal = Refusal::bad_status_line;
    if (refusal != Refusal::none) {
      fresh_ = true;
      return {Parsed::State::refused, refusal, 502, 0};
    }
  }
  fresh_ = true;
  return {Parsed::State::done, Refusal::none, 0, line_start_};
}

}  // namespace vignette::http
