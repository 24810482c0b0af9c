#include "net/stream.h"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <deque>
#include <fstream>

#include "loop.h"
#include "net/connect.h"
#include "net/limits.h"
#include "net/listener.h"

using namespace vignette;
using namespace vignette::net;
using namespace vignette::net::test;

namespace {

Task<> echo(Stream stream) {
  std::array<char, 4096> buffer;
  while (true) {
    auto got = co_await stream.read(buffer, kNoDeadline);
    if (!got || *got == 0) co_return;
    iovec part{buffer.data(), *got};
    auto sent = co_await stream.write({&part, 1}, kNoDeadline);
    if (!sent) co_return;
  }
}

Address loopback(const char* text = "127.0.0.1:0") { return *Address::parse(text); }

Task<std::string> read_all(Stream& stream, TimePoint deadline) {
  std::string all;
  std::array<char, 65536> buffer;
  while (true) {
    auto got = co_await stream.read(buffer, deadline);
    if (!got) co_return all + "<" + std::string(to_string(got.error().code)) + ">";
    if (*got == 0) co_return all;
    all.append(buffer.data(), *got);
  }
}

// Those that the process may use, in hexadecimal; permitted and effective ones are the same, or "".
std::string capabilities() {
  std::ifstream file("/proc/self/status");
  std::string permitted;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("CapPrm:\t")) permitted = line.substr(8);
    if (line.starts_with("CapEff:\t")) return line.substr(8) == permitted ? permitted : "";
  }
  return "";
}

Task<Result<void>> write_text(Stream& stream, const std::string& text) {
  iovec part = part_of(text);
  auto sent = co_await stream.write({&part, 1}, kNoDeadline);
  co_return sent;
}

