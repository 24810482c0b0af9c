// `vignette warm` without a node: sitemaps, lists, and orders to an admin server of the test's own.
#include <zlib.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <set>

#include "cache/warm/hot_list.h"
#include "proxy/admin/admin_server.h"
#include "proxy/process/sitemap.h"
#include "proxy/process/warm_client.h"

using namespace vignette;
using namespace vignette::proxy;

namespace {

using Texts = std::vector<std::string>;

std::string gzipped(std::string text) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

std::string urlset(const Texts& urls) {
  std::string text = "<?xml version=\"1.0\"?><urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">";
  for (const std::string& url : urls) text += "<url><loc>" + url + "</loc></url>";
  return text + "</urlset>";
}

// An admin server whose node answers as `replies` says, by the first line of an order's head and of a
// document.
class FakeNode {
 public:
  FakeNode() : desk_(loop_, [this](WarmOrder order, WarmDesk::Done done) { done(reply_to(order)); }) {
    AdminServer::Sources sources;
    sources.warm = &desk_;
    sources.snapshot = [] { return std::make_shared<const Snapshot>(); };
    server_ = std::make_unique<AdminServer>(loop_, std::move(sources));
    REQUIRE(server_->open(*net::Address::parse("127.0.0.1:0")));
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~FakeNode() {
    loop_.stop();
    thread_.join();
  }
  std::string address() const { return server_->address().to_string(); }
  std::multiset<std::string> heads() {
    const std::lock_guard lock(mutex_);
    return heads_;
  }

  std::map<std::string, std::string> documents;  // by path; set before it is asked
  std::set<std::string> broken;                  // paths

 private:
  WarmReply reply_to(const WarmOrder& order) {
    const std::string path = order.head.substr(4, order.head.find(' ', 4) - 4);
    const std::lock_guard lock(mutex_);
    heads_.insert(order.head);
    WarmReply reply;
    if (order.keep_bytes > 0 && documents.contains(path)) reply.body = documents[path];
    if (order.keep_bytes > 0 ? !documents.contains(path) : broken.contains(path)) {
      reply.reason = "answered 404";
      return reply;
    }
    reply.outcome = path.starts_with("/old") ? WarmReply::Outcome::hit : WarmReply::Outcome::stored;
    return reply;
  }

  net::Worker loop_{{.name = "admin"}};
  WarmDesk desk_;
  std::unique_ptr<AdminServer> server_;
  std::thread thread_;
  std::mutex mutex_;
  std::multiset<std::string> heads_;
};

class File {
 public:
  explicit File(const std::string& text) {
    path_ = (std::filesystem::temp_directory_path() / "vignette-warm-XXXXXX").string();
    const UniqueFd file(::mkstemp(path_.data()));
    REQUIRE(file);
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~File() { std::filesystem::remove(path_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

TEST_CASE("A sitemap gives the locations of its pages and of nothing else") {
  const auto read = read_sitemap(
      "\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- <url><loc>http://no/</loc></url> -->\n"
      "<!DOCTYPE urlset>\n<s:urlset xmlns:s='http://www.sitemaps.org/schemas/sitemap/0.9' a=\"x > y\">\n"
      " <s:url>\n  <s:loc>\n   http://a.test/?a=1&amp;b=2&#38;c&#x3D;3 "
      "</s:loc><lastmod>2026-01-01</lastmod>\n"
      "  <image:image><image:loc>http://a.test/photo.jpg</image:loc></image:image></s:url>\n"
      " <s:url><s:loc><![CDATA[http://a.test/?x&y]]></s:loc></s:url><s:url><s:loc/></s:url>\n"
      " <s:url><s:loc>http://a.test/&#252;</s:loc></s:url></s:urlset>\n");
  REQUIRE(read);
  CHECK(read->pages == Texts{"http://a.test/?a=1&b=2&c=3", "http://a.test/?x&y", "http://a.test/\xC3\xBC"});
  CHECK(read->sitemaps.empty());
}

TEST_CASE("An index gives the locations of sitemaps, gzipped or not") {
  const std::string index =
      "<sitemapindex><sitemap><loc>http://a.test/1.xml</loc></sitemap>"
      "<sitemap><loc>http://a.test/2.xml.gz</loc></sitemap></sitemapindex>";
  const auto plain = read_sitemap(index);
  const auto packed = read_sitemap(gzipped(index));
  REQUIRE(plain);
  REQUIRE(packed);
  CHECK(plain->sitemaps == Texts{"http://a.test/1.xml", "http://a.test/2.xml.gz"});
  CHECK(packed->sitemaps == plain->sitemaps);
  CHECK(plain->pages.empty());
}

TEST_CASE("What is no whole sitemap is refused") {
  const std::string good = urlset({"http://a.test/"});
  REQUIRE(read_sitemap(good));
  for (std::size_t length = 0; length < good.size(); ++length) {
    INFO(length);
    CHECK_FALSE(read_sitemap(good.substr(0, length)));
  }
  for (const char* text :
       {"<html></html>", "<urlset></url>", "<urlset></urlset><urlset></urlset>", "<urlset><url></urlset>",
        "<!DOCTYPE urlset [<!ENTITY a \"b\">]><urlset></urlset>",
        "<urlset><url><loc>&a;</loc></url></urlset>", "<urlset><url><loc>a&amp</loc></url></urlset>",
        "<urlset><url><loc>&#0;</loc></url></urlset>", "<urlset><url><loc>&#x110000;</loc></url></urlset>",
        "<urlset", "<>", "</urlset>", "<urlset>< /urlset>"}) {
    INFO(text);
    CHECK_FALSE(read_sitemap(text));
  }
}

TEST_CASE("A sitemap has its limits in depth and in bytes") {
  const auto nested = [](std::size_t depth) {
    std::string text = "<urlset>";
    for (std::size_t i = 1; i < depth; ++i) text += "<a>";
    for (std::size_t i = 1; i < depth; ++i) text += "</a>";
    return text + "</urlset>";
  };
  CHECK(read_sitemap(nested(kMaxSitemapDepth)));
  CHECK_FALSE(read_sitemap(nested(kMaxSitemapDepth + 1)));
  const std::string bomb = gzipped("<urlset>" + std::string(kMaxSitemapBytes, ' ') + "</urlset>");
  CHECK(read_sitemap(bomb).error() == "the sitemap is longer than 50 MiB");
  CHECK_FALSE(read_sitemap(gzipped(urlset({"http://a.test/"})).substr(0, 60)));
}

TEST_CASE("A list gives its lines, a hot list the keys that do not come by themselves") {
  CHECK(*orders_of_list("http://a.test/1\r\n\n  # not this\n  http://a.test/2  ") ==
        Texts{"http://a.test/1", "http://a.test/2"});
  const std::vector<cache::HotEntry> entries = {{9, 1, cache::HotKind::vary_marker, "a.test/\nhttp"},
                                                {9, 1, cache::HotKind::response, "a.test/\nhttp\nx-a:\\"},
                                                {9, 1, cache::HotKind::manifest, "a.test/m\nhttp"}};
  const std::string list = cache::write_hot_list(entries);
  CHECK(*orders_of_list(list) == Texts{"a.test/\\nhttp\\nx-a:\\\\"});
  CHECK_FALSE(orders_of_list(list.substr(0, list.size() - 3)));
}

TEST_CASE("Another node is named by its admin address, by number or name") {
  CHECK(*admin_address_of("http://127.0.0.1:9180/") == "127.0.0.1:9180");
  CHECK(*admin_address_of("[::1]:9180") == "[::1]:9180");
  CHECK(*admin_address_of("unix:/run/x.sock") == "unix:/run/x.sock");
  CHECK((*admin_address_of("http://localhost:9180")).ends_with(":9180"));
  for (const char* text : {"", "localhost", "http://", "https://127.0.0.1:9180", "127.0.0.1:0x"}) {
    INFO(text);
    CHECK_FALSE(admin_address_of(text));
  }
}

TEST_CASE("Each URL is ordered once with what browsers send, and the counts say how it went") {
  FakeNode node;
  node.broken = {"/gone"};
  const File list("http://a.test/old\nhttp://a.test/new\nhttp://a.test/gone\nnonsense\n");
  WarmJob job;
  job.list = list.path();
  job.per_second = 0;
  job.fields = {"accept: image/avif", "X-Who: me"};
  const auto orders = gather_orders(node.address(), job);
  REQUIRE(orders);
  std::map<std::string, std::string, std::less<>> failures;
  std::vector<std::uint64_t> progress;
  const WarmCounts counts = run_orders(
      node.address(), *orders, job,
      [&](std::string_view order, std::string_view why) { failures.emplace(order, why); },
      [&](const WarmCounts& so_far) { progress.push_back(so_far.asked); });
  CHECK(counts.asked == 4);
  CHECK(counts.hit == 1);
  CHECK(counts.stored == 1);
  CHECK(counts.failed == 2);
  CHECK(progress == std::vector<std::uint64_t>{1, 2, 3, 4});
  CHECK(failures["http://a.test/gone"] == "answered 404");
  CHECK(failures["nonsense"].find("neither a URL") != std::string::npos);
  CHECK(node.heads().size() == 3);
  const std::string head = *node.heads().begin();
  CHECK(head.find("Accept-Encoding: gzip, deflate, br, zstd\r\n") != head.npos);
  CHECK(head.find("accept: image/avif\r\n") != head.npos);
  CHECK(head.find("Accept: text") == head.npos);
  CHECK(head.find("X-Who: me\r\n") != head.npos);
}

TEST_CASE("An index of this node's is followed to its sitemaps, each once") {
  FakeNode node;
  node.documents["/index.xml"] =
      "<sitemapindex><sitemap><loc>http://a.test/1.xml</loc></sitemap><sitemap><loc>http://a.test/2.xml.gz</"
      "loc>"
      "</sitemap><sitemap><loc>http://a.test/1.xml</loc></sitemap></sitemapindex>";
  node.documents["/1.xml"] = urlset({"http://a.test/a", "http://a.test/b"});
  node.documents["/2.xml.gz"] = gzipped(urlset({"http://a.test/c"}));
  WarmJob job;
  job.sitemap = "http://a.test/index.xml";
  CHECK(*gather_orders(node.address(), job) ==
        Texts{"http://a.test/a", "http://a.test/b", "http://a.test/c"});
  CHECK(node.heads().size() == 3);
  node.documents.erase("/2.xml.gz");
  const auto failed = gather_orders(node.address(), job);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().starts_with("http://a.test/2.xml.gz: "));
  CHECK(failed.error().find("answered 404") != std::string::npos);
}

TEST_CASE("A node that does not answer fails what is ordered, not the program") {
  WarmJob job;
  job.per_second = 0;
  std::string last;
  const WarmCounts counts = run_orders(
      "unix:/nowhere/admin.sock", {"http://a.test/1", "http://a.test/2"}, job,
      [&](std::string_view, std::string_view why) { last = why; }, [](const WarmCounts&) {});
  CHECK(counts.failed == 2);
  CHECK(last.find("is the node running?") != std::string::npos);
}
