#include "proxy/origin/s3_checksum.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/crc32c.h"
#include "base/strings.h"

namespace vignette::proxy {
namespace {

constexpr std::size_t kMd5HexBytes = 32;

template <typename Word>
std::string big_endian(Word value) {
  std::string bytes(sizeof value, '\0');
  for (std::size_t i = 0; i < sizeof value; ++i) {
    bytes[sizeof value - 1 - i] = static_cast<char>((value >> (8 * i)) & 0xff);
  }
  return bytes;
}

struct Algorithm {
  std::string_view what;
  std::string_view field;
  std::size_t bytes;
};
constexpr std::array kAlgorithms = {
    Algorithm{"crc32", "x-amz-checksum-crc32", 4}, Algorithm{"crc32c", "x-amz-checksum-crc32c", 4},
    Algorithm{"crc64nvme", "x-amz-checksum-crc64nvme", 8}, Algorithm{"sha1", "x-amz-checksum-sha1", 20},
    Algorithm{"sha256", "x-amz-checksum-sha256", 32}};

std::string_view value_of(const http::FieldList& fields, std::string_view name) {
  const http::Field* field = fields.find(name);
  return field ? field->value : std::string_view();
}

class VerifiedBody final : public BodySource {
 public:
  VerifiedBody(std::unique_ptr<BodySource> body, S3Verifier verifier,
               std::move_only_function<void(const S3Mismatch&)> on_mismatch)
      : body_(std::move(body)), verifier_(std::move(verifier)), on_mismatch_(std::move(on_mismatch)) {}

  net::Task<Result<Piece>> next(TimePoint deadline) override {
    auto piece = co_await body_->next(deadline);
    if (!piece) co_return piece;
    verifier_.update(piece->bytes.view());
    if (!piece->last) co_return piece;
    if (const auto mismatch = verifier_.finish()) {
      on_mismatch_(*mismatch);
      co_return fail(Code::malformed, Blame::origin, "s3: checksum mismatch");
    }
    co_return piece;
  }

 private:
  std::unique_ptr<BodySource> body_;
  S3Verifier verifier_;
  std::move_only_function<void(const S3Mismatch&)> on_mismatch_;
};

}  // namespace

S3Verifier::S3Verifier(const http::ResponseHead& head, conf::S3Checksums policy) {
  if (policy == conf::S3Checksums::off || head.status != 200) return;
  expect_headers(head);
  if (checks_.empty() && policy == conf::S3Checksums::all) expect_etag(head);
}

void S3Verifier::expect_headers(const http::ResponseHead& head) {
  if (iequals(value_of(head.fields, "x-amz-checksum-type"), "COMPOSITE")) return;
  for (const Algorithm& algorithm : kAlgorithms) {
    const std::string_view told = value_of(head.fields, algorithm.field);
    const auto decoded = base64_decode(told);
    if (!decoded || decoded->size() != algorithm.bytes) continue;  // "…-N", or nothing we know
    Check check{algorithm.what, std::string(told), {}};
    if (algorithm.what == "crc32") check.state = Crc32();
    if (algorithm.what == "crc32c") check.state = Crc32c();
    if (algorithm.what == "crc64nvme") check.state = Crc64Nvme();
    if (algorithm.what == "sha1") check.state = Sha1();
    if (algorithm.what == "sha256") check.state = Sha256();
    checks_.push_back(std::move(check));
  }
}

void S3Verifier::expect_etag(const http::ResponseHead& head) {
  std::string_view etag = head.fields.value(http::FieldId::etag);
  if (etag.size() != kMd5HexBytes + 2 || etag.front() != '"' || etag.back() != '"') return;
  etag = etag.substr(1, kMd5HexBytes);
  if (!std::ranges::all_of(etag, [](char c) { return hex_value(c) >= 0; })) return;
  const std::string_view encrypted = value_of(head.fields, "x-amz-server-side-encryption");
  if (!encrypted.empty() && encrypted != "AES256") return;
  if (!value_of(head.fields, "x-amz-server-side-encryption-customer-algorithm").empty()) return;
  checks_.push_back({"ETag", to_lower(etag), Md5()});
}

void S3Verifier::update(std::string_view bytes) {
  for (Check& check : checks_) {
    std::visit(
        [bytes](auto& state) {
          if constexpr (requires { state.update(bytes); }) {
            state.update(bytes);
          } else {
            state.value = crc32c(bytes, state.value);
          }
        },
        check.state);
  }
}

// As the store writes it.
std::string S3Verifier::digest(Check& check) {
  struct Writer {
    std::string operator()(const Crc32& crc) const { return base64_encode(big_endian(crc.value())); }
    std::string operator()(const Crc32c& crc) const { return base64_encode(big_endian(crc.value)); }
    std::string operator()(const Crc64Nvme& crc) const { return base64_encode(big_endian(crc.value())); }
    std::string operator()(Sha1& hash) const {
      const Sha1Digest bytes = hash.finish();
      return base64_encode(as_view(bytes));
    }
    std::string operator()(Sha256& hash) const {
      const Sha256Digest bytes = hash.finish();
      return base64_encode(as_view(bytes));
    }
    std::string operator()(Md5& hash) const {
      const Md5Digest bytes = hash.finish();
      return hex_encode(as_view(bytes));
    }
  };
  return std::visit(Writer(), check.state);
}

std::optional<S3Mismatch> S3Verifier::finish() {
  for (Check& check : checks_) {
    std::string got = digest(check);
    if (got != check.expected) return S3Mismatch{check.what, check.expected, std::move(got)};
  }
  return std::nullopt;
}

std::unique_ptr<BodySource> verified_body(std::unique_ptr<BodySource> body, S3Verifier verifier,
                                          std::move_only_function<void(const S3Mismatch&)> on_mismatch) {
  return std::make_unique<VerifiedBody>(std::move(body), std::move(verifier), std::move(on_mismatch));
}

}  // namespace vignette::proxy
