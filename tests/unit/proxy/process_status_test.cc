#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "proxy/process/admin_client.h"
#include "proxy/process/allocator.h"

using namespace vignette::proxy;

TEST_CASE("The status of a node is told in lines for a person") {
  const std::string summary = status_summary(R"({
    "version": "0.1.0", "pid": 42, "uptime_seconds": 3.5, "draining": true, "workers": 2,
    "configuration": "edge.toml", "generation": 7,
    "listeners": [{"address": "127.0.0.1:8080", "kind": "http"}],
    "connections": {"open": 3, "accepted": 9},
    "requests": {"hit": 5, "miss": 4},
    "cache": {"objects": 1, "bytes": 10, "used_bytes": 20, "budget_bytes": 100, "open_fills": 0},
    "disks": [{"path": "/d", "state": "offline", "objects": 6, "used_bytes": 7, "bytes": 8, "queued_objects": 0}],
    "warm": {"restore": {"phase": "reading", "listed": 9, "objects": 4, "bytes": 700}},
    "origins": [{"name": "app", "servers": [
      {"address": "127.0.0.1:1", "state": "up", "backup": false},
      {"address": "127.0.0.1:2", "state": "down", "backup": true}]}]})");
  CHECK(summary ==
        "vignette 0.1.0, pid 42, up 3.5 s, 2 workers, draining\n"
        "configuration edge.toml (generation 7)\n"
        "  http 127.0.0.1:8080\n"
        "connections: 3 open, 9 accepted\n"
        "requests: hit 5 miss 4\n"
        "cache: 1 objects, 20 of 100 bytes, 0 fills open\n"
        "disk /d offline: 6 objects, 7 of 8 bytes written to, 0 waiting\n"
        "memory after the start: 4 of 9 hot objects read from disk, 700 bytes (reading)\n"
        "origin app\n"
        "  127.0.0.1:1 up\n"
        "  127.0.0.1:2 down (backup)\n");
}

TEST_CASE("A status with holes shows them, and one that is none is shown as it is") {
  CHECK(status_summary("{}").starts_with("vignette ?, pid ?, up ? s, ? workers\n"));
  for (const char* text :
       {"", "nonsense", "[1]", R"({"version": 7})", R"({"listeners": [3]})", R"({"origins": {"a": 1}})"}) {
    INFO(text);
    CHECK(status_summary(text) == text);
  }
}

TEST_CASE("The allocator is jemalloc with counters that move, or says that it is none") {
  const std::uint64_t* counter = thread_allocated_counter();
  if (!allocator_name().starts_with("jemalloc ")) {
    CHECK(allocator_name() == "libc");
    CHECK(counter == nullptr);
    CHECK(allocated_bytes() == 0);
    return;
  }
  REQUIRE(counter);
  const std::uint64_t before = *counter;
  const std::uint64_t live = allocated_bytes();
  const auto block = std::make_unique<std::string>(1 << 20, 'x');
  CHECK(*counter - before >= (1u << 20));
  CHECK(allocated_bytes() >= live + (1u << 20));
  CHECK(block->size() == 1 << 20);
}
