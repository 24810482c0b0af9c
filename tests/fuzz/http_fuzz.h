// What the fuzz targets of the http folder share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/check.h"
#include "http/parser.h"
#include "http/writer.h"

namespace vignette::http::fuzz {

// Parses `text` in pieces whose sizes derive from its bytes, each time in another memory block.
template <typename Parser, typename Head>
Parsed parse_in_pieces(Parser& parser, std::string_view text, Head& head, std::unique_ptr<char[]>& memory) {
  Parsed parsed;
  std::size_t size = 0;
  do {
    const std::size_t step = size < text.size() ? 1 + static_cast<unsigned char>(text[size]) % 23 : 1;
    const std::size_t old = size;
    size = std::min(text.size(), size + step);
    std::unique_ptr<char[]> larger(new char[size + 1]);
    if (memory) std::copy_n(memory.get(), old, larger.get());
    std::copy(text.begin() + static_cast<std::ptrdiff_t>(old),
              text.begin() + static_cast<std::ptrdiff_t>(size), larger.get() + old);
    memory = std::move(larger);
    parsed = parser.parse(std::span<char>(memory.get(), size), head);
  } while (parsed.need_more() && size < text.size());
  return parsed;
}

inline void check_same_fields(const FieldList& a, const FieldList& b) {
  VCHECK(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    VCHECK(a.begin()[i].id == b.begin()[i].id);
    VCHECK(a.begin()[i].name == b.begin()[i].name);
    VCHECK(a.begin()[i].value == b.begin()[i].value);
  }
}

inline void check_same_verdict(const Parsed& a, const Parsed& b) {
  VCHECK(a.state == b.state);
  VCHECK(a.refusal == b.refusal);
  VCHECK(a.status == b.status);
  VCHECK(a.consumed == b.consumed);
}

inline void check_fields_are_clean(const FieldList& fields) {
  VCHECK(fields.size() <= kMaxFields);
  for (const Field& field : fields) {
    VCHECK(is_token(field.name));
    VCHECK(is_field_value(field.value));
    VCHECK(field.id == field_id(field.name));
    VCHECK(trim(field.value) == field.value);
  }
}

}  // namespace vignette::http::fuzz
