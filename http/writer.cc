#include "http/writer.h"

#include <charconv>
#include <cstring>

#include "base/check.h"
#include "http/chars.h"
#include "http/status.h"

namespace vignette::http {
namespace {

char* put(char* out, std::string_view text) {
  if (!text.empty()) std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

// No space, control or non-ASCII byte: nothing that ends the target or the line.
bool is_target(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte >= 0x7F) return false;
  }
  return true;
}

std::string_view line_version(Version version) {
  return to_string(version == Version::http_1_0 ? Version::http_1_0 : Version::http_1_1);
}

}  // namespace

HeadWriter::HeadWriter(std::span<char> out, Names names) : fixed_(out), names_(names) {}

HeadWriter::HeadWriter(std::string& out, Names names) : growing_(&out), start_(out.size()), names_(names) {}

void HeadWriter::fail_with(Code code) {
  if (!error_) error_ = code;
}

char* HeadWriter::take(std::size_t bytes) {
  if (error_) return nullptr;
  if (!growing_ && bytes > fixed_.size() - size_) {
    fail_with(Code::limit);
    return nullptr;
  }
  if (growing_) growing_->resize(start_ + size_ + bytes);
  char* at = (growing_ ? growing_->data() + start_ : fixed_.data()) + size_;
  size_ += bytes;
  return at;
}

void HeadWriter::request_line(std::string_view method, std::string_view target, Version version) {
  request_line(method, target, false, {}, version);
}

void HeadWriter::request_line(std::string_view method, std::string_view path, bool has_query,
                              std::string_view query, Version version) {
  if (!is_token(method) || path.empty() || !is_target(path) || !is_target(query)) {
    return fail_with(Code::malformed);
  }
  const std::string_view mark = has_query ? "?" : "";
  if (!has_query) query = {};
  const std::string_view protocol = line_version(version);
  char* out = take(method.size() + path.size() + mark.size() + query.size() + protocol.size() + 4);
  if (!out) return;
  out = put(put(out, method), " ");
  out = put(put(put(out, path), mark), query);
  put(put(put(out, " "), protocol), "\r\n");
}

void HeadWriter::status_line(int status, Version version) {
  if (status < 100 || status > 599) return fail_with(Code::malformed);
  const std::string_view protocol = line_version(version);
  const std::string_view reason = reason_phrase(status);
  char* out = take(protocol.size() + reason.size() + 7);
  if (!out) return;
  out = put(put(out, protocol), " ");
  *out++ = static_cast<char>('0' + status / 100);
  *out++ = static_cast<char>('0' + status / 10 % 10);
  *out++ = static_cast<char>('0' + status % 10);
  put(put(put(out, " "), reason), "\r\n");
}

// The value is checked where it lands: bytes that are still in the cache.
void HeadWriter::add_line(std::string_view name, std::string_view value) {
  char* out = take(name.size() + value.size() + 4);
  if (!out) return;
  out = put(put(out, name), ": ");
  put(put(out, value), "\r\n");
  if (!is_field_value({out, value.size()})) fail_with(Code::malformed);
}

void HeadWriter::add(FieldId id, std::string_view value) {
  DCHECK(id != FieldId::other);
  add_line(names_ == Names::conventional ? conventional_name(id) : lower_case_name(id), value);
}

void HeadWriter::add(std::string_view name, std::string_view value) {
  if (!is_token(name)) return fail_with(Code::malformed);
  add_line(name, value);
}

void HeadWriter::add(const Field& field) {
  if (field.id == FieldId::other) return add(field.name, field.value);
  add(field.id, field.value);
}

void HeadWriter::add_number(FieldId id, std::uint64_t value) {
  char digits[20];
  const char* end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
  add(id, std::string_view(digits, static_cast<std::size_t>(end - digits)));
}

void HeadWriter::add_number(std::string_view name, std::uint64_t value) {
  char digits[20];
  const char* end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
  add(name, std::string_view(digits, static_cast<std::size_t>(end - digits)));
}

Result<std::string_view> HeadWriter::end() {
  if (char* out = take(2)) put(out, "\r\n");
  if (error_) {
    if (growing_) growing_->resize(start_);
    return fail(*error_, Blame::internal, "write head");
  }
  return std::string_view(growing_ ? growing_->data() + start_ : fixed_.data(), size_);
}

}  // namespace vignette::http
