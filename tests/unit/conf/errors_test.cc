// What a wrong file is told. Each case is a file, and what must be said about it, with the place.
#include <catch2/catch.hpp>
#include <cstdlib>

#include "conf/loader.h"
#include "tests/support/temp_dir.h"

namespace vignette::conf {
namespace {

std::vector<std::string> errors_of(const Loaded& loaded) {
  std::vector<std::string> out;
  if (loaded) return out;
  for (const Diagnostic& diagnostic : loaded.error()) out.push_back(diagnostic.to_string());
  return out;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

// Lines 1 and 2, so that a text below begins on line 3.
const std::string kListener = "[[listener]]\naddress = \"127.0.0.1:0\"\n";

std::vector<std::string> load_errors(const std::string& text, const std::string& folder = "/nonexistent") {
  return errors_of(load_text(kListener + text, "f", folder));
}

struct Case {
  std::string text;
  std::string expected;  // begins one of the errors; empty = loads
};

void run(const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    const auto errors = load_errors(one.text);
    INFO(one.text << "\n--\n" << joined(errors));
    if (one.expected.empty()) {
      CHECK(errors.empty());
      continue;
    }
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].starts_with(one.expected));
  }
}

const std::string kApp = "[origin.app]\nservers = [\"127.0.0.1:1\"]\n";
const std::string kUnsigned = "\n[images]\nunsigned = \"on\"\n";
const std::string kSite = kApp + "[[site]]\nhosts = [\"*\"]\n";

TEST_CASE("an unknown key names its nearest neighbour") {
  run({{"[server]\nworker = 2", "f:4:1: error: unknown key \"worker\" (did you mean \"workers\"?)"},
       {"[sever]\n", "f:3:2: error: unknown key \"sever\" (did you mean \"server\"?)"},
       {"[timeouts]\nkeepalive = \"5s\"",
        "f:4:1: error: unknown key \"keepalive\" (did you mean \"keep_alive\"?)"},
       {"[log]\nzebra = 1", "f:4:1: error: unknown key \"zebra\""}});
  CHECK(joined(load_errors("[log]\nzebra = 1")).find("did you mean") == std::string::npos);
}

TEST_CASE("keys of features that are not built are unknown") {
  run({{"[cache]\npeers = []", "f:4:1: error: unknown key \"peers\""},
       {kApp + "max_inflight = 4", "f:5:1: error: unknown key \"max_inflight\""},
       {"[geo]\nregion = \"x\"", "f:4:1: error: unknown key \"region\""}});
}

TEST_CASE("only a route to servers can have websocket connections") {
  const std::string route = "[[site.route]]\npath = \"/*\"\nwebsocket = true\n";
  run({{kSite + route + "origin = \"app\"", ""},
       {kSite + route + "redirect = \"/x\"",
        "f:9:1: error: \"websocket\" has no meaning in a route with \"redirect\""},
       {"[origin.photos]\ndirectory = \"/\"\n" + kSite + route + "origin = [\"app\", \"photos\"]",
        "f:11:13: error: origin \"photos\" has \"directory\", and only servers speak WebSocket"}});
}

TEST_CASE("a listener with PROXY headers says whose it believes") {
  run({{"proxy_protocol = false", ""},
       {"proxy_protocol = [\"10.0.0.0/8\"]", ""},
       {"proxy_protocol = true\n[server]\ntrusted = [\"10.0.0.0/8\"]", ""},
       {"proxy_protocol = true",
        "f:3:18: error: proxy_protocol = true believes the networks of server.trusted, and there are none"},
       {"proxy_protocol = []", "f:3:18: error: expected at least one entry"},
       {"proxy_protocol = [\"10.0.0.1/8\"]", "f:3:19: error: expected a network"},
       {"proxy_protocol = \"v2\"", "f:3:18: error: expected true, false or a list of networks"},
       {kApp + "proxy_protocol = \"v1\"", ""},
       {kApp + "proxy_protocol = true", "f:5:18: error: expected \"off\", \"v1\" or \"v2\""},
       {"[origin.photos]\ndirectory = \"/\"\nproxy_protocol = \"v1\"",
        "f:5:1: error: \"proxy_protocol\" does not go with an origin that has \"directory\""}});
}