UniqueFd file_with(const std::string& text) {
  UniqueFd file(::memfd_create("text", MFD_CLOEXEC));
  VCHECK(::pwrite(file.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  return file;
}

// Until `size` bytes are sent, or the file is at its end; then ends the stream.
Task<> send_file(Stream& stream, int file, std::size_t size, Result<std::size_t>& sent) {
  sent = 0;
  while (*sent < size) {
    auto some = co_await stream.send_file_some({file, *sent, size - *sent}, soon(stream.worker()));
    if (!some) {
      sent = std::unexpected(some.error());
      co_return;
    }
    if (*some == 0) break;
    *sent += *some;
  }
  stream.shutdown_write();
}

}  // namespace

TEST_CASE("Bytes go through listeners and connections of every family and come back") {
  const std::string path = "/tmp/vignette-net-" + std::to_string(::getpid()) + ".sock";
  for (const std::string& where : {std::string("127.0.0.1:0"), std::string("[::1]:0"), "unix:" + path}) {
    INFO(where);
    Worker worker;
    auto listener = Listener::open(*Address::parse(where));
    REQUIRE(listener);
    std::optional<Address> seen_peer;
    listener->serve(worker, [&](Stream stream) {
      seen_peer = stream.peer();
      worker.spawn(echo, std::move(stream));
    });
    std::string answer;
    std::optional<Address> local;
    worker.spawn(
        [](Address to, std::string& out, std::optional<Address>& mine) -> Task<> {
          Worker& here = co_await this_worker();
          auto stream = co_await connect(to, soon(here));
          VCHECK(stream);
          mine = stream->local();
          VCHECK(stream->peer() == to);
          const std::string text(300'000, 'x');
          here.spawn(
              [](Stream& via, std::string bytes) -> Task<> {
                auto sent = co_await write_text(via, bytes);
                VCHECK(sent);
                via.shutdown_write();
              },
              std::ref(*stream), text);
          auto all = co_await read_all(*stream, soon(here));
          out = std::move(all);
        },
        listener->address(), std::ref(answer), std::ref(local));
    REQUIRE(run_to_end(worker));
    CHECK(answer.size() == 300'000);
    if (local->family() != Family::unix_path) CHECK(*seen_peer == *local);
  }
  ::unlink(path.c_str());
}

TEST_CASE("A read meets its absolute deadline however the bytes drip in") {
  Worker worker;
  auto [left, right] = stream_pair(worker);
  std::string got;
  worker.spawn(
      [](Stream stream, std::string& out) -> Task<> {
        Worker& here = co_await this_worker();
        auto all = co_await read_all(stream, here.now() + 60ms);
        out = std::move(all);
      },
      std::move(left), std::ref(got));
  worker.spawn(
      [](Stream stream) -> Task<> {
        for (int i = 0; i < 100; ++i) {
          auto sent = co_await write_text(stream, "x");
          if (!sent) co_return;
          auto slept = co_await sleep_for(5ms);
          (void)slept;
        }
      },
      std::move(right));
  REQUIRE(run_to_end(worker));
  CHECK(got.ends_with("<timeout>"));
  CHECK(got.size() < 60);
}

TEST_CASE("Data and the end in one edge are both seen") {
  Worker worker;
  auto [left, right] = stream_pair(worker);
  std::string got;
  worker.spawn(
      [](Stream stream, std::string& out) -> Task<> {
        auto ready = co_await stream.wait_readable(kNoDeadline);
        VCHECK(ready);
        auto all = co_await read_all(stream, kNoDeadline);
        out = std::move(all);
      },
      std::move(left), std::ref(got));
  worker.spawn(
      [](Stream stream) -> Task<> {
        auto turn = co_await yield();
        (void)turn;
        auto sent = co_await write_text(stream, "last words");
        VCHECK(sent);
      },
      std::move(right));
  REQUIRE(run_to_end(worker));
  CHECK(got == "last words");
}

TEST_CASE("A reset that came with the last bytes is met by the next read, not by its deadline") {
  Worker worker;
  auto listener = Listener::open(loopback());
  REQUIRE(listener);
  std::optional<Error> error;
  listener->serve(worker, [&](Stream stream) {
    worker.spawn(
        [](Stream client, std::optional<Error>& out) -> Task<> {
          Worker& loop = co_await this_worker();
          auto ready = co_await client.wait_readable(kNoDeadline);
          VCHECK(ready);
          char bytes[64];
          auto words = co_await client.read(bytes, kNoDeadline);
          VCHECK(words && *words == 10);
          auto end = co_await client.read(bytes, loop.now() + 2s);
          out = end ? Error{} : end.error();
          loop.stop();
        },
        std::move(stream), std::ref(error));
  });
  worker.spawn(
      [](Address to) -> Task<> {
        auto stream = co_await connect(to, kNoDeadline);
        VCHECK(stream);
        auto settle = co_await sleep_for(20ms);
        VCHECK(settle);
        auto sent = co_await write_text(*stream, "last words");
        VCHECK(sent);
        stream->reset();
      },
      listener->address());
  REQUIRE(run_to_end(worker));
  REQUIRE(error);
  CHECK(error->code == Code::reset);
}

TEST_CASE("A large write over many parts arrives whole and consumes the parts") {
  Worker worker;
  auto [left, right] = stream_pair(worker);
  std::string got;
  bool consumed = false;
  worker.spawn(
      [](Stream stream, bool& out) -> Task<> {
        std::deque<std::string> texts;
        std::vector<iovec> parts;
        for (int i = 0; i < 300; ++i) {
          texts.push_back(std::string(static_cast<std::size_t>(i * 37), static_cast<char>('a' + i % 26)));
          parts.push_back(part_of(texts.back()));
        }
        auto sent = co_await stream.write(parts, kNoDeadline);
        VCHECK(sent);
        out = std::all_of(parts.begin(), parts.end(), [](const iovec& part) { return part.iov_len == 0; });
      },
      std::move(left), std::ref(consumed));
  worker.spawn(
      [](Stream stream, std::string& out) -> Task<> {
        auto all = co_await read_all(stream, kNoDeadline);
        out = std::move(all);
      },
      std::move(right), std::ref(got));
  REQUIRE(run_to_end(worker));
  std::string expected;
  for (int i = 0; i < 300; ++i)
    expected.append(static_cast<std::size_t>(i * 37), static_cast<char>('a' + i % 26));
  CHECK(got == expected);
  CHECK(consumed);
}

TEST_CASE("Closing a stream fails the operation that waits on it, and operations on a closed stream fail") {
  Worker worker;
  auto [left, right] = stream_pair(worker);
  Code waiting{};
  Code after{};
  worker.spawn(
      [](Stream& stream, Code& out, Code& later) -> Task<> {
        char byte;
        auto got = co_await stream.read({&byte, 1}, kNoDeadline);
        out = got.error().code;
        auto again = co_await stream.read({&byte, 1}, kNoDeadline);
        later = again.error().code;
      },
      std::ref(left), std::ref(waiting), std::ref(after));
  worker.spawn(
      [](Stream& stream) -> Task<> {
        auto turn = co_await yield();
        (void)turn;
        stream.close();
        stream.close();
      },
      std::ref(left));
  REQUIRE(run_to_end(worker));
  CHECK(waiting == Code::cancelled);
  CHECK(after == Code::cancelled);
}

TEST_CASE("A write stops early once the peer has answered or ended") {
  for (const std::string answer : {"413", ""}) {
    Worker worker;
    auto [left, right] = stream_pair(worker);
    std::optional<Wrote> wrote;
    std::string got;
    worker.spawn(
        [](Stream stream, std::optional<Wrote>& out, std::string& text) -> Task<> {
          const std::string body(4 << 20, 'b');
          iovec part = part_of(body);
          auto sent = co_await stream.write_unless_readable({&part, 1}, kNoDeadline);
          VCHECK(sent);
          out = *sent;
          VCHECK(part.iov_len > 0);
          auto all = co_await read_all(stream, kNoDeadline);
          text = std::move(all);
        },
        std::move(left), std::ref(wrote), std::ref(got));
    worker.spawn(
        [](Stream stream, std::string text) -> Task<> {
          auto slept = co_await sleep_for(5ms);
          (void)slept;
          if (!text.empty()) {
            auto sent = co_await write_text(stream, text);
            VCHECK(sent);
          }
          stream.shutdown_write();
          auto later = co_await sleep_for(20ms);
          (void)later;
        },
        std::move(right), answer);
    REQUIRE(run_to_end(worker));
    CHECK(wrote == Wrote::interrupted);
    CHECK(got.substr(0, answer.size()) == answer);
  }
}

TEST_CASE("The state of an idle connection is clean, dirty or closed") {
  Worker worker;
  auto [left, right] = stream_pair(worker);
  CHECK(left.idle_state() == IdleState::clean);
  REQUIRE(::send(right.descriptor(), "x", 1, 0) == 1);
  CHECK(left.idle_state() == IdleState::dirty);
  char byte;
  CHECK(left.try_read({&byte, 1}).value() == 1u);
  CHECK(left.idle_state() == IdleState::clean);
  CHECK(left.try_read({&byte, 1}).value() == std::nullopt);
  CHECK_FALSE(left.readable_now());
  right.close();
  CHECK(left.idle_state() == IdleState::closed);
}

TEST_CASE("A reset cancels the guarded strand; a half-close does so only when asked") {
  struct Row {
    bool reset;
    HalfClose half_close;
    bool cancelled;
  };
  for (const Row row : {Row{true, HalfClose::keep, true}, Row{false, HalfClose::keep, false},
                        Row{false, HalfClose::cancel, true}}) {
    INFO(row.reset << row.cancelled);
    Worker worker;
    auto listener = Listener::open(loopback());
    REQUIRE(listener);
    bool guarded = false;
    std::optional<bool> cancelled;
    listener->serve(worker, [&](Stream stream) {
      worker.spawn(
          [](Stream client, const Row& expected, bool& in_place, std::optional<bool>& out) -> Task<> {
            HangupGuard guard(client, expected.half_close);
            in_place = true;
            auto slept = co_await sleep_for(expected.cancelled ? 20s : 100ms);
            out = !slept;
            VCHECK(guard.hung_up() == !slept);
          },
          std::move(stream), std::cref(row), std::ref(guarded), std::ref(cancelled));
    });
    worker.spawn(
        [](Address to, bool reset, const bool& in_place, const std::optional<bool>& over) -> Task<> {
          auto stream = co_await connect(to, kNoDeadline);
          VCHECK(stream);
          while (!in_place) (void)co_await sleep_for(1ms);
          if (reset) {
            stream->reset();
          } else {
            stream->shutdown_write();
          }
          while (!over) (void)co_await sleep_for(1ms);
        },
        listener->address(), row.reset, std::cref(guarded), std::cref(cancelled));
    REQUIRE(run_to_end(worker));
    CHECK(cancelled == row.cancelled);
  }
}

TEST_CASE("Whether the peer acknowledged anything is known, also on a reused connection") {
  Worker worker;
  auto listener = Listener::open(loopback());
  REQUIRE(listener);
  listener->serve(worker, [&](Stream stream) { worker.spawn(echo, std::move(stream)); });
  bool checked = false;
  worker.spawn(
      [](Address to, bool& out) -> Task<> {
        auto stream = co_await connect(to, kNoDeadline);
        VCHECK(stream);
        std::array<char, 64> buffer;
        for (int round = 0; round < 2; ++round) {
          VCHECK(!stream->acked_nothing());  // nothing is under way
          auto sent = co_await write_text(*stream, "hello");
          VCHECK(sent);
          auto slept = co_await sleep_for(20ms);
          VCHECK(slept && !stream->acked_nothing());
          auto got = co_await stream->read(buffer, kNoDeadline);
          VCHECK(got && *got == 5);
        }
        out = true;
      },
      listener->address(), std::ref(checked));
  REQUIRE(run_to_end(worker));
  CHECK(checked);
}

TEST_CASE("Connecting reports refusal and a deadline as origin trouble worth a retry") {
  Worker worker;
  std::vector<Error> errors;
  auto listener = Listener::open(loopback());
  const Address gone = listener->address();
  listener->close();
  worker.spawn(
      [](Address refused, std::vector<Error>& out) -> Task<> {
        auto first = co_await connect(refused, kNoDeadline);
        out.push_back(first.error());
        auto second = co_await connect(Address::unix_socket("/nonexistent/x.sock"), kNoDeadline);
        out.push_back(second.error());
        auto third = co_await connect(Address(), kNoDeadline);
        out.push_back(third.error());
      },
      gone, std::ref(errors));
  REQUIRE(run_to_end(worker));
  REQUIRE(errors.size() == 3);
  CHECK(errors[0].code == Code::refused);
  CHECK(errors[0].blame == Blame::origin);
  CHECK(errors[0].retry == Retry::yes);
  CHECK(errors[1].code == Code::refused);
  CHECK(errors[2].code == Code::malformed);
}

TEST_CASE("Descriptors travel over a unix socket") {
  Worker worker;
  auto [left, right] = stream_pair(worker);
  bool same = false;
  worker.spawn(
      [](Stream stream) -> Task<> {
        UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        const int sent_one = file.get();
        const std::string text = "take this";
        auto sent = co_await stream.send_with_fds(text, {&sent_one, 1}, kNoDeadline);
        VCHECK(sent);
      },
      std::move(left));
  worker.spawn(
      [](Stream stream, bool& out) -> Task<> {
        std::array<char, 64> buffer;
        std::vector<UniqueFd> descriptors;
        auto got = co_await stream.recv_with_fds(buffer, descriptors, kNoDeadline);
        VCHECK(got && *got == 9 && descriptors.size() == 1);
        struct stat mine, other;
        VCHECK(::fstat(descriptors[0].get(), &mine) == 0 && ::stat("/dev/null", &other) == 0);
        out = mine.st_rdev == other.st_rdev && (::fcntl(descriptors[0].get(), F_GETFD) & FD_CLOEXEC);
        auto end = co_await stream.recv_with_fds(buffer, descriptors, kNoDeadline);
        VCHECK(end && *end == 0);
      },
      std::move(right), std::ref(same));
  REQUIRE(run_to_end(worker));
  CHECK(same);
}

TEST_CASE("A closing listener first accepts what the kernel has queued") {
  Worker worker;
  auto listener = Listener::open(loopback());
  REQUIRE(listener);
  int accepted = 0;
  listener->serve(worker, [&](Stream) { ++accepted; });
  std::vector<UniqueFd> clients;
  sockaddr_storage storage;
  const socklen_t length = listener->address().to_sockaddr(storage);
  for (int i = 0; i < 40; ++i) {
    clients.emplace_back(::socket(AF_INET, SOCK_STREAM, 0));
    REQUIRE(::connect(clients.back().get(), reinterpret_cast<sockaddr*>(&storage), length) == 0);
  }
  listener->close();
  CHECK(accepted == 40);
}

TEST_CASE("Listening on a taken address is an error, a stale socket file is replaced, a live one is not") {
  const std::string path = "/tmp/vignette-stale-" + std::to_string(::getpid()) + ".sock";
  const Address address = Address::unix_socket(path);
  auto first = Listener::open(address);
  REQUIRE(first);
  CHECK(Listener::open(address).error().code == Code::unavailable);
  first->close();
  auto second = Listener::open(address);
  CHECK(second);
  ::unlink(path.c_str());
  auto tcp = Listener::open(loopback(), {.reuse_port = false});
  REQUIRE(tcp);
  CHECK(Listener::open(tcp->address(), {.reuse_port = false}).error().code == Code::unavailable);
}

TEST_CASE("An address that others share among themselves is not free") {
  auto theirs = Listener::open(loopback());
  REQUIRE(theirs);
  const Address address = theirs->address();
  CHECK(Listener::open(address));
  auto free = Listener::check_free(address);
  REQUIRE_FALSE(free);
  CHECK(free.error().code == Code::unavailable);
  theirs->close();
  CHECK(Listener::check_free(address));
}

TEST_CASE("Out of descriptors a listener pauses, counts, and recovers") {
  Worker worker;
  auto listener = Listener::open(loopback());
  REQUIRE(listener);
  int accepted = 0;
  listener->serve(worker, [&](Stream) { ++accepted; });
  UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage storage;
  const socklen_t length = listener->address().to_sockaddr(storage);
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const rlimit tight{static_cast<rlim_t>(client.get() + 1), before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
  std::vector<UniqueFd> fillers;
  while (true) {
    UniqueFd filler(::dup(client.get()));
    if (!filler) break;
    fillers.push_back(std::move(filler));
  }
  REQUIRE(::connect(client.get(), reinterpret_cast<sockaddr*>(&storage), length) == 0);
  worker.spawn(
      [](Worker& here, const rlimit& old, int& count) -> Task<> {
        while (here.counters().accept_exhausted == 0) {
          auto slept = co_await sleep_for(1ms);
          (void)slept;
        }
        VCHECK(count == 0);
        ::setrlimit(RLIMIT_NOFILE, &old);
        while (count == 0) {
          auto slept = co_await sleep_for(5ms);
          (void)slept;
        }
      },
      std::ref(worker), std::ref(before), std::ref(accepted));
  const bool ended = run_to_end(worker);
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK(ended);
  CHECK(accepted == 1);
  // Two pauses at most: a spinning listener would have counted thousands.
  CHECK(worker.counters().accept_exhausted <= 2);
}

TEST_CASE("A connection that the loop cannot watch is an error and counted") {
  Worker worker;
  // epoll refuses regular files as it refuses sockets when the limit of watches is reached.
  const auto stream = Stream::adopt(worker, UniqueFd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)));
  REQUIRE_FALSE(stream);
  CHECK(stream.error().code == Code::exhausted);
  CHECK(worker.counters().unwatched == 1);
  CHECK(worker.counters().streams == 0);
}

TEST_CASE("The file limit is raised and an unknown user is named in the error") {
  CHECK(raise_file_limit(4096) >= 1024);
  const auto dropped = drop_user("no-such-user-here");
  REQUIRE_FALSE(dropped);
  CHECK(dropped.error() == "user no-such-user-here does not exist");
  if (::getuid() != 0) {
    WARN("not root: dropping to another user was not tried");
    return;
  }
  const pid_t child = ::fork();
  if (child == 0) {
    const bool is_done = drop_user("nobody") && ::getuid() != 0 && ::setuid(0) != 0;
    ::_exit(is_done && capabilities() == "0000000000000400" ? 0 : 1);  // CAP_NET_BIND_SERVICE and no other
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
}

TEST_CASE(
    "A file of more bytes than the socket takes arrives whole behind what was written with more to come") {
  Worker worker;
  auto [left, right] = stream_pair(worker);
  std::string text(3'000'000, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i % 251);
  const UniqueFd file = file_with(text);
  Result<std::size_t> sent;
  std::string got;
  worker.spawn(
      [](Stream& stream, int descriptor, std::size_t size, Result<std::size_t>& result) -> Task<> {
        const std::string head = "head";
        iovec part = part_of(head);
        auto wrote = co_await stream.write_some({&part, 1}, soon(stream.worker()), true);
        if (!wrote) co_return;
        co_await send_file(stream, descriptor, size, result);
      },
      std::ref(left), file.get(), text.size(), std::ref(sent));
  worker.spawn([](Stream& stream,
                  std::string& all) -> Task<> { all = co_await read_all(stream, soon(stream.worker())); },
               std::ref(right), std::ref(got));
  REQUIRE(run_to_end(worker));
  REQUIRE(sent);
  CHECK(*sent == text.size());
  CHECK(got == "head" + text);
  CHECK(left.bytes_sent() == text.size() + 4);
}

TEST_CASE("A file that ends early sends what it has, and says so with nothing") {
  Worker worker;
  auto [left, right] = stream_pair(worker);
  const UniqueFd file = file_with("short");
  Result<std::size_t> sent;
  worker.spawn(send_file, std::ref(left), file.get(), std::size_t{1000}, std::ref(sent));
  REQUIRE(run_to_end(worker));
  REQUIRE(sent);
  CHECK(*sent == 5);
}

TEST_CASE(
    "A file for a peer that is gone, one that takes nothing and a bad descriptor fail in their own ways") {
  Worker worker;
  ignore_sigpipe();
  const UniqueFd file = file_with(std::string(3'000'000, 'x'));
  auto [left, right] = stream_pair(worker);
  Result<std::size_t> gone, bad, slow;
  SECTION("gone") {
    right.close();
    worker.spawn(send_file, std::ref(left), file.get(), std::size_t{100}, std::ref(gone));
    REQUIRE(run_to_end(worker));
    REQUIRE_FALSE(gone);
    CHECK(gone.error().code == Code::reset);
  }
  SECTION("bad descriptor") {
    worker.spawn(send_file, std::ref(left), -1, std::size_t{100}, std::ref(bad));
    REQUIRE(run_to_end(worker));
    REQUIRE_FALSE(bad);
    CHECK(bad.error().sys_errno == EBADF);
  }
  SECTION("takes nothing") {
    worker.spawn(
        [](Stream& stream, int descriptor, Result<std::size_t>& result) -> Task<> {
          std::size_t at = 0;
          do {
            const TimePoint deadline = stream.worker().now() + 30ms;
            auto some = co_await stream.send_file_some({descriptor, at, 3'000'000 - at}, deadline);
            result = some;
            at += some.value_or(0);
          } while (result);
        },
        std::ref(left), file.get(), std::ref(slow));
    REQUIRE(run_to_end(worker));
    REQUIRE_FALSE(slow);
    CHECK(slow.error().code == Code::timeout);
    CHECK(slow.error().blame == Blame::client);
  }
}
