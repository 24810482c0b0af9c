// Router, rules, cache key and origin see one path, whatever a client writes: random and hostile paths under
// every rule that a site may have, against a second implementation of the normal form.
#include <catch2/catch.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/strings.h"
#include "cache/key.h"
#include "proxy/route/route_path.h"
#include "tests/component/scene.h"

using namespace vignette;
using namespace vignette::test;

namespace {

constexpr http::EncodedSlash kEncoded[] = {http::EncodedSlash::keep, http::EncodedSlash::decode,
                                           http::EncodedSlash::reject};
constexpr const char* kEncodedNames[] = {"keep", "decode", "reject"};
constexpr int kSites = 6;

http::PathRules rules_of(int site) { return {site % 2 == 1, kEncoded[site / 2]}; }

std::string host_of(int site) { return "s" + std::to_string(site) + ".test"; }

// Every site denies what is below /admin/ and sends the rest to the origin.
std::string config(const ScriptedOrigin& origin) {
  std::string text =
      "[[listener]]\naddress = \"127.0.0.1:0\"\n[origin.app]\nservers = [\"" + origin.address() + "\"]\n";
  for (int i = 0; i < kSites; ++i) {
    text += "[[site]]\nhosts = [\"" + host_of(i) + "\"]\nmerge_slashes = " + (i % 2 == 1 ? "true" : "false") +
            "\nencoded_slash = \"" + kEncodedNames[i / 2] + "\"\n";
    text += "[[site.route]]\npath = \"/admin/*\"\norigin = \"app\"\ndeny = [\"127.0.0.0/8\"]\n";
    text += "[[site.route]]\npath = \"/*\"\norigin = \"app\"\n";
  }
  return text;
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::size_t below(std::size_t limit) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::size_t>(state_ >> 33) % limit;
  }

 private:
  std::uint64_t state_;
};

std::string random_path(Random& random) {
  static constexpr std::string_view kPieces[] = {
      "/",      "/",          "/",       "//",      ".",   "..",      "/../",       "/./",    "%2e",
      "%2E%2e", "..;",        "%2f",     "%2F",     "%5c", "%5C",     "a",          "b",      "admin",
      "admin",  "Admin",      "%61dmin", "ad%6Din", "~",   "%7e",     "%20",        "%c3%a9", "%25",
      "%252f",  "%252e%252e", "%",       "%g1",     "\\",  ";x=1",    "@",          ":",      "%00",
      "%0d%0a", "...",        "*",       "%3f",     "+",   "/admin/", "%2fadmin%2f"};
  std::string path = "/";
  for (std::size_t left = 1 + random.below(7); left > 0; --left)
    path += kPieces[random.below(std::size(kPieces))];
  return path;
}

// The normal form once more, the slow way: into segments, and from segments. nullopt: 400.
std::optional<std::string> expected(std::string_view raw, http::PathRules rules) {
  std::vector<std::string> segments;
  bool was_slash = false;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    std::string piece(1, raw[i]);
    bool is_slash = raw[i] == '/';
    if (raw[i] == '\\') return std::nullopt;
    if (raw[i] == '%') {
      const auto byte = raw.size() - i < 3 ? std::nullopt : percent_decode(raw.substr(i, 3));
      if (!byte || byte->front() == '\0') return std::nullopt;
      if (*byte == "/" && rules.encoded_slash == http::EncodedSlash::reject) return std::nullopt;
      is_slash = *byte == "/" && rules.encoded_slash == http::EncodedSlash::decode;
      piece = percent_encode(*byte);
      i += 2;
    }
    if (is_slash) {
      if (!was_slash || !rules.merge_slashes) segments.emplace_back();
    } else {
      segments.back() += piece;
    }
    was_slash = is_slash;
  }
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const std::string& segment = segments[i];
    std::string cut = segment;
    for (const std::string_view escape : {"%2F", "%5C"}) {
      for (std::size_t at; (at = cut.find(escape)) != cut.npos;) cut.replace(at, 3, "/");
    }
    if (cut.find('/') != cut.npos) {
      for (const std::string_view part : split(cut, '/')) {
        if (part == "." || part == "..") return std::nullopt;
      }
    }
    const bool is_dots = segment == "." || segment == "..";
    if (segment == "..") {
      if (kept.empty()) return std::nullopt;
      kept.pop_back();
    }
    if (!is_dots) kept.push_back(segment);
    if (is_dots && i + 1 == segments.size()) kept.emplace_back();
  }
  std::string path;
  for (const std::string& segment : kept) path += "/" + segment;
  return path;
}

}  // namespace

TEST_CASE("Rules, cache keys and origins see the path that routes see") {
  ScriptedOrigin origin([](const OriginCall& call, const ScriptedOrigin::Send& send) {
    return send(ScriptedOrigin::answer(200, "Cache-Control: max-age=600\r\n", call.target));
  });
  TestNode node(config(origin));
  Random random(20'260'419);
  int denied = 0;
  int refused = 0;
  int served = 0;
  for (int i = 0; i < 1500; ++i) {
    const std::string raw = random_path(random);
    const int site = i % kSites;
    INFO(host_of(site) << " " << raw);
    RawClient client(node.port());
    client.send("GET " + raw + " HTTP/1.1\r\nHost: " + host_of(site) + "\r\nConnection: close\r\n\r\n");
    const RawResponse answer = client.read();
    const auto path = expected(raw, rules_of(site));
    if (!path) {
      ++refused;
      CHECK(answer.status == 400);
      continue;
    }
    if (path->starts_with("/admin/")) {
      ++denied;
      CHECK(answer.status == 403);
      continue;
    }
    ++served;
    CHECK(answer.status == 200);
    CHECK(answer.body == *path);  // of a hit too: what is stored under the key is what this path would bring
    std::string name;
    const cache::Key key = cache::build_key({.host = host_of(site), .path = *path, .variant = "http"}, name);
    CHECK(node.store().peek(key, name));
    // Who asks where a URL is stored, as purges do, goes by the same path.
    if (i % 10 == 0) {
      const std::string told = node.explain("http://" + host_of(site) + raw);
      CHECK(told.find("\"" + host_of(site) + *path + "\"") != told.npos);
    }
  }
  CHECK(denied > 20);
  CHECK(refused > 200);
  CHECK(served > 300);
}

TEST_CASE("An images route reads what routes have seen, and its raw bytes only when they say the same") {
  conf::Route route;
  route.path = "/i/";
  route.prefix = true;
  const auto reads = [&](std::string_view raw) {
    const auto path = http::normalize_path(raw);
    REQUIRE(path);
    return std::string(proxy::image_path(route, raw, *path));
  };
  CHECK(reads("/i/-/w=1/a%7eb.jpg") == "-/w=1/a%7eb.jpg");
  CHECK(reads("/i/../i/-/w=1/a%7eb.jpg") == "-/w=1/a~b.jpg");
  CHECK(reads("/i/x/../-/w=1/a.jpg") == "-/w=1/a.jpg");
  CHECK(reads("/%69/-/w=1/a%7eb.jpg") == "-/w=1/a~b.jpg");
  CHECK(reads("/i/./a") == "a");
  Random random(7);
  int compared = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string raw = "/i" + random_path(random);
    const auto path = http::normalize_path(raw);
    if (!path || !path->starts_with("/i/")) continue;
    ++compared;
    INFO(raw);
    CHECK(percent_decode(proxy::image_path(route, raw, *path)) == percent_decode(path->substr(3)));
  }
  CHECK(compared > 1000);
}
