// Credentials that expire, kept fresh for all workers.
//
//   none       a request waits for the one refresh under way, or starts it
//   fresh      used as they are; refresh_at lies some minutes, jittered, before they expire
//   due        still used, while one refresh runs behind
//   expired    as none
//
// A refresh that fails leaves what there is until it expires, is tried again after a jittered, doubling
// pause, and says so in one line. Only requests start refreshes: an idle node asks nobody.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/metrics.h"
#include "net/mailbox.h"
#include "net/signal.h"
#include "net/task.h"
#include "proxy/origin/credential_source.h"
#include "proxy/origin/credentials.h"

namespace vignette::proxy {

// When to ask again, and who asks: nothing in it waits. Thread-safe.
class CredentialLedger {
 public:
  static constexpr Duration kLead = std::chrono::minutes(5);     // before expiry; a third of shorter lives
  static constexpr Duration kUnlimited = std::chrono::hours(1);  // asked again although they do not expire
  static constexpr std::chrono::seconds kLongestLife = std::chrono::days(7);  // believed at a time
  static constexpr Duration kFirstPause = std::chrono::seconds(1);
  static constexpr Duration kLongestPause = std::chrono::seconds(10);
  static constexpr Duration kDistrustPause = std::chrono::seconds(5);

  struct View {
    CredentialsRef usable;  // null: none
    bool start = false;     // the caller must start a refresh, and end it by took(), failed() or gave_up()
    bool wait = false;      // nothing is usable, and a refresh is under way (perhaps the one to start)
  };
  View look(TimePoint now, WallTime wall);

  // `jitter` is uniform in [0, 1). False: they have expired already, which is a failure.
  bool took(Credentials credentials, TimePoint now, WallTime wall, double jitter);
  void failed(TimePoint now, double jitter);
  void gave_up();  // the refresh was cut off: somebody else may start one at once
  // The store refuses these: they count as expired, at most once in kDistrustPause. False: not these any
  // more, or too soon; asking again would be of no use.
  bool distrust(const CredentialsRef& refused, TimePoint now);

 private:
  mutable std::mutex mutex_;  // guards what follows
  CredentialsRef current_;
  bool distrusted_ = false;
  bool refreshing_ = false;
  std::uint32_t failures_ = 0;  // in a row
  TimePoint refresh_at_{};
  TimePoint retry_at_{};
  TimePoint distrust_at_{};
};

// Thread-safe.
class CredentialProvider {
 public:
  static constexpr Duration kLogInterval = std::chrono::seconds(60);

  // All arguments but the source outlive it.
  CredentialProvider(std::unique_ptr<CredentialSource> source, std::string origin, Logger& log,
                     const Clock& clock, Metrics& metrics);

  // Credentials that have not expired. Errors: unavailable (Blame::origin) when there are none and the source
  // gives none; timeout; cancelled. `provider` stays alive until a refresh it starts has ended.
  static net::Task<Result<CredentialsRef>> get(std::shared_ptr<CredentialProvider> provider,
                                               WorkerContext& context, TimePoint deadline);
  bool distrust(const CredentialsRef& refused, TimePoint now) { return ledger_.distrust(refused, now); }

 private:
  // A strand that waits, on whatever worker. `done` and the signal are its loop's alone.
  struct Waiting {
    net::Signal over;
    bool done = false;
  };
  struct Waiter {
    std::shared_ptr<net::Mailbox> mailbox;
    std::shared_ptr<Waiting> waiting;
  };
  class Refresh;

  static net::Task<void> refresh_strand(std::shared_ptr<CredentialProvider> provider, WorkerContext& context);
  void settle(WorkerContext& context, std::expected<Credentials, std::string> answer);
  void wake();

  const std::unique_ptr<CredentialSource> source_;
  const std::string origin_;
  Logger& log_;
  Counter& refreshed_;
  Counter& failed_;
  RateLimited failure_line_;
  CredentialLedger ledger_;
  std::mutex mutex_;  // guards waiters_
  std::vector<Waiter> waiters_;
};

}  // namespace vignette::proxy
