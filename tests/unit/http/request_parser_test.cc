// What the request parser must accept, and the model it builds.
#include <catch2/catch.hpp>

#include <random>

#include "heads.h"

using namespace vignette::http;
using namespace vignette::http::test;

namespace {

// Everything of the model as text, to compare two of them.
std::string describe(const RequestHead& head) {
  std::string text;
  for (const std::string_view part :
       {head.method_name, head.target, head.scheme, head.authority, head.host, head.path, head.query}) {
    text.append(part).append("|");
  }
  text += std::to_string(static_cast<int>(head.version)) + std::to_string(static_cast<int>(head.framing)) +
          std::to_string(head.content_length) + std::to_string(head.port) + std::to_string(head.keep_alive) +
          std::to_string(head.has_query) + std::to_string(head.expect_continue) + "\n";
  for (const Field& field : head.fields) text.append(field.name).append("=").append(field.value).append("\n");
  return text;
}

}  // namespace

TEST_CASE("A request is parsed into its parts, names in lower case, values trimmed") {
  const ParsedRequest got = parse_request(
      "GET /a/b?c=d&e HTTP/1.1\r\nHost: WWW.Example.COM:8080\r\nUser-Agent: \t x y \t\r\nX-Empty:\r\n"
      "X-Obs: \xC3\xA9\r\n\r\nrest");
  REQUIRE(got.parsed.done());
  const RequestHead& head = *got.head;
  CHECK(got.buffer.substr(got.parsed.consumed) == "rest");
  CHECK(head.method == Method::get);
  CHECK(head.target == "/a/b?c=d&e");
  CHECK(head.path == "/a/b");
  CHECK(head.has_query);
  CHECK(head.query == "c=d&e");
  CHECK(head.authority == "www.example.com:8080");
  CHECK(head.host == "www.example.com");
  CHECK(head.port == 8080);
  CHECK(head.keep_alive);
  CHECK(head.framing == Framing::none);
  REQUIRE(head.fields.size() == 4);
  CHECK(head.fields.value(FieldId::host) == "www.example.com:8080");
  CHECK(head.fields.value(FieldId::user_agent) == "x y");
  CHECK(head.fields.find("x-empty")->value.empty());
  CHECK(head.fields.find("x-obs")->value == "\xC3\xA9");
}

TEST_CASE("Hosts of every legal form are accepted") {
  struct Case {
    const char* given;
    const char* authority;
    const char* host;
    int port;
  };
  for (const Case& c :
       {Case{"a", "a", "a", 0}, Case{"A-b_c.D", "a-b_c.d", "a-b_c.d", 0},
        Case{"1.2.3.4:65535", "1.2.3.4:65535", "1.2.3.4", 65535}, Case{"[::1]", "[::1]", "[::1]", 0},
        Case{"[2001:DB8::A]:443", "[2001:db8::a]:443", "[2001:db8::a]", 443},
        Case{"[::ffff:1.2.3.4]", "[::ffff:1.2.3.4]", "[::ffff:1.2.3.4]", 0}, Case{"[::]", "[::]", "[::]", 0},
        Case{"[1:2:3:4:5:6:7:8]:1", "[1:2:3:4:5:6:7:8]:1", "[1:2:3:4:5:6:7:8]", 1},
        Case{"Example.com.", "example.com", "example.com", 0}, Case{"a.:80", "a:80", "a", 80},
        Case{"a:", "a", "a", 0}, Case{"a.:", "a", "a", 0}, Case{"[::1]:", "[::1]", "[::1]", 0}}) {
    INFO(c.given);
    const ParsedRequest got = parse_request("GET / HTTP/1.1\r\nHost: " + std::string(c.given) + "\r\n\r\n");
    CHECK(got.parsed.refusal == Refusal::none);
    CHECK(got.head->authority == c.authority);
    CHECK(got.head->host == c.host);
    CHECK(got.head->port == c.port);
    CHECK(got.head->fields.value(FieldId::host) == c.authority);
  }
}

