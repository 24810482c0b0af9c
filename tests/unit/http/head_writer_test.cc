// Field lists, names, hop-by-hop fields and the writer.
#include <catch2/catch.hpp>

#include "heads.h"
#include "http/hop_by_hop.h"
#include "http/status.h"
#include "http/writer.h"

using namespace vignette::http;
using namespace vignette::http::test;

namespace {

std::string names(const FieldList& fields) {
  std::string text;
  for (const Field& field : fields) text.append(field.name).append(" ");
  return text;
}

}  // namespace

TEST_CASE("Every known field name is found by its lower-case form and by nothing else") {
  for (std::size_t i = 1; i < kFieldIdCount; ++i) {
    const FieldId id = static_cast<FieldId>(i);
    INFO(lower_case_name(id));
    CHECK(field_id(lower_case_name(id)) == id);
    CHECK(field_id(conventional_name(id)) == FieldId::other);
    CHECK(vignette::iequals(conventional_name(id), lower_case_name(id)));
    CHECK(field_id(std::string(lower_case_name(id)) + "x") == FieldId::other);
  }
  CHECK(field_id("") == FieldId::other);
  CHECK(field_id("x") == FieldId::other);
  CHECK(lower_case_name(FieldId::content_length) == "content-length");
  CHECK(conventional_name(FieldId::etag) == "ETag");
}

TEST_CASE("A field list finds, counts, sets and removes lines in order") {
  FieldList fields;
  CHECK(fields.add("b", "1"));
  CHECK(fields.add(FieldId::vary, "x"));
  CHECK(fields.add("b", "2"));
  CHECK(fields.add(FieldId::vary, "y, \"q,r\" ,,z"));
  CHECK(fields.count(FieldId::vary) == 2);
  CHECK(fields.find("b")->value == "1");
  CHECK(fields.value(FieldId::age).empty());
  std::string elements;
  fields.for_each_element(FieldId::vary,
                          [&](std::string_view element) { elements.append(element).append("|"); });
  CHECK(elements == "x|y|\"q,r\"|z|");
  CHECK(fields.has_element(FieldId::vary, "Z"));
  CHECK(fields.set("b", "3"));
  CHECK(names(fields) == "vary vary b ");
  const FieldList copy = fields;
  CHECK(fields.remove(FieldId::vary) == 2);
  CHECK_FALSE(fields.has(FieldId::vary));
  CHECK(copy.has(FieldId::vary));
  CHECK(copy.size() == 3);
}

TEST_CASE("A full field list refuses more and stays intact") {
  FieldList fields;
  for (std::size_t i = 0; i < FieldList::kCapacity; ++i) REQUIRE(fields.add("x", "y"));
  CHECK_FALSE(fields.add("x", "y"));
  CHECK(fields.size() == FieldList::kCapacity);
  CHECK(FieldList::kCapacity >= kMaxFields + 20);
}

TEST_CASE("Hop-by-hop fields and those named in Connection are not forwarded with a request") {
  ParsedRequest got = parse_request(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Foo, close\r\nConnection: te\r\nx-foo: 1\r\nX-Bar: "
      "2\r\nKeep-Alive: 5\r\n"
      "Proxy-Connection: x\r\nProxy-Authorization: y\r\nTE: trailers\r\nTrailer: z\r\nUpgrade: "
      "h2c\r\nHTTP2-Settings: q\r\n"
      "Expect: 100-continue\r\nContent-Length: 1\r\nCookie: c\r\n\r\n");
  REQUIRE(got.parsed.done());
  strip_request_fields(got.head->fields);
  CHECK(names(got.head->fields) == "x-bar cookie ");
}

TEST_CASE("A response keeps its essential fields even when Connection names them") {
  ParsedResponse got = parse_response(
      "HTTP/1.1 200 OK\r\nConnection: Cache-Control, X-Foo, Set-Cookie\r\nCache-Control: "
      "private\r\nSet-Cookie: a\r\nX-Foo: b\r\n"
      "Keep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n");
  REQUIRE(got.parsed.done());
  strip_response_fields(got.head->fields);
  CHECK(names(got.head->fields) == "cache-control set-cookie ");
}

TEST_CASE("A head is written in both casings, into a string or fixed memory") {
  std::string out = "before";
  HeadWriter writer(out, HeadWriter::Names::conventional);
  writer.request_line("GET", "/a", true, "b=c");
  writer.add(FieldId::etag, "\"x\"");
  writer.add_number(FieldId::content_length, 18446744073709551615u);
  writer.add("x-y", "");
  CHECK(*writer.end() ==
        "GET /a?b=c HTTP/1.1\r\nETag: \"x\"\r\nContent-Length: 18446744073709551615\r\nx-y: \r\n\r\n");
  CHECK(out.starts_with("beforeGET"));
  char fixed[128];
  HeadWriter answer{std::span<char>(fixed)};
  answer.status_line(404);
  answer.add(FieldId::etag, "\"x\"");
  CHECK(*answer.end() == "HTTP/1.1 404 Not Found\r\netag: \"x\"\r\n\r\n");
}

TEST_CASE("A value or name that would break out of its line is never written") {
  for (const std::string_view value : {raw("a\r\nb: c"), raw("a\n"), raw("\r"), raw("a\0b"), raw("\x7f")}) {
    std::string out;
    HeadWriter writer(out);
    writer.status_line(200);
    writer.add(FieldId::location, value);
    CHECK(writer.failed());
    CHECK(writer.end().error().code == vignette::Code::malformed);
    CHECK(out.empty());
  }
  for (const std::string_view name : {raw(""), raw("a b"), raw("a:"), raw("a\r\n")}) {
    std::string out;
    HeadWriter writer(out);
    writer.add(name, "x");
    CHECK(writer.end().error().code == vignette::Code::malformed);
  }
  for (const std::string_view target : {raw(""), raw("/a b"), raw("/\r\n"), raw("/\xC3\xA9")}) {
    std::string out;
    HeadWriter writer(out);
    writer.request_line("GET", target);
    CHECK(writer.end().error().code == vignette::Code::malformed);
  }
}

TEST_CASE("A head that exactly fits is written, one byte less is a limit") {
  char memory[64];
  const std::string_view whole = "HTTP/1.1 200 OK\r\nage: 1\r\n\r\n";
  for (const std::size_t size : {whole.size(), whole.size() - 1, whole.size() - 3, std::size_t{0}}) {
    HeadWriter writer(std::span<char>(memory, size));
    writer.status_line(200);
    writer.add_number(FieldId::age, 1);
    const auto head = writer.end();
    CHECK(head.has_value() == (size == whole.size()));
    if (head) {
      CHECK(*head == whole);
    } else {
      CHECK(head.error().code == vignette::Code::limit);
    }
  }
}

TEST_CASE("Statuses and refusals have names") {
  CHECK(reason_phrase(200) == "OK");
  CHECK(reason_phrase(431) == "Request Header Fields Too Large");
  CHECK(reason_phrase(299) == "Unknown");
  for (std::size_t i = 0; i < kRefusalCount; ++i) CHECK_FALSE(to_string(static_cast<Refusal>(i)).empty());
}
