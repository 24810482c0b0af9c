// Answers of servers on their way to clients that accept codings, and to those that do not: what is
// compressed, stored once, never twice, and undone where it must be.
#include <catch2/catch.hpp>

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "http/content_codec.h"
#include "tests/component/scene.h"

using namespace vignette;
using namespace vignette::test;
using namespace std::string_literals;

namespace {

constexpr const char* kFresh = "Cache-Control: max-age=60\r\n";
constexpr const char* kHtml = "Content-Type: text/html; charset=utf-8\r\n";

std::string html(std::size_t size = 20'000) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) text += "<p>line " + std::to_string(i * 7919) + "</p>\n";
  return text;
}

bool is_hit(const RawResponse& answer) {
  return answer.field("cache-status").find("; hit") != std::string::npos;
}

std::string recoded(std::unique_ptr<http::ContentCodec> codec, std::string_view bytes) {
  std::string out;
  std::string room(64 * 1024, '\0');
  for (;;) {
    const auto step =
        codec->step({bytes.data(), bytes.size()}, {room.data(), room.size()}, http::ContentCodec::Feed::end);
    out.append(room, 0, step.produced);
    bytes.remove_prefix(step.consumed);
    if (step.state == http::ContentCodec::State::done) return out;
    if (step.state != http::ContentCodec::State::full) return "not that coding";
  }
}

std::string undone(const RawResponse& answer) {
  const std::string coding = answer.field("content-encoding");
  if (coding.empty()) return answer.body;
  return recoded(http::make_decoder(http::parse_coding(coding).value()), answer.body);
}

std::string made(http::Coding coding, std::string_view text) {
  return recoded(http::make_encoder(coding, text.size()), text);
}

RawResponse ask(const Scene& scene, std::string_view accepted, std::string_view more = "",
                std::string_view target = "/a") {
  std::string lines = accepted.empty() ? "" : "Accept-Encoding: " + std::string(accepted) + "\r\n";
  return scene.client().fetch(target, lines.append(more));
}

}  // namespace

TEST_CASE("A page is compressed once for each coding, and hits send what is stored") {
  const std::string page = html();
  Scene scene(always(kFresh + std::string(kHtml) + "ETag: \"v1\"\r\n", page));
  int calls = 0;
  for (const char* coding : {"zstd", "br", "gzip"}) {
    INFO(coding);
    const RawResponse first = ask(scene, coding);
    CHECK(first.field("content-encoding") == coding);
    CHECK(undone(first) == page);
    CHECK(first.field("etag") == "W/\"v1\"");
    CHECK(first.field("vary") == "Accept-Encoding");
    CHECK(scene.origin.calls() == ++calls);
    const RawResponse second = ask(scene, coding);
    CHECK(is_hit(second));
    CHECK(second.body == first.body);
    CHECK(second.field("content-length") == std::to_string(first.body.size()));
    CHECK(second.field("etag") == "W/\"v1\"");
    CHECK(second.field("vary") == "Accept-Encoding");
    CHECK(second.body.size() < page.size() / 3);
  }
  const RawResponse plain = ask(scene, "");
  CHECK(plain.body == page);
  CHECK(plain.field("etag") == "\"v1\"");
  CHECK(plain.field("vary") == "Accept-Encoding");
  CHECK(scene.origin.calls() == 4);
  CHECK(ask(scene, "deflate").body == page);
  CHECK(scene.origin.calls() == 4);
  scene.node.settle();
  CHECK(scene.node.metric("vignette_answers_encoded_total", "coding=\"br\"") == 1);
}

TEST_CASE("What a client likes best decides, of what is stored too") {
  Scene scene(always(kFresh + std::string(kHtml), html()));
  CHECK(ask(scene, "gzip, deflate, br, zstd").field("content-encoding") == "zstd");
  CHECK(ask(scene, "zstd;q=0.1, br;q=0.2, gzip").field("content-encoding") == "gzip");
  CHECK(ask(scene, "gzip;q=0.5, br;q=1.0").field("content-encoding") == "br");
  CHECK(ask(scene, "x-gzip").field("content-encoding") == "gzip");
  CHECK(ask(scene, "*;q=0").field("content-encoding").empty());
  CHECK(ask(scene, "identity, gzip;q=0.5").field("content-encoding").empty());
  CHECK(ask(scene, "zstd;q=0.1, br;q=0.2, gzip").field("content-encoding") == "gzip");
  const int calls = scene.origin.calls();
  CHECK(is_hit(ask(scene, "br;q=0.9, gzip;q=0.2")));
  CHECK(is_hit(ask(scene, "gzip, zstd;q=0.1, br;q=0.2")));
  CHECK(scene.origin.calls() == calls);
}

