#include "proxy/origin/balancer.h"

#include <algorithm>

#include "base/check.h"

namespace vignette::proxy {
namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);
constexpr std::size_t kPanicPercent = 30;

}  // namespace

Balancer::Balancer(std::vector<Member> members) : members_(std::move(members)), current_(members_.size()) {
  VCHECK(!members_.empty());
}

bool Balancer::eligible(std::size_t index, Tier tier, TimePoint now) const {
  const Member& member = members_[index];
  if (tier == Tier::any) return !member.state->connect_failed_lately(now);
  return member.backup == (tier == Tier::backup) && member.state->is_up(now);
}

bool Balancer::panics(TimePoint now) const {
  auto up = static_cast<std::size_t>(
      std::ranges::count_if(members_, [now](const Member& member) { return member.state->is_up(now); }));
  return up * 100 < members_.size() * kPanicPercent;
}

std::size_t Balancer::next(Tier tier, TimePoint now, std::span<const std::size_t> without) {
  std::size_t best = kNone;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (std::ranges::find(without, i) != without.end() || !eligible(i, tier, now)) continue;
    std::int64_t weight = members_[i].weight;
    current_[i] += weight;
    total += weight;
    if (best == kNone || current_[i] > current_[best]) best = i;
  }
  if (best != kNone) current_[best] -= total;
  return best;
}

std::expected<Balancer::Choice, const char*> Balancer::choose(TimePoint now, std::span<const std::size_t> tried) {
  if (members_.size() == 1 && tried.empty() && members_[0].state->is_up(now)) return Choice{};
  bool panic = panics(now);
  // Those that have not been tried first, then the others once more.
  for (std::span<const std::size_t> without : {tried, std::span<const std::size_t>()}) {
    bool again = without.size() != tried.size();
    if (again && tried.empty()) break;
    if (!panic) {
      for (Tier tier : {Tier::primary, Tier::backup}) {
        if (std::size_t index = next(tier, now, without); index != kNone) return Choice{index, false, again};
      }
    } else if (std::size_t index = next(Tier::any, now, without); index != kNone) {
      return Choice{index, true, again};
    }
  }
  bool probing = std::ranges::all_of(
      members_, [](const Member& member) { return member.state->active() == ActiveHealth::probing; });
  return std::unexpected(probing ? "no server has passed its first health check" : "no server is up");
}

}  // namespace vignette::proxy
