// Credentials of a service for several workers at once. The source is a fake; the workers are real.
#include "proxy/origin/credential_provider.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "fetch_rig.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace vignette::proxy::test;

namespace {

constexpr int kWanting = 8;

struct Facts {
  std::atomic<int> asks{0};
  std::atomic<int> wanting{0};
};

// Answers when everybody has asked for credentials.
class PatientSource final : public CredentialSource {
 public:
  PatientSource(Facts& facts, std::string failure) : facts_(facts), failure_(std::move(failure)) {}
  std::string_view name() const override { return "a fake"; }
  net::Task<std::expected<Credentials, std::string>> ask(WorkerContext&) override {
    ++facts_.asks;
    while (facts_.wanting < kWanting) {
      auto turn = co_await net::yield();
      if (!turn) co_return std::unexpected("");
    }
    if (!failure_.empty()) co_return std::unexpected(failure_);
    co_return Credentials{.access_key = "ASIA", .secret_key = "hush"};
  }

 private:
  Facts& facts_;
  const std::string failure_;
};

// Two workers, half of the crowd on each.
struct TwoWorkers : FetchRig {
  explicit TwoWorkers(const std::string& failure = {})
      : provider(std::make_shared<CredentialProvider>(std::make_unique<PatientSource>(facts, failure),
                                                      "photos", node.log, node.clock, registry)) {}

  void run_all() {
    for (int i = 0; i < kWanting; ++i) {
      WorkerContext& at = i % 2 == 0 ? context : second_context;
      at.loop.spawn_named("want", want, std::ref(*this), std::ref(at));
    }
    worker.spawn_named("watchdog", give_up, std::ref(*this));
    std::thread other([this] { second.run(); });
    worker.run();
    other.join();
  }

  Facts facts;
  std::shared_ptr<CredentialProvider> provider;
  net::Worker second;
  WorkerContext second_context{node, second, 1, snapshot};
  std::mutex mutex;  // guards what follows
  std::vector<CredentialsRef> got;
  std::vector<Error> errors;

 private:
  static net::Task<void> want(TwoWorkers& all, WorkerContext& at) {
    ++all.facts.wanting;
    auto keys = co_await CredentialProvider::get(all.provider, at, at.loop.now() + 10s);
    std::lock_guard lock(all.mutex);
    if (keys) {
      all.got.push_back(*keys);
    } else {
      all.errors.push_back(keys.error());
    }
    if (all.got.size() + all.errors.size() < kWanting) co_return;
    all.worker.stop();
    all.second.stop();
  }
  static net::Task<void> give_up(TwoWorkers& all) {
    auto slept = co_await net::sleep_for(20s);
    if (!slept) co_return;
    all.worker.stop();
    all.second.stop();
  }
};

}  // namespace

TEST_CASE("All workers wait for one refresh and get the same credentials") {
  TwoWorkers all;
  all.run_all();
  REQUIRE(all.got.size() == kWanting);
  for (const CredentialsRef& keys : all.got) CHECK(keys == all.got.front());
  CHECK(all.got.front()->access_key == "ASIA");
  CHECK(all.facts.asks == 1);
  CHECK(all.lines.empty());
}

TEST_CASE("When the refresh fails all workers know at once, and one line says why") {
  TwoWorkers all("it is on fire");
  all.run_all();
  REQUIRE(all.errors.size() == kWanting);
  for (const Error& error : all.errors) {
    CHECK(error.code == Code::unavailable);
    CHECK(error.blame == Blame::origin);
  }
  CHECK(all.facts.asks == 1);
  CHECK(all.lines.size() == 1);
  CHECK(all.logged("origin photos: no credentials from a fake: it is on fire") == 1);
}
