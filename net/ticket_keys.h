// Keys of session tickets (RFC 5077 section 4, RFC 8446 section 4.6.1): tickets are stateless, so whoever has
// their keys resumes sessions. One TicketKeys is shared by all that accept TLS in the process and outlives
// reloads. It makes random keys of its own, replaced after each interval, or uses given ones that a fleet
// shares. Tickets are encrypted with the newest key; those of the key before it are accepted and renewed.
#pragma once

#include <array>
#include <cstddef>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace vignette::net {

struct TicketKey {
  static constexpr std::size_t kNameBytes = 16;

  std::array<unsigned char, kNameBytes> name{};  // travels with the ticket, in the clear
  std::array<unsigned char, 32> hmac{};          // SHA-256
  std::array<unsigned char, 32> aes{};           // CBC
  std::size_t secret_bytes = 32;                 // of hmac and of aes: 16 is AES-128, 32 is AES-256

  static TicketKey random();
  // The bytes of a file as nginx's ssl_session_ticket_key takes them: 80 are name, HMAC and AES-256 key; 48
  // are name, AES-128 key and HMAC. Nothing for any other size.
  static std::optional<TicketKey> parse(std::string_view bytes);
};

// Thread-safe.
class TicketKeys {
 public:
  static constexpr Duration kDefaultInterval = std::chrono::hours(6);

  // `clock` outlives this.
  explicit TicketKeys(const Clock& clock, Duration interval = kDefaultInterval);

  // Random keys, replaced after each interval. Goes on with those in use when they are random already.
  void use_random(Duration interval);
  // These: the first encrypts, all decrypt. At least one; they change only by another call.
  void use(std::vector<TicketKey> keys);

  TicketKey current();
  struct Found {
    TicketKey key;
    bool is_current = false;  // else the ticket should be replaced
  };
  std::optional<Found> find(std::span<const unsigned char, TicketKey::kNameBytes> name);

 private:
  void rotate_if_due();

  const Clock& clock_;
  std::mutex mutex_;             // guards what follows
  std::vector<TicketKey> keys_;  // newest first
  bool is_random_ = true;
  Duration interval_;
  TimePoint rotated_;
};

}  // namespace vignette::net
