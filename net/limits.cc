#include "net/limits.h"

#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include <fmt/format.h>

namespace vignette::net {

std::uint64_t raise_file_limit(std::uint64_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  if (limit.rlim_max < wanted) {
    const rlimit both{wanted, wanted};
    if (::setrlimit(RLIMIT_NOFILE, &both) == 0) return wanted;
  }
  const rlimit soft{limit.rlim_max, limit.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &soft);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

std::expected<void, std::string> drop_user(const std::string& name) {
  passwd record{};
  passwd* found = nullptr;
  std::vector<char> text(16384);
  const int error = ::getpwnam_r(name.c_str(), &record, text.data(), text.size(), &found);
  if (!found) {
    return std::unexpected(error ? fmt::format("user {}: {}", name, std::strerror(error))
                                 : fmt::format("user {} does not exist", name));
  }
  if (record.pw_uid == ::geteuid() && record.pw_uid == ::getuid()) return {};
  const auto failed = [&](const char* step) {
    return std::unexpected(fmt::format("cannot become user {}: {}: {}", name, step, std::strerror(errno)));
  };
  if (::setgid(record.pw_gid) != 0) return failed("setgid");
  if (::initgroups(record.pw_name, record.pw_gid) != 0) return failed("initgroups");
  if (::setuid(record.pw_uid) != 0) return failed("setuid");
  // There must be no way back.
  if (record.pw_uid != 0 && ::setuid(0) == 0) return std::unexpected("the process could become root again");
  return {};
}

void ignore_sigpipe() { ::signal(SIGPIPE, SIG_IGN); }

}  // namespace vignette::net
