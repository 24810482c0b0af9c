#include "proxy/origin/credential_provider.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

constexpr std::uint32_t kMostDoublings = 8;
constexpr double kJitteredShare = 0.2;  // of the lead

Duration share(Duration whole, double part) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(whole) * part);
}

}  // namespace

CredentialLedger::View CredentialLedger::look(TimePoint now, WallTime wall) {
  std::lock_guard lock(mutex_);
  View view;
  const bool expired = current_ && current_->expires && wall >= *current_->expires;
  if (current_ && !expired && !distrusted_) view.usable = current_;
  const bool due = !view.usable || now >= refresh_at_;
  if (due && !refreshing_ && now >= retry_at_) view.start = refreshing_ = true;
  view.wait = !view.usable && refreshing_;
  return view;
}

bool CredentialLedger::took(Credentials credentials, TimePoint now, WallTime wall, double jitter) {
  Duration life = kUnlimited;
  // In seconds: a date in 9999 is further away than Duration can say.
  if (credentials.expires) life = std::min(*credentials.expires - wall, kLongestLife);
  if (life <= Duration::zero()) {
    failed(now, jitter);
    return false;
  }
  const Duration lead = std::min<Duration>(kLead, life / 3);
  std::lock_guard lock(mutex_);
  current_ = std::make_shared<const Credentials>(std::move(credentials));
  distrusted_ = false;
  refreshing_ = false;
  failures_ = 0;
  refresh_at_ = now + life - lead + share(lead, kJitteredShare * jitter);
  retry_at_ = {};
  return true;
}

void CredentialLedger::failed(TimePoint now, double jitter) {
  std::lock_guard lock(mutex_);
  const Duration whole =
      std::min<Duration>(kFirstPause * (1U << std::min(failures_, kMostDoublings)), kLongestPause);
  ++failures_;
  refreshing_ = false;
  retry_at_ = now + share(whole, 0.5 + jitter / 2);
}

void CredentialLedger::gave_up() {
  std::lock_guard lock(mutex_);
  refreshing_ = false;
}

bool CredentialLedger::distrust(const CredentialsRef& refused, TimePoint now) {
  std::lock_guard lock(mutex_);
  if (refused != current_) return current_ != nullptr;  // there are others by now
  if (now < distrust_at_) return false;
  distrust_at_ = now + kDistrustPause;
  distrusted_ = true;
  return true;
}

// Ends the refresh whatever becomes of its strand.
class CredentialProvider::Refresh {
 public:
  explicit Refresh(CredentialProvider& provider) : provider_(provider) {}
  ~Refresh() {
    if (!settled_) provider_.ledger_.gave_up();
    provider_.wake();
  }
  Refresh(const Refresh&) = delete;
  Refresh& operator=(const Refresh&) = delete;
  void settled() { settled_ = true; }

 private:
  CredentialProvider& provider_;
  bool settled_ = false;
};

CredentialProvider::CredentialProvider(std::unique_ptr<CredentialSource> source, std::string origin,
                                       Logger& log, const Clock& clock, Metrics& metrics)
    : source_(std::move(source)),
      origin_(std::move(origin)),
      log_(log),
      refreshed_(metrics.counter("vignette_s3_credential_refreshes_total",
                                 "Credentials asked for, by origin and result.",
                                 {{"origin", origin_}, {"result", "ok"}})),
      failed_(metrics.counter("vignette_s3_credential_refreshes_total",
                              "Credentials asked for, by origin and result.",
                              {{"origin", origin_}, {"result", "failed"}})),
      failure_line_(clock, kLogInterval) {}

void CredentialProvider::wake() {
  std::vector<Waiter> woken;
  {
    std::lock_guard lock(mutex_);
    woken.swap(waiters_);
  }
  for (Waiter& waiter : woken) {
    waiter.mailbox->post([waiting = std::move(waiter.waiting)] {
      waiting->done = true;
      waiting->over.notify_all();
    });
  }
}

void CredentialProvider::settle(WorkerContext& context, std::expected<Credentials, std::string> answer) {
  const TimePoint now = context.loop.now();
  const double jitter = context.pools.chance();
  std::string wrong;
  if (!answer) {
    wrong = std::move(answer.error());
    ledger_.failed(now, jitter);
  } else if (!ledger_.took(std::move(*answer), now, context.loop.wall(), jitter)) {
    wrong = "they have expired already; this host's clock may be wrong";
  }
  (wrong.empty() ? refreshed_ : failed_).add(context.index);
  if (wrong.empty()) return;
  if (auto more = failure_line_.admit()) {
    log_.error("origin {}: no credentials from {}: {} ({} more since the last line)", origin_,
               source_->name(), wrong, *more);
  }
}

net::Task<void> CredentialProvider::refresh_strand(std::shared_ptr<CredentialProvider> provider,
                                                   WorkerContext& context) {
  Refresh refresh(*provider);
  auto answer = co_await provider->source_->ask(context);
  const bool is_cancelled = !answer && answer.error().empty();
  if (is_cancelled) co_return;
  refresh.settled();
  provider->settle(context, std::move(answer));
}

net::Task<Result<CredentialsRef>> CredentialProvider::get(std::shared_ptr<CredentialProvider> provider,
                                                          WorkerContext& context, TimePoint deadline) {
  for (;;) {
    auto waiting = std::make_shared<Waiting>();
    CredentialLedger::View view;
    {
      // Under one lock with wake(): a refresh that ends now finds this waiter, or has ended before the look.
      std::lock_guard lock(provider->mutex_);
      view = provider->ledger_.look(context.loop.now(), context.loop.wall());
      if (view.wait) provider->waiters_.push_back({context.loop.mailbox(), waiting});
    }
    if (view.start) context.loop.spawn_named("credentials", refresh_strand, provider, std::ref(context));
    if (view.usable) co_return view.usable;
    if (!view.wait) co_return fail(Code::unavailable, Blame::origin, "s3: no credentials", 0, Retry::yes);
    while (!waiting->done) {
      auto woken = co_await waiting->over.wait(deadline);
      if (woken) continue;
      if (woken.error().code == Code::cancelled) co_return std::unexpected(woken.error());
      co_return fail(Code::timeout, Blame::origin, "s3: waiting for credentials");
    }
  }
}

}  // namespace vignette::proxy
