// The S3 origin against a scripted store on loopback; the signature is computed once more by hand.
#include "proxy/origin/s3_origin.h"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "s3_scene.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace vignette::proxy::test;

TEST_CASE("A photo comes from the store, signed for, with the object's own fields only") {
  S3Scene scene;
  scene.store.script = {
      says("200 OK",
           "Content-Type: image/jpeg\r\nAccept-Ranges: bytes\r\nETag: \"abc\"\r\nLast-Modified: Sun, 06 Nov "
           "1994 08:49:37 "
           "GMT\r\nCache-Control: max-age=60\r\nx-amz-request-id: 1\r\nx-amz-meta-who: me\r\nServer: "
           "AmazonS3\r\nx-amz-storage-class: STANDARD\r\n",
           "a photo")};
  const Fetched got =
      scene.fetch({.path = "/a/b.jpg",
                   .fields = {{"if-none-match", "\"old\""}, {"cookie", "secret=1"}, {"accept", "*/*"}},
                   .query = "acl&x=1"});
  REQUIRE_FALSE(got.error);
  CHECK(got.status == 200);
  CHECK(got.body == "a photo");
  CHECK(got.content_length == 7);
  CHECK(got.fields == Pairs{{"content-type", "image/jpeg"},
                            {"etag", "\"abc\""},
                            {"last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"},
                            {"cache-control", "max-age=60"}});
  CHECK(got.trace.attempts == 1);
  CHECK(got.trace.server == fmt::format("127.0.0.1:{}", scene.store.port()));
  REQUIRE(scene.store.heads.size() == 1);
  const std::string& head = scene.store.heads[0];
  INFO(head);
  CHECK(head.starts_with("GET /pics/a/b.jpg HTTP/1.1\r\n"));
  CHECK(field_of(head, "host") == fmt::format("127.0.0.1:{}", scene.store.port()));
  CHECK(field_of(head, "if-none-match") == "\"old\"");
  CHECK(field_of(head, "cookie") == "<none>");
  CHECK(field_of(head, "x-amz-content-sha256") == to_hex(sha256("")));
  CHECK(field_of(head, "authorization") == signature_of(head));
}

TEST_CASE("A session token is sent and signed") {
  conf::Origin options = options_for("");
  options.s3.session_token = conf::Secret("FQoGZXIvYXdzEXAMPLE");
  S3Scene scene(options);
  scene.store.script = {says("200 OK", "", "x")};
  CHECK(scene.fetch({.path = "/k"}).status == 200);
  const std::string& head = scene.store.heads.at(0);
  CHECK(field_of(head, "x-amz-security-token") == "FQoGZXIvYXdzEXAMPLE");
  CHECK(field_of(head, "authorization") == signature_of(head));
}

TEST_CASE("A key's odd characters are sent in the one encoding that is signed") {
  S3Scene scene;
  scene.store.script = {says("200 OK", "", "x")};
  CHECK(scene.fetch({.path = "/a%20b//%C3%A9+(1)&=@2x~.jpg"}).status == 200);
  const std::string& head = scene.store.heads.at(0);
  CHECK(target_of(head) == "/pics/a%20b//%C3%A9%2B%281%29%26%3D%402x~.jpg");
  CHECK(field_of(head, "authorization") == signature_of(head));
}

TEST_CASE("A bucket in the host name is asked under that name") {
  S3Scene scene;
  conf::Origin options = options_for(fmt::format("http://localhost:{}", scene.store.port()));
  options.s3.path_style = false;
  auto origin = make_s3_origin(options, scene.node);
  REQUIRE(origin);
  scene.store.script = {says("200 OK", "", "x")};
  const Fetched got = scene.fetch_once(**origin, {.path = "/a.jpg"});
  REQUIRE_FALSE(got.error);
  const std::string& head = scene.store.heads.at(0);
  CHECK(head.starts_with("GET /a.jpg HTTP/1.1\r\n"));
  CHECK(field_of(head, "host") == fmt::format("pics.localhost:{}", scene.store.port()));
  CHECK(field_of(head, "authorization") == signature_of(head));
}

TEST_CASE("Paths that no object can have are 404, and other methods 405, without asking the store") {
  S3Scene scene;
  const std::string long_key(1025, 'k');
  const auto got = scene.fetch_all(*scene.origin, {{.path = "/"},
                                                   {.path = "/a/%00"},
                                                   {.path = "/%FF"},
                                                   {.path = "/a/%2e%2e/b"},
                                                   {.path = "/./b"},
                                                   {.path = "/" + long_key},
                                                   {.path = "/a", .method = "PUT"},
                                                   {.path = "/a", .method = "DELETE"}});
  REQUIRE(got.size() == 8);
  for (std::size_t i = 0; i < 6; ++i) {
    INFO(i);
    CHECK(got[i].status == 404);
    CHECK_FALSE(got[i].has_body);
  }
  CHECK(got[6].status == 405);
  CHECK(got[7].field("allow") == "GET, HEAD");
  CHECK(scene.store.heads.empty());
}

