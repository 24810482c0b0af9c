// XXH3: fast, not for secrets. Values are the same on every run and machine, so they may be stored; who knows
// that can choose texts whose hashes share bits. Where that would hurt, spread() them first.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace vignette {

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend auto operator<=>(const Hash128&, const Hash128&) = default;
};

std::uint64_t hash64(std::string_view bytes, std::uint64_t seed = 0);
Hash128 hash128(std::string_view bytes, std::uint64_t seed = 0);

// For unordered containers keyed by std::string that are looked up by string_view (with std::equal_to<>).
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return hash64(text); }
};

// hash128() of bytes that come piece by piece.
class Hasher128 {
 public:
  Hasher128();
  ~Hasher128();
  Hasher128(Hasher128&&) noexcept;
  Hasher128& operator=(Hasher128&&) noexcept;
  void add(std::string_view bytes);
  Hash128 value() const;  // of all that was added so far

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Two numbers that nobody outside this process knows.
struct HashSecret {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
};
// Drawn from the kernel when it is first asked for, and the same from then on. Thread-safe.
const HashSecret& process_secret();

// Both words of a hash as one, in which nobody without the secret can tell what falls together. Not to be
// stored or sent.
inline std::uint64_t spread(std::uint64_t high, std::uint64_t low, const HashSecret& secret) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(high ^ secret.first) * (low ^ secret.second);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// For unordered containers keyed by a hash of 64 bits that clients can choose.
struct SpreadHash {
  HashSecret secret = process_secret();
  std::size_t operator()(std::uint64_t hash) const { return spread(hash, 0, secret); }
};

}  // namespace vignette
