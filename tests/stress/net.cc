// The chaos stress of net: two workers, clients that abort, reset, drip and stall, strands cancelled at
// random, posts from other threads, signals and offloaded work that meet cancellation, and a shutdown with
// everything pending, in rounds. It proves nothing by itself: the sanitizers do, and the counts at the end.
// Usage: stress_net [seconds] [seed]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/bounded_pool.h"
#include "base/check.h"
#include "net/connect.h"
#include "net/limits.h"
#include "net/listener.h"
#include "net/offload.h"
#include "net/signal.h"
#include "net/stream.h"
#include "net/worker.h"

using namespace vignette;
using namespace vignette::net;
using namespace std::chrono_literals;

namespace {

struct Counts {
  std::atomic<std::uint64_t> connections{0}, echoed{0}, resets{0}, timeouts{0}, cancelled{0}, hung_up{0},
      signalled{0}, offloaded{0}, posted{0}, abandoned{0}, spawned{0}, finished{0};
};

// One worker and what its strands share.
struct Site {
  Site(Counts& tally, BoundedPool& blocking, unsigned seed, Duration grace)
      : counts(tally), pool(blocking), random(seed), worker({.stop_grace = grace}) {}
  unsigned roll(unsigned sides) { return static_cast<unsigned>(random() % sides); }

