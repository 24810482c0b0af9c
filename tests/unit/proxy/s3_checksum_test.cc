#include "proxy/origin/s3_checksum.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using namespace vignette;
using namespace vignette::proxy;
using conf::S3Checksums;

namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

// Of "123456789"; made by zlib, the CRC catalogue's check values, and coreutils.
const Lines kDigits = {{"x-amz-checksum-crc32", "y/Q5Jg=="},
                       {"x-amz-checksum-crc32c", "4waSgw=="},
                       {"x-amz-checksum-crc64nvme", "rosUhgp5mIg="},
                       {"x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="},
                       {"x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="},
                       {"etag", "\"25f9e794323b453885f5181f1b624d0b\""}};

std::optional<S3Mismatch> verify(const Lines& lines, const std::string& body,
                                 S3Checksums policy = S3Checksums::all, int status = 200) {
  http::ResponseHead head;
  head.status = status;
  for (const auto& [name, value] : lines) head.fields.add(name, value);
  S3Verifier verifier(head, policy);
  for (std::size_t at = 0; at < body.size(); at += 4) verifier.update(std::string_view(body).substr(at, 4));
  return verifier.finish();
}

bool checks(const Lines& lines, S3Checksums policy = S3Checksums::all, int status = 200) {
  http::ResponseHead head;
  head.status = status;
  for (const auto& [name, value] : lines) head.fields.add(name, value);
  return S3Verifier(head, policy).checks_anything();
}

}  // namespace

TEST_CASE("Each checksum a store may send agrees with the right bytes and with no others") {
  for (const auto& line : kDigits) {
    INFO(line.first);
    CHECK(checks({line}));
    CHECK_FALSE(verify({line}, "123456789"));
    const auto wrong = verify({line}, "123456780");
    REQUIRE(wrong);
    CHECK(line.first.ends_with(wrong->what == "ETag" ? "etag" : wrong->what));
    CHECK(line.second.find(wrong->expected) != std::string::npos);
    CHECK(wrong->got != wrong->expected);
    CHECK(verify({line}, "12345678"));
    CHECK(verify({line}, ""));
  }
}

TEST_CASE("What is no checksum of the whole object is left alone") {
  struct Case {
    const char* what;
    Lines lines;
    int status = 200;
  };
  const std::string md5 = "\"25f9e794323b453885f5181f1b624d0b\"";
  const Case cases[] = {
      {"none", {}},
      {"a checksum of checksums", {{"x-amz-checksum-crc32", "y/Q5Jg==-3"}}},
      {"one that says so", {{"x-amz-checksum-crc32", "y/Q5Jg=="}, {"x-amz-checksum-type", "COMPOSITE"}}},
      {"too short", {{"x-amz-checksum-sha1", "y/Q5Jg=="}}},
      {"no base64", {{"x-amz-checksum-crc32", "!!!!"}}},
      {"empty", {{"x-amz-checksum-crc32", ""}}},
      {"an algorithm we do not know", {{"x-amz-checksum-xxhash64", "rosUhgp5mIg="}}},
      {"the ETag of a multipart upload", {{"etag", "\"25f9e794323b453885f5181f1b624d0b-2\""}}},
      {"a weak ETag", {{"etag", "W/" + md5}}},
      {"an ETag without quotes", {{"etag", "25f9e794323b453885f5181f1b624d0b"}}},
      {"an ETag that is no hex", {{"etag", "\"25f9e794323b453885f5181f1b624d0z\""}}},
      {"encrypted with KMS", {{"etag", md5}, {"x-amz-server-side-encryption", "aws:kms"}}},
      {"with KMS twice", {{"etag", md5}, {"x-amz-server-side-encryption", "aws:kms:dsse"}}},
      {"with a customer's key",
       {{"etag", md5}, {"x-amz-server-side-encryption-customer-algorithm", "AES256"}}},
      {"a part", kDigits, 206},
      {"not modified", kDigits, 304},
  };
  for (const Case& one : cases) {
    INFO(one.what);
    CHECK_FALSE(checks(one.lines, S3Checksums::all, one.status));
    CHECK_FALSE(verify(one.lines, "anything", S3Checksums::all, one.status));
  }
}

TEST_CASE("An ETag counts when the store encrypts by itself, and only without a better word") {
  const std::string md5 = "\"25F9E794323b453885f5181f1b624d0b\"";
  CHECK(verify({{"etag", md5}, {"x-amz-server-side-encryption", "AES256"}}, "x"));
  CHECK_FALSE(verify({{"etag", md5}, {"x-amz-server-side-encryption", "AES256"}}, "123456789"));
  CHECK_FALSE(verify({{"etag", "\"00000000000000000000000000000000\""}, kDigits[1]}, "123456789"));
}

TEST_CASE("Every checksum that is sent has to agree") {
  CHECK_FALSE(verify(kDigits, "123456789"));
  Lines lines = kDigits;
  lines[4].second = "AeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=";
  const auto wrong = verify(lines, "123456789");
  REQUIRE(wrong);
  CHECK(wrong->what == "sha256");
}

TEST_CASE("The configuration decides what is believed") {
  CHECK_FALSE(checks({kDigits[5]}, S3Checksums::headers));
  CHECK(checks({kDigits[0]}, S3Checksums::headers));
  CHECK_FALSE(checks(kDigits, S3Checksums::off));
}
