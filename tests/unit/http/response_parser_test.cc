// Origin answers: framing, persistence, refusals. All refusals are 502.
#include <catch2/catch.hpp>

#include "heads.h"

using namespace vignette::http;
using namespace vignette::http::test;

namespace {

void refused(std::string_view text, Refusal refusal, Method method = Method::get) {
  INFO(printable(text));
  const ParsedResponse whole = parse_response(text, method);
  CHECK(whole.parsed.state == Parsed::State::refused);
  CHECK(to_string(whole.parsed.refusal) == to_string(refusal));
  CHECK(whole.parsed.status == 502);
  ResponseParser parser(method);
  ResponseHead head;
  std::vector<char> buffer;
  const Parsed split = parse_bytewise(parser, text, head, buffer);
  CHECK(to_string(split.refusal) == to_string(refusal));
}

struct Framed {
  Framing framing;
  bool keep_alive;
  std::uint64_t length;
  bool operator==(const Framed&) const = default;
};

Framed framed(std::string_view status_and_fields, Method method = Method::get,
              std::string_view version = "HTTP/1.1") {
  std::string text(version);
  text.append(" ").append(status_and_fields).append("\r\n");
  INFO(text);
  const ParsedResponse got = parse_response(text, method);
  CHECK(to_string(got.parsed.refusal) == "none");
  CHECK(got.parsed.done());
  return {got.head->framing, got.head->keep_alive, got.head->content_length};
}

void field_refused(std::string_view line, Refusal refusal) {
  refused("HTTP/1.1 200 OK\r\n" + std::string(line) + "\r\n\r\n", refusal);
}

}  // namespace

TEST_CASE("Bodies of answers are framed by length, chunks or the end of the connection") {
  CHECK(framed("200 OK\r\nContent-Length: 5\r\n") == Framed{Framing::length, true, 5});
  CHECK(framed("200 OK\r\nContent-Length: 0\r\n") == Framed{Framing::none, true, 0});
  CHECK(framed("200 OK\r\nTransfer-Encoding: chunked\r\n") == Framed{Framing::chunked, true, 0});
  CHECK(framed("200 OK\r\n") == Framed{Framing::until_close, false, 0});
  CHECK(framed("200 OK\r\nContent-Length: 5\r\nConnection: close\r\n") == Framed{Framing::length, false, 5});
  CHECK(framed("200 OK\r\nContent-Length: 5\r\n", Method::get, "HTTP/1.0") ==
        Framed{Framing::length, false, 5});
  CHECK(framed("200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n", Method::get, "HTTP/1.0") ==
        Framed{Framing::length, true, 5});
  CHECK(framed("200 OK\r\nTransfer-Encoding: chunked\r\n", Method::get, "HTTP/1.2") ==
        Framed{Framing::chunked, true, 0});
  CHECK(framed("500 \r\nContent-Length: 1\r\n") == Framed{Framing::length, true, 1});
  CHECK(framed("200\r\nContent-Length: 1\r\n") == Framed{Framing::length, true, 1});
}

TEST_CASE("An answer with Content-Length and Transfer-Encoding is chunked and its connection not reused") {
  CHECK(framed("200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n") ==
        Framed{Framing::chunked, false, 0});
}

TEST_CASE("Answers to HEAD and 204 and 304 have no body; one that announces a body is not reused") {
  CHECK(framed("200 OK\r\nContent-Length: 5\r\n", Method::head) == Framed{Framing::none, true, 5});
  CHECK(framed("200 OK\r\nTransfer-Encoding: chunked\r\n", Method::head) == Framed{Framing::none, true, 0});
  CHECK(framed("304 Not Modified\r\nContent-Length: 5\r\n") == Framed{Framing::none, true, 5});
  CHECK(framed("304 Not Modified\r\nTransfer-Encoding: chunked\r\n") == Framed{Framing::none, false, 0});
  CHECK(framed("204 No Content\r\n") == Framed{Framing::none, true, 0});
  CHECK(framed("204 No Content\r\nContent-Length: 5\r\n") == Framed{Framing::none, false, 5});
  CHECK(framed("204 No Content\r\nTransfer-Encoding: chunked\r\n") == Framed{Framing::none, false, 0});
}

