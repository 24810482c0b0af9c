// Countries and the rules over them.
#pragma once

#include <array>
#include <string_view>
#include <vector>

namespace vignette::geo {

// ISO 3166-1 alpha-2, upper case.
using Country = std::array<char, 2>;
inline constexpr Country kUnknown{'Z', 'Z'};

// Valid as long as `country` lives.
inline std::string_view view(const Country& country) { return {country.data(), country.size()}; }

// Immutable after construction.
struct Rules {
  std::vector<Country> allow;  // empty = everything that is not denied
  std::vector<Country> deny;

  // `deny` is asked first. An allow list refuses kUnknown unless it names ZZ itself.
  bool allowed(const Country& country) const;
};

}  // namespace vignette::geo
