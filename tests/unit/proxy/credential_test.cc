// When credentials are asked for again, and what services answer. No sockets.
#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

#include "proxy/origin/credential_provider.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace std::chrono_literals;

namespace {

struct Desk {
  ManualClock clock;
  CredentialLedger ledger;

  CredentialLedger::View look() { return ledger.look(clock.now(), clock.wall()); }
  bool take(std::chrono::seconds life, double jitter = 0.0, const std::string& key = "AKID") {
    return ledger.took(
        {.access_key = key, .secret_key = "s", .session_token = {}, .expires = clock.wall() + life},
        clock.now(), clock.wall(), jitter);
  }
  void fail(double jitter = 1.0) { ledger.failed(clock.now(), jitter); }
};

}  // namespace

TEST_CASE("The first who wants credentials asks for them, and the others wait") {
  Desk desk;
  auto first = desk.look();
  CHECK(first.start);
  CHECK(first.wait);
  auto second = desk.look();
  CHECK_FALSE(second.start);
  CHECK(second.wait);
  REQUIRE(desk.take(1h));
  auto third = desk.look();
  REQUIRE(third.usable);
  CHECK(third.usable->access_key == "AKID");
  CHECK_FALSE(third.start);
  CHECK_FALSE(third.wait);
}

TEST_CASE("One of many refreshes ahead of expiry, and the old ones are used meanwhile") {
  Desk desk;
  CHECK(desk.look().start);
  REQUIRE(desk.take(1h));
  desk.clock.advance(55min - 1s);
  CHECK_FALSE(desk.look().start);
  desk.clock.advance(1s);
  auto due = desk.look();
  CHECK(due.start);
  CHECK(due.usable);
  CHECK_FALSE(due.wait);
  CHECK_FALSE(desk.look().start);
  REQUIRE(desk.take(1h, 0.0, "NEW"));
  CHECK(desk.look().usable->access_key == "NEW");
}

TEST_CASE("Jitter moves the refresh later by at most a fifth of the lead; short lives have a shorter one") {
  Desk desk;
  desk.look();
  REQUIRE(desk.take(1h, 0.999));
  desk.clock.advance(55min + 59s);
  CHECK_FALSE(desk.look().start);
  desk.clock.advance(1s);
  CHECK(desk.look().start);
  REQUIRE(desk.take(60s, 0.0));
  desk.clock.advance(39s);
  CHECK_FALSE(desk.look().start);
  desk.clock.advance(1s);
  CHECK(desk.look().start);
}

TEST_CASE("After a failure the old ones are kept until they expire, and then there are none") {
  Desk desk;
  desk.look();
  REQUIRE(desk.take(1h));
  desk.clock.advance(56min);
  CHECK(desk.look().start);
  desk.fail();
  auto kept = desk.look();
  CHECK(kept.usable);
  CHECK_FALSE(kept.start);  // the pause
  desk.clock.advance(1s);
  CHECK(desk.look().start);
  desk.fail();
  desk.clock.advance(4min);
  auto expired = desk.look();
  CHECK_FALSE(expired.usable);
  CHECK(expired.start);
  CHECK(expired.wait);
  desk.fail();
  auto none = desk.look();
  CHECK_FALSE(none.usable);
  CHECK_FALSE(none.start);
  CHECK_FALSE(none.wait);  // fails at once
}

TEST_CASE("The pause after failures doubles up to ten seconds, with jitter") {
  Desk desk;
  const Duration expected[] = {1s, 2s, 4s, 8s, 10s, 10s};
  for (const Duration pause : expected) {
    REQUIRE(desk.look().start);
    desk.fail(1.0);
    desk.clock.advance(pause - 1ms);
    CHECK_FALSE(desk.look().start);
    desk.clock.advance(1ms);
  }
  REQUIRE(desk.look().start);
  desk.fail(0.0);
  desk.clock.advance(5s);
  CHECK(desk.look().start);
}

TEST_CASE("Credentials that have expired when they come are a failure") {
  Desk desk;
  desk.look();
  CHECK_FALSE(desk.take(0s));
  CHECK_FALSE(desk.look().usable);
}

