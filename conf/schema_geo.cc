// The rows of [geo] and of `geo` in [[site.route]].
#include <fmt/core.h>

#include <optional>

#include "base/strings.h"
#include "conf/option_types.h"

namespace vignette::conf {
namespace {

std::optional<ViewerField> find_viewer_field(std::string_view name) {
  for (std::size_t i = 0; i < kViewerFieldNames.size(); ++i) {
    if (iequals(name, kViewerFieldNames[i])) return static_cast<ViewerField>(i);
  }
  return std::nullopt;
}

std::optional<std::string> bad_viewer_field(std::string_view name) {
  if (find_viewer_field(name)) return std::nullopt;
  const std::vector<std::string> known(kViewerFieldNames.begin(), kViewerFieldNames.end());
  return fmt::format("\"{}\" is not a field that can be sent{}", name, suggestion(name, known));
}

std::string joined_names() {
  std::string names;
  for (const std::string_view name : kViewerFieldNames) {
    names += fmt::format("{}`{}`", names.empty() ? "" : ", ", name);
  }
  return names;
}

Option viewer_fields_option() {
  Option option{
      .key = "headers",
      .type = "boolean or list of strings",
      .range = "names of CloudFront-Viewer-*",
      .fallback = "false",
      .doc = "What the origin is told of the client, under CloudFront's names: " + joined_names() +
             ". `true`: all that the databases and the connection say. A field whose value is not "
             "known is not sent; what clients send under such names never is. They are in the key of "
             "the cache where `cache.key.headers` or the origin's `Vary` names them."};
  option.read = [](Context& context, const Node& node, void* owner) {
    ViewerFields& fields = static_cast<RouteGeo*>(owner)->headers;
    if (node.is(Node::Kind::boolean)) {
      if (node.boolean) fields.set();
      return;
    }
    if (!node.is(Node::Kind::array)) {
      refuse(context, node, "true, false or a list of names");
      return;
    }
    const auto type = list_of(text("string", "", bad_viewer_field), "list of names");
    const auto names = type.parse(context, node);
    if (!names) return;
    for (const std::string& name : *names) fields.set(index(*find_viewer_field(name)));
  };
  return option;
}

}  // namespace

std::vector<Option> geo_options() {
  using G = GeoOptions;
  return {
      value("country", &G::country, file_path(), Reload::live,
            "A MaxMind database (`.mmdb`) with `country.iso_code` or a flat `country_code`. Without it "
            "`city` says the country, and without both every client's country is unknown, `ZZ`."),
      value(
          "city", &G::city, file_path(), Reload::live,
          "A MaxMind database of cities: `city.names.en`, `subdivisions`, `location`, `postal.code`, or the "
          "flat `city`, `state1`, `latitude`, `longitude`, `postcode`, `timezone`."),
      value("asn", &G::asn, file_path(), Reload::live,
            "A MaxMind database of autonomous systems, with `autonomous_system_number`."),
      value("poll", &G::poll, duration(milliseconds(0), std::chrono::hours(24)), Reload::live,
            "How often the files are looked at. A database that was replaced is used from then on; one that "
            "cannot be used is refused, with a line in the log, and the one in use stays. `0s` is never: "
            "SIGHUP reads what has changed, too, but a file that cannot be used refuses the whole reload."),
  };
}

std::vector<Option> route_geo_rows() {
  using G = RouteGeo;
  return {
      value("allow_countries", &G::allow_countries, list_of(country(), "list of countries"), Reload::live,
            "Answer 403 to clients from anywhere else, unknown countries included."),
      value("deny_countries", &G::deny_countries, list_of(country(), "list of countries"), Reload::live,
            "Answer 403 to clients from there. Asked before `allow_countries`."),
      viewer_fields_option(),
  };
}

}  // namespace vignette::conf