  Counts& counts;
  BoundedPool& pool;
  std::minstd_rand random;
  Worker worker;
  std::shared_ptr<Signal> signal = std::make_shared<Signal>();
  std::vector<StrandRef> victims;
  Listener listener;
};

void count(Site& site, const Error& error) {
  if (error.code == Code::reset) ++site.counts.resets;
  if (error.code == Code::timeout) ++site.counts.timeouts;
  if (error.code == Code::cancelled) ++site.counts.cancelled;
}

Task<> join_signal(Site& site, std::shared_ptr<Signal> signal, const std::string& name) {
  Worker& here = co_await this_worker();
  auto woken = co_await signal->wait(here.now() + std::chrono::milliseconds(site.roll(30)));
  VCHECK(name == "a name that is too long to lie inside a string");
  if (woken) ++site.counts.signalled;
}

Task<Result<void>> answer(Site& site, Stream& stream, const std::string& request) {
  std::string head = "answer:";
  iovec parts[2] = {{head.data(), head.size()}, {const_cast<char*>(request.data()), request.size()}};
  auto sent = co_await stream.write(parts, site.worker.now() + 50ms);
  co_return sent;
}

Task<> serve(Site& site, Stream stream) {
  std::string buffer(512, '\0');
  while (true) {
    const TimePoint deadline = site.worker.now() + std::chrono::milliseconds(5 + site.roll(40));
    auto ready = co_await stream.wait_readable(deadline);
    if (!ready) co_return count(site, ready.error());
    auto got = co_await stream.read(buffer, deadline);
    if (!got) co_return count(site, got.error());
    if (*got == 0) co_return;
    const unsigned kind = site.roll(16);
    if (kind == 0) {
      HangupGuard guard(stream);
      auto slept = co_await sleep_for(10ms);
      if (guard.hung_up()) ++site.counts.hung_up;
      if (!slept) co_return count(site, slept.error());
    } else if (kind == 1) {
      auto result = co_await offload(site.pool, [text = buffer]() mutable {
        // Long enough for the loop to go on meanwhile.
        for (int i = 0; i < 40; ++i)
          std::ranges::sort(text, [i](char a, char b) { return i % 2 ? a < b : a > b; });
        return text.size();
      });
      if (result) ++site.counts.offloaded;
    } else if (kind == 2) {
      site.worker.spawn(join_signal, std::ref(site), site.signal,
                        std::string("a name that is too long to lie inside a string"));
      auto woken = co_await site.signal->wait(deadline);
      if (woken) ++site.counts.signalled;
    } else if (kind == 3) {
      stream.reset();
      co_return;
    }
    const std::string request = buffer.substr(0, *got);
    auto sent = co_await answer(site, stream, request);
    if (!sent) co_return count(site, sent.error());
    ++site.counts.echoed;
  }
}

Task<> drip(Stream& stream, Site& site) {
  for (unsigned i = site.roll(6); i > 0; --i) {
    char byte = 'd';
    iovec part{&byte, 1};
    auto sent = co_await stream.write({&part, 1}, site.worker.now() + 20ms);
    auto slept = co_await sleep_for(std::chrono::milliseconds(site.roll(15)));
    if (!sent || !slept) co_return;
  }
}

Task<> flood(Stream& stream, Site& site) {
  std::string big(1u << 20, 'f');
  iovec part{big.data(), big.size()};
  auto sent = co_await stream.write_unless_readable({&part, 1}, site.worker.now() + 30ms);
  if (!sent) count(site, sent.error());
}

Task<> client(Site& site, Address to) {
  while (true) {
    auto stream = co_await connect(to, site.worker.now() + 100ms);
    if (!stream) {
      count(site, stream.error());
      auto slept = co_await sleep_for(5ms);
      if (!slept) co_return;
      continue;
    }
    ++site.counts.connections;
    const unsigned kind = site.roll(8);
    if (kind == 0) {
      co_await drip(*stream, site);
    } else if (kind == 1) {
      co_await flood(*stream, site);
    } else {
      for (unsigned i = site.roll(5); i > 0; --i) {
        std::string text(1 + site.roll(400), 'q');
        iovec part{text.data(), text.size()};
        auto sent = co_await stream->write({&part, 1}, site.worker.now() + 20ms);
        if (!sent) break;
        char buffer[300];
        auto got =
            co_await stream->read(buffer, site.worker.now() + std::chrono::milliseconds(1 + site.roll(40)));
        if (!got || *got == 0) break;
      }
    }
    if (site.roll(2) == 0) stream->reset();
    Strand& self = co_await this_strand();
    if (self.cancelled()) co_return;
    auto turn = co_await yield();
    if (!turn) co_return;
  }
}

// Two strands on one stream: the one closes what the other waits for.
Task<> shared_reader(Site& site, std::shared_ptr<Stream> stream) {
  char buffer[64];
  auto got = co_await stream->read(buffer, site.worker.now() + 1s);
  if (!got) count(site, got.error());
}
Task<> shared_closer(Site& site, Address to) {
  while (true) {
    auto stream = co_await connect(to, site.worker.now() + 100ms);
    if (!stream) {
      auto pause = co_await sleep_for(5ms);
      if (!pause) co_return;
      continue;
    }
    auto shared = std::make_shared<Stream>(std::move(*stream));
    site.worker.spawn(shared_reader, std::ref(site), shared);
    auto slept = co_await sleep_for(2ms);
    shared->close();
    if (!slept) co_return;
  }
}

Task<> chaos(Site& site) {
  while (true) {
    auto slept = co_await sleep_for(std::chrono::milliseconds(site.roll(4)));
    if (!slept) co_return;
    if (site.roll(2) == 0) site.signal->notify_all();
    if (site.roll(8) == 0) site.signal = std::make_shared<Signal>();  // who waits holds the old one
    for (int i = 0; i < 4 && !site.victims.empty(); ++i)
      site.victims[site.roll(unsigned(site.victims.size()))].cancel();
    if (site.victims.size() > 256) site.victims.clear();
  }
}

// Waits for what never comes.
Task<> doomed(Site& site, Address to) {
  auto stream = co_await connect(to, kNoDeadline);
  if (!stream) co_return;
  char byte;
  auto got = co_await stream->read({&byte, 1}, kNoDeadline);
  if (!got) count(site, got.error());
}

void open_site(Site& site) {
  auto listener = Listener::open(*Address::parse("127.0.0.1:0"));
  VCHECK(listener);
  site.listener = std::move(*listener);
  site.listener.serve(site.worker, [&site](Stream stream) {
    site.victims.push_back(site.worker.spawn_named("serve", serve, std::ref(site), std::move(stream)));
  });
}

void populate(Site& site, const Address& other) {
  for (int i = 0; i < 24; ++i)
    site.worker.spawn_named("client", client, std::ref(site), i % 2 ? other : site.listener.address());
  site.worker.spawn(shared_closer, std::ref(site), site.listener.address());
  site.worker.spawn(doomed, std::ref(site), other);
  site.worker.spawn_named("chaos", chaos, std::ref(site));
}

void run_site(Site& site) {
  site.worker.run();
  site.counts.abandoned += site.worker.counters().abandoned;
  site.counts.spawned += site.worker.counters().spawned;
  site.counts.finished += site.worker.counters().finished;
  VCHECK(site.worker.strands() == 0);
  site.listener.close();  // spawns strands that will never run; the worker's end destroys them
}

Task<> end_round(Site& left, Site& right) {
  auto slept = co_await sleep_for(250ms);
  static_cast<void>(slept);
  left.worker.stop();
  right.worker.stop();
}

void round(Counts& counts, unsigned seed) {
  BoundedPool pool("stress", 2, 8);
  // Every other round gives cancelled strands no time, so that frames are destroyed while they wait.
  const Duration grace = seed % 2 ? Duration::zero() : Duration(2s);
  Site left(counts, pool, seed, grace);
  Site right(counts, pool, seed + 1000, grace);
  open_site(left);
  open_site(right);
  populate(left, right.listener.address());
  populate(right, left.listener.address());
  left.worker.spawn_named("end", end_round, std::ref(left), std::ref(right));
  std::jthread first([&] { run_site(left); });
  std::jthread second([&] { run_site(right); });
  std::vector<std::jthread> posters;
  for (int i = 0; i < 2; ++i) {
    posters.emplace_back([&counts, &left, &right](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        for (Site* site : {&left, &right}) {
          site->worker.post([&counts, text = std::string(100, 'p')] { counts.posted += text.size() / 100; });
        }
        std::this_thread::yield();
      }
    });
  }
  first.join();
  second.join();
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 6;
  unsigned seed = argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 1;
  ignore_sigpipe();
  raise_file_limit(8192);
  Counts counts;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  unsigned rounds = 0;
  do {
    round(counts, seed++);
    ++rounds;
  } while (std::chrono::steady_clock::now() < end);
  std::printf(
      "%u rounds: connections %lu, echoed %lu, resets %lu, timeouts %lu, cancelled %lu, hung up %lu, "
      "signalled %lu, "
      "offloaded %lu, posted %lu, strands %lu, abandoned %lu\n",
      rounds, counts.connections.load(), counts.echoed.load(), counts.resets.load(), counts.timeouts.load(),
      counts.cancelled.load(), counts.hung_up.load(), counts.signalled.load(), counts.offloaded.load(),
      counts.posted.load(), counts.spawned.load(), counts.abandoned.load());
  // A stress in which something never happened has tested less than it says.
  const bool all = counts.echoed && counts.resets && counts.timeouts && counts.cancelled &&
                   counts.signalled && counts.offloaded && counts.posted;
  if (counts.spawned != counts.finished || (rounds >= 4 && !all)) {
    std::fprintf(stderr, "the counts are wrong\n");
    return 1;
  }
  return 0;
}
