#include "net/ticket_keys.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace vignette::net {
namespace {

constexpr std::size_t kKeptKeys = 2;  // of random ones: the newest, and the one before

// Takes as many bytes as `into` has from the front.
void take_bytes(std::string_view& bytes, std::span<unsigned char> into) {
  std::copy_n(bytes.begin(), into.size(), into.begin());
  bytes.remove_prefix(into.size());
}

void drop_from(std::vector<TicketKey>& keys, std::size_t first) {
  if (first >= keys.size()) return;
  OPENSSL_cleanse(keys.data() + first, (keys.size() - first) * sizeof(TicketKey));
  keys.resize(first);
}

}  // namespace

TicketKey TicketKey::random() {
  TicketKey key;
  for (const std::span<unsigned char> part :
       {std::span<unsigned char>(key.name), std::span<unsigned char>(key.hmac),
        std::span<unsigned char>(key.aes)}) {
    VCHECK(RAND_bytes(part.data(), static_cast<int>(part.size())) == 1);
  }
  return key;
}

std::optional<TicketKey> TicketKey::parse(std::string_view bytes) {
  if (bytes.size() != 48 && bytes.size() != 80) return std::nullopt;
  TicketKey key;
  key.secret_bytes = (bytes.size() - kNameBytes) / 2;
  const std::span hmac = std::span(key.hmac).first(key.secret_bytes);
  const std::span aes = std::span(key.aes).first(key.secret_bytes);
  take_bytes(bytes, key.name);
  take_bytes(bytes, key.secret_bytes == 16 ? aes : hmac);
  take_bytes(bytes, key.secret_bytes == 16 ? hmac : aes);
  return key;
}

TicketKeys::TicketKeys(const Clock& clock, Duration interval)
    : clock_(clock), keys_{TicketKey::random()}, interval_(interval), rotated_(clock.now()) {}

void TicketKeys::use_random(Duration interval) {
  const std::lock_guard lock(mutex_);
  interval_ = interval;
  if (std::exchange(is_random_, true)) return;
  drop_from(keys_, 0);
  keys_ = {TicketKey::random()};
  rotated_ = clock_.now();
}

void TicketKeys::use(std::vector<TicketKey> keys) {
  VCHECK(!keys.empty());
  const std::lock_guard lock(mutex_);
  is_random_ = false;
  drop_from(keys_, 0);
  keys_ = std::move(keys);
}

// Done by whoever asks next, so that there is no timer: keys that are due may stay in memory of an idle node,
// but decrypt nothing.
void TicketKeys::rotate_if_due() {
  if (!is_random_) return;
  const auto passed = (clock_.now() - rotated_) / interval_;
  if (passed < 1) return;
  if (passed > 1) drop_from(keys_, 0);
  keys_.insert(keys_.begin(), TicketKey::random());
  drop_from(keys_, kKeptKeys);
  rotated_ += passed * interval_;
}

TicketKey TicketKeys::current() {
  const std::lock_guard lock(mutex_);
  rotate_if_due();
  return keys_.front();
}

std::optional<TicketKeys::Found> TicketKeys::find(
    std::span<const unsigned char, TicketKey::kNameBytes> name) {
  const std::lock_guard lock(mutex_);
  rotate_if_due();
  const auto found =
      std::ranges::find_if(keys_, [&](const TicketKey& key) { return std::ranges::equal(key.name, name); });
  if (found == keys_.end()) return std::nullopt;
  return Found{*found, found == keys_.begin()};
}

}  // namespace vignette::net