TEST_CASE("What is missing and what is denied are both 404, the second with one line for the operator") {
  S3Scene scene;
  scene.store.script = {error("404 Not Found", "NoSuchKey"), error("403 Forbidden", "AccessDenied"),
                        error("403 Forbidden", "AccessDenied"),
                        says("403 Forbidden", "x-amz-request-id: 1\r\n", "")};
  const auto got =
      scene.fetch_all(*scene.origin, {{.path = "/a"}, {.path = "/b"}, {.path = "/c"}, {.path = "/d"}});
  for (const Fetched& one : got) {
    CHECK_FALSE(one.error);
    CHECK(one.status == 404);
    CHECK(one.fields.empty());
    CHECK_FALSE(one.has_body);
  }
  CHECK(scene.store.connections == 1);
  CHECK(scene.lines.size() == 1);
  CHECK(scene.logged("denies access to /pics/b; clients get 404") == 1);
}

TEST_CASE("A HEAD answer has the object's length and no body") {
  S3Scene scene;
  scene.store.script = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nContent-Type: image/png\r\n\r\n", false},
      {"HTTP/1.1 404 Not Found\r\nContent-Type: application/xml\r\n\r\n", false}};
  const auto got = scene.fetch_all(
      *scene.origin, {{.path = "/a.png", .method = "HEAD"}, {.path = "/b.png", .method = "HEAD"}});
  CHECK(got[0].status == 200);
  CHECK(got[0].content_length == 12345);
  CHECK_FALSE(got[0].has_body);
  CHECK(got[0].field("content-type") == "image/png");
  CHECK(got[1].status == 404);
  CHECK(scene.store.heads[0].starts_with("HEAD /pics/a.png "));
  CHECK(field_of(scene.store.heads[0], "authorization") == signature_of(scene.store.heads[0]));
}

