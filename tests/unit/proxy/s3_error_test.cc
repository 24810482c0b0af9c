#include <catch2/catch.hpp>
#include <string>

#include "proxy/origin/s3_error.h"

using namespace vignette::proxy;

namespace {

std::string error_body(std::string_view code, std::string_view message = "text") {
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>";
  out.append(code).append("</Code><Message>").append(message);
  return out.append("</Message><RequestId>4442587FB7D0A2F9</RequestId></Error>");
}

}  // namespace

TEST_CASE("An S3 error document yields its code and message") {
  const auto error = parse_s3_error(error_body("NoSuchKey", "The &lt;key&gt; is not here &#38; never was"));
  REQUIRE(error);
  CHECK(error->code == "NoSuchKey");
  CHECK(error->message == "The <key> is not here & never was");
}

TEST_CASE("Bodies that are not S3 error documents yield nothing") {
  CHECK_FALSE(parse_s3_error(""));
  CHECK_FALSE(parse_s3_error("<html><body>502 Bad Gateway</body></html>"));
  CHECK_FALSE(parse_s3_error("<Error><Code>Trunc"));
  CHECK_FALSE(parse_s3_error("<Error><Message>no code</Message></Error>"));
  CHECK_FALSE(parse_s3_error(error_body("bad code\r\nX-Header: 1")));
  CHECK_FALSE(parse_s3_error(error_body(std::string(65, 'a'))));
  CHECK(parse_s3_error(error_body(std::string(64, 'a'))));
}

TEST_CASE("An error body is refused one byte over its limit") {
  const std::string base = error_body("NoSuchKey");
  CHECK(parse_s3_error(base + std::string(kMaxS3ErrorBytes - base.size(), ' ')));
  CHECK_FALSE(parse_s3_error(base + std::string(kMaxS3ErrorBytes - base.size() + 1, ' ')));
}

TEST_CASE("Entities of a hostile document type are never expanded") {
  const std::string bomb =
      "<!DOCTYPE lolz [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">"
      "<!ENTITY x SYSTEM \"file:///etc/passwd\">]>" +
      error_body("AccessDenied", "&b;&x;");
  const auto error = parse_s3_error(bomb);
  REQUIRE(error);
  CHECK(error->message == "&b;&x;");
}

TEST_CASE("Deep nesting in an error body is refused before it is parsed") {
  std::string deep;
  for (int i = 0; i < 10'000; ++i) deep += "<a>";
  CHECK_FALSE(parse_s3_error(deep));
}

TEST_CASE("Control characters in an error message become spaces and its length is bounded") {
  const auto error = parse_s3_error(error_body("SlowDown",
                                               "a\x01"
                                               "b\nc" +
                                                   std::string(2'000, 'x')));
  REQUIRE(error);
  CHECK(error->message.substr(0, 5) == "a b c");
  CHECK(error->message.size() == 512);
}

namespace {

S3Verdict judge(int status, const std::string& body) {
  return judge_s3_error({.status = status, .body = body});
}

}  // namespace

TEST_CASE("Each S3 failure gets its own answer") {
  struct Row {
    int status;
    std::string_view code;
    S3Failure failure;
    int client_status;
    bool retry;
    bool stale;
  };
  const auto row = GENERATE(Row{404, "NoSuchKey", S3Failure::missing, 404, false, false},
                            Row{403, "AccessDenied", S3Failure::denied, 404, false, false},
                            Row{503, "SlowDown", S3Failure::throttled, 503, true, true},
                            Row{200 + 229, "Whatever", S3Failure::throttled, 503, true, true},
                            Row{403, "InvalidAccessKeyId", S3Failure::credentials, 502, false, true},
                            Row{403, "SignatureDoesNotMatch", S3Failure::credentials, 502, false, true},
                            Row{400, "ExpiredToken", S3Failure::credentials, 502, false, true},
                            Row{403, "RequestTimeTooSkewed", S3Failure::clock_skew, 502, false, true},
                            Row{404, "NoSuchBucket", S3Failure::misplaced, 502, false, true},
                            Row{301, "PermanentRedirect", S3Failure::misplaced, 502, false, true},
                            Row{400, "InvalidArgument", S3Failure::invalid, 502, false, true},
                            Row{400, "RequestTimeout", S3Failure::failed, 502, true, true},
                            Row{500, "InternalError", S3Failure::failed, 502, true, true});
  CAPTURE(row.status, row.code);
  const S3Verdict verdict = judge(row.status, error_body(row.code));
  CHECK(verdict.failure == row.failure);
  CHECK(verdict.client_status == row.client_status);
  CHECK(verdict.retry == row.retry);
  CHECK(verdict.stale_allowed == row.stale);
  CHECK(verdict.retry_after.has_value() == (row.client_status == 503));
}

TEST_CASE("Without a readable body the status alone decides") {
  CHECK(judge(404, "").client_status == 404);
  CHECK(judge(403, "").client_status == 404);
  CHECK(judge(503, "<html>").client_status == 503);
  CHECK(judge(500, "").client_status == 502);
  CHECK(judge(418, "").failure == S3Failure::invalid);
}

TEST_CASE("The operator is told about a clock that is wrong with both times") {
  const std::string body = error_body("RequestTimeTooSkewed");
  const S3Verdict verdict = judge_s3_error({.status = 403,
                                            .body = body,
                                            .date = "Sun, 22 Nov 2026 12:00:00 GMT",
                                            .our_date = "Sun, 22 Nov 2026 09:00:00 GMT"});
  CHECK_THAT(verdict.operator_message, Catch::Contains("clock") && Catch::Contains("12:00:00") &&
                                           Catch::Contains("09:00:00") && Catch::Contains("NTP") &&
                                           Catch::Contains("ours is 3h0m0s behind the store's"));
}

TEST_CASE("The operator is told about refused credentials but not about missing photos") {
  CHECK_THAT(judge(403, error_body("SignatureDoesNotMatch")).operator_message,
             Catch::Contains("credentials") && Catch::Contains("SignatureDoesNotMatch"));
  CHECK_THAT(judge(301, error_body("PermanentRedirect")).operator_message, Catch::Contains("region"));
  CHECK(judge(404, error_body("NoSuchKey")).operator_message.empty());
  CHECK(judge(403, error_body("AccessDenied")).operator_message.empty());
}

TEST_CASE("A bucket of another region is named with its region, as far as that is one") {
  const std::string body = error_body("PermanentRedirect");
  CHECK_THAT(judge_s3_error({.status = 301, .body = body, .region = "eu-west-1"}).operator_message,
             Catch::Contains("; it is in eu-west-1; check bucket"));
  CHECK_THAT(judge_s3_error({.status = 301, .body = body, .region = "<script>"}).operator_message,
             !Catch::Contains("script"));
}
