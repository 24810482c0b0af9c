#include "net/mailbox.h"

#include <sys/eventfd.h>

#include "base/check.h"

namespace vignette::net {

Mailbox::Mailbox() : descriptor_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  VCHECK(descriptor_);  // without its eventfd a worker cannot live
}

void Mailbox::post(Letter letter) {
  {
#ifndef VIGNETTE_MUTATION_POST_UNLOCKED
    std::lock_guard lock(mutex_);
#endif
    if (closed_) return;  // the letter dies with this call, outside the lock
    letters_.push_back(std::move(letter));
    if (letters_.size() > 1) return;  // whoever wrote the first one has rung
  }
  wake();
}

// The loop watches edges and never reads the counter: each write is an edge.
void Mailbox::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(descriptor_.get(), &one, sizeof one);
}

void Mailbox::take(std::vector<Letter>& into) {
  std::lock_guard lock(mutex_);
  into.swap(letters_);
}

void Mailbox::close() {
  std::vector<Letter> left;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    left.swap(letters_);
  }
}

}  // namespace vignette::net
