// The heaviest keys of a stream in fixed memory: space-saving (Metwally et al., 2005). A key that is not held
// takes the place of the lightest one and its count, as an error it may have. So nothing heavier than the
// lightest held is ever missed, and no count is too low.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vignette::cache {

struct HeavyHitter {
  std::uint64_t hash = 0;
  std::string name;
  std::uint64_t count = 0;
  std::uint64_t error = 0;  // by how much `count` may be wrong
};

// One user at a time. Adding allocates nothing.
class HeavyHitters {
 public:
  static constexpr std::size_t kPlaces = 256;
  static constexpr std::size_t kNameBytes = 240;  // of a longer name, its first bytes

  void add(std::uint64_t hash, std::string_view name, std::uint64_t weight);
  void clear() { used_ = 0; }
  std::size_t size() const { return used_; }
  // Adds its counts to those that are there; what only one side holds may have been forgotten by the other,
  // which adds to its error.
  void add_to(std::vector<HeavyHitter>& merged, std::uint64_t& merged_floor) const;

 private:
  // What a key that is not held may have had.
  std::uint64_t floor() const;
  std::size_t lightest() const;

  std::size_t used_ = 0;
  std::array<std::uint64_t, kPlaces> hashes_{};
  std::array<std::uint64_t, kPlaces> counts_{};
  std::array<std::uint64_t, kPlaces> errors_{};
  std::array<std::uint8_t, kPlaces> name_sizes_{};
  std::array<std::array<char, kNameBytes>, kPlaces> names_;
};

// The `limit` with the greatest counts, in that order.
void keep_heaviest(std::vector<HeavyHitter>& entries, std::size_t limit);

}  // namespace vignette::cache
