// Comparing an object's bytes with what the store says of them, while they pass.
//
//   x-amz-checksum-crc32 | crc32c | crc64nvme | sha1 | sha256    base64, of the whole object
//   ETag                                                         MD5 in hex, of objects that were put whole
//
// Left alone: checksums of checksums ("…-N", x-amz-checksum-type: COMPOSITE), answers that are not the whole
// object, ETags that are no MD5 (of multipart uploads, and of objects encrypted with KMS or a customer's
// key).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/crc.h"
#include "base/digest.h"
#include "base/hmac.h"
#include "conf/config.h"
#include "http/message.h"
#include "proxy/origin/origin.h"

namespace vignette::proxy {

struct S3Mismatch {
  std::string_view what;  // "crc32c", "ETag"; static
  std::string expected;   // as the store wrote it
  std::string got;
};

// One thread at a time.
class S3Verifier {
 public:
  // What can be checked of an answer with this head; nothing for anything but a 200.
  S3Verifier(const http::ResponseHead& head, conf::S3Checksums policy);

  bool checks_anything() const { return !checks_.empty(); }
  void update(std::string_view bytes);
  // After the last byte; once. nullopt: all is as it should be.
  std::optional<S3Mismatch> finish();

 private:
  struct Crc32c {
    std::uint32_t value = 0;
  };
  struct Check {
    std::string_view what;
    std::string expected;
    std::variant<Crc32, Crc32c, Crc64Nvme, Sha1, Sha256, Md5> state;
  };
  void expect_headers(const http::ResponseHead& head);
  void expect_etag(const http::ResponseHead& head);
  static std::string digest(Check& check);

  std::vector<Check> checks_;
};

// `body`, whose last piece fails (malformed, Blame::origin) when the bytes were not what `verifier` expects;
// `on_mismatch` is told before. Loop-thread only.
std::unique_ptr<BodySource> verified_body(std::unique_ptr<BodySource> body, S3Verifier verifier,
                                          std::move_only_function<void(const S3Mismatch&)> on_mismatch);

}  // namespace vignette::proxy
