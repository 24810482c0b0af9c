#include "base/json.h"

#include <catch2/catch.hpp>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

using namespace vignette;

TEST_CASE("objects and arrays nest with commas where they belong") {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("a", 1).key("list").begin_array().value(true).null().begin_array().end_array();
  json.begin_object().end_object().value("x").end_array().field("last", false).end_object();
  CHECK(out == R"({"a":1,"list":[true,null,[],{},"x"],"last":false})");
}

TEST_CASE("numbers are exact") {
  std::string out;
  JsonWriter json(out);
  json.begin_array()
      .value(std::numeric_limits<std::int64_t>::min())
      .value(std::numeric_limits<std::uint64_t>::max());
  json.value(0.1).value(std::numeric_limits<double>::infinity()).value(std::nan("")).value(std::uint8_t{7});
  json.fixed(0.00415, 3).fixed(1e300, 0).fixed(-2, 2).end_array();
  auto parsed = nlohmann::json::parse(out);
  CHECK(parsed[0] == std::numeric_limits<std::int64_t>::min());
  CHECK(parsed[1] == std::numeric_limits<std::uint64_t>::max());
  CHECK(parsed[2] == 0.1);
  CHECK(parsed[3].is_null());
  CHECK(parsed[4].is_null());
  CHECK(parsed[5] == 7);
  CHECK(parsed[6] == 0.004);
  CHECK(parsed[7] == 1e300);
  CHECK(out.ends_with(",-2.00]"));
}

TEST_CASE("a reader gets back every byte value, in keys too") {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  std::string out;
  JsonWriter(out).begin_object().field(bytes.substr(0, 128), bytes).end_object();
  auto parsed = nlohmann::json::parse(out);
  std::string value = parsed.at(bytes.substr(0, 128));
  CHECK(value.substr(0, 128) == bytes.substr(0, 128));
  CHECK(value.size() == 128 + 128 * 3);
}

TEST_CASE("strings of any type are strings, raw text stays as it is") {
  std::string out;
  std::string text = "s";
  JsonWriter(out)
      .begin_array()
      .value(text)
      .value("c")
      .value(std::string_view("v"))
      .raw("{\"r\":1}")
      .end_array();
  CHECK(out == R"(["s","c","v",{"r":1}])");
}

TEST_CASE("depth up to the limit is written") {
  std::string out;
  JsonWriter json(out);
  for (unsigned i = 0; i < JsonWriter::kMaxDepth; ++i) json.begin_array();
  for (unsigned i = 0; i < JsonWriter::kMaxDepth; ++i) json.end_array();
  CHECK(nlohmann::json::accept(out));
}

TEST_CASE("a second line into the same string needs no allocation") {
  std::string out;
  auto write = [&out] {
    out.clear();
    JsonWriter(out)
        .begin_object()
        .field("host", "img.example.com")
        .field("status", 200)
        .fixed_field("t", 0.25, 3)
        .end_object();
  };
  write();
  const char* data = out.data();
  std::size_t capacity = out.capacity();
  write();
  CHECK(out.data() == data);
  CHECK(out.capacity() == capacity);
  CHECK(out == R"({"host":"img.example.com","status":200,"t":0.250})");
}