TEST_CASE("A client that has the page is told so, whichever form of its tag it names") {
  Scene scene(always(kFresh + std::string(kHtml) + "ETag: \"v1\"\r\n", html()));
  ask(scene, "gzip");
  for (const char* tag : {"W/\"v1\"", "\"v1\"", "\"v0\", W/\"v1\"", "*"}) {
    INFO(tag);
    const RawResponse answer = ask(scene, "gzip", "If-None-Match: "s + tag + "\r\n");
    CHECK(answer.status == 304);
    CHECK(answer.field("etag") == "W/\"v1\"");
    CHECK(answer.field("vary") == "Accept-Encoding");
  }
  CHECK(ask(scene, "gzip", "If-None-Match: W/\"v2\"\r\n").status == 200);
}

TEST_CASE("Ranges are not cut out of what was compressed on the way") {
  const std::string page = html();
  Scene scene(always(kFresh + std::string(kHtml) + "ETag: \"v1\"\r\n", page));
  const RawResponse whole = ask(scene, "gzip");
  for (const char* lines : {"Range: bytes=0-9\r\n", "Range: bytes=0-9\r\nIf-Range: W/\"v1\"\r\n",
                            "Range: bytes=0-9\r\nIf-Range: \"v1\"\r\n"}) {
    const RawResponse answer = ask(scene, "gzip", lines);
    CHECK(answer.status == 200);
    CHECK(answer.body == whole.body);
    CHECK(answer.field("accept-ranges").empty());
  }
  ask(scene, "");
  const RawResponse part = ask(scene, "", "Range: bytes=3-9\r\nIf-Range: \"v1\"\r\n");
  CHECK(part.status == 206);
  CHECK(part.body == page.substr(3, 7));
}

TEST_CASE(
    "A 206, a 204 and a 304 of the server pass as they are, the 304 with the tag that the client knows") {
  Scene scene(
      [](const OriginCall& call, const ScriptedOrigin::Send& send) {
        if (call.target == "/part") {
          return send(ScriptedOrigin::answer(206, kHtml + "Content-Range: bytes 0-1999/5000\r\n"s,
                                             std::string(2000, 'x')));
        }
        if (call.target == "/none") return send("HTTP/1.1 204 No Content\r\n"s + kHtml + "\r\n");
        return send("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\nVary: Cookie\r\n\r\n");
      },
      "cache = \"off\"");
  const RawResponse part = ask(scene, "gzip", "Range: bytes=0-1999\r\n", "/part");
  CHECK(part.status == 206);
  CHECK(part.body == std::string(2000, 'x'));
  CHECK(part.field("content-encoding").empty());
  CHECK(ask(scene, "gzip", "", "/none").field("content-encoding").empty());
  const RawResponse same = ask(scene, "gzip", "If-None-Match: W/\"v1\"\r\n", "/same");
  CHECK(same.status == 304);
  CHECK(same.field("etag") == "W/\"v1\"");
  CHECK(same.field("vary") == "Cookie, Accept-Encoding");
  CHECK(scene.origin.log().back().field("if-none-match") == "W/\"v1\"");
}

TEST_CASE(
    "Answers that are not stored are compressed as they pass, and a HEAD's head is the one of its GET") {
  const std::string page = html();
  Scene scene(always(kHtml, page), "cache = \"off\"");
  RawClient client = scene.client();
  client.send("POST /a HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: br\r\nContent-Length: 2\r\n\r\nhi");
  const RawResponse posted = client.read();
  CHECK(posted.field("content-encoding") == "br");
  CHECK(posted.field("transfer-encoding") == "chunked");
  CHECK(undone(posted) == page);
  client.send("HEAD /a HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: br\r\n\r\n");
  const RawResponse head = client.read(true);
  CHECK(head.field("content-encoding") == "br");
  CHECK(head.field("content-length").empty());
  CHECK(head.field("vary") == "Accept-Encoding");
  client.send("HEAD /a HTTP/1.1\r\nHost: a.test\r\n\r\n");
  CHECK(client.read(true).field("content-length") == std::to_string(page.size()));
}