TEST_CASE("a wrong type or value is told what is accepted") {
  run({{"[server]\nworkers = 0", "f:4:11: error: expected an integer from 1 to 1024, not 0"},
       {"[server]\nworkers = 1025", "f:4:11: error: expected an integer from 1 to 1024, not 1025"},
       {"[server]\nworkers = 1024", ""},
       {"[server]\nworkers = \"many\"", "f:4:11: error: expected \"auto\" or an integer from 1 to 1024"},
       {"[server]\nworkers = 1.5",
        "f:4:11: error: expected an integer from 1 to 1024, not a number with a fraction"},
       {"[[server]]", "f:3:"},
       {"[cache]\nmemory = 512", "f:4:10: error: expected a size from 1MiB to 16TiB"},
       {"[cache]\nmemory = \"1KiB\"", "f:4:10: error: expected a size from 1MiB to 16TiB"},
       {"[timeouts]\nheader = \"5 s\"", "f:4:10: error: expected a duration from 10ms to 10m"},
       {"[timeouts]\nheader = 2020-01-01", "f:4:10: error: expected a duration from 10ms to 10m"},
       {"[timeouts]\ndrain = \"2h\"", "f:4:9: error: expected a duration from 0s to 1h"},
       {"[log]\nlevel = \"warning\"",
        "f:4:9: error: expected \"debug\", \"info\", \"warn\" or \"error\", not \"warning\" (did you mean "
        "\"warn\"?)"},
       {"[server]\ntrusted = \"10.0.0.0/8\"", "f:4:11: error: expected a list of networks"},
       {"[server]\ntrusted = [\"10.0.0.0/8\", \"10.0.0.1/8\"]", "f:4:26: error: expected a network such as"},
       {"[server]\nadmin = \"localhost:9180\"", "f:4:9: error: expected an address such as"},
       {"[server]\nadmin = \"off\"", ""},
       {"[images]\nladder = [300, 200]", "f:4:10: error: expected widths in ascending order"},
       {"[images]\nladder = [0]", "f:4:11: error: expected an integer from 1 to 16384"},
       {"[images]\nunsigned = true", "f:4:12: error: expected \"off\", \"presets\" or \"on\""}});
}

TEST_CASE("syntax errors have a place") {
  const auto errors = errors_of(load_text("[server]\nworkers = \n", "f", ""));
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].starts_with("f:2:"));
  CHECK(errors_of(load_text("a = 1\na = 2\n", "f", "")).at(0).starts_with("f:2:"));
  CHECK(errors_of(load_text(std::string("a = \"\xff\xfe\"\n"), "f", "")).size() == 1);
}

TEST_CASE("all errors of a file are found in one run, in the order of the file") {
  const auto errors = load_errors(
      "[server]\nworkers = 0\nadmin = 5\n[cahce]\n[timeouts]\nheader = 1\n[origin.app]\nservers = "
      "[\"nope\"]\n"
      "[[site]]\nhosts = [\"a\", \"a\"]\n[[site.route]]\npath = \"x\"\norigin = \"ap\"\n");
  INFO(joined(errors));
  REQUIRE(errors.size() == 8);
  for (std::size_t i = 0; i < errors.size(); ++i) {
    static const char* const kPlaces[] = {"f:4:11",  "f:5:9",   "f:6:2",  "f:8:10",
                                          "f:10:12", "f:12:15", "f:14:8", "f:15:10"};
    CHECK(errors[i].starts_with(kPlaces[i]));
  }
}

TEST_CASE("an origin is of exactly one kind and has only that kind's keys") {
  run({{"[origin.a]\n", "f:3:9: error: origin \"a\" needs one of \"servers\", \"s3\" or \"directory\""},
       {kApp + "directory = \"/\"", "f:5:1: error: origin \"app\" has \"servers\" already"},
       {"[origin.a]\ndirectory = \"/\"\nbalance = \"round_robin\"",
        "f:5:1: error: \"balance\" does not go with an origin that has \"directory\""},
       {"[origin.a]\ndirectory = \"/\"\ntimeouts = {}", "f:5:1: error: \"timeouts\" does not go"},
       {"[origin.a]\ndirectory = \"/none\"", "f:4:13: error: there is no directory /none"},
       {"[origin.a]\ndirectory = \"none\"", "f:4:13: error: there is no directory /nonexistent/none"},
       {"[origin]\na = 3", "f:4:5: error: expected a table, not 3"}});
}

TEST_CASE("servers are judged one by one and together") {
  const std::string head = "[origin.a]\nservers = ";
  run({{head + "[]", "f:4:11: error: expected at least one server"},
       {head + "\"h:1\"", "f:4:11: error: expected a list, not \"h:1\""},
       {head + "[\"h\"]", "f:4:12: error: expected an address such as"},
       {head + "[\"h:0\"]", "f:4:12: error: expected a port from 1 to 65535"},
       {head + "[{ weight = 2 }]", "f:4:12: error: \"address\" is missing here"},
       {head + "[{ address = \"h:1\", weight = 0 }]", "f:4:40: error: expected an integer from 1 to 1000"},
       {head + "[{ address = \"h:1\", backup = true }]", "f:4:11: error: every server is a backup"},
       {head + "[\"h:1\", \"H:1\"]", "f:4:19: error: h:1 is in this list twice"},
       {head + "[\"unix:/s\"]\ntls = {}", "f:4:12: error: tls to a unix socket needs tls.sni"},
       {head + "[\"unix:/s\"]\ntls = { sni = \"a\" }", ""},
       {head + "[\"h:1\"]\nhealth = { timeout = \"9s\" }",
        "f:5:22: error: health.timeout must not be longer"},
       {head + "[\"h:1\"]\nhealth = { path = \"up\" }", "f:5:19: error: expected a path such as"},
       {head + "[\"h:1\"]\nhealth = true", "f:5:10: error: expected a table"},
       {head + "[\"h:1\"]\nbalance = \"random\"", "f:5:11: error: expected \"round_robin\""},
       {head + "[\"h:1\"]\ntls = { ca = \"none.pem\" }",
        "f:5:14: error: cannot read /nonexistent/none.pem"}});
}

