#include <catch2/catch.hpp>
#include <cstdlib>
#include <set>

#include "conf/include.h"
#include "conf/loader.h"
#include "conf/schema.h"
#include "tests/support/temp_dir.h"

namespace vignette::conf {
namespace {

#ifndef VIGNETTE_SOURCE_DIR
#error "the build names the source root"
#endif
const std::string kRoot = VIGNETTE_SOURCE_DIR;

std::string example(const std::string& name) {
  const auto text = read_file(kRoot + "/conf/examples/" + name);
  REQUIRE(text);
  return *text;
}

std::string errors(const Loaded& loaded) {
  std::string out;
  if (!loaded) {
    for (const Diagnostic& diagnostic : loaded.error()) out += diagnostic.to_string() + "\n";
  }
  return out;
}

// The example in a folder with everything it names.
Loaded load_example(const TempDir& dir, const std::string& name) {
  ::setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
  ::setenv("AWS_SECRET_ACCESS_KEY", "not-a-real-secret", 1);
  ::setenv("VIGNETTE_IMAGE_KEY", "0123456789abcdef", 1);
  for (const char* file :
       {"tls/img.example.com.pem", "tls/img.example.com.key", "tls/example.com.pem", "tls/example.com.key",
        "tls/ticket.key", "tls/clients-ca.pem", "tls/clients-crl.pem", "tls/ticket-before.key",
        "internal-ca.pem", "GeoLite2-Country.mmdb", "GeoLite2-City.mmdb", "GeoLite2-ASN.mmdb",
        "countries.mmdb"}) {
    dir.write(file, "present");
  }
  dir.write("image-key.secret", "0123456789abcdef\n");
  dir.write("sse-customer.key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
  dir.write("aws-credentials",
            "[other]\naws_access_key_id = no\n[default]\naws_access_key_id = AKID\n"
            "aws_secret_access_key = hush\n");
  dir.folder("static");
  dir.folder("photos");
  return load_file(dir.write(name, example(name)));
}

void collect(const Node& node, const std::vector<Option>& rows, const std::string& prefix,
             std::set<std::string>& seen);

void collect_value(const Node& value, const Option& row, const std::string& path,
                   std::set<std::string>& seen) {
  if (row.shape == Option::Shape::map) {
    for (const Member& member : value.members) collect(member.value, row.children, path + ".", seen);
  } else if (row.shape == Option::Shape::list) {
    for (const Node& item : value.items) collect(item, row.children, path + ".", seen);
  } else {
    collect(value, row.children, path + ".", seen);
  }
}

void collect(const Node& node, const std::vector<Option>& rows, const std::string& prefix,
             std::set<std::string>& seen) {
  for (const Option& row : rows) {
    const Node* value = node.find(row.key);
    if (!value) continue;
    seen.insert(prefix + row.key);
    collect_value(*value, row, prefix + row.key, seen);
  }
}

void all_paths(const std::vector<Option>& rows, const std::string& prefix, std::set<std::string>& out) {
  for (const Option& row : rows) {
    out.insert(prefix + row.key);
    all_paths(row.children, prefix + row.key + ".", out);
  }
}

TEST_CASE("every example loads without an error") {
  for (const char* name : {"quickstart.toml", "photos-s3.toml", "django.toml", "everything.toml"}) {
    INFO(name);
    const TempDir dir;
    CHECK(errors(load_example(dir, name)) == "");
  }
}

TEST_CASE("everything.toml holds every key of the schema") {
  const auto tree = parse_toml(example("everything.toml"), "everything.toml");
  REQUIRE(tree);
  std::set<std::string> seen;
  collect(*tree, schema(), "", seen);
  std::set<std::string> known;
  all_paths(schema(), "", known);
  CHECK(known.size() > 90);
  for (const std::string& path : known) {
    INFO(path);
    CHECK(seen.contains(path));
  }
}

TEST_CASE("REFERENCE.md is what the schema says; if not, run `vignette reference > conf/REFERENCE.md`") {
  const auto page = read_file(kRoot + "/conf/REFERENCE.md");
  REQUIRE(page);
  CHECK(*page == reference());
}

TEST_CASE("every option is documented by a sentence") {
  const auto walk = [](const auto& self, const std::vector<Option>& rows) -> void {
    for (const Option& row : rows) {
      INFO(row.key);
      CHECK(row.doc.ends_with('.'));
      CHECK_FALSE(row.type.empty());
      CHECK(row.read);
      self(self, row.children);
    }
  };
  walk(walk, schema());
}

TEST_CASE("the embedded default serves a gallery, images and originals of any directory name") {
  const TempDir dir;
  const std::string odd = dir.path("my \"photos\" \\ \t\xc3\xa9");
  dir.folder("my \"photos\" \\ \t\xc3\xa9");
  dir.write("my \"countries\"", "present");
  const Loaded loaded =
      load_text(quickstart_text(odd, dir.path("my \"countries\"")), "quickstart", dir.path());
  REQUIRE(errors(loaded) == "");
  const Config& config = **loaded;
  REQUIRE(config.find_origin("photos"));
  CHECK(config.find_origin("photos")->directory == odd);
  CHECK(config.geo.country == dir.path("my \"countries\""));
  CHECK(config.server.admin->to_string() == "127.0.0.1:9180");
  REQUIRE(config.listeners.size() == 2);
  CHECK(config.listeners[0].address.to_string() == "127.0.0.1:8080");
  CHECK(config.listeners[1].address.to_string() == "127.0.0.1:8443");
  CHECK(config.listeners[1].tls);
  REQUIRE(config.certificates.size() == 1);
  CHECK(config.certificates[0].chain == dir.path("state/self-signed.pem"));
  CHECK(config.certificates[0].self_signed.size() == 2);
  CHECK(config.images.unsigned_access == UnsignedImages::on);
  REQUIRE(config.sites.size() == 1);
  REQUIRE(config.sites[0].routes.size() == 3);
  CHECK(config.sites[0].routes[0].kind == RouteKind::gallery);
  CHECK(config.sites[0].routes[1].kind == RouteKind::images);
  CHECK(config.sites[0].routes[2].kind == RouteKind::origin);
  CHECK(config.sites[0].routes[2].strip_prefix);
}

TEST_CASE("the embedded default without a database of countries knows none") {
  const TempDir dir;
  dir.folder("photos");
  const Loaded loaded = load_text(quickstart_text(dir.path("photos"), ""), "quickstart", dir.path());
  REQUIRE(errors(loaded) == "");
  CHECK((*loaded)->geo.country.empty());
}

TEST_CASE("the embedded default is the example file") {
  CHECK(quickstart_text() == example("quickstart.toml"));
}

TEST_CASE("the examples mean what they say") {
  const TempDir dir;
  const Loaded django = load_example(dir, "django.toml");
  REQUIRE(django);
  CHECK((*django)->listeners[0].redirect_https_port == 443);
  CHECK((*django)->find_origin("app")->servers.size() == 3);
  CHECK((*django)->find_origin("app")->health->fall == 3);
  const auto& routes = (*django)->sites[0].routes;
  CHECK(routes[0].cache.mode == CacheMode::on);
  CHECK(routes[0].cache.ttl == RouteCache::kDefaultTtl);
  CHECK(routes[0].strip_prefix);
  CHECK(routes[1].max_body == 200ULL << 20);
  CHECK(routes[1].cache.mode == CacheMode::explicit_only);
  CHECK_FALSE(routes[1].cache.ttl);
  CHECK_FALSE(routes[1].cache.negative_ttl);
  CHECK(routes[1].cache.stale_while_revalidate == milliseconds(0));
  CHECK(routes[0].cache.negative_ttl == RouteCache::kNegativeTtl);
  CHECK(routes[0].cache.stale_while_revalidate == RouteCache::kMediaRevalidate);
  CHECK(routes[2].cache.mode == CacheMode::off);
  CHECK(routes[3].max_body == 16ULL << 20);
  CHECK_FALSE(routes[3].strip_prefix);

  const Loaded everything = load_example(dir, "everything.toml");
  REQUIRE(everything);
  const Config& config = **everything;
  CHECK(config.find_origin("app")->servers[2].weight == 2);
  CHECK(config.find_origin("app")->servers[2].backup);
  CHECK(config.find_origin("photos")->timeouts.first_byte == OriginTimeouts::kS3FirstByte);
  CHECK(config.find_origin("photos")->s3.access_key == "AKIDEXAMPLE");
  CHECK(config.find_origin("archive")->s3.access_key == "AKID");
  CHECK(config.find_origin("archive")->s3.secret_key.reveal() == "hush");
  const S3Options& vault = config.find_origin("vault")->s3;
  CHECK(vault.credentials == S3Credentials::instance);
  CHECK(vault.sse_customer_key.reveal().size() == 32);
  CHECK(vault.access_key.empty());
  CHECK(config.images.keys[0].secret.reveal() == "0123456789abcdef");
  CHECK(config.sites[0].routes[3].redirect.parts.size() == 5);
  CHECK(config.sites[0].routes[2].origins == std::vector<std::string>{"photos", "archive"});
}

}  // namespace
}  // namespace vignette::conf