TEST_CASE("What is coded already, is short, is an image or may not be changed is sent as it came") {
  const std::string coded = made(http::Coding::gzip, html());
  const std::string text(1023, 'x');
  Scene scene([&](const OriginCall& call, const ScriptedOrigin::Send& send) {
    if (call.target == "/coded") {
      return send(ScriptedOrigin::answer(200, kFresh + ("Content-Encoding: gzip\r\n"s + kHtml), coded));
    }
    if (call.target == "/short") return send(ScriptedOrigin::answer(200, kHtml, text));
    if (call.target == "/image") {
      return send(ScriptedOrigin::answer(200, "Content-Type: image/jpeg\r\n", text + text));
    }
    return send(ScriptedOrigin::answer(200, kHtml + "Cache-Control: no-transform\r\n"s, text + text));
  });
  CHECK(ask(scene, "gzip, br", "", "/coded").body == coded);
  CHECK(ask(scene, "gzip, br", "", "/coded").field("content-encoding") == "gzip");
  for (const char* target : {"/short", "/image", "/fixed"}) {
    INFO(target);
    const RawResponse answer = ask(scene, "gzip, br", "", target);
    CHECK(answer.body.substr(0, 1023) == text);
    CHECK(answer.field("content-encoding").empty());
    CHECK(answer.field("vary").empty());
  }
}

TEST_CASE("A route that does not compress leaves everything alone") {
  const std::string page = html();
  Scene scene(always(kFresh + std::string(kHtml) + "ETag: \"v1\"\r\n", page), "compress = false");
  const RawResponse answer = ask(scene, "gzip");
  CHECK(answer.body == page);
  CHECK(answer.field("etag") == "\"v1\"");
  CHECK(answer.field("vary").empty());
}

TEST_CASE("A route compresses what it lists") {
  Scene scene(always("Content-Type: application/x-odd\r\n", std::string(100, 'x')),
              "compress = { types = [\"application/x-*\"], min_size = \"50B\", codings = [\"gzip\"] }");
  CHECK(ask(scene, "br, zstd").field("content-encoding").empty());
  CHECK(undone(ask(scene, "br, gzip;q=0.1")) == std::string(100, 'x'));
}

TEST_CASE("What a slow producer has sent goes on at once, and events are not compressed") {
  Gate gate;
  const std::string first(3000, 'a');
  Scene scene([&](const OriginCall& call, const ScriptedOrigin::Send& send) {
    const bool events = call.target == "/events";
    const std::string type = events ? "text/event-stream" : "text/plain";
    if (!send("HTTP/1.1 200 OK\r\nContent-Type: " + type + "\r\nTransfer-Encoding: chunked\r\n\r\n"))
      return false;
    if (!send("bb8\r\n" + first + "\r\n")) return false;
    if (!events) gate.wait();
    return send("3\r\nend\r\n0\r\n\r\n");
  });
  RawClient client = scene.client();
  client.get("/a", "Accept-Encoding: gzip\r\n");
  // All of the first piece can be read before the second is sent: what is here undoes to it.
  std::string seen;
  std::string text;
  const auto decoder = http::make_decoder(http::Coding::gzip);
  std::size_t fed = 0;
  while (text.size() < first.size()) {
    char bytes[4096];
    const ssize_t got = ::recv(client.descriptor(), bytes, sizeof bytes, 0);
    REQUIRE(got > 0);
    seen.append(bytes, static_cast<std::size_t>(got));
    const std::size_t head = seen.find("\r\n\r\n");
    if (head == seen.npos) continue;
    // The chunk's size line, then its bytes.
    const std::size_t begin = seen.find("\r\n", head + 4);
    if (begin == seen.npos) continue;
    const std::size_t size = std::stoul(seen.substr(head + 4), nullptr, 16);
    const std::string_view body =
        std::string_view(seen).substr(begin + 2, std::min(size, seen.size() - begin - 2));
    std::string room(8192, '\0');
    const auto step = decoder->step({body.data() + fed, body.size() - fed}, {room.data(), room.size()},
                                    http::ContentCodec::Feed::more);
    fed += step.consumed;
    text.append(room, 0, step.produced);
    if (fed == size) break;
  }
  CHECK(text == first);
  gate.open();
  const RawResponse events = ask(scene, "gzip", "", "/events");
  CHECK(events.field("content-encoding").empty());
  CHECK(events.body == first + "end");
}

