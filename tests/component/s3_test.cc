// An object store behind the cache: overload, damaged bytes, versions, and credentials that a service gives.
#include <stdlib.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "tests/component/scene.h"

using namespace vignette::test;

namespace {

// `more` are further lines of the origin's s3 table.
std::string s3_config(const ScriptedOrigin& store, std::string_view more = "") {
  ::setenv("S3_SCENE_ID", "AKIDEXAMPLE", 1);
  ::setenv("S3_SCENE_SECRET", "not-a-real-secret", 1);
  std::string text = "[[listener]]\naddress = \"127.0.0.1:0\"\n[origin.photos.s3]\nbucket = \"pics\"\n";
  text += "endpoint = \"http://" + store.address() + "\"\n";
  text += "access_key_env = \"S3_SCENE_ID\"\nsecret_key_env = \"S3_SCENE_SECRET\"\n";
  text.append(more);
  text += "\n[[site]]\nhosts = [\"*\"]\n[[site.route]]\npath = \"/*\"\norigin = \"photos\"\n";
  return text;
}

constexpr const char* kStaleAtOnce =
    "Cache-Control: max-age=0, stale-while-revalidate=0, stale-if-error=3600\r\nETag: \"v1\"\r\n";

}  // namespace

TEST_CASE("While S3 asks for less, what is stored is served stale and the rest fails fast") {
  std::atomic<bool> busy{false};
  ScriptedOrigin store([&](const OriginCall&, const ScriptedOrigin::Send& send) {
    if (busy) return send(ScriptedOrigin::answer(503, "Retry-After: 60\r\n", ""));
    return send(ScriptedOrigin::answer(200, kStaleAtOnce, "a photo"));
  });
  TestNode node(s3_config(store));
  RawClient client(node.port());
  CHECK(client.fetch("/a").body == "a photo");
  busy = true;
  for (int i = 0; i < 3; ++i) {
    const RawResponse stale = client.fetch("/a");
    CHECK(stale.status == 200);
    CHECK(stale.body == "a photo");
  }
  const RawResponse missing = client.fetch("/b");
  CHECK(missing.status == 503);
  CHECK_FALSE(missing.field("retry-after").empty());
  CHECK(store.calls() == 2);  // the first, and the one that was refused
  CHECK(node.metric("vignette_s3_held_back_total", "origin=\"photos\"") == 3);
}

TEST_CASE("A photo whose bytes are not what S3 says of them is neither served whole nor stored") {
  ScriptedOrigin store([](const OriginCall& call, const ScriptedOrigin::Send& send) {
    const std::string body = call.number == 1 ? "a foto!" : "a photo";
    return send(ScriptedOrigin::answer(
        200, "Cache-Control: max-age=86400\r\nx-amz-checksum-crc32: ZZTuHA==\r\n", body));
  });
  TestNode node(s3_config(store));
  const RawResponse damaged = RawClient(node.port()).fetch("/a");
  CHECK_FALSE((damaged.status == 200 && damaged.complete));
  RawClient client(node.port());
  const RawResponse second = client.fetch("/a");
  CHECK(second.body == "a photo");
  CHECK(second.field("cache-status").find("fwd=uri-miss") != std::string::npos);
  CHECK(client.fetch("/a").field("cache-status").find("; hit") != std::string::npos);
  CHECK(store.calls() == 2);
  CHECK(node.metric("vignette_s3_checksum_mismatches_total", "origin=\"photos\"") == 1);
  CHECK(node.log_text().find("are not what the store says of them (crc32") != std::string::npos);
}

TEST_CASE("A large photo that is damaged is broken off before its end") {
  const std::string body = pattern(600'000);
  ScriptedOrigin store([&](const OriginCall&, const ScriptedOrigin::Send& send) {
    return send(ScriptedOrigin::answer(
        200, "Cache-Control: max-age=86400\r\nx-amz-checksum-crc32: AAAAAA==\r\n", body));
  });
  TestNode node(s3_config(store));
  const RawResponse damaged = RawClient(node.port()).fetch("/a");
  CHECK_FALSE(damaged.complete);
  CHECK(damaged.body.size() < body.size());
  const RawResponse again = RawClient(node.port()).fetch("/a");
  CHECK_FALSE(again.complete);
  CHECK(store.calls() == 2);
}

TEST_CASE("Versions of an object are objects of their own, and other parameters are nobody's business") {
  ScriptedOrigin store([](const OriginCall& call, const ScriptedOrigin::Send& send) {
    return send(ScriptedOrigin::answer(200, "Cache-Control: max-age=86400\r\n", call.target));
  });
  TestNode node(s3_config(store, "version_query = \"versionId\"\n"));
  RawClient client(node.port());
  CHECK(client.fetch("/a").body == "/pics/a");
  CHECK(client.fetch("/a?versionId=1").body == "/pics/a?versionId=1");
  CHECK(client.fetch("/a?versionId=2").body == "/pics/a?versionId=2");
  CHECK(client.fetch("/a?w=3&versionId=1").body == "/pics/a?versionId=1");
  CHECK(client.fetch("/a?w=3").body == "/pics/a");
  CHECK(client.fetch("/a?versionId=%31").body == "/pics/a?versionId=1");
  CHECK(client.fetch("/a?versionId=").status == 404);
  CHECK(store.calls() == 3);
}

TEST_CASE("Requests on all workers wait for one set of credentials") {
  Gate gate;
  ScriptedOrigin service([&](const OriginCall& call, const ScriptedOrigin::Send& send) {
    if (call.method == "PUT") {
      gate.wait();
      return send(ScriptedOrigin::answer(200, "", "SESSION"));
    }
    if (call.target.ends_with('/')) return send(ScriptedOrigin::answer(200, "", "reader"));
    return send(ScriptedOrigin::answer(
        200, "",
        R"({"Code":"Success","AccessKeyId":"ASIA","SecretAccessKey":"hush","Token":"t","Expiration":"2099-01-01T00:00:00Z"})"));
  });
  ScriptedOrigin store([](const OriginCall& call, const ScriptedOrigin::Send& send) {
    return send(ScriptedOrigin::answer(200, "", call.field("x-amz-security-token")));
  });
  TestNode node(s3_config(store, "credentials = \"instance\"\nmetadata_endpoint = \"http://" +
                                     service.address() + "\"\n"),
                {.workers = 2});
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 12; ++i) {
    clients.push_back(std::make_unique<RawClient>(node.port()));
    clients.back()->get("/photo" + std::to_string(i));
  }
  REQUIRE(service.wait_for_calls(1));
  gate.open();
  for (const auto& client : clients) CHECK(client->read().body == "t");
  CHECK(service.calls() == 3);
  CHECK(node.metric("vignette_s3_credential_refreshes_total", "result=\"ok\"") == 1);
  CHECK(node.log_text().find("hush") == std::string::npos);
  CHECK(node.log_text().find("SESSION") == std::string::npos);
}
