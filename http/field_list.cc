#include "http/field_list.h"

#include <cstring>
#include <utility>

#include "base/check.h"
#include "http/chars.h"

namespace vignette::http {

bool is_token(std::string_view text) { return !text.empty() && chars::all(text, chars::kToken); }

bool is_field_value(std::string_view text) {
  const char* end = text.data() + text.size();
  return chars::find_control(text.data(), end) == end;
}

bool next_element(std::string_view& rest, std::string_view& element) {
  while (!rest.empty()) {
    bool quoted = false;
    std::size_t end = 0;
    for (; end < rest.size() && (quoted || rest[end] != ','); ++end) {
      if (rest[end] == '"') quoted = !quoted;
      if (quoted && rest[end] == '\\' && end + 1 < rest.size()) ++end;
    }
    element = trim(rest.substr(0, end));
    rest.remove_prefix(end < rest.size() ? end + 1 : end);
    if (!element.empty()) return true;
  }
  return false;
}

FieldList& FieldList::operator=(const FieldList& other) {
  if (this == &other) return *this;
  size_ = other.size_;
  present_ = other.present_;
  std::memcpy(storage_, other.storage_, other.size_ * sizeof(Field));
  return *this;
}

const Field* FieldList::find(FieldId id) const {
  if (!has(id)) return nullptr;
  for (const Field& field : *this) {
    if (field.id == id) return &field;
  }
  return nullptr;
}

Field* FieldList::find(FieldId id) { return const_cast<Field*>(std::as_const(*this).find(id)); }

const Field* FieldList::find(std::string_view name) const {
  const FieldId id = field_id(name);
  if (id != FieldId::other) return find(id);
  if (!has(FieldId::other)) return nullptr;
  for (const Field& field : *this) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

std::string_view FieldList::value(FieldId id) const {
  const Field* field = find(id);
  return field ? field->value : std::string_view();
}

std::size_t FieldList::count(FieldId id) const {
  if (!has(id)) return 0;
  std::size_t lines = 0;
  for (const Field& field : *this) lines += field.id == id;
  return lines;
}

bool FieldList::add(FieldId id, std::string_view value) {
  DCHECK(id != FieldId::other);
  return add(Field{id, lower_case_name(id), value});
}

bool FieldList::add(std::string_view name, std::string_view value) {
  return add(Field{field_id(name), name, value});
}

bool FieldList::set(FieldId id, std::string_view value) {
  remove(id);
  return add(id, value);
}

bool FieldList::set(std::string_view name, std::string_view value) {
  remove(name);
  return add(name, value);
}

std::size_t FieldList::remove(FieldId id) {
  if (!has(id)) return 0;
  return remove_if([id](const Field& field) { return field.id == id; });
}

std::size_t FieldList::remove(std::string_view name) {
  const FieldId id = field_id(name);
  if (id != FieldId::other) return remove(id);
  if (!has(FieldId::other)) return 0;
  return remove_if([name](const Field& field) { return field.name == name; });
}

void FieldList::clear() {
  size_ = 0;
  present_.reset();
}

void FieldList::recount() {
  present_.reset();
  for (const Field& field : *this) present_[index(field.id)] = true;
}

bool FieldList::has_element(FieldId id, std::string_view token) const {
  bool found = false;
  for_each_element(id, [&](std::string_view element) { found = found || iequals(element, token); });
  return found;
}

}  // namespace vignette::http
