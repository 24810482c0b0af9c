// The header fields of one message: a fixed inline array, no allocation, order of arrival kept.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/strings.h"
#include "http/field_id.h"

namespace vignette::http {

// What a peer may send at most, and the room left for what we add ourselves.
inline constexpr std::size_t kMaxFields = 100;
inline constexpr std::size_t kExtraFields = 28;

// Views are borrowed. `name` is lower case; `value` has no outer white space.
struct Field {
  FieldId id;
  std::string_view name;
  std::string_view value;
};

// Takes the next element off a comma-separated list (RFC 9110 §5.6.1): commas inside quoted strings do not
// separate, outer white space is trimmed, empty elements are skipped. False when nothing is left.
bool next_element(std::string_view& rest, std::string_view& element);

bool is_token(std::string_view text);        // RFC 9110 §5.6.2; false for ""
bool is_field_value(std::string_view text);  // no control but HTAB (RFC 9110 §5.5); true for ""

// Not thread-safe. Copying copies the views, not the bytes.
class FieldList {
 public:
  static constexpr std::size_t kCapacity = kMaxFields + kExtraFields;

  FieldList() = default;
  FieldList(const FieldList& other) { *this = other; }
  FieldList& operator=(const FieldList& other);

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const Field* begin() const { return at(0); }
  const Field* end() const { return at(0) + size_; }
  std::span<const Field> fields() const { return {begin(), size_}; }

  // The value views may be replaced through these; id and name must not change.
  Field* begin() { return at(0); }
  Field* end() { return at(0) + size_; }

  // The first line of that field, nullptr when there is none. Valid until the list changes.
  const Field* find(FieldId id) const;
  const Field* find(std::string_view lower_case_name) const;
  Field* find(FieldId id);
  bool has(FieldId id) const { return present_[index(id)]; }
  // The value of the first line, "" when there is none.
  std::string_view value(FieldId id) const;
  // How many lines carry it.
  std::size_t count(FieldId id) const;

  // False when the list is full; then nothing was added. Names must be lower case. Values are not checked
  // here: the parser has checked received ones, HeadWriter checks all on the way out.
  bool add(FieldId id, std::string_view value);
  bool add(std::string_view lower_case_name, std::string_view value);
  bool add(const Field& field);
  // Removes all lines of that field and adds one.
  bool set(FieldId id, std::string_view value);
  bool set(std::string_view lower_case_name, std::string_view value);

  // Return how many lines went.
  std::size_t remove(FieldId id);
  std::size_t remove(std::string_view lower_case_name);
  template <typename Predicate>
  std::size_t remove_if(Predicate&& unwanted);
  void clear();

  // Calls visit(std::string_view element) for each element of the comma-separated values of all lines.
  template <typename Visit>
  void for_each_element(FieldId id, Visit&& visit) const;
  // Whether some element equals `token`, ignoring case.
  bool has_element(FieldId id, std::string_view token) const;

 private:
  static std::size_t index(FieldId id) { return static_cast<std::size_t>(id); }
  Field* at(std::size_t i) { return reinterpret_cast<Field*>(storage_) + i; }
  const Field* at(std::size_t i) const { return reinterpret_cast<const Field*>(storage_) + i; }
  void recount();

  std::size_t size_ = 0;
  std::bitset<kFieldIdCount> present_;
  alignas(Field) std::byte storage_[kCapacity * sizeof(Field)];  // not zeroed: 5 KiB on a hot path
};

inline bool FieldList::add(const Field& field) {
  if (size_ == kCapacity) return false;
  std::construct_at(at(size_++), field);
  present_[index(field.id)] = true;
  return true;
}

template <typename Predicate>
std::size_t FieldList::remove_if(Predicate&& unwanted) {
  Field* out = begin();
  for (Field& field : *this) {
    if (!unwanted(static_cast<const Field&>(field))) *out++ = field;
  }
  const std::size_t removed = static_cast<std::size_t>(end() - out);
  size_ -= removed;
  if (removed != 0) recount();
  return removed;
}

template <typename Visit>
void FieldList::for_each_element(FieldId id, Visit&& visit) const {
  if (!has(id)) return;
  for (const Field& field : *this) {
    if (field.id != id) continue;
    std::string_view rest = field.value;
    std::string_view element;
    while (next_element(rest, element)) visit(element);
  }
}

}  // namespace vignette::http