TEST_CASE("listeners need addresses of their own, and tls needs a certificate") {
  run({{"[[listener]]\n", "f:3:1: error: \"address\" is missing here"},
       {"[[listener]]\naddress = \"*:80\"", "f:4:11: error: expected an address such as"},
       {"[[listener]]\naddress = \"127.0.0.1:0\"", ""},
       {"[[listener]]\naddress = \"[::]:80\"\n[[listener]]\naddress = \"[::]:80\"",
        "f:6:11: error: [::]:80 is already listened on at f:4"},
       {"[[listener]]\naddress = \"[::]:80\"\n[server]\nadmin = \"[::]:80\"",
        "f:4:11: error: [::]:80 is already listened on at f:6"},
       {"[[listener]]\naddress = \"[::]:80\"\ntls = true",
        "f:5:7: error: a listener with tls needs a [[certificate]]"},
       {"[[listener]]\naddress = \"[::]:80\"\nredirect = \"http\"", "f:5:12: error: expected \"https\""},
       {"[[listener]]\naddress = \"[::]:80\"\nredirect = \"https:0\"", "f:5:12: error: expected \"https\""},
       {"[[listener]]\naddress = \"[::]:80\"\nhttp2 = \"h2c\"", "f:5:9: error: expected true or false"},
       {"[[listener]]\naddress = \"[::]:80\"\nhttp2 = true", ""},
       {"[[listener]]\naddress = \"[::]:80\"\nredirect = \"https:8443\"", ""}});
  CHECK(joined(errors_of(load_text("", "f", ""))) ==
        "f:1:1: error: there is no [[listener]], so nothing would be served\n");
}

TEST_CASE("a route names origins that exist, is of one kind and can be reached") {
  const std::string route = "[[site.route]]\npath = ";
  run({{kSite + route + "\"/\"\norigin = \"ap\"",
        "f:9:10: error: there is no origin \"ap\" (did you mean \"app\"?)"},
       {kSite + route + "\"/\"\norigin = [\"app\", \"none\"]", "f:9:18: error: there is no origin \"none\""},
       {kSite + route + "\"/\"\norigin = [\"app\", \"app\"]",
        "f:9:18: error: origin \"app\" is in this list twice"},
       {kSite + route + "\"/\"\norigin = []", "f:9:10: error: expected at least one entry"},
       {kSite + route + "\"/i/*\"\nimages = \"ap\"" + kUnsigned, "f:9:10: error: there is no origin \"ap\""},
       {kSite + route + "\"/i/*\"\nimages = \"app\"", "f:9:10: error: every image would be refused"},
       {kSite + route + "\"/i\"\nimages = \"app\"" + kUnsigned,
        "f:8:8: error: the path of an images route ends in /*"},
       {kSite + route + "\"/\"", "f:7:1: error: a route needs one of \"origin\""},
       {kSite + route + "\"/\"\norigin = \"app\"\nredirect = \"/x\"",
        "f:10:1: error: \"redirect\" does not go with \"origin\""},
       {kSite + route + "\"/\"\nredirect = \"/x\"\ncache = \"on\"",
        "f:10:1: error: \"cache\" has no meaning"},
       {kSite + route + "\"/i/*\"\nimages = \"app\"\nstrip_prefix = true" + kUnsigned,
        "f:10:1: error: \"strip_prefix\" has no"},
       {kSite + "[[site.route]]\norigin = \"app\"", "f:7:1: error: \"path\" is missing here"},
       {kSite + route + "\"/a*b\"\norigin = \"app\"", "f:8:8: error: expected a path that begins with /"},
       {kSite + route + "\"/a%2*\"\norigin = \"app\"", "f:8:8: error: expected a path that begins with /"},
       {kSite + route + "\"/a/..*\"\norigin = \"app\"", "f:8:8: error: expected a path that begins with /"},
       {kSite + route + "\"/a/../b\"\norigin = \"app\"", "f:8:8: error: expected a path that begins with /"},
       {kSite + route + "\"/\"\norigin = \"app\"\nmethods = [\"get\"]",
        "f:10:12: error: expected a method in capital"},
       {kSite + route + "\"/\"\norigin = \"app\"\nallow = [\"x\"]", "f:10:10: error: expected a network"},
       {kSite + route + "\"/\"\ngallery = \"app\"\n" + route + "\"/i/*\"\nimages = \"app\"" + kUnsigned,
        "f:9:11: error: a gallery shows a directory"}});
}

