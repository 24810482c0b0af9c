// Serialises a head into memory. A value that could break out of its line (CR, LF, NUL, other controls) is
// never written: the whole head fails instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "http/date.h"
#include "http/field_list.h"
#include "http/message.h"

namespace vignette::http {

// Loop-thread only. Errors stick: calls after one are ignored and end() reports the first.
class HeadWriter {
 public:
  enum class Names : std::uint8_t { lower_case, conventional };  // conventional for origins: "Content-Length"

  // Into the caller's bytes; running out of them is Code::limit.
  explicit HeadWriter(std::span<char> out, Names names = Names::lower_case);
  // Appends to a string, which grows.
  explicit HeadWriter(std::string& out, Names names = Names::lower_case);
  HeadWriter(const HeadWriter&) = delete;
  HeadWriter& operator=(const HeadWriter&) = delete;

  void request_line(std::string_view method, std::string_view target, Version version = Version::http_1_1);
  // The target in two parts, so that "/path" and "query" need not be joined first.
  void request_line(std::string_view method, std::string_view path, bool has_query, std::string_view query,
                    Version version = Version::http_1_1);
  void status_line(int status, Version version = Version::http_1_1);  // with the usual reason phrase
  void add(FieldId id, std::string_view value);
  void add(std::string_view name, std::string_view value);  // the name as given
  void add(const Field& field);
  void add_number(FieldId id, std::uint64_t value);
  void add_number(std::string_view name, std::uint64_t value);

  // Writes the empty line. The head as written (a view into the buffer), or Code::malformed, Code::limit.
  Result<std::string_view> end();
  bool failed() const { return error_.has_value(); }

 private:
  // Bytes to write into next; nullptr after an error or when they do not fit.
  char* take(std::size_t bytes);
  void fail_with(Code code);
  void add_line(std::string_view name, std::string_view value);

  std::span<char> fixed_;
  std::string* growing_ = nullptr;
  std::size_t start_ = 0;  // where the head begins in `growing_`
  std::size_t size_ = 0;   // of the head so far, in bytes
  Names names_;
  std::optional<Code> error_;
};

}  // namespace vignette::http
