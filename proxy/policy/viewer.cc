#include "proxy/policy/viewer.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <string>

#include "base/strings.h"
#include "proxy/policy/client_address.h"

namespace vignette::proxy {
namespace {

using conf::kViewerFieldNames;
using conf::ViewerField;

constexpr std::string_view kPrefix = "cloudfront-viewer-";
constexpr std::size_t kLongestName = 40;

// Names as lists of fields have them.
struct LowerNames {
  std::array<std::array<char, kLongestName>, kViewerFieldNames.size()> text{};
  constexpr std::string_view operator[](std::size_t i) const {
    return {text[i].data(), kViewerFieldNames[i].size()};
  }
};

consteval LowerNames lower_names() {
  LowerNames names;
  for (std::size_t i = 0; i < kViewerFieldNames.size(); ++i) {
    for (std::size_t j = 0; j < kViewerFieldNames[i].size(); ++j) {
      const char c = kViewerFieldNames[i][j];
      names.text[i][j] = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    }
  }
  return names;
}
constexpr LowerNames kNames = lower_names();

bool is_viewer_field(const http::Field& field) { return field.name.starts_with(kPrefix); }

// Texts as fields can carry them.
std::string encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool is_plain = c >= ' ' && c < '\x7f' && c != '%';
    if (is_plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return std::string(trim(out));
}

// IPv6 in eight groups and without brackets, as CloudFront writes it: what is behind the last colon is the
// port.
std::string address_and_port(const conf::IpBytes& address, std::uint16_t port) {
  const std::string text = ip_to_string(address);
  if (text.find(':') == text.npos) return fmt::format("{}:{}", text, port);
  std::string out;
  for (std::size_t i = 0; i < address.size(); i += 2) {
    out += fmt::format("{:x}:", unsigned{address[i]} << 8 | address[i + 1]);
  }
  return out + std::to_string(port);
}

std::string degrees(const std::optional<double>& value) {
  return value ? fmt::format("{:.5f}", *value) : std::string();
}

std::string number(std::uint32_t value) { return value == 0 ? std::string() : std::to_string(value); }

// Looks a place up once, and only for who wants it.
class KnownOfViewer {
 public:
  explicit KnownOfViewer(const ViewerFacts& facts) : facts_(facts) {}

  // "": unknown.
  std::string value(ViewerField field) {
    switch (field) {
      case ViewerField::address:
        return facts_.port == 0 ? std::string() : address_and_port(facts_.address, facts_.port);
      case ViewerField::asn:
        return number(asn());
      case ViewerField::city:
        return encoded(place().city);
      case ViewerField::country:
        return std::string(facts_.country == geo::kUnknown ? "" : geo::view(facts_.country));
      case ViewerField::country_name:
        return encoded(country_name());
      case ViewerField::country_region:
        return encoded(place().region);
      case ViewerField::country_region_name:
        return encoded(place().region_name);
      case ViewerField::latitude:
        return degrees(place().latitude);
      case ViewerField::longitude:
        return degrees(place().longitude);
      case ViewerField::metro_code:
        return number(place().metro_code);
      case ViewerField::postal_code:
        return encoded(place().postal_code);
      case ViewerField::time_zone:
        return encoded(place().time_zone);
    }
    return {};
  }

 private:
  const geo::Database* find(geo::Kind kind) const {
    return facts_.databases ? facts_.databases->find(kind) : nullptr;
  }
  const geo::Place& place() {
    if (!place_) {
      const geo::Database* cities = find(geo::Kind::city);
      place_ = cities ? cities->place(facts_.address) : geo::Place();
    }
    return *place_;
  }
  // By the same database as its code.
  std::string_view country_name() {
    const geo::Database* countries = find(geo::Kind::country);
    return countries ? countries->place(facts_.address).country_name : place().country_name;
  }
  std::uint32_t asn() const {
    const geo::Database* systems = find(geo::Kind::asn);
    return systems ? systems->asn(facts_.address) : 0;
  }

  const ViewerFacts& facts_;
  std::optional<geo::Place> place_;
};

}  // namespace

void drop_viewer_fields(http::FieldList& fields) { fields.remove_if(is_viewer_field); }

bool set_viewer_fields(const conf::ViewerFields& wanted, const ViewerFacts& facts, http::FieldList& fields,
                       Arena& texts) {
  drop_viewer_fields(fields);
  if (wanted.none()) return true;
  KnownOfViewer known(facts);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted[i]) continue;
    const std::string value = known.value(static_cast<ViewerField>(i));
    if (value.empty()) continue;
    const auto kept = texts.copy(value);
    if (!kept || !fields.add(kNames[i], *kept)) return false;
  }
  return true;
}

void keep_viewer_fields(const conf::ViewerFields& wanted, http::FieldList& fields) {
  fields.remove_if([&](const http::Field& field) {
    if (!is_viewer_field(field)) return false;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (wanted[i] && field.name == kNames[i]) return false;
    }
    return true;
  });
}

}  // namespace vignette::proxy
