#include "base/hmac.h"

#include <nettle/hmac.h>
#include <nettle/sha2.h>

#include "base/nettle_state.h"
#include "base/strings.h"

namespace vignette {

Sha256::Sha256() {
  state_.fill(0);
  sha256_init(new (state_.data()) sha256_ctx);
}

Sha256& Sha256::update(std::string_view bytes) {
  sha256_update(context<sha256_ctx>(state_), bytes.size(), octets(bytes));
  return *this;
}

Sha256Digest Sha256::finish() {
  Sha256Digest digest;
  sha256_digest(context<sha256_ctx>(state_), digest.size(), digest.data());
  return digest;
}

Sha256Digest sha256(std::string_view bytes) { return Sha256().update(bytes).finish(); }

Sha256Digest hmac_sha256(std::string_view key, std::string_view data) {
  hmac_sha256_ctx hmac;
  hmac_sha256_set_key(&hmac, key.size(), octets(key));
  hmac_sha256_update(&hmac, data.size(), octets(data));
  Sha256Digest digest;
  hmac_sha256_digest(&hmac, digest.size(), digest.data());
  return digest;
}

std::string to_hex(const Sha256Digest& digest) { return hex_encode(as_view(digest)); }

}  // namespace vignette
