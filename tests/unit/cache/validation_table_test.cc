// What a stored response is compared by: the values that Vary selects, validators, and what a 304 changes.
#include <catch2/catch.hpp>

#include "cache/vary.h"
#include "http/conditional.h"
#include "http/range.h"
#include "table_support.h"

namespace vignette::cache {
namespace {

struct VaryRow {
  const char* vary;
  const char* stored_for;
  const char* asked;
  bool matches;
};
constexpr VaryRow kVary[] = {
    {"", "A: 1", "A: 2", true},
    {"Vary: a", "A: 1", "A: 1", true},
    {"Vary: a", "A: 1", "A: 2", false},
    {"Vary: a", "A: 1", "", false},
    {"Vary: a", "", "", true},
    {"Vary: a", "A: 1", "A: 1 | B: 2", true},
    {"Vary: A", "a: 1", "A: 1", true},
    {"Vary: a", "A: x", "A: X", false},
    {"Vary: a", "A: 1", "A:  1 ", true},
    {"Vary: a", "A: 1, 2", "A: 1,2", true},
    {"Vary: a", "A: 1 ,2", "A: 1,\t2", true},
    {"Vary: a", "A: 1,2", "A: 1 | A: 2", true},
    {"Vary: a", "A: 1,2", "A: 2,1", false},
    {"Vary: a", "A: 1 2", "A: 12", false},
    {"Vary: a", "A: \"1, 2\"", "A: \"1,2\"", false},
    {"Vary: a", "A: \"1\\\", 2\"", "A: \"1\\\",2\"", false},
    {"Vary: a, b", "A: 1 | B: 2", "B: 2 | A: 1", true},
    {"Vary: a, b", "A: 1 | B: 2", "A: 1", false},
    {"Vary: a,b", "A: 1 | B: 2", "A: 1 | B: 3", false},
    {"Vary: b | Vary: a", "A: 1 | B: 2", "A: 1 | B: 2", true},
    {"Vary: b | Vary: a", "A: 1 | B: 2", "A: 2 | B: 2", false},
    {"Vary: ,, a ,", "A: 1", "A: 2", false},
    {"Vary: accept-encoding", "Accept-Encoding: gzip, br", "Accept-Encoding: br;q=1.0, gzip;q=0.8", true},
    {"Vary: accept-encoding", "Accept-Encoding: gzip", "Accept-Encoding: GZIP, deflate", true},
    {"Vary: accept-encoding", "Accept-Encoding: gzip", "Accept-Encoding: br", false},
    {"Vary: accept-encoding", "Accept-Encoding: gzip", "", false},
    {"Vary: accept-encoding", "Accept-Encoding: identity", "", true},
    {"Vary: accept-encoding", "Accept-Encoding: deflate", "Accept-Encoding: x-unknown", true},
    {"Vary: accept-encoding", "Accept-Encoding: gzip;q=0", "", true},
    {"Vary: accept-encoding", "Accept-Encoding: gzip, deflate, br, zstd", "Accept-Encoding: *", true},
    {"Vary: accept-encoding", "Accept-Encoding: gzip, br", "Accept-Encoding: br", false},
    {"Vary: accept-language", "Accept-Language: en, de", "Accept-Language: EN,De", true},
    {"Vary: accept-language", "Accept-Language: en;q=0.5", "Accept-Language: en; Q=0.5", true},
    {"Vary: accept-language", "Accept-Language: en, de", "Accept-Language: en | Accept-Language: de", true},
    {"Vary: accept-language", "Accept-Language: en, de", "Accept-Language: de, en", false},
    {"Vary: accept-language", "Accept-Language: en", "Accept-Language: de", false},
};

struct ConditionRow {
  const char* stored;  // ETag and Last-Modified
  const char* request;
  int status;  // 200, 304 or 412
};
constexpr ConditionRow kConditions[] = {
    {"ETag: \"a\"", "", 200},
    {"ETag: \"a\"", "If-None-Match: \"a\"", 304},
    {"ETag: \"a\"", "If-None-Match: \"b\"", 200},
    {"ETag: \"a\"", "If-None-Match: \"b\", \"a\"", 304},
    {"ETag: \"a\"", "If-None-Match: \"b\" | If-None-Match: \"a\"", 304},
    {"ETag: \"a\"", "If-None-Match: \"a,b\", \"c\"", 200},
    {"ETag: \"a\"", "If-None-Match: W/\"a\"", 304},
    {"ETag: W/\"a\"", "If-None-Match: \"a\"", 304},
    {"ETag: W/\"a\"", "If-None-Match: W/\"a\"", 304},
    {"ETag: \"a\"", "If-None-Match: w/\"a\"", 200},
    {"ETag: \"a\"", "If-None-Match: *", 304},
    {"ETag: \"a\"", "If-None-Match: a", 200},
    {"ETag: \"a\"", "If-None-Match: \"A\"", 200},
    {"", "If-None-Match: \"a\"", 200},
    {"ETag: \"a\" | Last-Modified: @-60", "If-None-Match: \"b\" | If-Modified-Since: @-60", 200},
    {"ETag: \"a\" | Last-Modified: @-60", "If-None-Match: \"a\" | If-Modified-Since: @-90", 304},
    {"Last-Modified: @-60", "If-Modified-Since: @-60", 304},
    {"Last-Modified: @-60", "If-Modified-Since: @-59", 304},
    {"Last-Modified: @-60", "If-Modified-Since: @-61", 200},
    {"Last-Modified: @-60", "If-Modified-Since: Tuesday, 14-Nov-23 22:12:20 GMT", 304},
    {"Last-Modified: @-60", "If-Modified-Since: Tue Nov 14 22:12:20 2023", 304},
    {"Last-Modified: @-60", "If-Modified-Since: yesterday", 200},
    // without Last-Modified its Date is what counts
    {"Date: @-60", "If-Modified-Since: @-60", 304},
    {"Date: @-60", "If-Modified-Since: @-61", 200},
    {"", "If-Modified-Since: @0", 304},
    {"", "If-Modified-Since: @-1", 200},
    {"ETag: \"a\"", "If-Match: \"a\"", 200},
    {"ETag: \"a\"", "If-Match: \"b\"", 412},
    {"ETag: \"a\"", "If-Match: \"b\", \"a\"", 200},
    {"ETag: W/\"a\"", "If-Match: W/\"a\"", 412},
    {"ETag: \"a\"", "If-Match: W/\"a\"", 412},
    {"ETag: \"a\"", "If-Match: *", 200},
    {"", "If-Match: \"a\"", 412},
    {"ETag: \"a\"", "If-Match: \"a\" | If-None-Match: \"a\"", 304},
    {"Last-Modified: @-60", "If-Unmodified-Since: @-60", 200},
    {"Last-Modified: @-60", "If-Unmodified-Since: @-61", 412},
    {"Last-Modified: @-60 | ETag: \"a\"", "If-Match: \"a\" | If-Unmodified-Since: @-61", 200},
    {"Last-Modified: @-60", "If-Unmodified-Since: never", 200},
    {"Date: @0", "If-Unmodified-Since: @-61", 200},
};

struct UpdateRow {
  const char* stored;
  const char* update;
  const char* field;
  const char* value;  // null: absent
};
constexpr UpdateRow kUpdates[] = {
    {"X: 1", "X: 2", "x", "2"},
    {"X: 1", "Y: 2", "x", "1"},
    {"X: 1", "Y: 2", "y", "2"},
    {"X: 1 | X: 3", "X: 2", "x", "2"},
    {"Cache-Control: max-age=9", "Cache-Control: max-age=90", "cache-control", "max-age=90"},
    {"Expires: @60", "Expires: @90", "expires", "Tue, 14 Nov 2023 22:14:50 GMT"},
    {"Content-Type: text/plain", "Content-Type: text/html", "content-type", "text/html"},
    {"Content-Location: /a", "Content-Location: /b", "content-location", "/b"},
    {"Last-Modified: @-60", "Last-Modified: @-30", "last-modified", "Tue, 14 Nov 2023 22:12:50 GMT"},
    {"Vary: a", "Vary: b", "vary", "b"},
    {"Date: @-60", "Date: @-30", "date", "Tue, 14 Nov 2023 22:12:50 GMT"},
    {"Date: @-60", "X: 1", "date", "Tue, 14 Nov 2023 22:13:20 GMT"},
    {"Date: @-60", "Date: nonsense", "date", "Tue, 14 Nov 2023 22:13:20 GMT"},
    // what describes the bytes stays
    {"ETag: \"a\"", "ETag: \"b\"", "etag", "\"a\""},
    {"ETag: \"a\"", "ETag: W/\"a\"", "etag", "\"a\""},
    {"X: 1", "ETag: \"b\"", "etag", "\"b\""},
    {"Content-Encoding: gzip", "Content-Encoding: br", "content-encoding", "gzip"},
    {"Content-Range: bytes 0-1/2", "Content-Range: bytes 0-2/3", "content-range", "bytes 0-1/2"},
    {"Content-MD5: a", "Content-MD5: b", "content-md5", "a"},
    {"Repr-Digest: a", "Repr-Digest: b", "repr-digest", "a"},
    {"X: 1", "Content-Length: 99", "content-length", nullptr},
    // what belongs to one connection or one answer never gets in
    {"X: 1", "Age: 7", "age", nullptr},
    {"X: 1", "Keep-Alive: timeout=5", "keep-alive", nullptr},
    {"X: 1", "Transfer-Encoding: chunked", "transfer-encoding", nullptr},
    {"X: 1", "Surrogate-Control: max-age=5", "surrogate-control", nullptr},
};

}  // namespace

TEST_CASE("a request matches what was stored for the same values") {
  for (const VaryRow& row : kVary) {
    INFO(row.vary << " / " << row.stored_for << " / " << row.asked);
    const Fields response(std::string("Cache-Control: max-age=60 | ") + row.vary);
    const Fields stored_for(row.stored_for);
    const Fields asked(row.asked);
    AssessmentScratch scratch;
    const Assessment made =
        assess(request_of(stored_for), response_of(200, response), {}, {kNow, kNow}, scratch);
    const ObjectRef object = Object::complete(made.head, hash_key("k"), "k", "x");
    CHECK(vary_matches(*object, asked.list()) == row.matches);
  }
}

TEST_CASE("conditions are held against what is stored") {
  for (const ConditionRow& row : kConditions) {
    INFO(row.stored << " / " << row.request);
    const Fields stored(row.stored);
    const Fields request(row.request);
    const ObjectRef object = object_of(response_of(200, stored));
    const auto outcome = http::evaluate_preconditions(
        request_of(request), {.etag = object->etag(),
                              .last_modified = object->last_modified(),
                              .date = object->date().value_or(object->response_time())});
    int status = 200;
    if (outcome == http::Precondition::not_modified) status = 304;
    if (outcome == http::Precondition::precondition_failed) status = 412;
    CHECK(status == row.status);
  }
}

TEST_CASE("a 304 changes the fields that it names, but for those that describe the stored bytes") {
  for (const UpdateRow& row : kUpdates) {
    INFO(row.stored << " / " << row.update);
    const Fields stored(row.stored);
    const Fields update(row.update);
    const Fields none("");
    const ObjectRef old = object_of(response_of(200, stored));
    AssessmentScratch scratch;
    const Assessment made =
        assess_not_modified(*old, request_of(none), response_of(304, update), {}, {kNow, kNow}, scratch);
    const ObjectRef fresh = old->freshened(made.head);
    CHECK(fresh->status() == 200);
    CHECK(fresh->body().length() == 1);
    const auto value = fresh->field(row.field);
    CHECK(value.has_value() == (row.value != nullptr));
    if (row.value) CHECK(value.value_or("") == row.value);
  }
}

TEST_CASE("a 304 starts a new lifetime at the time it came") {
  const Fields stored("Cache-Control: max-age=10 | ETag: \"a\" | Date: @-1000 | Age: 5");
  const Fields update("Cache-Control: max-age=60");
  const Fields none("");
  const ObjectRef old = object_of(response_of(200, stored));
  CHECK(decide_serve(*old, kNow).serve == Serve::stale_if_error);
  AssessmentScratch scratch;
  const Assessment made =
      assess_not_modified(*old, request_of(none), response_of(304, update), {}, {kNow, kNow}, scratch);
  const ObjectRef fresh = old->freshened(made.head);
  CHECK(decide_serve(*fresh, kNow + std::chrono::seconds(59)).serve == Serve::fresh);
  CHECK(decide_serve(*fresh, kNow + std::chrono::seconds(60)).serve == Serve::stale_if_error);
}

}  // namespace vignette::cache