TEST_CASE("a route behind one that takes all it could match is an error") {
  const auto pair = [](const std::string& first, const std::string& second) {
    return kSite + "[[site.route]]\norigin = \"app\"\n" + first + "\n[[site.route]]\norigin = \"app\"\n" +
           second;
  };
  const std::string hidden = "f:12:8: error: this route is never reached: the one at f:7 matches first";
  run({{pair("path = \"/*\"", "path = \"/a\""), hidden},
       {pair("path = \"/a*\"", "path = \"/ab/*\""), hidden},
       {pair("path = \"/a\"", "path = \"/a\""), hidden},
       {pair("path = \"/über/~a\"", "path = \"/%c3%bcber/%7Ea\""), hidden},
       {pair("path = \"/a\"", "path = \"/a*\""), ""},
       {pair("path = \"/a/*\"", "path = \"/a\""), ""}});
  const auto methods = [&](const std::string& first, const std::string& second) {
    return load_errors(pair("path = \"/*\"" + first, "path = \"/a\"" + second)).size();
  };
  CHECK(methods("\nmethods = [\"GET\"]", "") == 0);
  CHECK(methods("\nmethods = [\"GET\"]", "\nmethods = [\"GET\", \"HEAD\"]") == 0);
  CHECK(methods("\nmethods = [\"GET\", \"HEAD\"]", "\nmethods = [\"HEAD\"]") == 1);
  CHECK(methods("", "\nmethods = [\"POST\"]") == 1);
}

TEST_CASE("hosts are names, each at one site") {
  const std::string head = "[[site]]\nhosts = ";
  run({{"[[site]]\n", "f:3:1: error: \"hosts\" is missing here"},
       {head + "[]", "f:4:9: error: expected at least one entry"},
       {head + "[\"a.example\", \"A.Example\"]", "f:4:23: error: host \"a.example\" is already at f:4"},
       {head + "[\"a\"]\n" + head + "[\"a\"]", "f:6:10: error: host \"a\" is already at f:4"},
       {head + "[\"a\", \"*.a\", \"*\", \"127.0.0.1\", \"[::1]\"]", ""},
       {head + "[\"a.*\"]", "f:4:10: error: expected a host such as"},
       {head + "[\"http://a\"]", "f:4:10: error: expected a host such as"},
       {head + "[\"a:80\"]", "f:4:10: error: expected a host such as"}});
  const auto both = load_errors(head + "[\"a\", \"a:80\", \"A\"]");
  INFO(joined(both));
  REQUIRE(both.size() == 2);
  CHECK(both[0].starts_with("f:4:15: error: expected a host such as"));
  CHECK(both[1].starts_with("f:4:23: error: host \"a\" is already at f:4"));
}

