// Fields of HTTP/2 become the model of a request; what is no request is told apart from what is refused.
#include <catch2/catch.hpp>

#include <memory>
#include <string>

#include "http/h2/request_fields.h"
#include "tests/support/h2_frames.h"

using namespace vignette::http;
namespace h2 = vignette::test::h2;

namespace {

struct Read {
  std::unique_ptr<H2RequestFields> fields = std::make_unique<H2RequestFields>();
  std::unique_ptr<RequestHead> head = std::make_unique<RequestHead>();
  Refusal refusal = Refusal::none;
};

Read read(const h2::Fields& given, bool has_body = false, const Limits& limits = {}) {
  Read got;
  got.fields->begin(limits);
  for (const auto& [name, value] : given) {
    // Nothing may refer to the caller's bytes.
    const auto copy = std::make_unique<std::string>(name + value);
    got.fields->add(std::string_view(*copy).substr(0, name.size()),
                    std::string_view(*copy).substr(name.size()), *got.head);
  }
  got.refusal = got.fields->finish(*got.head, has_body);
  return got;
}

Refusal refusal_of(const h2::Fields& given, bool has_body = false) { return read(given, has_body).refusal; }

}  // namespace

TEST_CASE("An HTTP/2 request is read into the model that HTTP/1.1 has") {
  const Read got = read(h2::get("/a/b?c=d", {{"accept", "*/*"}, {"x-own", "1"}, {"te", "trailers"}}));
  REQUIRE(got.refusal == Refusal::none);
  const RequestHead& head = *got.head;
  CHECK(head.version == Version::http_2);
  CHECK(head.method == Method::get);
  CHECK(head.target == "/a/b?c=d");
  CHECK(head.path == "/a/b");
  CHECK(head.query == "c=d");
  CHECK(head.authority == "test.local");
  CHECK(head.host == "test.local");
  CHECK(head.fields.value(FieldId::host) == "test.local");
  CHECK(head.fields.find("x-own")->value == "1");
  CHECK(head.framing == Framing::none);
}

