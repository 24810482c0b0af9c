// `vignette sign`, held against what the node believes.
#include "proxy/process/sign_client.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "imaging/grammar.h"
#include "imaging/url.h"

using namespace vignette;
using proxy::sign_url;
using proxy::SignJob;

namespace {

const std::string kSecret = "0123456789abcdef-secret";
const WallTime kSigned{std::chrono::seconds(1'800'000'000)};

// A node whose keys are this one and another, under "/i/".
struct Verifier {
  Verifier() {
    imaging::GrammarOptions grammar;
    grammar.presets["thumb"] = "w=150,h=150,fit=cover";
    imaging::UrlOptions options;
    options.keys = {{.id = "other", .secret = "another secret of 16"}, {.id = "k1", .secret = kSecret}};
    urls = std::make_unique<imaging::ImageUrls>(*imaging::ImageUrls::make(
        std::move(options), std::make_shared<const imaging::Grammar>(*imaging::Grammar::make(grammar))));
  }
  // The id of the key that signed it; else the refusal's sentence.
  std::string judge(std::string_view url, WallTime now = kSigned) const {
    REQUIRE(url.starts_with("/i/"));
    url.remove_prefix(3);
    const std::size_t query = std::min(url.find('?'), url.size());
    const auto asked = urls->parse(url.substr(0, query), url.substr(std::min(query + 1, url.size())), now);
    return asked ? std::string(asked->key_id) : asked.error().message;
  }
  std::unique_ptr<imaging::ImageUrls> urls;
};

std::string signed_or_why(const SignJob& job) {
  const auto done = sign_url(job, kSigned);
  return done ? *done : "error: " + done.error();
}

}  // namespace

TEST_CASE("What the command signs the node believes") {
  const Verifier node;
  for (const char* url :
       {"/i/-/w=640/cat.jpg", "/i/-/p:thumb/cat.jpg@webp", "/i/-/original/a/b%20c.jpg", "/i/-/info/-/cat.jpg",
        "/i/-/w=640/cat.jpg?v=7", "/i/-/w=640/cat.jpg?e=1800000001", "/i/-/w=640/cat.jpg?v=7&e=1800000001"}) {
    CAPTURE(url);
    for (const char* id : {"", "k1"}) {
      const std::string made =
          signed_or_why({.url = url, .key_id = id, .secret = kSecret, .lifetime_seconds = {}});
      CAPTURE(made);
      CHECK(node.judge(made) == "k1");
      CHECK((made.find("/k1.") != std::string::npos) == (*id != '\0'));
    }
  }
}

TEST_CASE("A signature ends with its lifetime, and fits its own URL and key alone") {
  const Verifier node;
  const SignJob job{.url = "/i/-/w=640/cat.jpg", .key_id = {}, .secret = kSecret, .lifetime_seconds = 60};
  const std::string made = signed_or_why(job);
  CHECK(made.ends_with("/w=640/cat.jpg?e=1800000060"));
  CHECK(node.judge(made, kSigned + std::chrono::seconds(59)) == "k1");
  CHECK(node.judge(made, kSigned + std::chrono::seconds(60)) == "this URL has expired");
  std::string changed = made;
  changed.replace(changed.find("cat"), 3, "dog");
  CHECK(node.judge(changed) == "the signature does not match");
  SignJob strange = job;
  strange.secret = "a secret that nobody has";
  CHECK(node.judge(signed_or_why(strange)) == "the signature does not match");
}

TEST_CASE("The rest of a URL stays as it is") {
  const std::string made = signed_or_why({.url = "https://img.test/i/-/w=1/a.jpg?v=2",
                                          .key_id = "k1",
                                          .secret = kSecret,
                                          .lifetime_seconds = {}});
  CHECK(made.starts_with("https://img.test/i/k1."));
  CHECK(made.ends_with("/w=1/a.jpg?v=2"));
}

TEST_CASE("What a node would refuse is not signed") {
  const auto why = [](const char* url, std::string secret = kSecret, std::string id = "") {
    return signed_or_why(
        {.url = url, .key_id = std::move(id), .secret = std::move(secret), .lifetime_seconds = {}});
  };
  CHECK(why("/i/w=640/cat.jpg").find("has no place for a signature") != std::string::npos);
  CHECK(why("/i/-/cat.jpg").starts_with("error: the path must be"));
  CHECK(why("/i/-/wat=640/cat.jpg").find("wat") != std::string::npos);
  CHECK(why("/i/-/w=640/../cat.jpg") == "error: bad key");
  CHECK(why("/i/-/w=640/cat.jpg?x=1").starts_with("error: the query of an image"));
  CHECK(why("/i/-/w=640/cat.jpg?e=soon").starts_with("error: e= takes"));
  CHECK(why("/i/-/w=640/cat.jpg?e=1") == "error: this URL has expired");
  CHECK(why("/i/-/w=640/cat.jpg", "short").find("shorter than 16 bytes") != std::string::npos);
  CHECK(why("/i/-/w=640/cat.jpg", kSecret, "k 1").find("letters, digits") != std::string::npos);
  CHECK(signed_or_why(
            {.url = "/i/-/w=6/a?e=1900000000", .key_id = {}, .secret = kSecret, .lifetime_seconds = 9})
            .find("--expires has no place") != std::string::npos);
}