TEST_CASE("cache, geo, header and redirect options are checked") {
  const std::string head = kSite + "[[site.route]]\npath = \"/*\"\n";  // the next line is 9
  const std::string app = head + "origin = \"app\"\n";                 // and here 10
  run({{app + "cache = \"yes\"", "f:10:9: error: expected \"on\", \"explicit\" or \"off\""},
       {app + "cache = true", "f:10:9: error: expected \"on\", \"explicit\", \"off\" or a table"},
       {app + "cache = { mode = \"off\", ttl = \"1h\" }", "f:10:31: error: a cache that is off has no ttl"},
       {app + "cache = { mode = \"off\", key = { query = \"none\" } }",
        "f:10:31: error: a cache that is off has no key"},
       {app + "cache = { min_ttl = \"2h\", max_ttl = \"1h\" }", "f:10:37: error: max_ttl is below min_ttl"},
       {app + "cache = { min_ttl = \"1h\", max_ttl = \"1h\" }", ""},
       {app + "cache = { obey_client = 1 }", "f:10:25: error: expected true or false"},
       {app + "cache = { key = { query = \"some\" } }",
        "f:10:27: error: expected \"all\", \"none\" or a list of names"},
       {app + "cache = { key = { query = [\"a=b\"] } }",
        "f:10:28: error: \"a=b\" is not the name of a query"},
       {app + "cache = { key = { query = [\"*a\"] } }", "f:10:28: error: \"*a\" is not the name of a query"},
       {app + "cache = { key = { query = [\"a*\"], ignore_query = [\"b\"] } }",
        "f:10:50: error: ignore_query goes with query = \"all\" only"},
       {app + "cache = { key = { headers = [\"X A\"] } }",
        "f:10:30: error: \"X A\" is not a header field name"},
       {app + "cache = { key = { headers = [\"Cookie\"] } }", "f:10:30: error: name the cookies that matter"},
       {app + "cache = { key = { cookies = [\"a;b\"] } }",
        "f:10:30: error: \"a;b\" is not the name of a cookie"},
       {app + "cache = { key = { querys = \"none\" } }", "f:10:19: error: unknown key \"querys\""},
       {"[origin.d]\ndirectory = \"/\"\n[[site]]\nhosts = [\"*\"]\n[[site.route]]\npath = \"/*\"\n"
        "origin = \"d\"\ncache = { key = { query = \"none\" } }",
        "f:10:17: error: key is for origins with servers"},
       {app + "geo = { allow_countries = [\"DE\"] }",
        "f:10:7: error: rules by country need geo.country or geo.city"},
       {app + "geo = {}", ""},
       {app + "geo = { headers = false }", ""},
       {app + "geo = { headers = true }", "f:10:7: error: headers need a database in [geo]"},
       {app + "geo = { headers = 1 }", "f:10:19: error: expected true, false or a list of names, not"},
       {app + "geo = { headers = [\"CloudFront-Viewer-Address\"] }", ""},
       {app + "geo = { headers = [\"CloudFront-Viewer-Citi\"] }",
        "f:10:20: error: \"CloudFront-Viewer-Citi\" is not a field that can be sent (did you mean "
        "\"CloudFront-Viewer-City\"?)"},
       {app + "geo = { headers = [\"cloudfront-viewer-city\"] }",
        "f:10:7: error: CloudFront-Viewer-City needs geo.city, a database"},
       {app + "geo = { headers = [\"CloudFront-Viewer-ASN\"] }",
        "f:10:7: error: CloudFront-Viewer-ASN needs geo.asn, a database"},
       {app + "geo = { headers = [\"CloudFront-Viewer-Country\"] }",
        "f:10:7: error: CloudFront-Viewer-Country needs geo.country or geo.city, a database"},
       {app + "cache = { key = { headers = [\"CloudFront-Viewer-City\"] } }",
        "f:10:29: error: CloudFront-Viewer-City is in no key without geo.headers that names it"},
       {app + "geo = { headers = [\"CloudFront-Viewer-Address\"] }\n"
              "cache = { key = { headers = [\"CloudFront-Viewer-Address\"] } }",
        ""},
       {app + "headers = { set = { \"Bad Name\" = \"x\" } }",
        "f:10:21: error: \"Bad Name\" is not a header field name"},
       {app + "headers = { set = { X-A = \"a\\r\\nb\" } }",
        "f:10:27: error: a header field must not hold control"},
       {app + "headers = { remove = [\"Content-Length\"] }",
        "f:10:23: error: \"Content-Length\" belongs to the"},
       {head + "redirect = \"example.com\"", "f:9:12: error: expected a URL such as"},
       {head + "redirect = \"https://$hst/\"",
        "f:9:12: error: unknown variable \"$hst\" (did you mean \"host\"?)"},
       {head + "redirect = { to = \"/\", status = 200 }",
        "f:9:33: error: expected 301, 302, 303, 307 or 308"},
       {head + "redirect = { status = 301 }", "f:9:12: error: \"to\" is missing here"},
       {head + "redirect = { to = \"https://b$request_uri\" }", ""}});
  const auto country = load_errors(app + "geo = { allow_countries = [\"de\"] }");
  REQUIRE(country.size() == 1);
  CHECK(country[0].starts_with("f:10:28: error: expected a country as two capital letters"));
}

TEST_CASE("compression is for servers' routes, and names types, codings and a size") {
  const std::string app = kSite + "[[site.route]]\npath = \"/*\"\norigin = \"app\"\n";
  run({{app + "compress = false", ""},
       {app + "compress = {}", ""},
       {app + "compress = { types = [\"text/*\", \"*+json\", \"application/json\"], codings = [] }", ""},
       {app + "compress = \"on\"", "f:10:12: error: expected true, false or a table"},
       {app + "compress = { types = [\"text\"] }", "f:10:23: error: expected a media type such as"},
       {app + "compress = { types = [\"text/*; q=1\"] }", "f:10:23: error: expected a media type"},
       {app + "compress = { types = [\"*/*\"] }", "f:10:23: error: expected a media type"},
       {app + "compress = { codings = [\"deflate\"] }",
        "f:10:25: error: expected \"zstd\", \"br\" or \"gzip\""},
       {"[origin.d]\ndirectory = \"/\"\n[[site]]\nhosts = [\"*\"]\n[[site.route]]\npath = \"/*\"\n"
        "origin = \"d\"\ncompress = true",
        "f:10:12: error: compress is for origins with servers"},
       {app.substr(0, app.find("origin = \"app\"\n", 60)) + "redirect = \"/x\"\ncompress = true",
        "f:10:1: error: \"compress\" has no meaning"}});
}

