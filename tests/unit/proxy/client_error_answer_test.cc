#include <catch2/catch.hpp>

#include "proxy/client/error_answer.h"

using namespace vignette;
using namespace vignette::proxy;

namespace {

Error error(Code code, Blame blame = Blame::origin) { return {code, blame, Retry::no, 0, "test"}; }

}  // namespace

TEST_CASE("What an origin fails to do is a gateway's error") {
  CHECK(answer_for(error(Code::timeout)).status == 504);
  for (Code code : {Code::closed, Code::reset, Code::refused, Code::malformed, Code::tls, Code::dns}) {
    INFO(to_string(code));
    CHECK(answer_for(error(code)).status == 502);
    CHECK(answer_for(error(code)).retry_after == 0);
  }
}

TEST_CASE("What is down or out of room says when to come back") {
  for (Code code : {Code::unavailable, Code::exhausted}) {
    ErrorAnswer answer = answer_for(error(code));
    CHECK(answer.status == 503);
    CHECK(answer.retry_after > 0);
  }
}

TEST_CASE("Our own failures are not blamed on an origin") {
  CHECK(answer_for(error(Code::internal, Blame::internal)).status == 500);
  CHECK(answer_for(error(Code::io, Blame::internal)).status == 500);
}

TEST_CASE("A bad request body is the client's error") {
  CHECK(answer_for_body(error(Code::timeout, Blame::client)).status == 408);
  CHECK(answer_for_body(error(Code::limit, Blame::client)).status == 413);
  CHECK(answer_for_body(error(Code::malformed, Blame::client)).status == 400);
  CHECK(answer_for_body(error(Code::closed, Blame::client)).status == 400);
}

TEST_CASE("A client over its rate is told to wait for whole seconds, and never for none") {
  using namespace std::chrono_literals;
  CHECK(answer_for_rate(Duration(1ns)).retry_after == 1);
  CHECK(answer_for_rate(Duration(1s)).retry_after == 1);
  CHECK(answer_for_rate(Duration(1001ms)).retry_after == 2);
  CHECK(answer_for_rate(Duration(1s)).status == 429);
}

TEST_CASE("Every answer carries a reason and a sentence") {
  for (int code = 0; code <= static_cast<int>(Code::internal); ++code) {
    ErrorAnswer answer = answer_for(error(static_cast<Code>(code)));
    INFO(to_string(static_cast<Code>(code)));
    CHECK(answer.status >= 500);
    CHECK_FALSE(answer.reason.empty());
    CHECK_FALSE(answer.detail.empty());
  }
}

TEST_CASE("The page names the status and escapes what it quotes") {
  std::string page = error_page({.status = 404, .reason = "x", .detail = "<script>\"a\"&b</script>"});
  CHECK(page.find("404 Not Found") != std::string::npos);
  CHECK(page.find("&lt;script&gt;&quot;a&quot;&amp;b&lt;/script&gt;") != std::string::npos);
  CHECK(page.find("<script>") == std::string::npos);
}
