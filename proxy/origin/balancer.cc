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

bool Balancer::belongs(std::size_t index, Group group) const {
  return group == Group::all || members_[index].backup == (group == Group::backup);
}

std::size_t Balancer::count_up(Group group, TimePoint now, bool& panic) const {
  std::size_t up = 0;
  std::size_t size = 0;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (!belongs(i, group)) continue;
    ++size;
    if (members_[i].state->is_up(now)) ++up;
  }
  panic = up * 100 < size * kPanicPercent;
  return up;
}

std::size_t Balancer::next(Group group, bool panic, TimePoint now, std::span<const std::size_t> without) {
  std::size_t best = kNone;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (!belongs(i, group) || std::ranges::find(without, i) != without.end()) continue;
    const ServerState& state = *members_[i].state;
    if (!state.is_up(now) && !(panic && !state.connect_failed_lately(now))) continue;
    std::int64_t weight = members_[i].weight;
    current_[i] += weight;
    total += weight;
    if (best == kNone || current_[i] > current_[best]) best = i;
  }
  if (best != kNone) current_[best] -= total;
  return best;
}

std::expected<Balancer::Choice, const char*> Balancer::choose(TimePoint now,
                                                              std::span<const std::size_t> tried) {
  if (members_.size() == 1 && tried.empty() && members_[0].state->is_up(now)) return Choice{};
  std::size_t up = 0;
  for (bool again : {false, true}) {
    if (again && tried.empty()) break;
    auto without = again ? std::span<const std::size_t>() : tried;
    for (Group group : {Group::primary, Group::backup, Group::all}) {
      if (group == Group::all && up > 0) break;
      bool panic = false;
      std::size_t count = count_up(group, now, panic);
      up += count;
      if (count == 0 && group != Group::all) continue;
      if (std::size_t index = next(group, panic, now, without); index != kNone)
        return Choice{index, panic, again};
    }
  }
  bool probing = std::ranges::all_of(
      members_, [](const Member& member) { return member.state->active() == ActiveHealth::probing; });
  return std::unexpected(probing ? "no server has passed its first health check" : "no server is up");
}

}  // namespace vignette::proxy
