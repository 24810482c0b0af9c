// What S3 documents beside plain GETs, against a scripted store: versions, encryption, who pays, checksums,
// parts under conditions, overload, clocks and credentials that change.
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "s3_scene.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace vignette::proxy::test;

namespace {

// Of "a photo"; crc32 by zlib.
constexpr const char* kPhotoCrc = "x-amz-checksum-crc32: ZZTuHA==\r\n";

std::vector<Ask> asks(int count) {
  return std::vector<Ask>(static_cast<std::size_t>(count), Ask{.path = "/a"});
}

}  // namespace

TEST_CASE("A version is asked for by the parameter that is configured, and by no other") {
  conf::Origin options = options_for("");
  options.s3.version_query = "v";
  S3Scene scene(options);
  for (int i = 0; i < 3; ++i) scene.store.script.push_back(says("200 OK", "", "x"));
  const auto got = scene.fetch_all(*scene.origin, {{.path = "/a", .query = "w=1&v=abc%2F%2B&v=2"},
                                                   {.path = "/a", .query = "versionId=abc&vv=1&v"},
                                                   {.path = "/a"},
                                                   {.path = "/a", .query = "v="},
                                                   {.path = "/a", .query = "v=a%00"},
                                                   {.path = "/a", .query = "v=%zz"},
                                                   {.path = "/a", .query = "v=" + std::string(1025, 'x')}});
  CHECK(got[0].status == 200);
  CHECK(target_of(scene.store.heads.at(0)) == "/pics/a?versionId=abc%2F%2B");
  CHECK(target_of(scene.store.heads.at(1)) == "/pics/a");
  CHECK(target_of(scene.store.heads.at(2)) == "/pics/a");
  for (const std::string& head : scene.store.heads) {
    CHECK(field_of(head, "authorization") == signature_of(head));
  }
  for (std::size_t i = 3; i < got.size(); ++i) CHECK(got[i].status == 404);
  CHECK(scene.store.heads.size() == 3);
  CHECK(scene.origin->object_query("w=1&v=abc&v=2") == "v=abc");
  CHECK(scene.origin->object_query("w=1") == "");
}

TEST_CASE("Who pays is said in a signed field") {
  conf::Origin options = options_for("");
  options.s3.requester_pays = true;
  S3Scene scene(options);
  scene.store.script = {says("200 OK", "", "x")};
  CHECK(scene.fetch({.path = "/a"}).status == 200);
  const std::string& head = scene.store.heads.at(0);
  CHECK(field_of(head, "x-amz-request-payer") == "requester");
  CHECK(field_of(head, "authorization") == signature_of(head));
}

