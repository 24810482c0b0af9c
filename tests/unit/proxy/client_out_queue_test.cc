#include <catch2/catch.hpp>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "proxy/client/out_queue.h"
#include "tests/unit/proxy/client_streams.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace vignette::proxy::test;

namespace {

net::Task<void> flush(OutQueue& queue, net::Stream& stream, Duration stall, Result<void>& outcome) {
  queue.set_pace({stall, 0});
  auto sent = co_await queue.flush(stream);
  outcome = sent;
}

constexpr int kOften = Block::kCopiedTimes;

// A body as the cache keeps it; `answers` that it was sent with before.
Slice stored(std::size_t size, char first, int answers) {
  const BlockRef block = BlockRef::allocate_in_file(size);
  REQUIRE(block->has_file());
  for (std::size_t i = 0; i < size; ++i)
    block->data()[i] = static_cast<char>(first + static_cast<int>(i % 23));
  for (int i = 0; i < answers; ++i) static_cast<void>(block->note_sent(block->capacity()));
  return Slice(block, 0, size);
}

}  // namespace

TEST_CASE("Texts and slices leave in the order they came") {
  ClientStream client;
  OutQueue queue;
  queue.text("head ");
  queue.slice(Slice::copy("body one "));
  queue.text("between ");
  queue.slice(Slice::copy("body two"));
  queue.text(" end");
  CHECK(queue.bytes() == std::string("head body one between body two end").size());
  Result<void> outcome;
  REQUIRE(client.run(flush, std::ref(queue), std::ref(client.stream), 5s, std::ref(outcome)));
  CHECK(outcome);
  CHECK(queue.empty());
  CHECK(client.client_got() == "head body one between body two end");
}

TEST_CASE("A text longer than the text block is kept whole") {
  ClientStream client;
  OutQueue queue;
  std::string expected;
  for (std::size_t size : {100u, 4000u, 5000u, 70000u, 1u}) {
    std::string text(size, static_cast<char>('a' + size % 26));
    expected += text;
    queue.text(text);
  }
  CHECK(queue.bytes() == expected.size());
  Result<void> outcome;
  REQUIRE(client.run(flush, std::ref(queue), std::ref(client.stream), 5s, std::ref(outcome)));
  CHECK(client.client_got() == expected);
}

TEST_CASE("More pieces than one write takes arrive in order") {
  ClientStream client;
  OutQueue queue;
  std::string expected;
  for (int i = 0; i < 500; ++i) {
    std::string piece = "<" + std::to_string(i) + ">";
    expected += piece + ".";
    queue.slice(Slice::copy(piece));
    queue.text(".");
  }
  Result<void> outcome;
  REQUIRE(client.run(flush, std::ref(queue), std::ref(client.stream), 5s, std::ref(outcome)));
  CHECK(client.client_got() == expected);
}

TEST_CASE("Neighbouring slices of one block are one piece and stay in order") {
  ClientStream client;
  OutQueue queue;
  Slice whole = Slice::copy("0123456789");
  queue.slice(whole.sub(0, 4));
  queue.slice(whole.sub(4, 6));
  queue.slice(whole.sub(2, 2));
  queue.slice(Slice());
  queue.text("");
  CHECK(queue.bytes() == 12);
  Result<void> outcome;
  REQUIRE(client.run(flush, std::ref(queue), std::ref(client.stream), 5s, std::ref(outcome)));
  CHECK(client.client_got() == "012345678923");
}

TEST_CASE("A queue that was sent can be filled again") {
  OutQueue queue;
  for (int round = 0; round < 3; ++round) {
    ClientStream client;
    queue.text("round " + std::to_string(round));
    queue.slice(Slice::copy("!"));
    Result<void> outcome;
    REQUIRE(client.run(flush, std::ref(queue), std::ref(client.stream), 5s, std::ref(outcome)));
    CHECK(client.client_got() == "round " + std::to_string(round) + "!");
  }
  queue.text("never sent");
  queue.clear();
  CHECK(queue.empty());
}

