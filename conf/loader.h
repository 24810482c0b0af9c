// From TOML to a Config. Everything wrong is found in one run: nothing stops at the first error.
#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"

namespace vignette::conf {

struct Diagnostic {
  std::string file;
  std::uint32_t line = 0;  // from 1; 0 = the whole file
  std::uint32_t column = 0;
  std::string message;  // one sentence, lower case, without final stop; never holds a secret

  // "FILE:LINE:COLUMN: error: MESSAGE"
  std::string to_string(std::string_view severity = "error") const;
};

// Checks that need libraries this folder must not see. Each gets something that is fine so far and
// answers with the reason when it is not; an empty function is not asked.
struct Checks {
  using Reason = std::optional<std::string>;
  std::function<Reason(const Certificate&)> certificate;      // both files exist; the key may not be readable
  std::function<Reason(const std::string& path)> ticket_key;  // it exists; it may not be readable
  // A listener with TLS of its own, when all certificates are fine.
  std::function<Reason(const Config&, const Listener&)> listener_tls;
  // `kind` is the key of [geo] that names the file.
  std::function<Reason(std::string_view kind, const std::string& path)> geo_database;
  std::function<Reason(const std::string& path)> ca_file;
  std::function<Reason(std::string_view operations)> preset;
  std::function<Reason(const std::string& name)> user;
  std::function<Reason(const std::string& path)> access_log;  // to be opened; the file may not exist yet
};

using Loaded = std::expected<std::shared_ptr<const Config>, std::vector<Diagnostic>>;

// Reads files and environment variables, so it may block: never on a loop. Thread-safe.
// Diagnostics are sorted by place; there is at least one when loading fails.
Loaded load_file(const std::string& path, const Checks& checks = {});

// `name` is what diagnostics call the text; relative paths in it are joined with `folder`.
Loaded load_text(std::string_view text, const std::string& name, const std::string& folder,
                 const Checks& checks = {});

// The embedded default configuration (examples/quickstart.toml) with this directory as its photos and this
// database of countries; "": none. The certificate it makes lives in `state/` below the folder given to
// load_text().
std::string quickstart_text(std::string_view photos = "photos",
                            std::string_view countries = "countries.mmdb");

// Behind `vignette check FILE`: the lines to print, each ended by a newline ("FILE: ok" when all is
// well), and whether it is.
struct CheckReport {
  bool ok = false;
  std::string text;
};
CheckReport check_file(const std::string& path, const Checks& checks = {});

// The keys ("server.workers") in which `next` differs from the `running` configuration and which only a
// restart applies.
std::vector<std::string> changes_that_need_restart(const Config& running, const Config& next);

// Behind `vignette reference` and conf/REFERENCE.md: every option, in Markdown.
std::string reference();

}  // namespace vignette::conf