TEST_CASE("Credentials that expire in 9999 are used, and asked for again within a week") {
  Desk desk;
  desk.look();
  const WallTime last{std::chrono::seconds(253'402'300'799)};
  REQUIRE(desk.ledger.took({.access_key = "A", .secret_key = "s", .expires = last}, desk.clock.now(),
                           desk.clock.wall(), 0.0));
  CHECK(desk.look().usable);
  CHECK_FALSE(desk.look().start);
  desk.clock.advance(24h * 7);
  const auto seen = desk.look();
  CHECK(seen.usable);
  CHECK(seen.start);
}

TEST_CASE("Credentials without an end are used for ever and asked for once an hour") {
  Desk desk;
  desk.look();
  REQUIRE(desk.ledger.took({.access_key = "A", .secret_key = "s"}, desk.clock.now(), desk.clock.wall(), 0.0));
  desk.clock.advance(54min);
  CHECK_FALSE(desk.look().start);
  desk.clock.advance(1min);
  CHECK(desk.look().start);
  desk.fail();
  desk.clock.advance(24h * 365);
  CHECK(desk.look().usable);
}

TEST_CASE("A refresh that is cut off leaves the next to start one at once") {
  Desk desk;
  CHECK(desk.look().start);
  desk.ledger.gave_up();
  CHECK(desk.look().start);
}

TEST_CASE("Credentials that the store refuses are asked for again, but not in a circle") {
  Desk desk;
  desk.look();
  REQUIRE(desk.take(1h, 0.0, "OLD"));
  const CredentialsRef old = desk.look().usable;
  CHECK(desk.ledger.distrust(old, desk.clock.now()));
  auto view = desk.look();
  CHECK(view.start);
  CHECK(view.wait);
  REQUIRE(desk.take(1h, 0.0, "NEW"));
  const CredentialsRef fresh = desk.look().usable;
  REQUIRE(fresh);
  CHECK(desk.ledger.distrust(old, desk.clock.now()));  // there are others by now: ask with those
  CHECK(desk.look().usable == fresh);
  CHECK_FALSE(desk.ledger.distrust(fresh, desk.clock.now()));  // too soon
  CHECK(desk.look().usable == fresh);
  desk.clock.advance(5s);
  CHECK(desk.ledger.distrust(fresh, desk.clock.now()));
}

TEST_CASE("Of many workers one starts the refresh") {
  Desk desk;
  std::atomic<int> started{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 50; ++k) started += desk.look().start;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(started == 1);
}

TEST_CASE("What a service answers is read, and what it lacks is said without its values") {
  const auto good = parse_credentials_json(
      R"({"Code":"Success","AccessKeyId":"ASIA1","SecretAccessKey":"hush","Token":"t/k=","Expiration":"2026-11-22T15:00:00Z","RoleArn":7})");
  REQUIRE(good);
  CHECK(good->access_key == "ASIA1");
  CHECK(good->secret_key == "hush");
  CHECK(good->session_token == "t/k=");
  CHECK(good->expires == parse_utc("2026-11-22T15:00:00Z"));
  const auto endless = parse_credentials_json(R"({"AccessKeyId":"A","SecretAccessKey":"B"})");
  REQUIRE(endless);
  CHECK_FALSE(endless->expires);

  struct Case {
    std::string body;
    std::string wrong;
  };
  const Case cases[] = {
      {"", "no JSON object"},
      {"[]", "no JSON object"},
      {"hush", "no JSON object"},
      {std::string(60'000, '['), "no JSON object"},
      {R"({"Code":"Failed","Message":"hush"})", "Code is not"},
      {R"({"Code":7,"AccessKeyId":"A","SecretAccessKey":"hush"})", "Code is not"},
      {R"({"AccessKeyId":"A"})", "no AccessKeyId and SecretAccessKey"},
      {R"({"AccessKeyId":["A"],"SecretAccessKey":"hush"})", "no AccessKeyId and SecretAccessKey"},
      {R"({"AccessKeyId":"A\r\nX: y","SecretAccessKey":"hush"})", "control characters"},
      {R"({"AccessKeyId":"A","SecretAccessKey":"hush","Token":"a\nb"})", "control characters"},
      {R"({"AccessKeyId":"A","SecretAccessKey":"hush","Expiration":"tomorrow"})", "Expiration"}};
  for (const Case& one : cases) {
    INFO(one.body.substr(0, 80));
    const auto parsed = parse_credentials_json(one.body);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().find(one.wrong) != std::string::npos);
    CHECK(parsed.error().find("hush") == std::string::npos);
  }
}

TEST_CASE("Times in UTC are read strictly") {
  CHECK(parse_utc("1970-01-02T00:00:01Z") == WallTime(86401s));
  CHECK(parse_utc("2024-02-29T23:59:59.123456Z").has_value());
  for (const char* bad :
       {"", "Z", "2026-11-22", "2026-11-22T15:00:00", "2026-11-22T15:00:00+01:00", "2026-13-22T15:00:00Z",
        "2026-02-30T15:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T15:60:00Z", "2026-11-22 15:00:00Z",
        "2026-11-22T15:00:00.Zx", "+026-11-22T15:00:00Z", "2026-11-22T15:00:0 Z"}) {
    INFO(bad);
    CHECK_FALSE(parse_utc(bad));
  }
}
