#include "cache/object.h"

#include <array>
#include <catch2/catch.hpp>

#include "cache_support.h"

using namespace vignette;
using namespace vignette::cache;
using std::chrono::seconds;

TEST_CASE("a small object lies in one block: fields, empty line, body") {
  const std::string body = body_for("h/a", 1000);
  const ObjectRef object = object_for("h/a", 1000);
  CHECK(object->wire().view() == "Content-Type: image/jpeg\r\nETag: \"v1\"\r\n\r\n" + body);
  CHECK(object->head_wire().view() == "Content-Type: image/jpeg\r\nETag: \"v1\"\r\n\r\n");
  CHECK(object->inline_body_bytes() == 1000);
  REQUIRE(object->body_chunks().size() == 1);
  CHECK(object->body_chunks()[0].bytes.block().get() == object->wire().block().get());
  CHECK(object->etag() == "\"v1\"");
  CHECK(object->field("content-TYPE") == "image/jpeg");
  CHECK_FALSE(object->field("content"));
  CHECK(object->key_string() == "h/a");
}

TEST_CASE("the limit of inline bodies is a limit") {
  CHECK(object_for("h/a", Object::kInlineBody)->inline_body_bytes() == Object::kInlineBody);
  const ObjectRef longer = object_for("h/a", Object::kInlineBody + 1);
  CHECK(longer->inline_body_bytes() == 0);
  CHECK(body_text(*longer) == body_for("h/a", Object::kInlineBody + 1));
}

TEST_CASE("an object without body or fields is well formed") {
  const ObjectRef object = Object::complete(fresh_head(""), hash_key("k"), "k", "");
  CHECK(object->wire().view() == "\r\n");
  CHECK(object->fields().empty());
  CHECK(object->content_length() == 0);
  CHECK(object->body_chunks().empty());
}

TEST_CASE("age arithmetic takes the larger of what Date and what Age say") {
  ObjectHead head = fresh_head();
  head.date = head.response_time - seconds(30);
  head.request_time = head.response_time - seconds(2);
  head.age_value = seconds(10);
  CHECK(Object::complete(head, hash_key("k"), "k", "")->corrected_initial_age() == seconds(30));
  head.age_value = seconds(100);
  CHECK(Object::complete(head, hash_key("k"), "k", "")->corrected_initial_age() == seconds(102));
  head.date = head.response_time + seconds(500);  // a clock that runs ahead
  head.age_value = seconds(0);
  CHECK(Object::complete(head, hash_key("k"), "k", "")->corrected_initial_age() == seconds(2));
}

TEST_CASE("a body of unknown length grows in chunks and is compacted when it is small") {
  const ObjectRef growing = Object::growing(fresh_head(), hash_key("k"), "k");
  CHECK_FALSE(growing->content_length());
  const std::string text = body_for("k", 5000);
  for (std::size_t i = 0; i < text.size(); i += 700) growing->body().append_copy(text.substr(i, 700));
  growing->body().complete();
  CHECK(growing->content_length() == 5000);
  const ObjectRef compact = growing->compacted();
  CHECK(compact->inline_body_bytes() == 5000);
  CHECK(compact->wire().view().substr(compact->head_wire().size()) == text);
  CHECK(compact->footprint() < growing->footprint());
}

TEST_CASE("a freshened large object shares its body and has the new head") {
  const ObjectRef old = object_for("k", 200'000);
  const ObjectRef fresh = old->freshened(fresh_head("ETag: \"v2\"\r\n"));
  CHECK(&fresh->body() == &old->body());
  CHECK(fresh->etag() == "\"v2\"");
  CHECK(fresh->content_length() == 200'000);
  const ObjectRef small = object_for("k", 100)->freshened(fresh_head("ETag: \"v2\"\r\n"));
  CHECK(small->wire().view() == "ETag: \"v2\"\r\n\r\n" + body_for("k", 100));
}

TEST_CASE("reading starts at any offset and stops at what is published") {
  const BodyRef body = Body::create(std::nullopt);
  const std::string text = body_for("k", 300'000);
  body->append_copy(std::string_view(text).substr(0, 200'000));
  std::array<Slice, 16> slices;
  CHECK(body->read(200'000, slices) == 0);
  for (const std::uint64_t at : {0u, 1u, 16000u, 17000u, 199999u}) {
    std::string read;
    const std::size_t count = body->read(at, slices);
    for (std::size_t i = 0; i < count; ++i) read += slices[i].view();
    CHECK(read == text.substr(at, 200'000 - at));
  }
  body->append_copy(std::string_view(text).substr(200'000));
  body->complete();
  CHECK(body->length() == 300'000);
  std::string all;
  for (const Chunk& chunk : body->chunks()) {
    CHECK(chunk.offset == all.size());
    all += chunk.bytes.view();
  }
  CHECK(all == text);
}

TEST_CASE("what is dropped gives its memory back and is not read again") {
  const BodyRef body = Body::create(std::nullopt);
  const std::size_t empty = body->footprint();
  for (int i = 0; i < 8; ++i) body->append_slice(Slice::copy(std::string(10'000, 'x')));
  const std::size_t full = body->footprint();
  CHECK(full >= empty + 80'000);
  body->drop_before(45'000);
  CHECK(body->footprint() <= full - 40'000);
  std::array<Slice, 16> slices;
  CHECK(body->read(39'999, slices) == 0);
  CHECK(body->read(45'000, slices) == 4);
  CHECK(slices[0].size() == 5'000);
}

TEST_CASE("a reservation counts once and goes back with the object") {
  struct Counter final : Budget {
    bool acquire(std::size_t bytes) override { return used += bytes, true; }
    void charge(std::size_t bytes) override { used += bytes; }
    void release(std::size_t bytes) override { used -= bytes; }
    std::size_t used = 0;
  };
  const auto budget = std::make_shared<Counter>();
  {
    Reservation first(budget, 0);
    REQUIRE(first.grow_to(100));
    Reservation part = first.split(40);
    CHECK(first.bytes() + part.bytes() == 100);
    const ObjectRef object = object_for("k", 10);
    CHECK(object->adopt(std::move(part)));
    CHECK(object->reserved_in(budget.get()) == 40);
    Reservation second(budget, 0);
    second.set_to(7);
    CHECK_FALSE(object->adopt(std::move(second)));
    CHECK(second.bytes() == 7);
    CHECK(budget->used == 107);
  }
  CHECK(budget->used == 0);
}
