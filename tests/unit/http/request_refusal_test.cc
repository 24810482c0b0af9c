// What the request parser must refuse, and with which status.
#include <catch2/catch.hpp>

#include "heads.h"

using namespace vignette::http;
using namespace vignette::http::test;

namespace {

void refused(std::string_view text, int status, Refusal refusal) {
  INFO(printable(text));
  const ParsedRequest whole = parse_request(text);
  CHECK(to_string(whole.parsed.refusal) == to_string(refusal));
  CHECK(whole.parsed.state == Parsed::State::refused);
  CHECK(whole.parsed.status == status);
  RequestParser parser;
  RequestHead head;
  std::vector<char> buffer;
  const Parsed split = parse_bytewise(parser, text, head, buffer);
  CHECK(split.state == Parsed::State::refused);
  CHECK(split.status == status);
  CHECK(to_string(split.refusal) == to_string(refusal));
}

void refused(std::string_view text, Refusal refusal) { refused(text, 400, refusal); }

// A request with these lines behind its Host.
std::string with(std::string_view lines) {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + std::string(lines) + "\r\n\r\n";
}
void field_refused(std::string_view lines, Refusal refusal, int status = 400) {
  refused(with(lines), status, refusal);
}

void target_refused(std::string_view target, Refusal refusal = Refusal::bad_target) {
  refused("GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n", refusal);
}

void host_refused(std::string_view host) {
  refused("GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n", Refusal::bad_host);
}

}  // namespace

TEST_CASE("Content-Length and Transfer-Encoding together are refused in any order") {
  field_refused("Content-Length: 5\r\nTransfer-Encoding: chunked", Refusal::length_and_chunked);
  field_refused("Transfer-Encoding: chunked\r\nContent-Length: 5", Refusal::length_and_chunked);
  field_refused("Content-Length: 0\r\nTransfer-Encoding: chunked", Refusal::length_and_chunked);
  field_refused("Transfer-Encoding: gzip\r\nContent-Length: 5", Refusal::length_and_chunked);
  field_refused("Transfer-Encoding:\r\nContent-Length: 5", Refusal::length_and_chunked);
}

TEST_CASE("A Transfer-Encoding that only looks like chunked is refused") {
  for (const char* value : {"xchunked",
                            "chunkedx",
                            "x-chunked",
                            "chunked;x",
                            "chunked;q=1",
                            "chunked;",
                            "identity",
                            "",
                            " ",
                            ",",
                            ",chunked",
                            "chunked,",
                            "chunked, ",
                            "chunked ,",
                            "\"chunked\"",
                            "chun ked",
                            "chunked chunked",
                            "\xA0"
                            "chunked",
                            "chunked\xA0",
                            "[chunked]",
                            "identity, chunked",
                            "gzip;chunked",
                            "chunk\xC3\xA9"
                            "d",
                            "'chunked'",
                            "chunked, identity",
                            "gzip,,chunked"}) {
    INFO(value);
    field_refused(std::string("Transfer-Encoding: ") + value, Refusal::bad_transfer_encoding);
  }
  field_refused(
      "Transfer-Encoding: \x0b"
      "chunked",
      Refusal::control_character);
  field_refused(
      "Transfer-Encoding: \x0c"
      "chunked",
      Refusal::control_character);
  field_refused(raw("Transfer-Encoding: chunked\0"), Refusal::control_character);
  field_refused(
      "Transfer-Encoding: \x01"
      "chunked",
      Refusal::control_character);
  field_refused("Transfer-Encoding: chunked\x7f", Refusal::control_character);
  field_refused("Transfer-Encoding:\r\n chunked", Refusal::obs_fold);
  field_refused("Transfer-Encoding : chunked", Refusal::space_before_colon);
  field_refused("Transfer-Encoding\t: chunked", Refusal::space_before_colon);
  field_refused("Transfer-Encoding\x0b: chunked", Refusal::control_character);
}

TEST_CASE("A known but unsupported transfer coding is answered with 501") {
  for (const char* value : {"gzip", "deflate", "compress", "br", "foo", "gzip, chunked", "GZIP , chunked"}) {
    field_refused(std::string("Transfer-Encoding: ") + value, Refusal::unknown_transfer_coding, 501);
  }
}