TEST_CASE("A customer's key goes with every request, signed, over TLS") {
  char pattern[] = "/tmp/vignette-s3-XXXXXX";
  const std::filesystem::path directory = ::mkdtemp(pattern);
  const std::string chain = directory / "chain.pem";
  const std::string key = directory / "key.pem";
  const std::vector<std::string> names = {"localhost"};
  REQUIRE(net::make_self_signed(names, chain, key));
  auto tls = net::TlsServer::create({.certificates = {{chain, key}}});
  REQUIRE(tls);
  FetchRig rig;
  Store store(rig.worker, *tls);
  store.script = {
      says("200 OK",
           "ETag: \"25f9e794323b453885f5181f1b624d0b\"\r\nx-amz-server-side-encryption-customer-algorithm: "
           "AES256\r\nx-amz-server-side-encryption-customer-key-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==\r\n",
           "private")};
  conf::Origin options = options_for(fmt::format("https://localhost:{}", store.port()));
  options.s3.sse_customer_key = conf::Secret("0123456789abcdef0123456789abcdef");
  auto origin = S3Origin::create(options, rig.node, chain);
  REQUIRE(origin);
  const Fetched got = rig.fetch_once(**origin, {.path = "/a"});
  CHECK(got.body == "private");
  CHECK(got.fields == Pairs{{"etag", "\"25f9e794323b453885f5181f1b624d0b\""}});
  const std::string& head = store.heads.at(0);
  CHECK(field_of(head, "x-amz-server-side-encryption-customer-algorithm") == "AES256");
  CHECK(field_of(head, "x-amz-server-side-encryption-customer-key") ==
        "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
  CHECK(field_of(head, "x-amz-server-side-encryption-customer-key-md5") == "hRasmdxgYDKV3nvbahU1MA==");
  CHECK(field_of(head, "authorization") == signature_of(head));
  CHECK(rig.lines.empty());
  std::filesystem::remove_all(directory);
}

TEST_CASE("A part under If-Match comes back whole and unchecked, and a changed object as 412") {
  S3Scene scene;
  scene.store.script = {
      says("206 Partial Content",
           "Content-Range: bytes 0-6/9\r\nETag: \"v1\"\r\nx-amz-checksum-crc32: AAAAAA==\r\n", "a photo"),
      says("412 Precondition Failed", "Content-Type: application/xml\r\n", "<Error/>")};
  const auto got = scene.fetch_all(
      *scene.origin, {{.path = "/a", .fields = {{"range", "bytes=0-6"}, {"if-match", "\"v1\""}}},
                      {.path = "/a", .fields = {{"range", "bytes=0-6"}, {"if-match", "\"v1\""}}}});
  CHECK(got[0].status == 206);
  CHECK(got[0].body == "a photo");
  CHECK(got[0].fields == Pairs{{"content-range", "bytes 0-6/9"}, {"etag", "\"v1\""}});
  CHECK_FALSE(got[0].body_error);
  CHECK(got[1].status == 412);
  CHECK_FALSE(got[1].has_body);
  for (const std::string& head : scene.store.heads) {
    CHECK(field_of(head, "range") == "bytes=0-6");
    CHECK(field_of(head, "if-match") == "\"v1\"");
    CHECK(field_of(head, "x-amz-checksum-mode") == "<none>");
    CHECK(field_of(head, "authorization") == signature_of(head));
  }
  CHECK(scene.lines.empty());
}

TEST_CASE("Checksums are asked for, and bytes that agree pass") {
  S3Scene scene;
  scene.store.script = {says("200 OK", kPhotoCrc, "a photo"),
                        {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", false}};
  const auto got = scene.fetch_all(*scene.origin, {{.path = "/a"}, {.path = "/a", .method = "HEAD"}});
  CHECK(got[0].body == "a photo");
  CHECK_FALSE(got[0].body_error);
  CHECK(got[0].fields.empty());
  CHECK(field_of(scene.store.heads.at(0), "x-amz-checksum-mode") == "ENABLED");
  CHECK(field_of(scene.store.heads.at(1), "x-amz-checksum-mode") == "<none>");
}

TEST_CASE("Bytes that do not agree end the body with an error, one line and a count") {
  S3Scene scene;
  scene.store.script = {says("200 OK", kPhotoCrc, "a foto!"), says("200 OK", kPhotoCrc, ""),
                        says("200 OK", "ETag: \"25f9e794323b453885f5181f1b624d0b\"\r\n", "a photo")};
  const auto got = scene.fetch_all(*scene.origin, asks(3));
  REQUIRE(got[0].body_error);
  CHECK(got[0].body_error->blame == Blame::origin);
  CHECK(got[0].body.empty());  // the last piece is not let through
  REQUIRE(got[1].error);       // known before the head went out
  REQUIRE(got[2].body_error);
  CHECK(scene.lines.size() == 1);
  CHECK(scene.logged("the bytes of 127.0.0.1:") == 1);
  CHECK(scene.logged("/pics/a are not what the store says of them (crc32 ZZTuHA==, got ") == 1);
  CHECK(scene.node.servers.origin("photos").s3().mismatches.value() == 3);
}

TEST_CASE("Without checksums nothing is asked for and nothing compared") {
  conf::Origin options = options_for("");
  options.s3.checksums = conf::S3Checksums::off;
  S3Scene scene(options);
  scene.store.script = {says("200 OK", kPhotoCrc, "a foto!")};
  CHECK(scene.fetch({.path = "/a"}).body == "a foto!");
  CHECK(field_of(scene.store.heads.at(0), "x-amz-checksum-mode") == "<none>");
}

TEST_CASE("A refusal for the moment costs a retry and nobody a request") {
  S3Scene scene;
  scene.store.script = {error("503 Slow Down", "SlowDown"),
                        error("500 Internal Server Error", "InternalError"), says("200 OK", "", "x")};
  const Fetched got = scene.fetch({.path = "/a"});
  CHECK(got.body == "x");
  CHECK(got.trace.attempts == 3);
  CHECK(scene.store.heads.size() == 3);
  CHECK(scene.lines.empty());
  CHECK(scene.node.servers.origin("photos").s3().retries.value() == 2);
}

TEST_CASE("While the store is backed off from, it is not asked at all") {
  S3Scene scene;
  const Said slow = {"HTTP/1.1 503 Slow Down\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n", false};
  scene.store.script = {slow};
  const auto got = scene.fetch_all(*scene.origin, asks(3));
  for (const Fetched& one : got) {
    REQUIRE(one.error);
    CHECK(one.error->code == Code::unavailable);
    CHECK(one.error->blame == Blame::origin);
  }
  CHECK(scene.store.heads.size() == 1);  // too long a pause for a retry
  CHECK(scene.lines.size() == 1);
  const Duration left = scene.node.servers.origin("photos").s3().backoff.left(scene.clock.now());
  CHECK(left > 50s);
  CHECK(left <= 60s);
  CHECK(scene.node.servers.origin("photos").s3().held_back.value() == 2);
  // The same state for another configuration's object of this origin.
  auto reloaded = make_s3_origin(scene.options, scene.node);
  REQUIRE(reloaded);
  CHECK(static_cast<S3Origin&>(**reloaded).name() == "photos");
  CHECK(scene.node.servers.origin("photos").s3().backoff.admit(scene.clock.now()) ==
        S3Backoff::Admission::refuse);
}

TEST_CASE("A photo that is missing says nothing of the store's health") {
  S3Scene scene;
  scene.store.script = {error("500 Internal Server Error", "InternalError"),
                        error("404 Not Found", "NoSuchKey"), error("404 Not Found", "NoSuchKey"),
                        error("403 Forbidden", "AccessDenied")};
  const auto got = scene.fetch_all(*scene.origin, asks(3));
  for (const Fetched& one : got) CHECK(one.status == 404);
  CHECK(scene.store.heads.size() == 4);
}

namespace {

std::string date_in(FetchRig& rig, std::chrono::seconds ahead) {
  return http::format_date(rig.clock.wall() + ahead);
}

Said skewed(const std::string& date) {
  return says("403 Forbidden", "Content-Type: application/xml\r\nDate: " + date + "\r\n",
              "<Error><Code>RequestTimeTooSkewed</Code><Message>no</Message></Error>");
}

}  // namespace

TEST_CASE(
    "When clocks differ the request is signed once more with the store's time, and later ones at once") {
  S3Scene scene;
  const std::string theirs = date_in(scene, 20min);
  const std::string line = "Date: " + theirs + "\r\n";
  scene.store.script = {skewed(theirs), says("200 OK", line, "one"), says("200 OK", line, "two")};
  const auto got = scene.fetch_all(*scene.origin, asks(2));
  CHECK(got[0].body == "one");
  CHECK(got[1].body == "two");
  REQUIRE(scene.store.heads.size() == 3);
  CHECK(field_of(scene.store.heads[1], "authorization") == signature_of(scene.store.heads[1]));
  // The second signature bears the store's time: 20 minutes later, give or take the test's own seconds.
  const auto time_of = [](const std::string& head) {
    const std::string text = field_of(head, "x-amz-date");  // 20261122T150000Z
    return parse_utc(fmt::format("{}-{}-{}:{}:{}", text.substr(0, 4), text.substr(4, 2), text.substr(6, 5),
                                 text.substr(11, 2), text.substr(13)))
        .value();
  };
  const auto corrected = time_of(scene.store.heads[1]) - time_of(scene.store.heads[0]);
  CHECK(corrected >= 19min);
  CHECK(corrected <= 21min);
  CHECK(time_of(scene.store.heads[2]) - time_of(scene.store.heads[0]) >= 19min);
  CHECK(scene.lines.size() == 1);
  CHECK(scene.logged("this host's clock is 20m0s behind the store's; signing with the store's time") +
            scene.logged("this host's clock is 19m59s behind the store's; signing with the store's time") ==
        1);
}

TEST_CASE("A store that refuses the corrected signature too is not asked for ever") {
  S3Scene scene;
  const Said refusal = skewed(date_in(scene, 20min));
  scene.store.script = {refusal, refusal};
  const Fetched got = scene.fetch({.path = "/a"});
  REQUIRE(got.error);
  CHECK(got.error->code == Code::denied);
  CHECK(scene.store.heads.size() == 2);
  CHECK(scene.logged("set this host's clock (NTP)") == 1);
}

TEST_CASE("A clock that is minutes off is told of before S3 refuses it") {
  S3Scene scene;
  scene.store.script = {says("200 OK", "Date: " + date_in(scene, -10min) + "\r\n", "x")};
  CHECK(scene.fetch({.path = "/a"}).status == 200);
  CHECK(scene.lines.size() == 1);
  CHECK(scene.logged("ahead of the store's; from 15m on S3 refuses our signatures") == 1);
}

TEST_CASE("One key of the day signs all requests") {
  S3Scene scene;
  for (int i = 0; i < 5; ++i) scene.store.script.push_back(says("200 OK", "", "x"));
  scene.fetch_all(*scene.origin, asks(5));
  // Two when midnight passes meanwhile.
  CHECK(scene.node.servers.origin("photos").s3().keys.derived() <= 2);
}

namespace {

Said keys_answer(const std::string& key, const std::string& expires = "2099-01-01T00:00:00Z") {
  return says("200 OK", "Content-Type: application/json\r\n",
              fmt::format(R"({{"Code":"Success","AccessKeyId":"{}","SecretAccessKey":"{}","Token":"tok-{}",)"
                          R"("Expiration":"{}"}})",
                          key, kSecret, key, expires));
}

// A store and beside it a service that gives credentials.
struct KeysScene : FetchRig {
  explicit KeysScene(conf::S3Credentials from) : store(worker), service(worker), options(options_for("")) {
    options.s3.endpoint = fmt::format("http://127.0.0.1:{}", store.port());
    options.s3.access_key.clear();
    options.s3.secret_key = {};
    options.s3.credentials = from;
    options.s3.metadata_endpoint = fmt::format("http://127.0.0.1:{}", service.port());
    options.s3.container_url = fmt::format("http://127.0.0.1:{}/v2/creds?id=1", service.port());
  }
  Origin& origin() {
    if (!origin_) {
      auto made = make_s3_origin(options, node);
      VCHECK(made);
      origin_ = std::move(*made);
    }
    return *origin_;
  }

  Store store;
  Store service;
  conf::Origin options;

 private:
  std::unique_ptr<Origin> origin_;
};

}  // namespace

TEST_CASE("An instance's credentials come by a session token, once for all requests") {
  KeysScene scene(conf::S3Credentials::instance);
  scene.service.script = {says("200 OK", "", "SESSION=="), says("200 OK", "", "photo-reader\n"),
                          keys_answer("AKIDEXAMPLE")};
  scene.store.script = {says("200 OK", "", "one"), says("200 OK", "", "two")};
  const auto got = scene.fetch_all(scene.origin(), asks(2));
  CHECK(got[0].body == "one");
  CHECK(got[1].body == "two");
  REQUIRE(scene.service.heads.size() == 3);
  CHECK(scene.service.heads[0].starts_with("PUT /latest/api/token HTTP/1.1\r\n"));
  CHECK(field_of(scene.service.heads[0], "x-aws-ec2-metadata-token-ttl-seconds") == "21600");
  CHECK(scene.service.heads[1].starts_with("GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\r\n"));
  CHECK(scene.service.heads[2].starts_with(
      "GET /latest/meta-data/iam/security-credentials/photo-reader HTTP/1.1\r\n"));
  CHECK(field_of(scene.service.heads[2], "x-aws-ec2-metadata-token") == "SESSION==");
  for (const std::string& head : scene.store.heads) {
    CHECK(field_of(head, "x-amz-security-token") == "tok-AKIDEXAMPLE");
    CHECK(field_of(head, "authorization") == signature_of(head));
  }
  CHECK(scene.lines.empty());
}

TEST_CASE("A metadata service that gives no session token is not asked in the old way") {
  struct Case {
    Said said;
    std::string line;
  };
  const Case cases[] = {{says("403 Forbidden", "", ""), "it is switched off for this instance"},
                        {says("404 Not Found", "", ""), "no session token came: it answered 404"},
                        {says("200 OK", "", ""), "its session token is none"},
                        {Said{}, "no session token came: "}};
  for (const Case& one : cases) {
    INFO(one.line);
    KeysScene scene(conf::S3Credentials::instance);
    scene.service.script = {one.said};
    const auto got = scene.fetch_all(scene.origin(), asks(2));
    for (const Fetched& answer : got) {
      REQUIRE(answer.error);
      CHECK(answer.error->code == Code::unavailable);
      CHECK(answer.error->blame == Blame::origin);
    }
    CHECK(scene.service.heads.size() == 1);  // the second request comes within the pause
    CHECK(scene.store.heads.empty());
    CHECK(scene.lines.size() == 1);
    CHECK(scene.logged("origin photos: no credentials from the metadata service at 127.0.0.1:") == 1);
    CHECK(scene.logged(one.line) == 1);
  }
}

TEST_CASE("What an instance lacks is said") {
  KeysScene scene(conf::S3Credentials::instance);
  scene.service.script = {says("200 OK", "", "SESSION=="), says("404 Not Found", "", "")};
  CHECK(scene.fetch_once(scene.origin(), {.path = "/a"}).error);
  CHECK(scene.logged("no IAM role is attached to this instance") == 1);
  CHECK(scene.logged("SESSION") == 0);
}

TEST_CASE("A role that is no name is not made part of a path") {
  KeysScene scene(conf::S3Credentials::instance);
  scene.service.script = {says("200 OK", "", "SESSION=="), says("200 OK", "", "../../user-data")};
  CHECK(scene.fetch_once(scene.origin(), {.path = "/a"}).error);
  CHECK(scene.service.heads.size() == 2);
  CHECK(scene.logged("it names no role") == 1);
}

TEST_CASE("A container's credentials come with its token, read anew from its file") {
  char pattern[] = "/tmp/vignette-s3-XXXXXX";
  const std::filesystem::path directory = ::mkdtemp(pattern);
  const std::string file = directory / "token";
  {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::fopen(file.c_str(), "we"), &std::fclose);
    std::fputs("Bearer abc\n", out.get());
  }
  KeysScene scene(conf::S3Credentials::container);
  scene.options.s3.container_token_file = file;
  scene.service.script = {keys_answer("AKIDEXAMPLE")};
  scene.store.script = {says("200 OK", "", "x")};
  CHECK(scene.fetch_once(scene.origin(), {.path = "/a"}).body == "x");
  REQUIRE(scene.service.heads.size() == 1);
  CHECK(scene.service.heads[0].starts_with("GET /v2/creds?id=1 HTTP/1.1\r\n"));
  CHECK(field_of(scene.service.heads[0], "authorization") == "Bearer abc");
  std::filesystem::remove_all(directory);
}

TEST_CASE("A container's token that is not there is the reason, not the token") {
  KeysScene scene(conf::S3Credentials::container);
  scene.options.s3.container_token_file = "/nonexistent/token";
  CHECK(scene.fetch_once(scene.origin(), {.path = "/a"}).error);
  CHECK(scene.service.heads.empty());
  CHECK(scene.logged("the token file /nonexistent/token cannot be read") == 1);
}

TEST_CASE("Credentials that the store says have expired are asked for again, and the request with them") {
  KeysScene scene(conf::S3Credentials::container);
  scene.service.script = {keys_answer("AKIDOLD"), keys_answer("AKIDEXAMPLE")};
  scene.store.script = {error("400 Bad Request", "ExpiredToken"), says("200 OK", "", "x"),
                        error("400 Bad Request", "ExpiredToken")};
  const auto got = scene.fetch_all(scene.origin(), asks(2));
  CHECK(got[0].body == "x");
  CHECK(field_of(scene.store.heads.at(0), "x-amz-security-token") == "tok-AKIDOLD");
  CHECK(field_of(scene.store.heads.at(1), "x-amz-security-token") == "tok-AKIDEXAMPLE");
  REQUIRE(got[1].error);  // refused again at once: not in a circle
  CHECK(got[1].error->code == Code::denied);
  CHECK(scene.service.heads.size() == 2);
  CHECK(scene.store.heads.size() == 3);
}

TEST_CASE("Credentials that have expired when they come are none, and the clock is suspected") {
  KeysScene scene(conf::S3Credentials::container);
  scene.service.script = {keys_answer("AKIDEXAMPLE", "2001-01-01T00:00:00Z")};
  CHECK(scene.fetch_once(scene.origin(), {.path = "/a"}).error);
  CHECK(scene.logged("they have expired already; this host's clock may be wrong") == 1);
  CHECK(scene.logged(kSecret) == 0);
}

namespace {

struct Crowd {
  Origin& origin;
  std::vector<Fetched> answers;
  int left = 0;
  net::Signal all;
};

net::Task<void> one_of_crowd(FetchRig& rig, Crowd& crowd, std::size_t index) {
  const Ask ask{.path = "/a"};
  co_await fetch(rig.context, crowd.origin, ask, crowd.answers[index]);
  if (--crowd.left == 0) crowd.all.notify_all();
}

net::Task<void> crowd_scene(FetchRig& rig, Crowd& crowd) {
  for (std::size_t i = 0; i < crowd.answers.size(); ++i) {
    rig.worker.spawn_named("crowd", one_of_crowd, std::ref(rig), std::ref(crowd), i);
  }
  while (crowd.left > 0) {
    auto woken = co_await crowd.all.wait(rig.worker.now() + 10s);
    if (!woken) co_return;
  }
}

}  // namespace

TEST_CASE("A crowd of requests asks for credentials once") {
  KeysScene scene(conf::S3Credentials::container);
  scene.service.script = {keys_answer("AKIDEXAMPLE")};
  for (int i = 0; i < 20; ++i) scene.store.script.push_back(says("200 OK", "", "x"));
  Crowd crowd{scene.origin(), std::vector<Fetched>(20), 20, {}};
  REQUIRE(scene.run(crowd_scene, crowd));
  CHECK(scene.service.heads.size() == 1);
  for (const Fetched& one : crowd.answers) CHECK(one.body == "x");
}
