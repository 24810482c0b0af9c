// Requests that must not get through: the client gets the status, the connection is closed, what was sent
// behind is not answered, and nothing reaches the origin. The numbers are rows of the table of ambiguous
// framing.
#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "tests/component/scene.h"

using namespace vignette::test;
using namespace std::string_literals;

namespace {

struct Refused {
  int row;
  std::string bytes;
  int status = 400;
};

constexpr const char* kHost = "Host: test.local\r\n";

std::string get(std::string_view target) {
  return "GET " + std::string(target) + " HTTP/1.1\r\n" + kHost + "\r\n";
}
std::string line(std::string_view request_line) {
  return std::string(request_line) + "\r\n" + kHost + "\r\n";
}
std::string lines(std::string_view fields) {
  return "GET / HTTP/1.1\r\n"s + kHost + std::string(fields) + "\r\n\r\n";
}
std::string post(std::string_view fields, std::string_view body = "") {
  return "POST / HTTP/1.1\r\n"s + kHost + std::string(fields) + "\r\n\r\n" + std::string(body);
}
std::string chunked(std::string_view body) { return post("Transfer-Encoding: chunked", body); }

// Behind each of them lies a complete request that must not be answered.
const std::string kSmuggled = "GET /smuggled HTTP/1.1\r\nHost: test.local\r\n\r\n";

void refuse_all(const std::vector<Refused>& table) {
  Scene scene(always("", "ok"));
  for (const Refused& refused : table) {
    INFO("row " << refused.row << ": " << printable(refused.bytes));
    RawClient client = scene.client();
    client.send(refused.bytes + kSmuggled);
    RawResponse answer = client.read();
    CHECK(answer.status == refused.status);
    CHECK(answer.complete);
    CHECK(answer.field("connection") == "close");
    CHECK(answer.field("cache-control") == "no-store");
    CHECK(client.read_to_end().empty());
  }
  CHECK(scene.origin.calls() == 0);
  CHECK(scene.node.metric("vignette_refusals_total") == Approx(table.size()));
  CHECK(scene.client().fetch("/after").status == 200);
}

}  // namespace