TEST_CASE("Chunked that is not final, or twice, or on two lines, is refused") {
  field_refused("Transfer-Encoding: chunked, gzip", Refusal::bad_transfer_encoding);
  field_refused("Transfer-Encoding: chunked, chunked", Refusal::bad_transfer_encoding);
  field_refused("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                Refusal::several_transfer_encodings);
  field_refused("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", Refusal::several_transfer_encodings);
  field_refused("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
                Refusal::several_transfer_encodings);
  field_refused("Transfer-Encoding:\r\nTransfer-Encoding: chunked", Refusal::several_transfer_encodings);
}

TEST_CASE("Transfer-Encoding in HTTP/1.0 is refused") {
  refused("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
          Refusal::transfer_encoding_in_1_0);
  refused("POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n", Refusal::transfer_encoding_in_1_0);
}

TEST_CASE("A Content-Length that is not 1 to 19 plain digits is refused") {
  for (const char* value : {"+5",
                            "-5",
                            "0x5",
                            "5x",
                            "1_000",
                            "1 0",
                            "5 5",
                            "five",
                            "",
                            "5;",
                            "5.0",
                            "5e1",
                            "\"5\"",
                            "0b1",
                            "\xC2\xB2",
                            "12345678901234567890",
                            "00000000000000000005",
                            "99999999999999999999999",
                            "5\t6",
                            "- 5",
                            "5\xA0",
                            "\xA0"
                            "5",
                            "5-",
                            "NaN",
                            "1\xEF\xBC\x91"}) {
    INFO(value);
    field_refused(std::string("Content-Length: ") + value, Refusal::bad_content_length);
  }
  field_refused("Content-Length: 5\x0b", Refusal::control_character);
  field_refused(raw("Content-Length: 5\0"), Refusal::control_character);
  field_refused("Content-Length: 1\r\n 0", Refusal::obs_fold);
}

TEST_CASE("Several Content-Lengths are refused, equal or not, on lines or in a list") {
  field_refused("Content-Length: 5\r\nContent-Length: 5", Refusal::several_content_lengths);
  field_refused("Content-Length: 5\r\nContent-Length: 6", Refusal::several_content_lengths);
  field_refused("Content-Length: 5\r\ncontent-length: 5", Refusal::several_content_lengths);
  for (const char* value : {"5,5", "5, 5", "5,6", ",5", "5,", ","}) {
    field_refused(std::string("Content-Length: ") + value, Refusal::several_content_lengths);
  }
}

TEST_CASE("A bare LF is refused as a line end anywhere in the head") {
  refused("GET / HTTP/1.1\nHost: a\r\n\r\n", Refusal::bare_lf);
  refused("GET / HTTP/1.1\r\nHost: a\n\r\n", Refusal::bare_lf);
  refused("GET / HTTP/1.1\r\nHost: a\n\n", Refusal::bare_lf);
  refused("GET / HTTP/1.1\r\nHost: a\r\n\n", Refusal::bare_lf);
  refused("GET / HTTP/1.1\r\nHost: a\r\nX: b\nY: c\r\n\r\n", Refusal::bare_lf);
  refused("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::bare_lf);
  refused("\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::bare_lf);
}

TEST_CASE("A bare CR is refused anywhere in the head") {
  refused("GET / HTTP/1.1\rHost: a\r\r", Refusal::bare_cr);
  refused("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", Refusal::bare_cr);
  refused("GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::bare_cr);
  refused("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", Refusal::bare_cr);
  refused("GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n", Refusal::bare_cr);
  refused("GET / HTTP/1.1\r\nHost: a\r\nX\r: b\r\n\r\n", Refusal::bare_cr);
  refused("GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", Refusal::bare_cr);
  refused("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::bare_cr);
}

TEST_CASE("Every control character but HTAB is refused in a value, a name and the request line") {
  for (int c = 0; c < 128; ++c) {
    if ((c >= 32 && c != 127) || c == '\t' || c == '\r' || c == '\n') continue;
    const std::string bad(1, static_cast<char>(c));
    refused("GET / HTTP/1.1\r\nHost: a\r\nX: a" + bad + "b\r\n\r\n", Refusal::control_character);
    refused("GET / HTTP/1.1\r\nHost: a\r\nX" + bad + ": b\r\n\r\n", Refusal::control_character);
    refused("GET /" + bad + " HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::control_character);
    refused(bad + "GET / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::control_character);
  }
}

TEST_CASE("White space before the colon is refused") {
  field_refused("X : b", Refusal::space_before_colon);
  field_refused("X\t: b", Refusal::space_before_colon);
  field_refused("Content-Length : 5", Refusal::space_before_colon);
  field_refused("Content-Length \t : 5", Refusal::space_before_colon);
}

TEST_CASE("A folded line is refused") {
  field_refused("X: a\r\n b", Refusal::obs_fold);
  field_refused("X: a\r\n\tb", Refusal::obs_fold);
  field_refused("X: a\r\n ", Refusal::obs_fold);
  field_refused("X: a\r\n Content-Length: 5", Refusal::obs_fold);
}

TEST_CASE(
    "White space before the first field, an empty name, a missing colon and a name that is no token are "
    "refused") {
  refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Refusal::bad_field_line);
  refused("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", Refusal::bad_field_line);
  refused("GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", Refusal::bad_field_line);
  field_refused(": b", Refusal::bad_field_name);
  field_refused("NoColon", Refusal::bad_field_line);
  field_refused("No colon here", Refusal::bad_field_name);
  for (const char c : std::string_view("\"(),/;<=>?@[\\]{}\x80\xA0\xFF")) {
    field_refused(std::string("X") + c + "Y: b", Refusal::bad_field_name);
    field_refused(std::string(1, c) + ": b", Refusal::bad_field_name);
  }
}

TEST_CASE("More than two empty lines before the request line are refused") {
  const std::string request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  CHECK(parse_request("\r\n\r\n" + request).parsed.done());
  refused("\r\n\r\n\r\n" + request, Refusal::too_many_empty_lines);
  refused(" \r\n" + request, Refusal::bad_request_line);
}

TEST_CASE("A request line that is not three parts with single spaces is refused") {
  for (const char* line : {"GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET / HTTP/1.1 ", "GET\t/\tHTTP/1.1",
                           "GET /", "GET", "GET ", "GET  HTTP/1.1", "GET HTTP/1.1", "GET / a HTTP/1.1",
                           "GET /\tHTTP/1.1", "GET / HTTP/1.1 x", "GET / HTTP 1.1"}) {
    refused(std::string(line) + "\r\nHost: a\r\n\r\n", Refusal::bad_request_line);
  }
  refused(" GET / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::bad_request_line);
  refused("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::bad_request_line);
}

TEST_CASE("A version that is no HTTP/1 is refused") {
  for (const char* version : {"HTTP/0.9", "HTTP/01.1", "HTTP/1.01", "HTTP/11.1", "HTTP/1",    "HTTP/1.",
                              "HTTP/.1",  "http/1.1",  "Http/1.1",  "HTTP/1,1",  "HTTP/1.1x", "xHTTP/1.1",
                              "HTTP/a.b", "HTTP/-1.1", "HTTP//1.1", "HTTPS/1.1", "HTTP/1.10", "HTTP/1.1\t",
                              "ICY/1.1",  "HTTP/00",   "HTTP\\1.1", "HTTP/1:1"}) {
    refused("GET / " + std::string(version) + "\r\nHost: a\r\n\r\n", 400, Refusal::bad_version);
  }
  for (const char* version : {"HTTP/2.0", "HTTP/2.1", "HTTP/3.0", "HTTP/9.9"}) {
    refused("GET / " + std::string(version) + "\r\nHost: a\r\n\r\n", 505, Refusal::unsupported_version);
  }
  refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, Refusal::unsupported_version);
}

TEST_CASE("A method that is no token, has lower case or too many letters is refused") {
  for (const char* method : {"get", "Get", "GeT", "G@T", "GET:", "G\"T", "GE/T", "\xC3\x89", "G,T", "(GET)",
                             "G=T", "G[T", "foo", "PURGe"}) {
    refused(std::string(method) + " / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::bad_method);
  }
  refused(std::string(33, 'M') + " / HTTP/1.1\r\nHost: a\r\n\r\n", 501, Refusal::method_too_long);
}

TEST_CASE("Host missing in HTTP/1.1, given twice or empty is refused") {
  refused("GET / HTTP/1.1\r\n\r\n", Refusal::missing_host);
  refused("GET / HTTP/1.1\r\nX-Host: a\r\n\r\n", Refusal::missing_host);
  refused("GET http://a/ HTTP/1.1\r\n\r\n", Refusal::missing_host);
  refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Refusal::several_hosts);
  refused("GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", Refusal::several_hosts);
  refused("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", Refusal::several_hosts);
  refused("GET / HTTP/1.0\r\nHost:\r\n\r\n", Refusal::bad_host);
  host_refused("");
  host_refused("  ");
}

TEST_CASE("A Host that is not a plain host with an optional port is refused") {
  for (const char* host : {"a,b",  "a, b",  "user@a",  "user:pw@a", "a/",       "a/b",
                           "a?b",  "a#b",   "a b",     "a\tb",      "http://a", "a::",
                           "a:b",  "a:0",   "a:00080", "a:65536",   "a:123456", "a:80:80",
                           "a:-1", "a:+80", "a:8 0",   ":80",       ".",        "..",
                           ".a",   "a..b",  "a..",     "a%2eb",     "a%00",     "\xC3\xA9.example",
                           "a\\b", "a;b",   "a=b",     "a&b",       "a|b",      "\"a\"",
                           "a'b",  "(a)",   "a*",      "*",         "{a}",      "<a>",
                           "a^b",  "a`b",   "a~b",     "a!b",       "a$b",      "a+b",
                           "@",    "a@"}) {
    INFO(host);
    host_refused(host);
  }
  host_refused(std::string(64, 'a') + ".example");
  host_refused(std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') + "." +
               std::string(62, 'd'));
}

TEST_CASE("A malformed IPv6 literal as Host is refused") {
  for (const char* host : {"[",
                           "]",
                           "[]",
                           "[::1",
                           "::1",
                           "1::",
                           "[:::]",
                           "[1::2::3]",
                           "[1:2:3:4:5:6:7]",
                           "[1:2:3:4:5:6:7:8:9]",
                           "[g::]",
                           "[12345::]",
                           "[::1]x",
                           "[::1]:0",
                           "[::1]80",
                           "[::1%25eth0]",
                           "[fe80::1%eth0]",
                           "[v1.a]",
                           "[1.2.3.4]",
                           "[::1.2.3]",
                           "[::1.2.3.256]",
                           "[::01.2.3.4]",
                           "[::1.2.3.4:1]",
                           "[1:2:3:4:5:6:7::8]",
                           "[::1]]",
                           "[[::1]]",
                           "[:1]",
                           "[1:]",
                           "a[::1]"}) {
    INFO(host);
    host_refused(host);
  }
}

TEST_CASE("An absolute target that differs from Host is refused") {
  refused("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", Refusal::host_mismatch);
  refused("GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::host_mismatch);
  refused("GET http://a:443/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::host_mismatch);
  refused("GET https://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::host_mismatch);
  refused("GET http://a:0/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::host_mismatch);
  refused("GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::host_mismatch);
  refused("GET http://a@b/ HTTP/1.1\r\nHost: a@b\r\n\r\n", Refusal::bad_host);
  refused("GET http://a, b/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::bad_request_line);
  refused("GET http://a.b%2f/ HTTP/1.0\r\n\r\n", Refusal::bad_host);
}

TEST_CASE("Authority form, asterisk form and other target forms where they do not belong are refused") {
  for (const char* target : {"a:443",
                             "a",
                             "*",
                             "*/",
                             "/*#",
                             "foo/bar",
                             "http:/a",
                             "http:a",
                             "http://",
                             "http:///",
                             "http://?",
                             "ftp://a/",
                             "file:///etc/passwd",
                             "javascript:alert(1)",
                             "://a/",
                             "data:,x",
                             "?x",
                             "\\",
                             "\\\\a\\b",
                             ".",
                             "..",
                             "../x",
                             "ws://a/",
                             "%2f",
                             "%2Fa"}) {
    INFO(target);
    target_refused(target);
  }
  refused("POST * HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::bad_target);
  refused("OPTIONS *x HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::bad_target);
  refused("OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::bad_target);
}

TEST_CASE("A fragment, tab, quote, angle bracket, backslash or non-ASCII byte in the target is refused") {
  for (const char* target : {"/a#b", "/#", "/a\tb", "/a\"b", "/a<b", "/a>b", "/a\\b", "/\\..\\", "/\xC3\xA9",
                             "/\xFF", "/a?\xC3\xA9", "/a?b#c", "/a?b\\c", "/a?\"", "/a^b", "/a`b", "/{a}",
                             "http://a/#x", "http://a\\@b/"}) {
    INFO(target);
    target_refused(target);
  }
}

TEST_CASE("An incomplete percent escape in the target is refused") {
  for (const char* target :
       {"/%", "/%2", "/%zz", "/%2g", "/%%20", "/a?b=%", "/a?b=%1", "/a?%u0041", "/%-1", "/% 1"}) {
    if (std::string_view(target).find(' ') != std::string_view::npos) continue;
    INFO(target);
    target_refused(target, Refusal::bad_percent_encoding);
  }
}

TEST_CASE("CONNECT is answered with 405 whatever it asks for") {
  refused("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405, Refusal::method_not_allowed);
  refused("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 405, Refusal::method_not_allowed);
  refused("CONNECT http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 405, Refusal::method_not_allowed);
}

TEST_CASE("An expectation other than 100-continue is answered with 417") {
  for (const char* value : {"200-ok", "100", "", "100-continue, 100-continue", "100-continue;x", "x"}) {
    field_refused(std::string("Expect: ") + value, Refusal::unknown_expectation, 417);
  }
  field_refused("Expect: 100-continue\r\nExpect: 100-continue", Refusal::unknown_expectation, 417);
}

TEST_CASE("Connection may not name Host, framing, credentials or forwarding fields") {
  for (const char* name :
       {"Host", "host", "Content-Length", "Transfer-Encoding", "Cookie", "Authorization", "X-Forwarded-For",
        "x-forwarded-proto", "X-Forwarded-Anything", "close, Host", "keep-alive,cookie", "Forwarded",
        "X-Real-IP", "Via", "CDN-Loop", "CloudFront-Viewer-Country", "X-Client-Cert-Verify"}) {
    field_refused(std::string("Connection: ") + name, Refusal::connection_names_protected_field);
  }
  field_refused("Connection: close\r\nConnection: Host", Refusal::connection_names_protected_field);
}

TEST_CASE("Connection elements that are no tokens are refused") {
  for (const char* value : {"close;x", "a b", "\"close\"", "(x)", "close\xA0", "a=b", "keep-alive, @"}) {
    field_refused(std::string("Connection: ") + value, Refusal::bad_connection);
  }
}

TEST_CASE("A request line of 8 KiB passes, one byte more is 414, also before its end was seen") {
  const std::size_t limit = Limits().request_line_bytes;
  const std::string rest = "\r\nHost: a\r\n\r\n";
  const auto line = [](std::size_t size) { return "GET /" + std::string(size - 14, 'a') + " HTTP/1.1"; };
  CHECK(line(limit).size() == limit);
  CHECK(parse_request(line(limit) + rest).parsed.done());
  const ParsedRequest longer = parse_request(line(limit + 1) + rest);
  CHECK(longer.parsed.status == 414);
  CHECK(parse_request("GET /" + std::string(limit - 5, 'a')).parsed.need_more());
  CHECK(parse_request("GET /" + std::string(limit - 4, 'a')).parsed.status == 414);
}

TEST_CASE("100 fields pass, one more is 431, and dropped fields count") {
  const auto request = [](int fields, const std::string& name) {
    std::string text = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (int i = 1; i < fields; ++i) text += name + std::to_string(i) + ": b\r\n";
    return text + "\r\n";
  };
  CHECK(parse_request(request(100, "x")).parsed.done());
  CHECK(parse_request(request(101, "x")).parsed.status == 431);
  CHECK(parse_request(request(101, "x_")).parsed.refusal == Refusal::too_many_fields);
}

TEST_CASE("A header of 32 KiB passes, one byte more is 431, also before its end was seen") {
  const std::size_t limit = Limits().header_bytes;
  const std::string start = "GET / HTTP/1.1\r\n";
  const std::string host = "Host: a\r\n";
  const auto field = [&](std::size_t size) {
    return "X: " + std::string(size - host.size() - 5, 'b') + "\r\n";
  };
  CHECK((host + field(limit)).size() == limit);
  CHECK(parse_request(start + host + field(limit) + "\r\n").parsed.done());
  CHECK(parse_request(start + host + field(limit + 1) + "\r\n").parsed.status == 431);
  CHECK(parse_request(start + host + "X: " + std::string(limit, 'b')).parsed.refusal ==
        Refusal::header_too_large);
  CHECK(Limits().head_bytes() >= start.size() + limit + 2);
}

TEST_CASE("Bytes of another protocol are refused at once") {
  CHECK(parse_request(raw("\x16\x03\x01\x02")).parsed.refused());
  CHECK(parse_request(raw("\0")).parsed.refused());
  CHECK(parse_request("SSH-2.0-OpenSSH\r\n").parsed.refused());
}
