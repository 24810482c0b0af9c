#include "net/limits.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include <fmt/core.h>

#include "base/fd.h"

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

namespace {

// `text` holds what the record points to.
std::expected<passwd, std::string> find_user(const std::string& name, std::vector<char>& text) {
  passwd record{};
  passwd* found = nullptr;
  text.resize(16384);
  const int error = ::getpwnam_r(name.c_str(), &record, text.data(), text.size(), &found);
  if (found) return record;
  return std::unexpected(error ? fmt::format("user {}: {}", name, std::strerror(error))
                               : fmt::format("user {} does not exist", name));
}

// Of what this thread is permitted; nothing is inherited by programs that it starts.
bool keep_only_binding() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capget, &header, sets) != 0) return false;
  constexpr std::uint32_t kBind = 1u << CAP_NET_BIND_SERVICE;
  const std::uint32_t kept = sets[0].permitted & kBind;
  sets[0] = {.effective = kept, .permitted = kept, .inheritable = 0};
  sets[1] = {};
  return ::syscall(SYS_capset, &header, sets) == 0;
}

}  // namespace

std::optional<std::string> why_no_user(const std::string& name) {
  std::vector<char> text;
  const auto user = find_user(name, text);
  return user ? std::nullopt : std::optional(user.error());
}

std::expected<void, std::string> give_file(const std::string& path, const std::string& name) {
  if (name.empty() || ::geteuid() != 0) return {};
  std::vector<char> text;
  const auto user = find_user(name, text);
  if (!user) return std::unexpected(user.error());
  // What the name leads to may be somebody's trap when others may write to its folder.
  const UniqueFd file(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status{};
  if (!file || ::fstat(file.get(), &status) != 0) return {};
  const bool is_ours = S_ISREG(status.st_mode) || S_ISSOCK(status.st_mode);
  if (!is_ours || status.st_nlink != 1) return {};
  if (::fchownat(file.get(), "", user->pw_uid, user->pw_gid, AT_EMPTY_PATH) == 0) return {};
  return std::unexpected(fmt::format("cannot give {} to user {}: {}", path, name, std::strerror(errno)));
}

std::expected<void, std::string> drop_user(const std::string& name) {
  std::vector<char> text;
  const auto user = find_user(name, text);
  if (!user) return std::unexpected(user.error());
  const passwd& record = *user;
  if (record.pw_uid == ::geteuid() && record.pw_uid == ::getuid()) return {};
  const auto failed = [&](const char* step) {
    return std::unexpected(fmt::format("cannot become user {}: {}: {}", name, step, std::strerror(errno)));
  };
  if (::setgid(record.pw_gid) != 0) return failed("setgid");
  if (::initgroups(record.pw_name, record.pw_gid) != 0) return failed("initgroups");
  if (::prctl(PR_SET_KEEPCAPS, 1) != 0) return failed("keep capabilities");
  if (::setuid(record.pw_uid) != 0) return failed("setuid");
  if (!keep_only_binding()) return failed("drop capabilities");
  // There must be no way back.
  if (record.pw_uid != 0 && ::setuid(0) == 0) return std::unexpected("the process could become root again");
  return {};
}

namespace {

sigset_t held_signals() {
  sigset_t held;
  sigemptyset(&held);
  sigaddset(&held, SIGHUP);
  sigaddset(&held, SIGUSR1);
  return held;
}

}  // namespace

void hold_signals() {
  const sigset_t held = held_signals();
  ::pthread_sigmask(SIG_BLOCK, &held, nullptr);
}

void release_signals() {
  const sigset_t held = held_signals();
  ::pthread_sigmask(SIG_UNBLOCK, &held, nullptr);
}

void ignore_sigpipe() { ::signal(SIGPIPE, SIG_IGN); }

}  // namespace vignette::net
