#include "cache/stored_fields.h"

#include <algorithm>

#include "base/strings.h"
#include "cache/object.h"
#include "cache/purge/cache_groups.h"
#include "cache/purge/identity.h"
#include "http/date.h"
#include "http/hop_by_hop.h"

namespace vignette::cache {

bool is_stored_field(http::FieldId id) {
  switch (id) {
    case http::FieldId::content_length:
    case http::FieldId::date:
    case http::FieldId::age:
    case http::FieldId::surrogate_control:
      return false;
    default:
      return !http::is_hop_by_hop(id);
  }
}

void append_stored_field(const http::Field& field, std::string& out) {
  const std::string_view known = http::conventional_name(field.id);
  out += known.empty() ? field.name : known;
  out += ": ";
  out += field.value;
  out += "\r\n";
}

void append_stored_fields(const http::FieldList& fields, std::string& out, bool keep_tag_fields) {
  for (const http::Field& field : fields) {
    if (!keep_tag_fields && is_tag_field(field.name)) continue;
    if (is_stored_field(field.id)) append_stored_field(field, out);
  }
}

bool is_tag_field(std::string_view name) {
  return name == "cache-tag" || name == "surrogate-key" || name == "xkey" || name == "cache-groups";
}

bool has_tags(const http::FieldList& fields) {
  for (const http::Field& field : fields) {
    if (is_tag_field(field.name)) return true;
  }
  return false;
}

void append_date(WallTime date, std::string& out) {
  char text[http::kDateBytes];
  http::format_date(date, text);
  out.append("Date: ").append(text, sizeof text).append("\r\n");
}

bool read_stored_fields(std::string_view stored, std::string& names, http::FieldList& out) {
  names.assign(stored);  // into what the caller keeps: no allocation once that is warm
  lower_in_place(names);
  StoredFieldReader reader(stored);
  std::size_t read = 0;
  while (auto field = reader.next()) {
    const auto at = static_cast<std::size_t>(field->name.data() - stored.data());
    const std::string_view name = std::string_view(names).substr(at, field->name.size());
    const http::FieldId id = http::field_id(name);
    if (!http::is_token(name) || !out.add({id, name, field->value})) return false;
    read = stored.find("\r\n", at) + 2;
  }
  return read == stored.size();
}

void append_tags(const http::FieldList& fields, std::string& out) {
  const std::size_t start = out.size();
  bool has_more = false;
  const auto append = [&](std::string_view word) {
    if (out.size() != start) out += ' ';
    out += word;
  };
  const auto add = [&](std::string_view word) {
    if (word.empty() || word.front() == kInternalTag) return;
    has_more = has_more || out.size() - start + word.size() + 1 > kMaxTagBytes;
    if (!has_more) append(word);
  };
  std::vector<std::string> groups;
  for (const http::Field& field : fields) {
    if (!is_tag_field(field.name)) continue;
    if (field.name == "cache-groups") {
      parse_cache_groups(field.value, groups);
      continue;
    }
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find_first_of(", \t"), rest.size());
      add(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  for (const std::string& group : groups) add(tag_word(group));
  if (has_more || groups.size() > kMaxCacheGroups) append(kManyTags);
}

}  // namespace vignette::cache