TEST_CASE("Authority and Host say the same, and one of them is enough") {
  h2::Fields fields = h2::get("/", {{"host", "TEST.local"}});
  CHECK(refusal_of(fields) == Refusal::none);
  fields.back().second = "other.local";
  CHECK(refusal_of(fields) == Refusal::host_mismatch);
  const Read by_host =
      read({{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {"host", "Example.com:8443"}});
  CHECK(by_host.refusal == Refusal::none);
  CHECK(by_host.head->host == "example.com");
  CHECK(by_host.head->port == 8443);
  CHECK(refusal_of({{":method", "GET"}, {":scheme", "https"}, {":path", "/"}}) == Refusal::missing_host);
  CHECK(refusal_of(h2::get("/", {{"host", "test.local"}, {"host", "test.local"}})) == Refusal::several_hosts);
  for (const char* bad : {"user@test.local", "test.local/x", "a,b", "[::1", "test.local:99999"}) {
    h2::Fields with = h2::get("/");
    with[2].second = bad;
    CHECK(refusal_of(with) == Refusal::bad_host);
  }
}

TEST_CASE("Cookie crumbs are one field again, in their order") {
  const Read got = read(h2::get("/", {{"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2"}, {"cookie", "c=3"}}));
  REQUIRE(got.refusal == Refusal::none);
  CHECK(got.head->fields.count(FieldId::cookie) == 1);
  CHECK(got.head->fields.value(FieldId::cookie) == "a=1; b=2; c=3");
  h2::Fields many = h2::get("/");
  for (int i = 0; i < 90; ++i) many.emplace_back("cookie", std::string(300, 'c'));
  CHECK(read(many).head->fields.value(FieldId::cookie).size() == 90 * 302 - 2);
}

TEST_CASE("A body may have a length, which binds, or none") {
  CHECK(read(h2::request("POST", "/"), true).head->framing == Framing::chunked);
  const Read sized = read(h2::request("POST", "/", {{"content-length", "007"}}), true);
  CHECK(sized.head->framing == Framing::length);
  CHECK(sized.head->content_length == 7);
  CHECK(refusal_of(h2::request("POST", "/", {{"content-length", "7"}}), false) ==
        Refusal::bad_content_length);
  CHECK(refusal_of(h2::request("POST", "/", {{"content-length", "0"}}), false) == Refusal::none);
  for (const char* bad : {"", "+1", "1x", "5,5", "99999999999999999999"}) {
    const Refusal refusal = refusal_of(h2::request("POST", "/", {{"content-length", bad}}), true);
    CHECK(is_malformed(refusal));
  }
  const h2::Fields twice = h2::request("POST", "/", {{"content-length", "5"}, {"content-length", "5"}});
  CHECK(refusal_of(twice, true) == Refusal::several_content_lengths);
  CHECK(read(h2::request("POST", "/", {{"expect", "100-continue"}}), true).head->expect_continue);
  CHECK(refusal_of(h2::request("POST", "/", {{"expect", "200-ok"}}), true) == Refusal::unknown_expectation);
}

TEST_CASE("What is refused is answered, what is malformed is not") {
  struct Case {
    h2::Fields fields;
    int status;  // 0: malformed
  };
  const std::vector<Case> cases = {
      {h2::request("CONNECT", "/"), 405},
      {h2::request("get", "/"), 400},
      {h2::get("/%zz"), 400},
      {h2::get("/a\\b"), 400},
      {h2::get("/a#b"), 400},
      {h2::get("*"), 400},
      {h2::request("OPTIONS", "*"), 200},
      {h2::get("/" + std::string(9000, 'a')), 414},
      {h2::get("/", {{"big", std::string(40'000, 'x')}}), 431},
      {h2::get(""), 0},
      {h2::get("a"), 0},
      {h2::get("http://test.local/"), 0},
      {{{":method", "GET"}, {":authority", "a"}, {":path", "/"}}, 0},
      {{{":method", "GET"}, {":scheme", "ftp"}, {":authority", "a"}, {":path", "/"}}, 0},
      {{{":scheme", "http"}, {":authority", "a"}, {":path", "/"}}, 0},
      {{{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}, {":status", "200"}}, 0},
      {h2::get("/", {{"a b", "x"}}), 0},
      {h2::get("/", {{"", "x"}}), 0},
      {h2::get("/", {{"a", "x\ry"}}), 0},
      {h2::get("/", {{"a", std::string("x\0y", 3)}}), 0},
  };
  for (const Case& c : cases) {
    const Refusal refusal = refusal_of(c.fields);
    INFO(c.fields.back().first << " " << to_string(refusal));
    CHECK(is_malformed(refusal) == (c.status == 0));
    if (c.status == 200) CHECK(refusal == Refusal::none);
    if (c.status >= 400) CHECK(status_for(refusal) == c.status);
  }
}

TEST_CASE("Fields are limited in number and in bytes, as those of HTTP/1.1 are") {
  Limits limits;
  limits.fields = 3;
  limits.header_bytes = 3 * (1 + 1 + 4);
  CHECK(read(h2::get("/", {{"a", "1"}, {"b", "2"}, {"c", "3"}}), false, limits).refusal == Refusal::none);
  CHECK(read(h2::get("/", {{"a", "1"}, {"b", "2"}, {"c", "34"}}), false, limits).refusal ==
        Refusal::header_too_large);
  limits.header_bytes = 1000;
  CHECK(read(h2::get("/", {{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}}), false, limits).refusal ==
        Refusal::too_many_fields);
  CHECK(read(h2::get("/", {{"a_b", "1"}})).head->fields.find("a_b") == nullptr);
}

TEST_CASE("Trailers are counted and nothing else") {
  H2RequestFields fields;
  fields.begin({});
  for (int i = 0; i < 32; ++i) CHECK(fields.count_trailer("a", "b"));
  CHECK_FALSE(fields.count_trailer("a", "b"));
  fields.clear();
  CHECK(fields.count_trailer("a", std::string(8 * 1024 - 5, 'x')));
  CHECK_FALSE(fields.count_trailer("a", ""));
}

TEST_CASE("What was read for one request is gone for the next") {
  H2RequestFields fields;
  const auto head = std::make_unique<RequestHead>();
  fields.begin({});
  fields.add("a", "x\ny", *head);
  CHECK(fields.finish(*head, false) == Refusal::control_character);
  fields.clear();
  head->clear();
  for (const auto& [name, value] : h2::get("/second")) fields.add(name, value, *head);
  CHECK(fields.finish(*head, false) == Refusal::none);
  CHECK(head->path == "/second");
}
