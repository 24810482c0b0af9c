#include "cache/purge/cache_groups.h"

#include <algorithm>

namespace vignette::cache {
namespace {

// What is left to read; every step takes from its front and says whether it could.
class Text {
 public:
  explicit Text(std::string_view value) : rest_(value) {}

  bool at_end() const { return rest_.empty(); }
  void skip(std::string_view blanks) {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(blanks), rest_.size()));
  }
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool take_string(std::string& out) {
    if (!take('"')) return false;
    while (!rest_.empty()) {
      char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') return true;
      if (c == '\\') {
        if (!rest_.starts_with('"') && !rest_.starts_with('\\')) return false;
        c = rest_.front();
        rest_.remove_prefix(1);
      }
      if (c < 0x20 || c > 0x7E) return false;
      out += c;
    }
    return false;
  }
  // `;key` or `;key=value`. What values are good for is for nobody to say here, so they are only passed over.
  bool skip_parameters() {
    while (take(';')) {
      skip(" ");
      const std::size_t key = rest_.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-.*");
      if (key == 0 || rest_.empty()) return false;
      rest_.remove_prefix(std::min(key, rest_.size()));
      if (!take('=')) continue;
      std::string ignored;
      if (rest_.starts_with('"')) {
        if (!take_string(ignored)) return false;
        continue;
      }
      const std::size_t value = std::min(rest_.find_first_of(",; \t\""), rest_.size());
      if (value == 0) return false;
      rest_.remove_prefix(value);
    }
    return true;
  }

 private:
  std::string_view rest_;
};

}  // namespace

bool parse_cache_groups(std::string_view value, std::vector<std::string>& groups) {
  Text text(value);
  text.skip(" ");
  const std::size_t had = groups.size();
  while (!text.at_end()) {
    std::string group;
    bool is_good = text.take_string(group) && text.skip_parameters();
    if (is_good && !group.empty()) groups.push_back(std::move(group));
    text.skip(" \t");
    if (is_good && text.at_end()) return true;
    is_good = is_good && text.take(',');
    text.skip(" \t");
    if (!is_good || text.at_end()) {
      groups.resize(had);
      return false;
    }
  }
  return true;
}

std::vector<std::string> read_cache_groups(const http::FieldList& fields, std::string_view name) {
  std::vector<std::string> groups;
  for (const http::Field& field : fields) {
    if (field.name == name && !parse_cache_groups(field.value, groups)) return {};
  }
  if (groups.size() > kMaxCacheGroups) groups.resize(kMaxCacheGroups);
  return groups;
}

}  // namespace vignette::cache