TEST_CASE("Large answers are compressed piece by piece, and are whole") {
  const std::string page = html(3 << 20);
  Scene scene(always(kFresh + std::string(kHtml) + "ETag: \"v1\"\r\nAccept-Ranges: bytes\r\n", page));
  for (const char* coding : {"zstd", "br", "gzip"}) {
    CHECK(undone(ask(scene, coding)) == page);
    const RawResponse hit = ask(scene, coding);
    CHECK(is_hit(hit));
    CHECK(undone(hit) == page);
  }
}

TEST_CASE("A stored page is confirmed by the server under its own tag, and stays compressed") {
  Scene scene([&](const OriginCall& call, const ScriptedOrigin::Send& send) {
    if (call.field("if-none-match").empty()) {
      return send(ScriptedOrigin::answer(
          200, kHtml + "Cache-Control: max-age=1\r\nAge: 9\r\nETag: \"v1\"\r\nVary: X-Kind\r\n"s, html()));
    }
    return send(
        "HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\nVary: X-Kind\r\nCache-Control: max-age=60\r\n\r\n");
  });
  CHECK(undone(ask(scene, "gzip")) == html());
  CHECK(undone(ask(scene, "gzip")) == html());
  const RawResponse third = ask(scene, "gzip");
  CHECK(is_hit(third));
  CHECK(third.field("content-encoding") == "gzip");
  CHECK(third.field("etag") == "W/\"v1\"");
  CHECK(third.field("vary") == "X-Kind, Accept-Encoding");
  CHECK(scene.origin.log().back().field("if-none-match") == "W/\"v1\"");
  CHECK(scene.origin.calls() == 2);
  CHECK(ask(scene, "").body == html());
}

TEST_CASE("A coding that a client does not accept is undone for it, and kept for who does") {
  const std::string page = html();
  for (const http::Coding coding : {http::Coding::gzip, http::Coding::br, http::Coding::zstd}) {
    const std::string name(http::to_string(coding));
    INFO(name);
    const std::string coded = made(coding, page);
    Scene scene(
        always(kFresh + std::string(kHtml) + "ETag: \"v1\"\r\nContent-Encoding: " + name + "\r\n", coded));
    const RawResponse plain = ask(scene, "");
    CHECK(plain.body == page);
    CHECK(plain.field("content-encoding").empty());
    CHECK(plain.field("etag") == "W/\"v1\"");
    CHECK(plain.field("vary") == "Accept-Encoding");
    CHECK(is_hit(ask(scene, "")));
    CHECK(ask(scene, name).body == coded);
    CHECK(ask(scene, name).field("etag") == "\"v1\"");
  }
}

TEST_CASE("A body that is not of its coding, is cut short or is a bomb never ends as if it were whole") {
  const std::string good = made(http::Coding::gzip, html());
  // Zeros grow a thousandfold.
  const std::string bomb = made(http::Coding::gzip, std::string(40 << 20, '\0'));
  Scene scene([&](const OriginCall& call, const ScriptedOrigin::Send& send) {
    const std::string lines = kFresh + ("Content-Encoding: gzip\r\n"s + kHtml);
    if (call.target == "/bomb") return send(ScriptedOrigin::answer(200, lines, bomb));
    if (call.target == "/cut")
      return send(ScriptedOrigin::answer(200, lines, good.substr(0, good.size() / 2)));
    return send(ScriptedOrigin::answer(200, lines, html()));
  });
  for (const char* target : {"/cut", "/bomb", "/plain"}) {
    INFO(target);
    CHECK_FALSE(ask(scene, "", "", target).complete);
    const RawResponse again = ask(scene, "", "", target);
    CHECK_FALSE(is_hit(again));
    CHECK(again.body.size() < (20U << 20));
  }
}