TEST_CASE("Framing fields of answers are judged as strictly as those of requests") {
  for (const char* value : {"gzip", "identity", "xchunked", "chunked, gzip", "gzip, chunked",
                            "chunked, chunked", "", "chunked;x"}) {
    const ParsedResponse got =
        parse_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: " + std::string(value) + "\r\n\r\n");
    CHECK(got.parsed.status == 502);
  }
  field_refused("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                Refusal::several_transfer_encodings);
  field_refused("Content-Length: 5\r\nContent-Length: 5", Refusal::several_content_lengths);
  field_refused("Content-Length: 5, 5", Refusal::several_content_lengths);
  for (const char* value : {"+5", "-1", "0x5", "5 5", "", "five", "12345678901234567890"}) {
    field_refused("Content-Length: " + std::string(value), Refusal::bad_content_length);
  }
  refused("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Refusal::transfer_encoding_in_1_0);
}

TEST_CASE("Bare line ends, controls, folds and broken names in answers are refused") {
  refused("HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n", Refusal::bare_lf);
  refused("HTTP/1.1 200 OK\r\nContent-Length: 5\n\r\n", Refusal::bare_lf);
  refused("HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", Refusal::bare_cr);
  refused(raw("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n"), Refusal::control_character);
  field_refused("X: a\r\n b", Refusal::obs_fold);
  field_refused("X : a", Refusal::space_before_colon);
  field_refused(": a", Refusal::bad_field_name);
  field_refused("no colon", Refusal::bad_field_name);
  field_refused("nocolon", Refusal::bad_field_line);
  refused("HTTP/1.1 200 OK\r\n X: a\r\n\r\n", Refusal::bad_field_line);
}

TEST_CASE("A broken status line is refused") {
  for (const char* line :
       {"HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 20", "HTTP/1.1  200 OK", "HTTP/1.1\t200 OK", "HTTP/1.1 2000 OK",
        "HTTP/1.1 200OK", "200 OK", "", " HTTP/1.1 200 OK", "HTTP/1.1 200\tOK"}) {
    refused(std::string(line) + "\r\n\r\n", Refusal::bad_status_line);
  }
  for (const char* line : {"http/1.1 200 OK", "HTTP/0.9 200 OK", "HTTP/2.0 200 OK", "HTTP/1. 200 OK",
                           "HTTP/11 200 OK ", "HTTQ/1.1 200 OK"}) {
    const ParsedResponse got = parse_response(std::string(line) + "\r\n\r\n");
    CHECK(got.parsed.status == 502);
  }
  for (const char* code : {"099", "000", "600", "999", "2x0", "+20", "20a", "-12"}) {
    refused("HTTP/1.1 " + std::string(code) + " OK\r\n\r\n", Refusal::bad_status_code);
  }
  refused("\r\nHTTP/1.1 200 OK\r\n\r\n", Refusal::bad_status_line);
  refused("<html>not http</html>\r\n", Refusal::bad_status_line);
  refused("HTTP/1.1 200 " + std::string(9000, 'a'), Refusal::bad_status_line);
}

TEST_CASE("Interim answers come out one by one, and the ninth is refused") {
  std::string text;
  for (int i = 0; i < 9; ++i) text += "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n";
  ResponseParser parser(Method::get);
  ResponseHead head;
  std::span<char> rest(text);
  for (int i = 0; i < 8; ++i) {
    const Parsed parsed = parser.parse(rest, head);
    REQUIRE(parsed.done());
    CHECK(head.is_interim());
    CHECK(head.framing == Framing::none);
    rest = rest.subspan(parsed.consumed);
  }
  CHECK(parser.parse(rest, head).refusal == Refusal::too_many_interim_responses);
}

TEST_CASE("Eight interim answers and a final one are fine; one that announced a body spoils the connection") {
  std::string text;
  for (int i = 0; i < 8; ++i) text += "HTTP/1.1 100 Continue\r\n\r\n";
  const std::string final_answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  const auto last_of = [](std::string all) {
    ResponseParser parser(Method::get);
    ResponseHead head;
    std::span<char> rest(all);
    do {
      const Parsed parsed = parser.parse(rest, head);
      REQUIRE(parsed.done());
      rest = rest.subspan(parsed.consumed);
    } while (head.is_interim());
    CHECK(head.status == 200);
    CHECK(std::string_view(rest.data(), rest.size()) == "hello");
    return head.keep_alive;
  };
  CHECK(last_of(text + final_answer));
  CHECK_FALSE(last_of("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n" + final_answer));
}

TEST_CASE("101 is legal only after Upgrade was forwarded") {
  const std::string text =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
  CHECK(parse_response(text).parsed.refusal == Refusal::unexpected_upgrade);
  const ParsedResponse got = parse_response(text, Method::get, true);
  CHECK(got.parsed.done());
  CHECK_FALSE(got.head->is_interim());
}

TEST_CASE("Answers fed byte by byte give the same model") {
  const std::string text =
      "HTTP/1.1 206 Partial\r\nETag: \"x\"\r\nContent-Length: 5\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\n";
  ResponseParser parser(Method::get);
  ResponseHead head;
  std::vector<char> buffer;
  REQUIRE(parse_bytewise(parser, text, head, buffer).done());
  CHECK(head.status == 206);
  CHECK(head.fields.value(FieldId::etag) == "\"x\"");
  CHECK(head.fields.count(FieldId::set_cookie) == 2);
  CHECK(head.content_length == 5);
}
