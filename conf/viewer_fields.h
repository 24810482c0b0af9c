// What origins can be told of a viewer, under CloudFront's names.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vignette::conf {

enum class ViewerField : std::uint8_t {
  address,
  asn,
  city,
  country,
  country_name,
  country_region,
  country_region_name,
  latitude,
  longitude,
  metro_code,
  postal_code,
  time_zone,
};

// In the order of ViewerField.
inline constexpr std::array<std::string_view, 12> kViewerFieldNames = {
    "CloudFront-Viewer-Address",
    "CloudFront-Viewer-ASN",
    "CloudFront-Viewer-City",
    "CloudFront-Viewer-Country",
    "CloudFront-Viewer-Country-Name",
    "CloudFront-Viewer-Country-Region",
    "CloudFront-Viewer-Country-Region-Name",
    "CloudFront-Viewer-Latitude",
    "CloudFront-Viewer-Longitude",
    "CloudFront-Viewer-Metro-Code",
    "CloudFront-Viewer-Postal-Code",
    "CloudFront-Viewer-Time-Zone",
};

// A set of them, by the number of the ViewerField.
using ViewerFields = std::bitset<kViewerFieldNames.size()>;

inline constexpr std::size_t index(ViewerField field) { return static_cast<std::size_t>(field); }

}  // namespace vignette::conf