TEST_CASE("A request whose length is in doubt is refused and its connection closed") {
  std::vector<Refused> table{
      {1, post("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n")},
      {1, post("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n")},
      {2, post("Transfer-Encoding: xchunked", "0\r\n\r\n")},
      {2, post("Transfer-Encoding: chunked;x", "0\r\n\r\n")},
      {2, post("Transfer-Encoding: \x0b"
               "chunked",
               "0\r\n\r\n")},
      {2, post("Transfer-Encoding: \xA0"
               "chunked",
               "0\r\n\r\n")},
      {2, post("Transfer-Encoding: identity", "")},
      {2, post("Transfer-Encoding:", "")},
      {2, post("Transfer-Encoding: chunked,", "0\r\n\r\n")},
      {2, post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"), 501},
      {2, post("Transfer-Encoding: foo", ""), 501},
      {3, post("Transfer-Encoding: chunked, gzip", "0\r\n\r\n")},
      {3, post("Transfer-Encoding: chunked, chunked", "0\r\n\r\n")},
      {3, post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n")},
      {4, "POST / HTTP/1.0\r\nHost: test.local\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {6, post("Content-Length: 5\r\nContent-Length: 5", "hello")},
      {6, post("Content-Length: 5\r\nContent-Length: 6", "hello")},
      {6, post("Content-Length: 5,5", "hello")}};
  for (const char* length : {"+5", "-5", "0x5", "5_0", "5 0", "five", "", "12345678901234567890"}) {
    table.push_back({5, post("Content-Length: "s + length, "hello")});
  }
  refuse_all(table);
}

TEST_CASE("Broken line ends, controls and malformed fields are refused") {
  refuse_all({{8, "GET / HTTP/1.1\nHost: test.local\r\n\r\n"},
              {8, "GET / HTTP/1.1\r\nHost: test.local\n\r\n"},
              {8, "GET / HTTP/1.1\r\nHost: test.local\r\n\n"},
              {9, "GET / HTTP/1.1\r\nHost: test.local\rX: y\r\n\r\n"},
              {9, "GET /\rx HTTP/1.1\r\nHost: test.local\r\n\r\n"},
              {10, lines("X: a\0b"s)},
              {10, lines("X: a\x01"
                         "b")},
              {10, lines("X: a\x7f"
                         "b")},
              {11, lines("X : y")},
              {11, lines("Content-Length : 5")},
              {12, lines("X: a\r\n b")},
              {12, lines("X: a\r\n\tb")},
              {13, "GET / HTTP/1.1\r\n Host: test.local\r\n\r\n"},
              {13, lines(": y")},
              {13, lines("no colon")},
              {13, lines("nocolon")},
              {13, lines("X(: y")},
              {14, "\r\n\r\n\r\n" + get("/")}});
}

TEST_CASE("A malformed request line, target or Host is refused") {
  refuse_all({{15, line("GET\t/ HTTP/1.1")},
              {15, line("GET  / HTTP/1.1")},
              {15, line("GET /  HTTP/1.1")},
              {15, line("GET HTTP/1.1")},
              {15, line("GET /")},
              {15, line("GET / HTTP/0.9")},
              {15, line("GET / HTTP/01.1")},
              {15, line("get / HTTP/1.1")},
              {15, line("GET / http/1.1")},
              {15, line("GET / HTTP/2.0"), 505},
              {15, line("GET / HTTP/3.0"), 505},
              {16, "GET / HTTP/1.1\r\n\r\n"},
              {16, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
              {16, "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"},
              {16, "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n"},
              {16, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
              {16, "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
              {17, get("http://other.local/")},
              {18, get("test.local:80")},
              {18, get("*")},
              {18, get("/a#b")},
              {18, get("/a\\b")},
              {18, get("/\xC3\xA9")},
              {18, get("/a\x01"
                       "b")},
              {18, get("/a%zz")},
              {18, "CONNECT test.local:443 HTTP/1.1\r\nHost: test.local:443\r\n\r\n", 405}});
}

TEST_CASE("Fields that would change the meaning of others are refused") {
  std::vector<Refused> table{{24, post("Content-Length: 5\r\nExpect: 200-maybe", "hello"), 417},
                             {24, post("Content-Length: 5\r\nExpect: 100-continue, x", "hello"), 417}};
  for (const char* name : {"Host", "Content-Length", "Transfer-Encoding", "Cookie", "Authorization",
                           "X-Forwarded-For", "X-Forwarded-Anything"}) {
    table.push_back({27, lines("Connection: keep-alive, "s + name)});
  }
  refuse_all(table);
}

TEST_CASE("Heads past the limits are refused") {
  auto field = [](std::size_t bytes) { return "X: " + std::string(bytes, 'x'); };
  std::string many;
  for (int i = 0; i < 100; ++i) many += "X-" + std::to_string(i) + ": y\r\n";
  many.resize(many.size() - 2);
  refuse_all({{32, get("/" + std::string(8 * 1024, 'x')), 414},
              {32, lines(field(33 * 1024)), 431},
              {32, lines(many), 431}});
}

TEST_CASE("A body with broken chunks is refused, and the origin never sees a whole request") {
  std::vector<Refused> table;
  for (const char* size : {"0x5", "+5", "-5", "5_", " 5", "5 ", "", "1234567890123456", "g"}) {
    table.push_back({19, chunked(size + "\r\nhello\r\n0\r\n\r\n"s)});
  }
  table.push_back({8, chunked("5\nhello\r\n0\r\n\r\n")});
  table.push_back({20, chunked("5;" + std::string(257, 'x') + "\r\nhello\r\n0\r\n\r\n")});
  table.push_back({20, chunked("5;a\rb\r\nhello\r\n0\r\n\r\n")});
  table.push_back({20, chunked("5;a\x01"
                               "b\r\nhello\r\n0\r\n\r\n")});
  table.push_back({21, chunked("5\r\nhelloX\r\n0\r\n\r\n")});
  table.push_back({21, chunked("5\r\nhello0\r\n\r\n")});
  table.push_back({22, chunked("0\r\nBad Trailer: x\r\n\r\n")});
  table.push_back({22, chunked("0\r\nContent-Length: 3\r\n\r\n")});
  table.push_back({22, chunked("0\r\nX: " + std::string(9 * 1024, 'x') + "\r\n\r\n")});
  std::string many;
  for (int i = 0; i < 33; ++i) many += "X-" + std::to_string(i) + ": y\r\n";
  table.push_back({22, chunked("0\r\n" + many + "\r\n")});
  std::string extensions;
  for (int i = 0; i < 40; ++i) extensions += "1;" + std::string(120, 'x') + "\r\nx\r\n";
  table.push_back({20, chunked(extensions + "0\r\n\r\n")});
  refuse_all(table);
}

TEST_CASE("A request cut short is not answered and never reaches the origin") {
  Scene scene(always("", "ok"));
  for (const std::string& bytes :
       {"GET / HT"s, "GET / HTTP/1.1\r\nHost: te"s, post("Content-Length: 9", "hello"),
        chunked("5\r\nhello\r\n"), chunked("5\r\nhe")}) {
    INFO(printable(bytes));
    RawClient client = scene.client();
    client.send(bytes);
    client.shutdown_write();
    RawResponse answer = client.read();
    CHECK((answer.status == 0 || answer.status == 400));
    CHECK(client.read_to_end().empty());
  }
  CHECK(scene.origin.calls() == 0);
}

TEST_CASE("A head that does not end in time is answered 408") {
  Scene scene(always("", "ok"), "", "[timeouts]\nheader = \"60ms\"\n");
  RawClient client = scene.client();
  client.send("GET / HTTP/1.1\r\nHost: te");
  RawResponse answer = client.read();
  CHECK(answer.status == 408);
  CHECK(client.at_end());

  // One that fills the buffer has been moved to a larger one before the time is up.
  RawClient full = scene.client();
  std::string head = "GET / HTTP/1.1\r\nHost: test.local\r\nX-Pad: ";
  full.send(head + std::string(8 * 1024 - head.size(), 'x'));
  CHECK(full.read().status == 408);

  RawClient silent = scene.client();
  CHECK(silent.read_to_end().empty());
  CHECK(scene.origin.calls() == 0);
}

TEST_CASE("What a limit allows exactly gets through") {
  Scene scene(always("", "ok"));
  // "GET " + target + " HTTP/1.1" of 8 KiB in all.
  std::string target = "/" + std::string(8 * 1024 - 14, 'x');
  CHECK(scene.client().fetch(target).status == 200);
  CHECK(scene.client().fetch(target + "x").status == 414);

  std::string many;
  for (int i = 0; i < 99; ++i) many += "X-" + std::to_string(i) + ": y\r\n";
  CHECK(scene.client().fetch("/", many).status == 200);
  CHECK(scene.client().fetch("/", many + "X-99: y\r\n").status == 431);

  CHECK(scene.client().fetch("/", "X: " + std::string(31 * 1024, 'x') + "\r\n").status == 200);
}
