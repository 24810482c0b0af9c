#include "conf/loader.h"

#include <fmt/core.h>

#include "conf/include.h"
#include "conf/schema.h"

namespace vignette::conf {
namespace {

Loaded load(const Source& source, std::string_view text, const Checks& checks) {
  Context context;
  auto config = std::make_shared<Config>();
  const Node root = read_tree(context, source, text, config->files);
  // A file that is not TOML has no keys to judge; what was read of the others would only mislead.
  if (context.errors() == 0 || !root.members.empty()) {
    read_members(context, root, schema(), config.get());
    validate(context, root, checks, *config);
  }
  auto diagnostics = context.take_sorted();
  if (!diagnostics.empty()) return std::unexpected(std::move(diagnostics));
  return config;
}

}  // namespace

std::string Diagnostic::to_string(std::string_view severity) const {
  if (line == 0) return fmt::format("{}: {}: {}", file, severity, message);
  return fmt::format("{}:{}:{}: {}: {}", file, line, column, severity, message);
}

Loaded load_file(const std::string& path, const Checks& checks) {
  const auto text = read_file(path);
  if (!text) return std::unexpected(std::vector<Diagnostic>{{path, 0, 0, text.error()}});
  return load({path, folder_of(path)}, *text, checks);
}

Loaded load_text(std::string_view text, const std::string& name, const std::string& folder,
                 const Checks& checks) {
  return load({name, folder}, text, checks);
}

CheckReport check_file(const std::string& path, const Checks& checks) {
  const Loaded loaded = load_file(path, checks);
  if (loaded) return {true, fmt::format("{}: ok\n", path)};
  CheckReport report;
  for (const Diagnostic& diagnostic : loaded.error()) report.text += diagnostic.to_string() + "\n";
  return report;
}

}  // namespace vignette::conf
