#include "imaging/worker/sandbox.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>
#include <memory>

#include "imaging/protocol.h"

namespace vignette::imaging {
namespace {

constexpr rlim_t kMaxDescriptors = 16;  // standard three, socket, source, picture, and what is in a message

struct ReleaseFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, ReleaseFilter>;  // scmp_filter_ctx is a void*

bool allow(const Filter& filter, std::initializer_list<int> calls) {
  for (const int call : calls) {
    if (seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0) != 0) return false;
  }
  return true;
}

bool allow_when(const Filter& filter, int call, std::initializer_list<scmp_arg_cmp> conditions) {
  return seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, call, static_cast<unsigned>(conditions.size()),
                                conditions.begin()) == 0;
}

scmp_arg_cmp equals(unsigned argument, scmp_datum_t value) { return {argument, SCMP_CMP_EQ, value, 0}; }
scmp_arg_cmp masked(unsigned argument, scmp_datum_t mask, scmp_datum_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

bool allow_plain(const Filter& filter) {
  return allow(filter, {SCMP_SYS(read),
                        SCMP_SYS(write),
                        SCMP_SYS(close),
                        SCMP_SYS(fstat),
                        SCMP_SYS(lseek),
                        SCMP_SYS(ftruncate),
                        SCMP_SYS(munmap),
                        SCMP_SYS(mremap),
                        SCMP_SYS(madvise),
                        SCMP_SYS(brk),
                        SCMP_SYS(futex),
                        SCMP_SYS(set_robust_list),
                        SCMP_SYS(rseq),
                        SCMP_SYS(exit),
                        SCMP_SYS(exit_group),
                        SCMP_SYS(sched_yield),
                        SCMP_SYS(sched_getaffinity),
                        SCMP_SYS(gettid),
                        SCMP_SYS(getpid),
                        SCMP_SYS(clock_gettime),
                        SCMP_SYS(gettimeofday),
                        SCMP_SYS(clock_nanosleep),
                        SCMP_SYS(nanosleep),
                        SCMP_SYS(getrandom),
                        SCMP_SYS(rt_sigprocmask),
                        SCMP_SYS(rt_sigreturn),
                        SCMP_SYS(rt_sigaction),
                        SCMP_SYS(sigaltstack),
                        SCMP_SYS(getrusage),
                        SCMP_SYS(restart_syscall),
                        SCMP_SYS(sched_getattr),
                        SCMP_SYS(sysinfo),
                        SCMP_SYS(set_tid_address)});
}

// Calls that are harmless only with certain arguments.
bool allow_narrow(const Filter& filter, int socket) {
  const auto own = static_cast<scmp_datum_t>(getpid());
  return allow_when(filter, SCMP_SYS(recvmsg), {equals(0, static_cast<scmp_datum_t>(socket))}) &&
         allow_when(filter, SCMP_SYS(sendmsg), {equals(0, static_cast<scmp_datum_t>(socket))}) &&
         allow_when(filter, SCMP_SYS(mmap), {masked(2, PROT_EXEC, 0)}) &&
         allow_when(filter, SCMP_SYS(mprotect), {masked(2, PROT_EXEC, 0)}) &&
         allow_when(filter, SCMP_SYS(clone), {masked(0, CLONE_THREAD, CLONE_THREAD)}) &&
         allow_when(filter, SCMP_SYS(newfstatat), {equals(3, AT_EMPTY_PATH)}) &&  // glibc's fstat
         allow_when(filter, SCMP_SYS(fcntl), {equals(1, F_GET_SEALS)}) &&
         allow_when(filter, SCMP_SYS(prctl), {equals(0, PR_SET_NAME)}) &&
         allow_when(filter, SCMP_SYS(prlimit64), {equals(0, 0), equals(1, RLIMIT_CPU)}) &&
         allow_when(filter, SCMP_SYS(tgkill), {equals(0, own)}) &&  // abort()
         seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOTTY), SCMP_SYS(ioctl), 0) ==
             0 &&  // isatty of stdio
         // Its arguments are behind a pointer; without it glibc falls back to clone.
         seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0;
}

bool set_limits() {
  const rlimit none{0, 0};
  const rlimit descriptors{kMaxDescriptors, kMaxDescriptors};
  const rlimit file_size{kMaxResultBytes, kMaxResultBytes};
  return setrlimit(RLIMIT_CORE, &none) == 0 && setrlimit(RLIMIT_NOFILE, &descriptors) == 0 &&
         setrlimit(RLIMIT_FSIZE, &file_size) == 0;
}

}  // namespace

bool close_sandbox(int socket) {
  if (!set_limits()) return false;
  const Filter filter(seccomp_init(SCMP_ACT_KILL_PROCESS));
  if (!filter || seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1) != 0) return false;
  if (!allow_plain(filter) || !allow_narrow(filter, socket)) return false;
#ifdef VIGNETTE_SANITIZED
  // A sanitizer looks at the stack limit when a thread starts.
  if (!allow_when(filter, SCMP_SYS(prlimit64), {equals(0, 0), equals(1, RLIMIT_STACK), equals(2, 0)}))
    return false;
#endif
  return seccomp_load(filter.get()) == 0;
}

void allow_cpu_seconds(std::uint32_t seconds) {
  rusage usage{};
  rlimit limit{};
  if (getrusage(RUSAGE_SELF, &usage) != 0 || getrlimit(RLIMIT_CPU, &limit) != 0) return;
  const auto used = static_cast<rlim_t>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + 1;
  limit.rlim_cur = used + seconds;
  setrlimit(RLIMIT_CPU, &limit);
}

}  // namespace vignette::imaging