TEST_CASE("a site's rules about slashes hold for the paths of its routes") {
  const auto site = [](const std::string& rules, const std::string& path) {
    return kSite + rules + "\n[[site.route]]\npath = \"" + path + "\"\norigin = \"app\"\n";
  };
  run({{site("encoded_slash = \"reject\"", "/a%2Fb"),
        "f:9:8: error: no request of this site has such a path: encoded_slash"},
       {site("encoded_slash = \"decode\"", "/a/..%2Fb"), "f:9:8: error: expected a path that begins with /"},
       {site("encoded_slash = \"no\"", "/a"), "f:7:17: error: expected \"keep\", \"decode\" or \"reject\""}});
  const Loaded merged = load_text(kListener + site("merge_slashes = true", "//a///b/*"), "f", "/nonexistent");
  REQUIRE(merged);
  CHECK((*merged)->sites[0].routes[0].path == "/a/b/");
  const Loaded decoded =
      load_text(kListener + site("encoded_slash = \"decode\"", "/a%2fb"), "f", "/nonexistent");
  REQUIRE(decoded);
  CHECK((*decoded)->sites[0].routes[0].path == "/a/b");
}

TEST_CASE("uploads are spooled or streamed, and the spool's folder exists") {
  const std::string app = kSite + "[[site.route]]\npath = \"/*\"\norigin = \"app\"\n";
  run({{app + "uploads = \"stream\"", ""},
       {app + "uploads = false", "f:10:11: error: expected \"spool\" or \"stream\""},
       {"[spool]\npath = \"nowhere\"", "f:4:8: error: there is no directory"},
       {"[spool]\nmemory = \"1KiB\"", "f:4:10: error: expected a size"}});
}

TEST_CASE("an object limit above the memory is an error when written, lowered when not") {
  run({{"[cache]\nmemory = \"1MiB\"\nmax_object = \"2MiB\"",
        "f:5:14: error: a single object cannot be larger"}});
  const auto loaded = load_text(kListener + "[cache]\nmemory = \"1MiB\"", "f", "");
  REQUIRE(loaded);
  CHECK((*loaded)->cache.max_object == 1ULL << 20);
}

TEST_CASE("a disk has a folder of its own and a size that a volume can have") {
  run({{"[cache]\ndisk = [{ path = \"a\" }]", "f:4:9: error: \"size\" is missing here"},
       {"[cache]\ndisk = [{ size = \"1GiB\" }]", "f:4:9: error: \"path\" is missing here"},
       {"[cache]\ndisk = [{ path = \"a\", size = \"64MiB\" }]",
        "f:4:30: error: expected a size from 128MiB to 256TiB"},
       {"[cache]\ndisk = { path = \"a\" }", "f:4:8: error: expected a list of tables"},
       {"[cache]\ndisk = [{ path = \"a\", size = \"1GiB\" }, { path = \"./a\", size = \"2GiB\" }]",
        "f:4:40: error: the folder \""},
       {"[cache]\ndisk_writes_per_day = \"-1\"", "f:4:23: error: expected"}});
  const auto loaded = load_text(
      kListener + "[cache]\ndisk = [{ path = \"a\", size = \"1GiB\" }, { path = \"/b\", size = \"2GiB\" }]",
      "f", "/etc/v");
  REQUIRE(loaded);
  REQUIRE((*loaded)->cache.disk.size() == 2);
  CHECK((*loaded)->cache.disk[0].path == "/etc/v/a");
  CHECK((*loaded)->cache.disk[1].path == "/b");
  CHECK((*loaded)->cache.disk[1].size == 2ULL << 30);
  CHECK((*loaded)->cache.disk_writes_per_day == 0);
}

TEST_CASE("a certificate's files exist, or are both to be made") {
  const TempDir dir;
  dir.write("a.pem", "x");
  dir.write("a.key", "x");
  const auto errors = [&](const std::string& body) {
    return joined(load_errors("[[certificate]]\n" + body, dir.path()));
  };
  CHECK(errors("chain = \"a.pem\"\nkey = \"a.key\"") == "");
  CHECK(errors("chain = \"b.pem\"\nkey = \"a.key\"")
            .starts_with("f:4:9: error: cannot read " + dir.path("b.pem")));
  CHECK(errors("chain = \"a.pem\"\nkey = \"b.key\"\nself_signed = [\"a\"]")
            .starts_with("f:5:7: error: cannot read"));
  CHECK(errors("chain = \"b.pem\"\nkey = \"b.key\"\nself_signed = [\"a\"]") == "");
  CHECK(errors("chain = \"b.pem\"\nkey = \"b.pem\"\nself_signed = [\"a\"]")
            .starts_with("f:5:7: error: chain and key"));
  CHECK(errors("chain = \"a.pem\"").starts_with("f:3:1: error: \"key\" is missing here"));
  CHECK(errors("chain = \".\"\nkey = \"a.key\"").find("is a directory") != std::string::npos);
}

