// `vignette reference`: the schema as Markdown.
#include <fmt/core.h>

#include <algorithm>

#include "conf/loader.h"
#include "conf/schema.h"

namespace vignette::conf {
namespace {

constexpr std::string_view kHead =
    "# Configuration reference\n"
    "\n"
    "Every key, from the schema (`vignette reference` prints this page). A file is TOML.\n"
    "\n"
    "* **Durations** are strings: `\"250ms\"`, `\"5s\"`, `\"10m\"`, `\"24h\"`, `\"7d\"`. **Sizes** are "
    "strings: "
    "`\"8KiB\"`, `\"16MiB\"`, `\"2GiB\"`, or `\"512B\"`.\n"
    "* **Paths** are relative to the file that names them.\n"
    "* *restart* marks what SIGHUP does not apply: it warns when such a key has changed, and applies the "
    "rest.\n"
    "* An unknown key is an error. `vignette check FILE` finds all errors in one run.\n";

void append_line(std::string& out, const Option& option, const std::string& name) {
  out += fmt::format("\n### `{}`\n\n{}", name, option.type);
  if (!option.range.empty()) out += fmt::format(" ({})", option.range);
  if (option.required) {
    out += " · required";
  } else if (!option.fallback.empty()) {
    out += fmt::format(" · default `{}`", option.fallback);
  }
  if (option.shape == Option::Shape::value && option.reload == Reload::restart) out += " · *restart*";
  out += fmt::format("\n\n{}\n", option.doc);
}

std::string heading(const Option& option, const std::string& path) {
  if (option.shape == Option::Shape::list) return fmt::format("[[{}]]", path);
  if (option.shape == Option::Shape::map) return fmt::format("[{}.NAME]", path);
  return fmt::format("[{}]", path);
}

void append_rows(std::string& out, const std::vector<Option>& rows, const std::string& prefix) {
  for (const Option& row : rows) {
    append_line(out, row, prefix + row.key);
    append_rows(out, row.children, prefix + row.key + ".");
  }
}

// A route has more keys than all the rest of its site: it gets a heading of its own.
void append_section(std::string& out, const Option& option, const std::string& path) {
  out += fmt::format("\n## `{}`\n\n{}\n", heading(option, path), option.doc);
  for (const Option& row : option.children) {
    if (path == "site" && row.key == "route") continue;
    append_line(out, row, row.key);
    append_rows(out, row.children, row.key + ".");
  }
  for (const Option& row : option.children) {
    if (path == "site" && row.key == "route") append_section(out, row, "site.route");
  }
}

}  // namespace

std::string reference() {
  std::string out(kHead);
  for (const Option& option : schema()) {
    if (option.shape == Option::Shape::value) {
      append_line(out, option, option.key);
    } else {
      append_section(out, option, option.key);
    }
  }
  return out;
}

}  // namespace vignette::conf
