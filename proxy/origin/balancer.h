// Which server gets the next request: smooth weighted round robin (nginx's), over those that may be asked.
// The order: primary servers that are up, backup servers that are up; when fewer than 30 % of all are up,
// any of them (panic), except those that refused a connection just now. Loop-thread only, one per worker.
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <vector>

#include "base/clock.h"
#include "proxy/origin/server_registry.h"

namespace vignette::proxy {

class Balancer {
 public:
  struct Member {
    const ServerState* state;
    std::uint32_t weight = 1;  // at least 1
    bool backup = false;
  };

  explicit Balancer(std::vector<Member> members);

  struct Choice {
    std::size_t index = 0;  // of the members
    bool panic = false;
    bool again = false;  // it has been tried already: nobody else is left
  };
  // `tried`: indexes of members that failed this request; they come last. The error is the reason in words,
  // static: nobody may be asked.
  std::expected<Choice, const char*> choose(TimePoint now, std::span<const std::size_t> tried = {});

 private:
  enum class Tier : std::uint8_t { primary, backup, any };
  bool eligible(std::size_t index, Tier tier, TimePoint now) const;
  bool panics(TimePoint now) const;
  // Smooth weighted round robin over the eligible ones; npos when there is none.
  std::size_t next(Tier tier, TimePoint now, std::span<const std::size_t> without);

  std::vector<Member> members_;
  std::vector<std::int64_t> current_;
};

}  // namespace vignette::proxy