TEST_CASE("secrets are read from files and variables, and no error shows them") {
  const TempDir dir;
  dir.write("good", "0123456789abcdef\r\n");
  dir.write("short", "hunter2\n");
  ::setenv("CONF_TEST_SHORT", "hunter2", 1);
  ::unsetenv("CONF_TEST_UNSET");
  const auto errors = [&](const std::string& key) {
    return joined(load_errors("[images]\nkeys = [" + key + "]", dir.path()));
  };
  CHECK(errors("{ id = \"a\", secret_file = \"good\" }") == "");
  const std::string short_file = errors("{ id = \"a\", secret_file = \"short\" }");
  CHECK(short_file.starts_with("f:4:35: error: the secret in " + dir.path("short") +
                               " has 7 bytes, expected 16"));
  CHECK(short_file.find("hunter2") == std::string::npos);
  const std::string short_env = errors("{ id = \"a\", secret_env = \"CONF_TEST_SHORT\" }");
  CHECK(short_env.starts_with("f:4:34: error: the secret in CONF_TEST_SHORT has 7 bytes"));
  CHECK(short_env.find("hunter2") == std::string::npos);
  CHECK(errors("{ id = \"a\", secret_env = \"CONF_TEST_UNSET\" }").find("is not set") != std::string::npos);
  CHECK(errors("{ id = \"a\" }").find("expected one of \"secret_file\" and \"secret_env\"") !=
        std::string::npos);
  CHECK(errors("{ id = \"a\", secret_file = \"good\" }, { id = \"a\", secret_file = \"good\" }")
            .find("another key is called \"a\"") != std::string::npos);
  CHECK(errors("{ id = \"a\", secret = \"0123456789abcdef\" }").find("0123456789abcdef") ==
        std::string::npos);
}

TEST_CASE("S3 credentials that are missing are named") {
  ::unsetenv("CONF_TEST_UNSET");
  ::setenv("CONF_TEST_ID", "AKID", 1);
  const TempDir dir;
  dir.write("empty", "[default]\n");
  const std::string head = "[origin.p.s3]\nbucket = \"abc\"\n";
  const auto errors = [&](const std::string& more) { return joined(load_errors(head + more, dir.path())); };
  CHECK(errors("access_key_env = \"CONF_TEST_UNSET\"").find("CONF_TEST_UNSET is not set") !=
        std::string::npos);
  CHECK(errors("access_key_env = \"CONF_TEST_ID\"\nsecret_key_env = \"CONF_TEST_UNSET\"")
            .find("CONF_TEST_UNSET is not set") != std::string::npos);
  CHECK(errors("credentials_file = \"empty\"").find("has no aws_access_key_id") != std::string::npos);
  const std::string ids = "access_key_env = \"CONF_TEST_ID\"\nsecret_key_env = \"CONF_TEST_ID\"\n";
  CHECK(errors(ids) == "");
  CHECK(errors(ids + "endpoint = \"http://127.0.0.1:4568\"") == "");
  CHECK(errors(ids + "endpoint = \"https://s3.example\"") == "");
  for (const char* bad : {"s3.example", "ftp://s3.example", "http://", "http://a/b", "http://unix:/s"}) {
    INFO(bad);
    CHECK(errors(ids + "endpoint = \"" + bad + "\"")
              .starts_with("f:7:12: error: expected \"http://HOST:PORT\""));
  }
  CHECK(joined(load_errors("[origin.p]\ns3 = {}\n")).find("\"bucket\" is missing here") != std::string::npos);
}

TEST_CASE("What an S3 origin cannot do together is said at the key that asks for it") {
  ::setenv("CONF_TEST_ID", "AKID", 1);
  const TempDir dir;
  dir.write("short", "0123456789");
  dir.write("raw", "0123456789abcdef0123456789abcdef");
  const std::string head =
      "[origin.p.s3]\nbucket = \"abc\"\naccess_key_env = \"CONF_TEST_ID\"\nsecret_key_env = "
      "\"CONF_TEST_ID\"\n";
  const auto errors = [&](const std::string& more) { return joined(load_errors(head + more, dir.path())); };
  const std::string plain = "endpoint = \"http://127.0.0.1:1\"\n";
  CHECK(errors("dualstack = true") == "");
  CHECK(errors(plain + "dualstack = true").find(":13: error: \"dualstack\" chooses among AWS's own") !=
        std::string::npos);
  CHECK(errors("sse_customer_key_file = \"raw\"") == "");
  CHECK(errors("sse_customer_key_file = \"short\"").find("does not hold a key of 32 bytes") !=
        std::string::npos);
  CHECK(errors("sse_customer_key_file = \"short\"").find("0123456789") == std::string::npos);
  CHECK(errors(plain + "sse_customer_key_file = \"raw\"").find("needs an endpoint over TLS") !=
        std::string::npos);
  for (const char* bad : {"eu central", "eu-1\\nX", "a/b", "eu.central"}) {
    INFO(bad);
    CHECK(errors(std::string("region = \"") + bad + "\"").find("expected a region such as") !=
          std::string::npos);
  }
  for (const char* bad : {"a=b", "a&b", "%41"}) {
    INFO(bad);
    CHECK(errors(std::string("version_query = \"") + bad + "\"").find("expected the name of a query") !=
          std::string::npos);
  }
  CHECK(errors("checksums = \"some\"").find("\"all\", \"headers\" or \"off\"") != std::string::npos);
}

