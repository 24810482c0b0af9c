// What may be sent of what is stored, and when: fields and seconds since it came in, decision out.
#include <catch2/catch.hpp>

#include "table_support.h"

namespace vignette::cache {
namespace {

using std::chrono::seconds;

struct Row {
  const char* response;
  int later;
  const char* request;  // its Cache-Control or Pragma, where the route obeys them; null: where it does not
  const char* decision;
};

std::string_view name_of(Serve serve) {
  switch (serve) {
    case Serve::fresh:
      return "fresh";
    case Serve::stale_while_revalidate:
      return "stale-while-revalidate";
    case Serve::stale_if_error:
      return "stale-if-error";
    case Serve::must_revalidate:
      return "must-revalidate";
  }
  return "unknown";
}

template <std::size_t N>
void run(const Row (&rows)[N], const CachePolicy& policy) {
  for (const Row& row : rows) {
    INFO(row.response << " +" << row.later << " / " << (row.request ? row.request : "-"));
    const Fields fields(row.response);
    const ObjectRef object = object_of(response_of(200, fields), policy);
    const Fields wishes(row.request ? row.request : "");
    const http::RequestDirectives directives = http::request_directives(wishes.list());
    const WallTime now = kNow + seconds(row.later);
    CHECK(name_of(decide_serve(*object, now, row.request ? &directives : nullptr).serve) == row.decision);
  }
}

// Routes to servers: a day of stale-if-error.
constexpr Row kServers[] = {
    {"Cache-Control: max-age=100", 0, nullptr, "fresh"},
    {"Cache-Control: max-age=100", 99, nullptr, "fresh"},
    {"Cache-Control: max-age=100", 100, nullptr, "stale-if-error"},
    {"Cache-Control: max-age=100", 86499, nullptr, "stale-if-error"},
    {"Cache-Control: max-age=100", 86500, nullptr, "must-revalidate"},
    {"Cache-Control: max-age=0 | ETag: \"a\"", 0, nullptr, "must-revalidate"},
    {"Date: @0 | Expires: @100", 99, nullptr, "fresh"},
    {"Date: @0 | Expires: @100", 100, nullptr, "stale-if-error"},
    {"Cache-Control: max-age=100, must-revalidate", 99, nullptr, "fresh"},
    {"Cache-Control: max-age=100, must-revalidate", 100, nullptr, "must-revalidate"},
    {"Cache-Control: max-age=100, proxy-revalidate", 100, nullptr, "must-revalidate"},
    {"Cache-Control: s-maxage=100", 99, nullptr, "fresh"},
    {"Cache-Control: s-maxage=100", 100, nullptr, "must-revalidate"},
    {"Cache-Control: no-cache | ETag: \"a\"", 0, nullptr, "must-revalidate"},
    {"Cache-Control: no-cache, max-age=100 | ETag: \"a\"", 1, nullptr, "must-revalidate"},
    {"Cache-Control: no-cache=\"x\", max-age=100 | ETag: \"a\"", 1, nullptr, "must-revalidate"},
    {"Cache-Control: max-age=100, immutable", 100, nullptr, "stale-if-error"},
    // the origin's own windows
    {"Cache-Control: max-age=100, stale-while-revalidate=50", 99, nullptr, "fresh"},
    {"Cache-Control: max-age=100, stale-while-revalidate=50", 100, nullptr, "stale-while-revalidate"},
    {"Cache-Control: max-age=100, stale-while-revalidate=50", 149, nullptr, "stale-while-revalidate"},
    {"Cache-Control: max-age=100, stale-while-revalidate=50", 150, nullptr, "stale-if-error"},
    {"Cache-Control: max-age=0, stale-while-revalidate=50 | ETag: \"a\"", 9, nullptr,
     "stale-while-revalidate"},
    {"Cache-Control: max-age=100, stale-while-revalidate=x", 100, nullptr, "stale-if-error"},
    {"Cache-Control: max-age=100, stale-if-error=50", 149, nullptr, "stale-if-error"},
    {"Cache-Control: max-age=100, stale-if-error=50", 150, nullptr, "must-revalidate"},
    {"Cache-Control: max-age=100, stale-if-error=0", 100, nullptr, "must-revalidate"},
    {"Cache-Control: max-age=100, stale-while-revalidate=50, stale-if-error=0", 149, nullptr,
     "stale-while-revalidate"},
    {"Cache-Control: max-age=100, stale-while-revalidate=50, must-revalidate", 100, nullptr,
     "must-revalidate"},
    {"Cache-Control: max-age=100, stale-if-error=50, proxy-revalidate", 100, nullptr, "must-revalidate"},
    {"Cache-Control: s-maxage=100, stale-while-revalidate=50", 149, nullptr, "stale-while-revalidate"},
    {"Cache-Control: s-maxage=100, stale-if-error=50", 149, nullptr, "stale-if-error"},
    {"CDN-Cache-Control: max-age=100, stale-while-revalidate=9 | Cache-Control: max-age=1", 105, nullptr,
     "stale-while-revalidate"},
    {"CDN-Cache-Control: max-age=100 | Cache-Control: must-revalidate", 100, nullptr, "stale-if-error"},
    // Age brings the end nearer
    {"Cache-Control: max-age=100 | Age: 90", 9, nullptr, "fresh"},
    {"Cache-Control: max-age=100 | Age: 90", 10, nullptr, "stale-if-error"},
    {"Cache-Control: max-age=100 | Age: 100", 0, nullptr, "stale-if-error"},
    {"Date: @-90 | Cache-Control: max-age=100", 9, nullptr, "fresh"},
    {"Date: @-90 | Cache-Control: max-age=100", 10, nullptr, "stale-if-error"},
    {"Date: @90 | Cache-Control: max-age=100", 99, nullptr, "fresh"},
    {"Date: @90 | Cache-Control: max-age=100", 100, nullptr, "stale-if-error"},
    // what a request asks for
    {"Cache-Control: max-age=100", 1, "", "fresh"},
    {"Cache-Control: max-age=100", 1, "Cache-Control: no-cache", "must-revalidate"},
    {"Cache-Control: max-age=100", 1, "Cache-Control: NO-CACHE", "must-revalidate"},
    {"Cache-Control: max-age=100", 1, "Pragma: no-cache", "must-revalidate"},
    {"Cache-Control: max-age=100", 1, "Pragma: no-cache | Cache-Control: foo", "fresh"},
    {"Cache-Control: max-age=100", 1, "Cache-Control: no-store", "fresh"},
    {"Cache-Control: max-age=100", 1, "Cache-Control: max-age=0", "stale-if-error"},
    {"Cache-Control: max-age=100", 9, "Cache-Control: max-age=10", "fresh"},
    {"Cache-Control: max-age=100", 10, "Cache-Control: max-age=10", "stale-if-error"},
    {"Cache-Control: max-age=100 | Age: 90", 1, "Cache-Control: max-age=90", "stale-if-error"},
    {"Cache-Control: max-age=100", 49, "Cache-Control: min-fresh=50", "fresh"},
    {"Cache-Control: max-age=100", 50, "Cache-Control: min-fresh=50", "stale-if-error"},
    {"Cache-Control: max-age=100, stale-while-revalidate=50", 60, "Cache-Control: min-fresh=50",
     "stale-if-error"},
    {"Cache-Control: max-age=100", 110, "Cache-Control: max-stale=10", "fresh"},
    {"Cache-Control: max-age=100", 111, "Cache-Control: max-stale=10", "stale-if-error"},
    {"Cache-Control: max-age=100", 86600, "Cache-Control: max-stale", "fresh"},
    {"Cache-Control: max-age=100, must-revalidate", 101, "Cache-Control: max-stale", "must-revalidate"},
    {"Cache-Control: s-maxage=100", 101, "Cache-Control: max-stale=10", "must-revalidate"},
    {"Cache-Control: no-cache | ETag: \"a\"", 1, "Cache-Control: max-stale", "must-revalidate"},
    {"Cache-Control: max-age=100", 1, "Cache-Control: only-if-cached", "fresh"},
    // and what nobody obeys
    {"Cache-Control: max-age=100", 1, nullptr, "fresh"},
};

// Stores of photos: a minute of stale-while-revalidate on top.
constexpr Row kMedia[] = {
    {"", 86399, nullptr, "fresh"},
    {"", 86400, nullptr, "stale-while-revalidate"},
    {"", 86459, nullptr, "stale-while-revalidate"},
    {"", 86460, nullptr, "stale-if-error"},
    {"Cache-Control: max-age=100", 130, nullptr, "stale-while-revalidate"},
    {"Cache-Control: max-age=100, stale-while-revalidate=0", 130, nullptr, "stale-if-error"},
    {"Cache-Control: max-age=100, must-revalidate", 130, nullptr, "must-revalidate"},
    {"Cache-Control: s-maxage=100", 130, nullptr, "must-revalidate"},
    {"Cache-Control: max-age=0 | ETag: \"a\"", 1, nullptr, "must-revalidate"},
    {"Cache-Control: max-age=100", 101, "Cache-Control: max-age=1000", "stale-while-revalidate"},
    {"Cache-Control: max-age=100", 50, "Cache-Control: max-age=10", "stale-if-error"},
};

// RFC 9111 section 4.2.3: Age and Date of the response, how long the answer took, how long ago that was.
struct AgeRow {
  const char* response;
  int delay;
  int resident;
  int age;
};
constexpr AgeRow kAges[] = {
    {"", 0, 0, 0},
    {"", 0, 7, 7},
    {"Date: @0", 0, 7, 7},
    {"Date: @-30", 0, 0, 30},
    {"Date: @-30", 0, 7, 37},
    {"Date: @30", 0, 0, 0},
    {"Date: @30", 0, 7, 7},
    {"Age: 30", 0, 0, 30},
    {"Age: 30", 0, 7, 37},
    {"Age: 30", 5, 0, 35},
    {"Age: 30", 5, 7, 42},
    {"Age: 0", 5, 0, 5},
    {"Date: @-30 | Age: 10", 0, 0, 30},
    {"Date: @-10 | Age: 30", 0, 0, 30},
    {"Date: @-10 | Age: 30", 5, 0, 35},
    {"Date: @-40 | Age: 30", 5, 0, 40},
    {"Age: 30, 60", 0, 0, 30},
    {"Age: 30 | Age: 60", 0, 0, 30},
    {"Age:  30 ", 0, 0, 30},
    {"Age: 30.5", 0, 0, 30},
    {"Age: 30;a=b", 0, 0, 30},
    {"Age: 030", 0, 0, 30},
    {"Age: abc", 0, 0, 0},
    {"Age: -30", 0, 0, 0},
    {"Age: ", 0, 3, 3},
    {"Date: nonsense | Age: 4", 0, 0, 4},
};

}  // namespace

TEST_CASE("what servers sent goes from fresh over their windows to nothing, and requests narrow it") {
  run(kServers, {});
}

TEST_CASE("photos are served stale for a minute while they are fetched again") {
  run(kMedia, media_policy());
}

TEST_CASE("the age counts what others kept it for, the way here, and our own time") {
  for (const AgeRow& row : kAges) {
    INFO(row.response << " delay " << row.delay << " resident " << row.resident);
    const Fields fields(row.response);
    const ObjectRef object = object_of(response_of(200, fields), {}, {kNow - seconds(row.delay), kNow});
    CHECK(current_age(*object, kNow + seconds(row.resident)) == seconds(row.age));
  }
}

TEST_CASE("a clock that goes back makes nothing younger than it came") {
  const Fields fields("Cache-Control: max-age=100 | Age: 30");
  const ObjectRef object = object_of(response_of(200, fields));
  CHECK(current_age(*object, kNow - seconds(1000)) == seconds(30));
  CHECK(decide_serve(*object, kNow - seconds(1000)).ttl == seconds(70));
}

}  // namespace vignette::cache
