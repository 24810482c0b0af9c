#include "base/thread.h"

#include <pthread.h>
#include <signal.h>

#include <string>
#include <utility>

namespace vignette {

std::thread start_thread(std::string_view name, std::move_only_function<void()> body) {
  // Masked around the start, so that no signal can land on the new thread before it masks them itself.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  struct Restore {
    const sigset_t& mask;
    ~Restore() { pthread_sigmask(SIG_SETMASK, &mask, nullptr); }
  } restore{before};
  return std::thread([label = std::string(name.substr(0, 15)), body = std::move(body)]() mutable {
    pthread_setname_np(pthread_self(), label.c_str());
    body();
  });
}

}  // namespace vignette