TEST_CASE("checks of the caller are asked about what is fine so far, and placed") {
  const TempDir dir;
  dir.write("c", "x");
  Checks checks;
  std::vector<std::string> asked;
  const auto refuse = [&](const std::string& what) {
    asked.push_back(what);
    return Checks::Reason("no " + what);
  };
  checks.certificate = [&](const Certificate&) { return refuse("certificate"); };
  checks.geo_database = [&](std::string_view kind, const std::string&) {
    return refuse("database of kind " + std::string(kind));
  };
  checks.ca_file = [&](const std::string&) { return refuse("ca"); };
  checks.preset = [&](std::string_view) { return refuse("preset"); };
  const auto errors = errors_of(load_text(
      kListener + "[[certificate]]\nchain = \"c\"\nkey = \"c\"\n[geo]\ncountry = \"c\"\ncity = \"c\"\nasn = "
                  "\"c\"\n[images]\n"
                  "presets = { a = \"w=1\" }\n[origin.o]\nservers = [\"h:1\"]\ntls = { ca = \"c\" }\n"
                  "[[certificate]]\nchain = \"none\"\nkey = \"c\"\n",
      "f", dir.path(), checks));
  INFO(joined(errors));
  REQUIRE(errors.size() == 7);
  CHECK(errors[0] == "f:4:9: error: no certificate");
  CHECK(errors[1] == "f:7:11: error: no database of kind country");
  CHECK(errors[2] == "f:8:8: error: no database of kind city");
  CHECK(errors[3] == "f:9:7: error: no database of kind asn");
  CHECK(errors[4] == "f:11:17: error: preset \"a\": no preset");
  CHECK(errors[5] == "f:14:14: error: no ca");
  CHECK(asked.size() == 6);
}

TEST_CASE("what the machine has to have is asked for where it is named, and only there") {
  Checks checks;
  const auto no = [](const std::string& what) { return Checks::Reason("no " + what); };
  checks.user = checks.access_log = no;
  CHECK(errors_of(load_text(kListener + "[log]\naccess = \"stdout\"\n", "f", "/x", checks)).empty());
  const auto errors = errors_of(
      load_text(kListener + "[server]\nuser = \"u\"\n[log]\naccess = \"a.log\"\n", "f", "/x", checks));
  INFO(joined(errors));
  REQUIRE(errors.size() == 2);
  CHECK(errors[0] == "f:4:8: error: no u");
  CHECK(errors[1] == "f:6:10: error: no /x/a.log");
}

TEST_CASE("two volumes in one folder are one too many") {
  const std::string disk = "[[cache.disk]]\nsize = \"1GiB\"\npath = ";
  CHECK(joined(load_errors(disk + "\"a\"\n" + disk + "\"b\"\n")) == "");
  CHECK(joined(load_errors(disk + "\"a\"\n" + disk + "\"x/../a/\"\n")).find("has a volume already") !=
        std::string::npos);
}

TEST_CASE("check prints one line an error, or that all is well") {
  const TempDir dir;
  const std::string good = dir.write("good.toml", kListener);
  const std::string bad = dir.write("bad.toml", kListener + "[x]\n[y]\n");
  CHECK(check_file(good).ok);
  CHECK(check_file(good).text == good + ": ok\n");
  CHECK_FALSE(check_file(bad).ok);
  CHECK(check_file(bad).text ==
        bad + ":3:2: error: unknown key \"x\"\n" + bad + ":4:2: error: unknown key \"y\"\n");
  CHECK(check_file(dir.path("none")).text.starts_with(dir.path("none") + ": error: cannot read"));
  CHECK(check_file(dir.path()).text.find("error: cannot read") != std::string::npos);
}

TEST_CASE("keys of TLS need tls, and a policy's name is one of the known") {
  const auto listener = [](const std::string& lines) {
    return "[[listener]]\naddress = \"127.0.0.9:0\"\n" + lines;
  };
  run({{listener("tls_policy = \"modern\""), "f:5:1: error: \"tls_policy\" needs a listener with tls"},
       {listener("default_certificate = \"a.example\""),
        "f:5:1: error: \"default_certificate\" needs a listener with tls"},
       {"[tls]\npoll = \"2d\"", "f:4:8: error: expected a duration from 0s to 1d"},
       {"[tls]\nticket_rotation = \"0s\"", "f:4:19: error: expected a duration from 1s to 7d"},
       {"[tls]\nticket_keys = [\"absent.key\"]", "f:4:16: error: cannot read"}});
  const std::string wrong = joined(load_errors(listener("tls = true\ntls_policy = \"TLSv1.2_2020\"")));
  CHECK(wrong.find("f:6:14: error: expected \"intermediate\", \"modern\"") != std::string::npos);
  CHECK(wrong.find("(did you mean \"TLSv1.2_2021\"?)") != std::string::npos);
}

}  // namespace
}  // namespace vignette::conf