TEST_CASE("An absolute target equal to Host wins, and gives path and query") {
  const ParsedRequest got = parse_request("GET HTTP://Example.com/a?b HTTP/1.1\r\nHost: eXample.com\r\n\r\n");
  REQUIRE(got.parsed.done());
  CHECK(got.head->scheme == "http");
  CHECK(got.head->host == "example.com");
  CHECK(got.head->path == "/a");
  CHECK(got.head->query == "b");
  CHECK(parse_request("GET https://a?q HTTP/1.1\r\nHost: a\r\n\r\n").head->path == "/");
  CHECK(parse_request("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n").head->path == "*");
  CHECK(parse_request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").head->path == "*");
  CHECK(parse_request("GET http://A/x HTTP/1.0\r\n\r\n").head->authority == "a");
}

TEST_CASE("An absolute target may name the port that its scheme implies, or Host may") {
  for (const auto& [target, host] :
       {std::pair{"http://a:80/", "a"}, std::pair{"http://a/", "A:80"}, std::pair{"https://A:443/", "a"},
        std::pair{"https://a/", "a:443"}, std::pair{"http://a:/", "a"}, std::pair{"http://a/", "a:"}}) {
    INFO(target << " " << host);
    const ParsedRequest got =
        parse_request("GET " + std::string(target) + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
    CHECK(to_string(got.parsed.refusal) == "none");
    CHECK(got.head->host == "a");
  }
}

TEST_CASE("HTTP/1.0 needs no Host and closes unless it asks to stay") {
  const ParsedRequest plain = parse_request("GET / HTTP/1.0\r\n\r\n");
  REQUIRE(plain.parsed.done());
  CHECK(plain.head->authority.empty());
  CHECK_FALSE(plain.head->keep_alive);
  CHECK(parse_request("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").head->keep_alive);
  CHECK_FALSE(parse_request("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n").head->keep_alive);
  CHECK_FALSE(parse_request("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, CLOSE\r\n\r\n").head->keep_alive);
}

TEST_CASE("A higher minor version of HTTP/1 is processed as HTTP/1.1") {
  for (const char* version : {"HTTP/1.2", "HTTP/1.9"}) {
    const ParsedRequest got = parse_request("GET / " + std::string(version) + "\r\nHost: a\r\n\r\n");
    REQUIRE(got.parsed.done());
    CHECK(got.head->version == Version::http_1_1);
    CHECK(got.head->keep_alive);
    CHECK_FALSE(parse_request("GET / " + std::string(version) + "\r\n\r\n").parsed.done());  // no Host
  }
}

TEST_CASE("Characters that browsers leave raw in paths and queries pass") {
  for (const char* target :
       {"/a|b[c]", "/a?b={c}|[d]^`", "//a//b", "/~a!$&'()*+,;=:@", "/?", "/a??b/?", "/%41%2f%2F%e2%82%ac"}) {
    INFO(target);
    CHECK(parse_request("GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n").parsed.refusal ==
          Refusal::none);
  }
}

TEST_CASE("Unknown methods without lower case are passed on as other") {
  for (const char* method : {"PROPFIND", "M-SEARCH", "VERSION-CONTROL", "PURGE", "GET1", "1", "-GET", "G_T",
                             "!#$%&'*+.^`|~", "MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM"}) {
    const ParsedRequest got = parse_request(std::string(method) + " / HTTP/1.1\r\nHost: a\r\n\r\n");
    REQUIRE(got.parsed.done());
    CHECK(got.head->method == Method::other);
    CHECK(got.head->method_name == method);
  }
  CHECK(parse_request("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n").head->method == Method::trace);
}

TEST_CASE("Leading zeros in Content-Length are accepted up to 19 digits") {
  const auto length = [](const std::string& value) {
    const ParsedRequest got =
        parse_request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + value + "\r\n\r\n");
    REQUIRE(got.parsed.done());
    return std::pair(got.head->framing, got.head->content_length);
  };
  CHECK(length("5") == std::pair(Framing::length, std::uint64_t{5}));
  CHECK(length("0000000000000000005") == std::pair(Framing::length, std::uint64_t{5}));
  CHECK(length("9999999999999999999") == std::pair(Framing::length, std::uint64_t{9999999999999999999u}));
  CHECK(length("0") == std::pair(Framing::none, std::uint64_t{0}));
  CHECK(length(" 7\t") == std::pair(Framing::length, std::uint64_t{7}));
}

TEST_CASE("A body on GET, HEAD, DELETE and OPTIONS is framed like any other") {
  for (const char* method : {"GET", "HEAD", "DELETE", "OPTIONS"}) {
    const std::string start = std::string(method) + " / HTTP/1.1\r\nHost: a\r\n";
    CHECK(parse_request(start + "Content-Length: 3\r\n\r\n").head->framing == Framing::length);
    CHECK(parse_request(start + "Transfer-Encoding: Chunked\r\n\r\n").head->framing == Framing::chunked);
  }
}

TEST_CASE("Expect: 100-continue is noted only where a body is to come in HTTP/1.1") {
  const auto expects = [](const std::string& version, const std::string& fields) {
    const ParsedRequest got =
        parse_request("POST / " + version + "\r\nHost: a\r\nExpect: 100-Continue\r\n" + fields + "\r\n");
    REQUIRE(got.parsed.done());
    return got.head->expect_continue;
  };
  CHECK(expects("HTTP/1.1", "Content-Length: 3\r\n"));
  CHECK(expects("HTTP/1.1", "Transfer-Encoding: chunked\r\n"));
  CHECK_FALSE(expects("HTTP/1.1", ""));
  CHECK_FALSE(expects("HTTP/1.0", "Content-Length: 3\r\n"));
}

TEST_CASE("An upgrade to websocket is recognised, h2c is not") {
  const auto upgrades = [](const std::string& fields) {
    return parse_request("GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n").head->upgrade_websocket;
  };
  CHECK(upgrades("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"));
  CHECK_FALSE(upgrades("Upgrade: websocket\r\n"));
  CHECK_FALSE(upgrades("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"));
  CHECK_FALSE(upgrades("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n"));
}

TEST_CASE("Fields with an underscore in the name are dropped by default and kept on request") {
  const std::string text =
      "POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\nX_Y: z\r\n\r\n";
  const ParsedRequest dropped = parse_request(text);
  REQUIRE(dropped.parsed.done());
  CHECK(dropped.head->fields.size() == 1);
  CHECK(dropped.head->framing == Framing::none);
  Limits limits;
  limits.underscores = true;
  CHECK(parse_request(text, limits).head->fields.find("x_y")->value == "z");
}

TEST_CASE("Connection: TE and other names are no fault") {
  CHECK(parse_request("GET / HTTP/1.1\r\nHost: a\r\nConnection: TE, , X-Foo,\r\nTE: trailers\r\n\r\n")
            .parsed.done());
}

TEST_CASE("Feeding byte by byte in moving memory gives the same model as one piece") {
  for (const std::string_view text :
       {std::string_view(
            "\r\nPOST /p?q HTTP/1.1\r\nHost: A.b:1\r\nX-Y:  z \r\nContent-Length: 03\r\nCookie: a=b\r\n\r\n"),
        std::string_view("GET http://A.b/x?y HTTP/1.1\r\nhost: a.B\r\nConnection: close\r\nEmpty:\r\n\r\n"),
        std::string_view("GET http://A.b:9 HTTP/1.0\r\n\r\n")}) {
    INFO(text);
    const ParsedRequest whole = parse_request(text);
    REQUIRE(whole.parsed.done());
    RequestParser parser;
    RequestHead head;
    std::vector<char> buffer;
    const Parsed split = parse_bytewise(parser, text, head, buffer);
    REQUIRE(split.done());
    CHECK(split.consumed == text.size());
    CHECK(describe(head) == describe(*whole.head));
  }
}

TEST_CASE("Pipelined requests are parsed one after the other by one parser") {
  std::string text = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\nGET /3";
  RequestParser parser;
  RequestHead head;
  const Parsed first = parser.parse(text, head);
  REQUIRE(first.done());
  CHECK(head.path == "/1");
  std::span<char> rest = std::span<char>(text).subspan(first.consumed);
  const Parsed second = parser.parse(rest, head);
  REQUIRE(second.done());
  CHECK(head.path == "/2");
  CHECK(head.fields.size() == 2);
  CHECK(parser.parse(rest.subspan(second.consumed), head).need_more());
  CHECK(parser.started());
}

TEST_CASE("A parser that saw nothing or only an empty line has not started a request") {
  RequestParser parser;
  RequestHead head;
  std::string text = "\r\n";
  CHECK_FALSE(parser.started());
  CHECK(parser.parse(text, head).need_more());
  CHECK_FALSE(parser.started());
  text += "G";
  CHECK(parser.parse(text, head).need_more());
  CHECK(parser.started());
  parser.reset();
  CHECK_FALSE(parser.started());
}

TEST_CASE("Mutated requests give the same answer whole and in random pieces") {
  const std::string seed =
      "POST /a%20b?c HTTP/1.1\r\nHost: a.b:80\r\nX-Y: z\r\nConnection: close\r\nContent-Length: 12\r\n\r\n";
  const std::string_view kBytes =
      raw("\r\n \t:,;%?#/\\\0\x7f\x80"
          "aZ09._-[]@");
  std::mt19937 random(20240607);
  int done = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string text = seed;
    for (unsigned edits = random() % 3; edits-- > 0;) {
      const std::size_t at = random() % text.size();
      const char byte = kBytes[random() % kBytes.size()];
      if (random() % 2) {
        text[at] = byte;
      } else {
        text.insert(at, 1, byte);
      }
    }
    INFO(printable(text));
    const ParsedRequest whole = parse_request(text);
    RequestParser parser;
    RequestHead head;
    std::string copy = text;
    Parsed parsed;
    for (std::size_t size = 0; parsed.need_more() && size < copy.size();) {
      size = std::min<std::size_t>(copy.size(), size + 1 + random() % 9);
      parsed = parser.parse(std::span<char>(copy).first(size), head);
    }
    REQUIRE(parsed.state == whole.parsed.state);
    REQUIRE(to_string(parsed.refusal) == to_string(whole.parsed.refusal));
    REQUIRE(parsed.consumed == whole.parsed.consumed);
    if (!parsed.done()) continue;
    ++done;
    REQUIRE(describe(head) == describe(*whole.head));
  }
  CHECK(done > 500);
  CHECK(done < 3500);
}
