#include <sys/socket.h>
#include <sys/time.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <future>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "net/worker.h"
#include "proxy/admin/admin_server.h"
#include "proxy/admin/insight_report.h"
#include "proxy/process/admin_client.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace std::chrono_literals;

namespace {

// The admin server on a loop of its own; the test is its client, with blocking sockets.
class Admin {
 public:
  explicit Admin(const std::string& at = "127.0.0.1:0") {
    AdminServer::Sources sources;
    sources.metrics = [] { return std::string("# TYPE a counter\na 1\n"); };
    sources.status = [] { return std::string(R"({"version":"1"})"); };
    sources.origins = [] { return std::string("[]"); };
    sources.strands = [this] { return AdminServer::strands_json(loop_); };
    sources.what_if = [this] { return what_if_json(insight_, 1 << 20); };
    sources.top = [this](std::string_view query) { return top_json(insight_, query, TimePoint()); };
    server_ = std::make_unique<AdminServer>(loop_, std::move(sources));
    auto opened = server_->open(*net::Address::parse(at));
    REQUIRE(opened);
    address_ = server_->address();
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~Admin() {
    loop_.stop();
    thread_.join();
    server_.reset();
  }
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

  UniqueFd connect() const {
    sockaddr_storage storage{};
    const socklen_t size = address_.to_sockaddr(storage);
    UniqueFd socket(::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    REQUIRE(::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    REQUIRE(::connect(socket.get(), reinterpret_cast<sockaddr*>(&storage), size) == 0);
    return socket;
  }
  static void send(const UniqueFd& socket, std::string_view bytes) {
    REQUIRE(::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(bytes.size()));
  }
  // Until the server ends the connection.
  static std::string read_all(const UniqueFd& socket) {
    std::string all;
    char bytes[4096];
    ssize_t got = 0;
    while ((got = ::recv(socket.get(), bytes, sizeof bytes, 0)) > 0)
      all.append(bytes, static_cast<std::size_t>(got));
    CHECK(got == 0);
    return all;
  }
  std::string ask(std::string_view request) const {
    const UniqueFd socket = connect();
    send(socket, request);
    return read_all(socket);
  }
  std::string get(std::string_view path, std::string_view lines = "Host: localhost\r\n") const {
    return ask("GET " + std::string(path) + " HTTP/1.1\r\n" + std::string(lines) + "\r\n");
  }

  // On the loop's thread, after everything that was queued before.
  template <class Function>
  auto in_loop(Function function) {
    std::promise<decltype(function())> result;
    loop_.post([&] { result.set_value(function()); });
    return result.get_future().get();
  }
  std::size_t strands() {
    return in_loop([this] { return loop_.strands(); });
  }
  bool has_strands(std::size_t wanted) {
    for (int i = 0; i < 20'000; ++i) {
      if (strands() == wanted) return true;
    }
    return false;
  }
  // Runs in the loop while the server still lives.
  void close_server() {
    in_loop([this] {
      server_.reset();
      return true;
    });
  }

  ManualClock clock;
  const net::Address& address() const { return address_; }

 private:
  cache::Insight insight_{1, 1 << 20};
  net::Worker loop_{{.name = "admin", .clock = &clock}};
  std::unique_ptr<AdminServer> server_;
  net::Address address_;
  std::thread thread_;
};

int status_of(const std::string& answer) {
  REQUIRE(answer.starts_with("HTTP/1.1 "));
  return std::stoi(answer.substr(9, 3));
}
std::string body_of(const std::string& answer) {
  const std::size_t end = answer.find("\r\n\r\n");
  REQUIRE(end != std::string::npos);
  return answer.substr(end + 4);
}
bool has_line(const std::string& answer, std::string_view line) {
  return answer.find("\r\n" + std::string(line) + "\r\n") != std::string::npos;
}

}  // namespace

TEST_CASE("Each document of the admin API has its type, is not stored, and ends the connection") {
  Admin admin;
  struct Row {
    const char* path;
    const char* type;
    const char* body;
  };
  for (const Row& row :
       {Row{"/metrics", "text/plain; version=0.0.4; charset=utf-8", "# TYPE a counter\na 1\n"},
        Row{"/v1/status", "application/json", R"({"version":"1"})"},
        Row{"/v1/top", "application/json", R"({"by":"hits","over_seconds":0,"entries":[]})"},
        Row{"/v1/top?by=bytes&limit=200", "application/json",
            R"({"by":"bytes","over_seconds":0,"entries":[]})"},
        Row{"/v1/origins", "application/json", "[]"}}) {
    INFO(row.path);
    const std::string answer = admin.get(row.path);
    CHECK(status_of(answer) == 200);
    CHECK(body_of(answer) == row.body);
    CHECK(has_line(answer, "Content-Type: " + std::string(row.type)));
    CHECK(has_line(answer, "Content-Length: " + std::to_string(std::string_view(row.body).size())));
    CHECK(has_line(answer, "Cache-Control: no-store"));
    CHECK(has_line(answer, "Connection: close"));
  }
  const std::string index = admin.get("/");
  CHECK(status_of(index) == 200);
  CHECK(index.find("href=\"/v1/strands\"") != std::string::npos);
}

TEST_CASE("The list of strands names the one that asks") {
  Admin admin;
  const std::string answer = admin.get("/v1/strands");
  CHECK(status_of(answer) == 200);
  CHECK(body_of(answer).find(R"("name":"admin","waits_on":"running")") != std::string::npos);
}

TEST_CASE("The top is asked by what there is, in a number that there may be") {
  Admin admin;
  for (const char* bad :
       {"by=size", "by=", "limit=0", "limit=201", "limit=1x", "limit=-1", "n=5", "by=hits&&"}) {
    INFO(bad);
    CHECK(status_of(admin.get(std::string("/v1/top?") + bad)) == 400);
  }
  const std::string curve = body_of(admin.get("/v1/whatif"));
  CHECK(curve.starts_with(R"({"memory_bytes":1048576,"references":0,"sampled_objects":0,)"));
  CHECK(curve.find(R"({"factor":8.00,"bytes":8388608,"miss_ratio":0.0000}]})") != std::string::npos);
}

TEST_CASE("The sketches are told to a person in lines") {
  cache::Insight insight(1, 100 << 20);
  const std::string_view key = "h/photo\nw=150";
  const cache::Key hash = cache::hash_key(key);
  for (int i = 0; i < 3; ++i) {
    insight.recorder(0).record(
        {.key = hash, .key_string = key, .is_hit = true, .sent_bytes = 7, .object_bytes = 7}, TimePoint());
  }
  const auto top = top_json(insight, "by=hits", TimePoint(std::chrono::seconds(5)));
  REQUIRE(top);
  CHECK(
      *top ==
      R"({"by":"hits","over_seconds":5,"entries":[{"key":"h/photo","variant":"w=150","count":3,"error":0}]})");
  CHECK(top_summary(*top) == "hits over the last 5 s\n             3  h/photo  [w=150]\n");
  CHECK(top_summary("no json") == "no json");
  CHECK(top_summary("{}") == "{}");
  CHECK(what_if_summary(what_if_json(insight, 100 << 20)).find("   0.5x  50 ") != std::string::npos);
}

TEST_CASE("An unknown path is 404, another method 405 with what is allowed, nonsense 400") {
  Admin admin;
  const std::string missing = admin.get("/v1/nothing");
  CHECK(status_of(missing) == 404);
  CHECK(body_of(missing) == R"({"error":"no such resource"})");
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS"}) {
    INFO(method);
    const std::string answer =
        admin.ask(std::string(method) + " /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    CHECK(status_of(answer) == 405);
    CHECK(has_line(answer, "Allow: GET, HEAD"));
  }
  CHECK(status_of(admin.ask("GET /metrics HTTP/1.1\r\nHost : x\r\n\r\n")) == 400);
  CHECK(status_of(admin.ask("what\r\n\r\n")) == 400);
}

TEST_CASE("HEAD has the head of GET and no body") {
  Admin admin;
  const std::string answer = admin.ask("HEAD /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(status_of(answer) == 200);
  CHECK(has_line(answer, "Content-Length: 15"));
  CHECK(body_of(answer).empty());
}

TEST_CASE("A name that a page may have made up is refused, addresses and localhost are not") {
  Admin admin;
  for (const char* host : {"localhost", "LOCALHOST:9180", "127.0.0.1:9180", "[::1]:9180", "192.0.2.7"}) {
    INFO(host);
    CHECK(status_of(admin.get("/v1/status", "Host: " + std::string(host) + "\r\n")) == 200);
  }
  for (const char* host :
       {"rebound.example", "rebound.example:9180", "localhost.rebound.example", "127.0.0.1.x"}) {
    INFO(host);
    const std::string answer = admin.get("/v1/status", "Host: " + std::string(host) + "\r\n");
    CHECK(status_of(answer) == 403);
    CHECK(body_of(answer).find("\"version\"") == std::string::npos);
  }
}

TEST_CASE("A page of another origin is refused, one of the server's own is not") {
  Admin admin;
  const std::string host = "Host: 127.0.0.1:9180\r\n";
  CHECK(status_of(admin.get("/v1/status", host + "Origin: http://127.0.0.1:9180\r\n")) == 200);
  for (const char* origin : {"http://evil.example", "http://127.0.0.1:8080", "null", ""}) {
    INFO(origin);
    CHECK(status_of(admin.get("/v1/status", host + "Origin: " + origin + "\r\n")) == 403);
  }
}

TEST_CASE("Over a unix socket any name will do: the file's mode guards it") {
  const std::string path =
      std::filesystem::temp_directory_path() / ("admin-test-" + std::to_string(::getpid()));
  Admin admin("unix:" + path);
  CHECK(status_of(admin.get("/v1/status", "Host: vignette\r\n")) == 200);
  CHECK(status_of(admin.get("/v1/status", "Host: vignette\r\nOrigin: http://evil.example\r\n")) == 403);
  const auto got = admin_get("unix:" + path, "/v1/status");
  REQUIRE(got);
  CHECK(*got == R"({"version":"1"})");
  std::filesystem::remove(path);
}

TEST_CASE("A head that never ends is cut after its time, one that is too long at once") {
  Admin admin;
  const UniqueFd slow = admin.connect();
  Admin::send(slow, "GET /metrics HTTP/1.1\r\nHost: loc");
  REQUIRE(admin.has_strands(1));
  admin.clock.advance(4s);
  CHECK(admin.strands() == 1);
  admin.clock.advance(2s);
  admin.in_loop([] { return true; });
  CHECK(Admin::read_all(slow).empty());
  CHECK(admin.has_strands(0));

  const std::string answer =
      admin.get("/metrics", "Host: localhost\r\nX: " + std::string(9000, 'x') + "\r\n");
  CHECK(status_of(answer) == 431);
}

TEST_CASE("The admin server serves 64 connections at once, and the next when one has ended") {
  Admin admin;
  std::vector<UniqueFd> open;
  for (std::size_t i = 0; i < AdminServer::kMaxConnections; ++i) open.push_back(admin.connect());
  REQUIRE(admin.has_strands(AdminServer::kMaxConnections));
  CHECK(Admin::read_all(admin.connect()).empty());
  CHECK(admin.strands() == AdminServer::kMaxConnections);
  open.pop_back();
  REQUIRE(admin.has_strands(AdminServer::kMaxConnections - 1));
  CHECK(status_of(admin.get("/metrics")) == 200);
}

TEST_CASE("What is asked of a connection that outlives the admin server is answered 503") {
  Admin admin;
  const UniqueFd socket = admin.connect();
  REQUIRE(admin.has_strands(1));
  admin.close_server();
  Admin::send(socket, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(status_of(Admin::read_all(socket)) == 503);
}

TEST_CASE("The command line's question says what went wrong in a sentence") {
  Admin admin;
  const std::string address = admin.address().to_string();
  CHECK(admin_get(address, "/v1/origins") == "[]");
  CHECK(admin_get(address, "/nothing").error() == "admin " + address + ": no such resource");
  CHECK(admin_get("nonsense", "/").error() == "admin nonsense: not an address");
  CHECK(admin_get("unix:/nonexistent/socket", "/")
            .error()
            .starts_with("admin unix:/nonexistent/socket: cannot connect; is the node running? ("));
}
