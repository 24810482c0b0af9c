// Which server gets the next request: smooth weighted round robin (nginx's), over those that may be asked.
// Primary servers as long as one of them is up; else backup servers; else, when nobody is up, any of them.
// A group with fewer than 30 % up panics: all of it is used, but for servers that are not up and refused a
// connection just now. Loop-thread only, one per worker.
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
  enum class Group : std::uint8_t { primary, backup, all };
  bool belongs(std::size_t index, Group group) const;
  // How many of the group are up; `panic` when that is too few.
  std::size_t count_up(Group group, TimePoint now, bool& panic) const;
  // Smooth weighted round robin over those of the group that may be asked; npos when there is none.
  std::size_t next(Group group, bool panic, TimePoint now, std::span<const std::size_t> without);

  std::vector<Member> members_;
  std::vector<std::int64_t> current_;
};

}  // namespace vignette::proxy
