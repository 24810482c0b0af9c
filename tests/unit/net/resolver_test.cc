#include "net/resolver.h"

#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <thread>

#include "loop.h"

using namespace vignette;
using namespace vignette::net;
using namespace vignette::net::test;

namespace {

// A DNS server of one thread (RFC 1035): two addresses for two.example, IPv6 for six.example, silence for
// silent.example, SERVFAIL for broken.example, and no such name for the rest.
class DnsServer {
 public:
  DnsServer() : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    VCHECK(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&any), sizeof any) == 0);
    socklen_t length = sizeof any;
    ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&any), &length);
    port_ = ntohs(any.sin_port);
    thread_ = std::jthread([this](std::stop_token stop) { serve(stop); });
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  void serve(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      pollfd ready{socket_.get(), POLLIN, 0};
      if (::poll(&ready, 1, 10) <= 0) continue;
      char query[512];
      sockaddr_in from{};
      socklen_t length = sizeof from;
      const ssize_t size =
          ::recvfrom(socket_.get(), query, sizeof query, 0, reinterpret_cast<sockaddr*>(&from), &length);
      if (size < 17) continue;
      const std::string answer = reply(std::string(query, static_cast<std::size_t>(size)));
      if (answer.empty()) continue;
      ::sendto(socket_.get(), answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), length);
    }
  }

  static std::string record(std::string_view data, std::uint8_t type, std::uint8_t ttl) {
    std::string out("\xc0\x0c\0", 3);
    out += static_cast<char>(type);
    out.append("\0\1\0\0\0", 5);
    out += static_cast<char>(ttl);
    out += '\0';
    out += static_cast<char>(data.size());
    return out.append(data);
  }

  static std::string reply(const std::string& query) {
    std::string name;
    std::size_t at = 12;
    while (query[at] != 0) {
      const auto label = static_cast<std::size_t>(query[at]);
      name += query.substr(at + 1, label) + ".";
      at += label + 1;
    }
    const int type = query[at + 2];
    const std::string question = query.substr(12, at + 5 - 12);
    std::string records;
    char count = 0;
    char status = 0;
    if (name == "silent.example.") return "";
    if (name == "broken.example.") {
      status = 2;
    } else if (name == "two.example.") {
      if (type == 1) {
        records = record(std::string("\x0a\0\0\1", 4), 1, 30) + record(std::string("\x0a\0\0\2", 4), 1, 7);
        count = 2;
      }
    } else if (name == "six.example.") {
      if (type == 28) {
        std::string six(16, '\0');
        six[0] = 0x20;
        six[15] = 6;
        records = record(six, 28, 99);
        count = 1;
      }
    } else {
      status = 3;
    }
    std::string out = query.substr(0, 2);
    out += '\x81';
    out += static_cast<char>('\x80' | status);
    out.append("\0\1\0", 3);
    out += count;
    out.append("\0\0\0\0", 4);
    return out + question + records;
  }

  UniqueFd socket_;
  int port_ = 0;
  std::jthread thread_;
};

std::string show(const Result<DnsAnswer>& answer) {
  if (!answer)
    return std::string(to_string(answer.error().code)) + (answer.error().retry == Retry::yes ? " retry" : "");
  std::string text;
  for (const IpAddress& address : answer->addresses) text += address.to_string() + " ";
  return text + std::to_string(answer->ttl.count());
}

Task<> ask(Resolver& resolver, std::string name, AddressFamily family, Duration patience, std::string& out) {
  Worker& here = co_await this_worker();
  auto answer = co_await resolver.resolve(name, family, here.now() + patience);
  out = show(answer);
}

}  // namespace

TEST_CASE("Names become addresses with the smallest time to live, and failures say whether to ask again") {
  DnsServer server;
  Worker worker;
  Resolver resolver(worker, {.servers = server.address(), .timeout = 200ms, .tries = 1});
  struct Row {
    const char* name;
    AddressFamily family;
    const char* expected;
    std::string got = {};
  };
  std::vector<Row> rows = {
      {"two.example", AddressFamily::any, "10.0.0.1 10.0.0.2 7"},
      {"two.example", AddressFamily::v6, "dns"},
      {"six.example", AddressFamily::v6, "2000::6 99"},
      {"nobody.example", AddressFamily::any, "dns"},
      {"broken.example", AddressFamily::v4, "dns retry"},
      {"silent.example", AddressFamily::v4, "dns retry"},
      {"127.0.0.7", AddressFamily::any, "127.0.0.7 60"},
      {"::1", AddressFamily::v6, "::1 60"},
      {"::1", AddressFamily::v4, "dns"},
      {"localhost", AddressFamily::v4, "127.0.0.1 60"},
      {"a.LocalHost.", AddressFamily::any, "127.0.0.1 ::1 60"},
  };
  for (Row& row : rows) worker.spawn(ask, std::ref(resolver), row.name, row.family, 5s, std::ref(row.got));
  REQUIRE(run_to_end(worker));
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(row.got == row.expected);
  }
}

TEST_CASE("A question ends at its deadline or with its strand, whatever the server does later") {
  DnsServer server;
  Worker worker;
  std::string late;
  std::string cancelled;
  std::string orphaned;
  {
    auto resolver =
        std::make_unique<Resolver>(worker, ResolverOptions{.servers = server.address(), .timeout = 5s});
    worker.spawn(ask, std::ref(*resolver), "silent.example", AddressFamily::v4, 30ms, std::ref(late));
    const StrandRef waiting =
        worker.spawn(ask, std::ref(*resolver), "silent.example", AddressFamily::v4, 5s, std::ref(cancelled));
    worker.spawn(ask, std::ref(*resolver), "silent.example", AddressFamily::v4, 5s, std::ref(orphaned));
    worker.spawn(
        [](StrandRef target, std::unique_ptr<Resolver> owned) -> Task<> {
          auto slept = co_await sleep_for(60ms);
          (void)slept;
          target.cancel();
          auto turn = co_await yield();
          (void)turn;
          owned.reset();
        },
        waiting, std::move(resolver));
    REQUIRE(run_to_end(worker));
  }
  CHECK(late == "timeout");
  CHECK(cancelled == "cancelled");
  CHECK(orphaned == "dns retry");
}