TEST_CASE("Not modified, a part, and a refused range pass as they are") {
  S3Scene scene;
  scene.store.script = {
      {"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nx-amz-id-2: q\r\n\r\n", false},
      says("206 Partial Content", "Content-Range: bytes 0-1/9\r\nContent-Type: image/png\r\n", "ab"),
      says("416 Range Not Satisfiable", "Content-Range: bytes */9\r\nContent-Type: application/xml\r\n",
           "<Error/>")};
  const auto got = scene.fetch_all(
      *scene.origin, {{.path = "/a", .fields = {{"if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"}}},
                      {.path = "/a", .fields = {{"range", "bytes=0-1"}}},
                      {.path = "/a", .fields = {{"range", "bytes=99-"}}}});
  CHECK(got[0].status == 304);
  CHECK(got[0].fields == Pairs{{"etag", "\"a\""}});
  CHECK(field_of(scene.store.heads[0], "if-modified-since") == "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(got[1].status == 206);
  CHECK(got[1].body == "ab");
  CHECK(got[1].field("content-range") == "bytes 0-1/9");
  CHECK(field_of(scene.store.heads[1], "range") == "bytes=0-1");
  CHECK(got[2].status == 416);
  CHECK(got[2].fields == Pairs{{"content-range", "bytes */9"}});
  CHECK_FALSE(got[2].has_body);
  CHECK(got[2].content_length == 0);
}

TEST_CASE("A store that is busy or broken is an error, so that a stale copy may be served") {
  struct Case {
    Said said;
    Code code;
    std::string line;
  };
  const Case cases[] = {
      {error("503 Slow Down", "SlowDown"), Code::unavailable, "answered 503 (throttled) to /pics/a"},
      {error("429 Too Many Requests", "TooManyRequests"), Code::unavailable, "answered 429 (throttled)"},
      {error("500 Internal Server Error", "InternalError"), Code::reset, "answered 500 (failed) to /pics/a"},
      {error("400 Bad Request", "RequestTimeout"), Code::reset, "answered 400 (failed) to /pics/a"},
      {says("502 Bad Gateway", "", "<html>oops"), Code::reset, "answered 502 (failed) to /pics/a"}};
  for (const Case& one : cases) {
    INFO(one.line);
    S3Scene scene;
    scene.store.script = {one.said, one.said, one.said};
    const Fetched got = scene.fetch({.path = "/a"});
    REQUIRE(got.error);
    CHECK(got.error->code == one.code);
    CHECK(got.error->blame == Blame::origin);
    CHECK(scene.store.heads.size() == 3);  // tried again twice
    CHECK(scene.logged(one.line) == 1);
    CHECK(scene.lines.size() == 1);
  }
}

TEST_CASE("Wrong keys, a wrong clock and a wrong bucket tell the operator what to do, and never a secret") {
  struct Case {
    Said said;
    std::string line;
  };
  const Case cases[] = {
      {error("403 Forbidden", "SignatureDoesNotMatch", "The request signature does not match"),
       "refuses our credentials (SignatureDoesNotMatch"},
      {error("403 Forbidden", "InvalidAccessKeyId"), "refuses our credentials (InvalidAccessKeyId"},
      {error("403 Forbidden", "RequestTimeTooSkewed"), "it says Sun, 06 Nov 1994 08:49:37 GMT, we say "},
      {error("404 Not Found", "NoSuchBucket"), "check bucket, region and endpoint"},
      {error("301 Moved Permanently", "PermanentRedirect"), "check bucket, region and endpoint"}};
  for (const Case& one : cases) {
    INFO(one.line);
    S3Scene scene;
    scene.store.script = {one.said, one.said};
    const auto got = scene.fetch_all(*scene.origin, {{.path = "/a"}, {.path = "/b"}});
    for (const Fetched& answer : got) {
      REQUIRE(answer.error);
      CHECK(answer.error->code == Code::denied);
      CHECK(answer.error->blame == Blame::origin);
    }
    CHECK(scene.lines.size() == 1);
    CHECK(scene.logged(one.line) == 1);
    CHECK(scene.logged("origin photos") == 1);
    CHECK(scene.logged(kSecret) == 0);
  }
}

TEST_CASE("A pooled connection that died is replaced once, and the request asked again") {
  S3Scene scene;
  scene.store.script = {
      says("200 OK", "", "one"), says("200 OK", "", "two"), {}, says("200 OK", "", "three")};
  const auto got = scene.fetch_all(*scene.origin, {{.path = "/a"}, {.path = "/b"}, {.path = "/c"}});
  CHECK(got[0].body == "one");
  CHECK_FALSE(got[0].trace.connection_reused);
  CHECK(got[1].body == "two");
  CHECK(got[1].trace.connection_reused);
  CHECK(got[2].body == "three");
  CHECK(got[2].trace.attempts == 2);
  CHECK_FALSE(got[2].trace.connection_reused);
  CHECK(scene.store.connections == 2);
  CHECK(scene.store.heads.size() == 4);
  CHECK(scene.lines.empty());
}

TEST_CASE("A new connection that dies without an answer is not tried again") {
  S3Scene scene;
  scene.store.script = {Said{}};
  const Fetched got = scene.fetch({.path = "/a"});
  REQUIRE(got.error);
  CHECK((got.error->code == Code::closed || got.error->code == Code::reset));
  CHECK(scene.store.heads.size() == 1);
  CHECK(scene.logged("origin photos") == 1);
}

TEST_CASE("A store that refuses connections is tried twice") {
  std::uint16_t port = 0;
  {
    auto listener = net::Listener::open(*net::Address::parse("127.0.0.1:0"));
    REQUIRE(listener);
    port = listener->address().port();
  }
  S3Scene scene(options_for(fmt::format("http://127.0.0.1:{}", port)));
  const Fetched got = scene.fetch({.path = "/a"});
  REQUIRE(got.error);
  CHECK(got.error->code == Code::refused);
  CHECK(got.error->blame == Blame::origin);
  CHECK(scene.lines.size() == 1);
}

TEST_CASE("A store that does not answer in time is a timeout") {
  conf::Origin options = options_for("");
  options.timeouts.first_byte = conf::milliseconds(50);
  S3Scene scene(options);
  scene.store.silent = true;
  const Fetched got = scene.fetch({.path = "/a"});
  REQUIRE(got.error);
  CHECK(got.error->code == Code::timeout);
  CHECK(got.error->blame == Blame::origin);
  CHECK(scene.store.heads.size() == 1);
}

TEST_CASE("A body that is cut is an error of the body, when it is too long to be awaited whole") {
  S3Scene scene;
  scene.store.script = {{"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhalf", true}};
  const Fetched got = scene.fetch({.path = "/a"});
  CHECK(got.status == 200);
  REQUIRE(got.body_error);
  CHECK(got.body_error->blame == Blame::origin);
}

TEST_CASE("The store's certificate is verified") {
  char pattern[] = "/tmp/vignette-s3-XXXXXX";
  const std::filesystem::path directory = ::mkdtemp(pattern);
  const std::string chain = directory / "chain.pem";
  const std::string key = directory / "key.pem";
  const std::vector<std::string> names = {"localhost"};
  REQUIRE(net::make_self_signed(names, chain, key));
  auto tls = net::TlsServer::create({.certificates = {{chain, key}}});
  REQUIRE(tls);
  for (const bool trusted : {true, false}) {
    INFO(trusted);
    FetchRig rig;
    Store store(rig.worker, *tls);
    store.script = {says("200 OK", "", "private")};
    const conf::Origin options = options_for(fmt::format("https://localhost:{}", store.port()));
    auto origin = S3Origin::create(options, rig.node, trusted ? chain : std::string());
    REQUIRE(origin);
    const Fetched got = rig.fetch_once(**origin, {.path = "/a"});
    CHECK(got.body == (trusted ? "private" : ""));
    CHECK(got.error.has_value() == !trusted);
    CHECK(store.heads.size() == (trusted ? 1 : 0));
    if (got.error) CHECK(got.error->code == Code::tls);
    CHECK(rig.lines.size() == (trusted ? 0 : 1));
  }
  std::filesystem::remove_all(directory);
}

TEST_CASE("Where a bucket is asked follows from region, endpoint and style") {
  struct Case {
    std::string bucket, region, endpoint;
    bool path_style;
    std::string server, host, prefix;
    bool tls;
  };
  const Case cases[] = {
      {"pics", "eu-central-1", "", false, "pics.s3.eu-central-1.amazonaws.com:443",
       "pics.s3.eu-central-1.amazonaws.com", "", true},
      {"pics", "eu-central-1", "", true, "s3.eu-central-1.amazonaws.com:443", "s3.eu-central-1.amazonaws.com",
       "/pics", true},
      {"pics", "cn-north-1", "", false, "pics.s3.cn-north-1.amazonaws.com.cn:443",
       "pics.s3.cn-north-1.amazonaws.com.cn", "", true},
      {"my.pics", "us-east-1", "", false, "s3.us-east-1.amazonaws.com:443", "s3.us-east-1.amazonaws.com",
       "/my.pics", true},
      {"Old_Pics", "us-east-1", "", false, "s3.us-east-1.amazonaws.com:443", "s3.us-east-1.amazonaws.com",
       "/Old_Pics", true},
      {"pics-", "us-east-1", "http://store.internal", false, "store.internal:80", "store.internal", "/pics-",
       false},
      {"pics", "eusc-de-east-1", "", false, "pics.s3.eusc-de-east-1.amazonaws.eu:443",
       "pics.s3.eusc-de-east-1.amazonaws.eu", "", true},
      {"my.pics", "x", "http://store.internal", false, "my.pics.store.internal:80", "my.pics.store.internal",
       "", false},
      {"pics", "x", "http://127.0.0.1:4568", false, "127.0.0.1:4568", "127.0.0.1:4568", "/pics", false},
      {"pics", "x", "http://[::1]:4568", true, "[::1]:4568", "[::1]:4568", "/pics", false},
      {"pics", "x", "https://store.internal:443", true, "store.internal:443", "store.internal", "/pics",
       true},
      {"pics", "x", "http://store.internal:443", true, "store.internal:443", "store.internal:443", "/pics",
       false}};
  for (const Case& one : cases) {
    INFO(one.bucket << " " << one.endpoint << " " << one.server);
    conf::S3Options options;
    options.bucket = one.bucket;
    options.region = one.region;
    options.endpoint = one.endpoint;
    options.path_style = one.path_style;
    const auto target = s3_target(options);
    REQUIRE(target);
    CHECK(target->server.to_string() == one.server);
    CHECK(target->host == one.host);
    CHECK(target->prefix == one.prefix);
    CHECK(target->tls == one.tls);
  }
}

TEST_CASE("A dual-stack endpoint has a name of its own") {
  conf::S3Options options;
  options.bucket = "pics";
  options.dualstack = true;
  for (const auto& [region, host] :
       {std::pair<std::string, std::string>{"us-east-1", "pics.s3.dualstack.us-east-1.amazonaws.com"},
        {"cn-north-1", "pics.s3.dualstack.cn-north-1.amazonaws.com.cn"}}) {
    options.region = region;
    CHECK(s3_target(options)->host == host);
  }
}

TEST_CASE("An origin that cannot work says why") {
  FetchRig rig;
  conf::Origin options = options_for("http://127.0.0.1:1");
  options.s3.secret_key = {};
  auto made = make_s3_origin(options, rig.node);
  REQUIRE_FALSE(made);
  CHECK(made.error() ==
        "origin \"photos\": no S3 credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
        "credentials_file");
  options = options_for("http://127.0.0.1:1");
  options.s3.access_key = "AKID\n";
  made = make_s3_origin(options, rig.node);
  REQUIRE_FALSE(made);
  CHECK(made.error().find("control character") != std::string::npos);
  options = options_for("ftp://127.0.0.1");
  made = make_s3_origin(options, rig.node);
  REQUIRE_FALSE(made);
  CHECK(made.error().find("ftp://127.0.0.1") != std::string::npos);
}
