// Tables of header sets: a row's fields are written `Name: value | Name: value`, and @60 or @-60 in a value
// is the date that many seconds from kNow.
#pragma once

#include <list>
#include <string>
#include <string_view>

#include "base/strings.h"
#include "cache/freshness.h"
#include "http/date.h"
#include "http/message.h"

namespace vignette::cache {

inline const WallTime kNow{std::chrono::seconds(1'700'000'000)};  // Tue, 14 Nov 2023 22:13:20 GMT

inline std::string with_dates(std::string_view value) {
  const std::size_t at = value.find('@');
  if (at == value.npos) return std::string(value);
  const long offset = std::stol(std::string(value.substr(at + 1)));
  return std::string(value.substr(0, at)) + http::format_date(kNow + std::chrono::seconds(offset));
}

// Keeps the texts that its lists point to.
class Fields {
 public:
  explicit Fields(std::string_view row) {
    while (!row.empty()) {
      const std::size_t end = row.find(" | ");
      const std::string_view line = row.substr(0, end);
      row = end == row.npos ? std::string_view() : row.substr(end + 3);
      const std::size_t colon = line.find(':');
      const std::string& name = texts_.emplace_back(to_lower(trim(line.substr(0, colon))));
      list_.add(name, texts_.emplace_back(with_dates(trim(line.substr(colon + 1)))));
    }
  }
  Fields(const Fields&) = delete;
  Fields& operator=(const Fields&) = delete;
  const http::FieldList& list() const { return list_; }

 private:
  std::list<std::string> texts_;
  http::FieldList list_;
};

inline http::ResponseHead response_of(int status, const Fields& fields) {
  http::ResponseHead head;
  head.status = status;
  head.framing = http::Framing::length;
  head.content_length = 1;
  for (const http::Field& field : fields.list()) head.fields.add(field);
  return head;
}

inline http::RequestHead request_of(const Fields& fields) {
  http::RequestHead head;
  head.method = http::Method::get;
  head.method_name = "GET";
  for (const http::Field& field : fields.list()) head.fields.add(field);
  return head;
}

inline CachePolicy policy_of(CacheMode mode) {
  CachePolicy policy;
  policy.mode = mode;
  return policy;
}

// The object that a response becomes, as if it may be stored.
inline ObjectRef object_of(const http::ResponseHead& response, const CachePolicy& policy = {},
                           Exchanged times = {kNow, kNow}) {
  const Fields none("");
  AssessmentScratch scratch;
  const Assessment made = assess(request_of(none), response, policy, times, scratch);
  return Object::complete(made.head, hash_key("k"), "k", "x");
}

}  // namespace vignette::cache
