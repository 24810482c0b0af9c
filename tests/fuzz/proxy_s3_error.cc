// An object store's error body: whatever it is, the verdict is one that can be sent and logged.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "proxy/origin/s3_error.h"

using namespace vignette::proxy;

namespace {

bool is_printable(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

void check_verdict(int status, std::string_view body) {
  const S3Verdict verdict = judge_s3_error({.status = status, .body = body});
  VCHECK(verdict.client_status == 404 || verdict.client_status == 502 || verdict.client_status == 503);
  VCHECK(verdict.retry_after.has_value() == (verdict.client_status == 503));
  VCHECK(is_printable(verdict.operator_message));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  if (const auto error = parse_s3_error(body)) {
    VCHECK(!error->code.empty() && error->code.size() <= 64 && is_printable(error->code));
    VCHECK(error->message.size() <= 512 && is_printable(error->message));
  }
  for (int status : {301, 400, 403, 404, 429, 500, 503}) check_verdict(status, body);
  return 0;
}
