#include "base/digest.h"

#include <nettle/md5.h>
#include <nettle/sha1.h>

#include "base/nettle_state.h"

namespace vignette {

Md5::Md5() {
  state_.fill(0);
  md5_init(new (state_.data()) md5_ctx);
}

Md5& Md5::update(std::string_view bytes) {
  md5_update(context<md5_ctx>(state_), bytes.size(), octets(bytes));
  return *this;
}

Md5Digest Md5::finish() {
  Md5Digest digest;
  md5_digest(context<md5_ctx>(state_), digest.size(), digest.data());
  return digest;
}

Sha1::Sha1() {
  state_.fill(0);
  sha1_init(new (state_.data()) sha1_ctx);
}

Sha1& Sha1::update(std::string_view bytes) {
  sha1_update(context<sha1_ctx>(state_), bytes.size(), octets(bytes));
  return *this;
}

Sha1Digest Sha1::finish() {
  Sha1Digest digest;
  sha1_digest(context<sha1_ctx>(state_), digest.size(), digest.data());
  return digest;
}

}  // namespace vignette