TEST_CASE("A client that takes nothing ends the flush after the stall, not before") {
  ClientStream client;
  OutQueue queue;
  queue.slice(Slice::copy(std::string(8 << 20, 'x')));
  Result<void> outcome;
  TimePoint before = std::chrono::steady_clock::now();
  REQUIRE(client.run(flush, std::ref(queue), std::ref(client.stream), 50ms, std::ref(outcome)));
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().code == Code::timeout);
  CHECK(outcome.error().blame == Blame::client);
  CHECK(std::chrono::steady_clock::now() - before >= 50ms);
  CHECK(queue.bytes() > 0);
}

TEST_CASE("A client that is gone fails the flush") {
  ClientStream client;
  client.client_leaves();
  OutQueue queue;
  queue.text("anybody?");
  Result<void> outcome;
  REQUIRE(client.run(flush, std::ref(queue), std::ref(client.stream), 5s, std::ref(outcome)));
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().code == Code::reset);
}

TEST_CASE("A short body is copied behind the head of the only answer queued") {
  ClientStream client;
  OutQueue queue;
  Slice body = Slice::copy(std::string(2048, 'b'));
  queue.text("head ");
  queue.slice(body);
  CHECK(body.block().unique());
  Result<void> outcome;
  REQUIRE(client.run(flush, std::ref(queue), std::ref(client.stream), 5s, std::ref(outcome)));
  CHECK(client.client_got() == "head " + std::string(2048, 'b'));
}

TEST_CASE("A longer body, and a body without room behind its head, stay where they are") {
  OutQueue queue;
  Slice longer = Slice::copy(std::string(2049, 'l'));
  queue.text("head ");
  queue.slice(longer);
  CHECK(!longer.block().unique());
  OutQueue full;
  Slice body = Slice::copy(std::string(2048, 'b'));
  full.text(std::string(3000, 'h'));
  full.slice(body);
  CHECK(!body.block().unique());
  CHECK(full.bytes() == 3000 + 2048);
}

TEST_CASE("Bodies that go by their file arrive in their place between texts and copied ones") {
  ClientStream client;
  OutQueue queue;
  std::string expected;
  for (const auto& [size, answers] :
       {std::pair{30'000, kOften}, {40'000, kOften - 1}, {24'576, kOften + 1}}) {
    const Slice body = stored(static_cast<std::size_t>(size), 'a', answers);
    queue.text("head " + std::to_string(size));
    queue.slice(body);
    queue.slice(body.sub(100, 3000));  // below what goes by file
    expected += "head " + std::to_string(size) + std::string(body.view());
    expected += body.view().substr(100, 3000);
  }
  Result<void> outcome;
  REQUIRE(client.run(flush, std::ref(queue), std::ref(client.stream), 5s, std::ref(outcome)));
  CHECK(outcome);
  CHECK(queue.empty());
  CHECK(client.client_got() == expected);
}

TEST_CASE("A body freed and overwritten after it was sent reaches the client as it was") {
  ClientStream client;
  OutQueue queue;
  std::string expected;
  {
    const Slice body = stored(100'000, 'a', kOften);
    expected = body.view();
    queue.slice(body);
  }
  Result<void> outcome;
  REQUIRE(client.run(flush, std::ref(queue), std::ref(client.stream), 5s, std::ref(outcome)));
  CHECK(outcome);
  std::vector<Slice> others;
  for (int i = 0; i < 10; ++i) others.push_back(stored(100'000, 'Q', 0));
  CHECK(client.client_got() == expected);
}

TEST_CASE("Slices of a body count by their bytes") {
  OutQueue queue;
  const Slice body = stored(60'000, 'a', kOften - 2);
  queue.slice(body.sub(0, 20'000));
  queue.slice(body.sub(20'000, 40'000));
  queue.clear();
  CHECK_FALSE(body.block()->note_sent(60'000));
  CHECK(body.block()->note_sent(60'000));
}

TEST_CASE("A client that takes nothing of a file ends the flush after the stall") {
  ClientStream client;
  OutQueue queue;
  for (int i = 0; i < 4; ++i) queue.slice(stored(2'000'000, 'a', kOften));
  Result<void> outcome;
  REQUIRE(client.run(flush, std::ref(queue), std::ref(client.stream), 50ms, std::ref(outcome)));
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().code == Code::timeout);
  CHECK(outcome.error().blame == Blame::client);
  CHECK(queue.bytes() > 0);
}
