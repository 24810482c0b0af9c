// The one table of options. Each row says what a key is called, accepts, means and defaults to, and how
// it is read; parsing, error messages, `vignette reference` and conf/REFERENCE.md all come from it.
//
// Rows form a tree like the file: tables, lists of tables ([[site]]) and maps of tables ([origin.NAME]).
// The value readers are in option_types.h, what spans several keys is in validate.cc.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/context.h"
#include "conf/tree.h"

namespace vignette::conf {

enum class Reload : std::uint8_t {
  live,     // SIGHUP applies it
  restart,  // SIGHUP leaves it; the node says so in its log
};

struct Option {
  enum class Shape : std::uint8_t { value, table, list, map };

  std::string key = {};
  Shape shape = Shape::value;
  std::string type = {};      // "duration", "list of networks", …
  std::string range = {};     // what is accepted, beyond the type; may be empty
  std::string fallback = {};  // the default as the file would write it; "" = none, see `doc`
  bool required = false;
  Reload reload = Reload::live;
  std::string doc = {};               // one paragraph
  std::vector<Option> children = {};  // of table, list, map

  // Reads `node` into the struct that holds this option; reports to the context what it refuses and
  // leaves the default then.
  std::function<void(Context&, const Node&, void* owner)> read = {};

  // Appends the name (`path` before it) of this value, or of the values in this table, if it is of class
  // restart and the two owners differ in it. Empty for lists and maps: SIGHUP applies all of theirs.
  std::function<void(const void* running, const void* next, const std::string& path,
                     std::vector<std::string>& names)>
      find_restarts = {};
};

// The keys of the file's top level. Immutable after construction, Thread-safe.
const std::vector<Option>& schema();

// Reads every member of the table `node` into `owner`; unknown and missing keys are errors.
void read_members(Context& context, const Node& node, const std::vector<Option>& options, void* owner);

// Parts of schema(), by file.
std::vector<Option> origin_options();
std::vector<Option> site_options();
Option route_cache_option();
Option route_compress_option();
std::vector<Option> image_options();
std::vector<Option> rate_limit_options();
std::vector<Option> geo_options();
std::vector<Option> route_geo_rows();

// One of a site's hosts as the router compares it: "example.com", "*.example.com", "*", an IPv4 literal or
// "[::1]", in lower case. nullopt: it is none.
std::optional<std::string> read_host(const Node& node);

// What spans several keys; `root` is the tree that `config` was read from. Resolves what depends on
// other keys (RouteCache, RouteCompress, strip_prefix, max_body, timeouts, secrets).
void validate(Context& context, const Node& root, const Checks& checks, Config& config);

}  // namespace vignette::conf
