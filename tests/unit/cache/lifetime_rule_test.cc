// Which rule gives a response its lifetime, and what a stored one still tells of it.
#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cache/freshness.h"

using namespace vignette;
using namespace vignette::cache;
using std::chrono::seconds;

namespace {

const WallTime kNow{seconds(1'700'000'000)};  // Tue, 14 Nov 2023 22:13:20 GMT

struct Row {
  int status;
  std::vector<std::pair<std::string_view, std::string_view>> fields;
  std::string_view expected;
};

http::ResponseHead head_of(const Row& row) {
  http::ResponseHead head;
  head.status = row.status;
  head.framing = http::Framing::length;
  for (auto [name, value] : row.fields) head.fields.add(name, value);
  return head;
}

CachePolicy bounded() {
  CachePolicy policy = media_policy();
  policy.min_ttl = seconds(10);
  policy.max_ttl = seconds(1000);
  return policy;
}

std::string text_of(const Lifetime& lifetime) {
  std::string text = std::to_string(lifetime.seconds.count());
  text.append(" ").append(to_string(lifetime.rule));
  if (lifetime.rule == LifetimeRule::max_age || lifetime.rule == LifetimeRule::s_maxage) {
    text.append(" of ").append(http::conventional_name(lifetime.field));
  }
  if (lifetime.bound != LifetimeBound::none) text.append(" by ").append(to_string(lifetime.bound));
  return text;
}

// As it is stored, and read back from there.
Lifetime explained(const Row& row, const CachePolicy& policy) {
  http::RequestHead request;
  request.method = http::Method::get;
  AssessmentScratch scratch;
  const Assessment made = assess(request, head_of(row), policy, {kNow, kNow}, scratch);
  const ObjectRef object = Object::complete(made.head, hash_key("k"), "k", "x");
  return explain_lifetime(*object, policy);
}

}  // namespace

TEST_CASE("a lifetime says which rule gave it, also once it is stored") {
  const std::vector<Row> rows = {
      {200, {{"cache-control", "max-age=60, s-maxage=90"}}, "90 s-maxage of Cache-Control"},
      {200, {{"cache-control", "max-age=60"}}, "60 max-age of Cache-Control"},
      {200,
       {{"cache-control", "max-age=60"}, {"cdn-cache-control", "max-age=70"}},
       "70 max-age of CDN-Cache-Control"},
      {200, {{"expires", "Tue, 14 Nov 2023 22:14:20 GMT"}}, "60 expires"},
      {200, {{"cache-control", "max-age=5"}}, "10 max-age of Cache-Control by min_ttl"},
      {200, {{"cache-control", "max-age=5000"}}, "1000 max-age of Cache-Control by max_ttl"},
      {200, {{"expires", "0"}}, "10 expires by min_ttl"},
      {200, {}, "86400 ttl"},
      {404, {}, "10 negative_ttl"},
      {503, {}, "1 error_ttl"},
      {403, {}, "0 none"},
      {200, {{"cache-control", "no-cache"}}, "86400 ttl"},
      {200, {{"cdn-cache-control", "no-cache"}, {"expires", "Tue, 14 Nov 2023 22:14:20 GMT"}}, "86400 ttl"}};
  for (const Row& row : rows) {
    CAPTURE(row.expected);
    CHECK(text_of(freshness_lifetime(head_of(row), bounded(), kNow)) == row.expected);
    CHECK(text_of(explained(row, bounded())) == row.expected);
  }
}

TEST_CASE("a guessed lifetime says so, and its bound") {
  CachePolicy policy;
  policy.mode = CacheMode::on;
  const Row row{200, {{"last-modified", "Tue, 14 Nov 2023 21:13:20 GMT"}}, ""};
  CHECK(text_of(explained(row, policy)) == "360 heuristic");
  policy.max_ttl = seconds(100);
  CHECK(text_of(explained(row, policy)) == "100 heuristic by max_ttl");
  policy.heuristics = false;
  CHECK(text_of(explained(row, policy)) == "0 none");
}

TEST_CASE("what is not stored cannot be explained from what is") {
  const Row row{200, {{"surrogate-control", "max-age=7"}, {"cache-control", "max-age=60"}}, ""};
  const CachePolicy policy;
  CHECK(text_of(freshness_lifetime(head_of(row), policy, kNow)) == "7 max-age of Surrogate-Control");
  CHECK(explained(row, policy).seconds == seconds(60));
}
