// The rows of the file's top level; origins, sites and images have files of their own.
#include "conf/schema.h"

#include <algorithm>

#include "conf/loader.h"
#include "conf/option_types.h"

namespace vignette::conf {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::uint64_t kKiB = 1ULL << 10;
constexpr std::uint64_t kMiB = 1ULL << 20;
constexpr std::uint64_t kTiB = 1ULL << 40;
constexpr milliseconds kTick{10};

std::vector<Option> server_options() {
  using S = ServerOptions;
  auto admin = maybe(listen_address(), "\"off\"");
  admin.range += ", or \"off\"";
  admin.parse = [inner = admin.parse](Context& context,
                                      const Node& node) -> std::optional<std::optional<Address>> {
    if (node.is(Node::Kind::string) && node.text == "off") return std::optional<Address>();
    return inner(context, node);
  };
  return {
      value("workers", &S::workers, auto_or(integer(1, 1024)), Reload::restart,
            "Worker threads, each with its own event loop. `\"auto\"` is one a core."),
      value("user", &S::user, text(), Reload::restart,
            "The user to become after the ports are bound, when started as root. Without it the node "
            "keeps the user it was started as. Reloads read the configuration and the files that it names "
            "as this user, so make them readable to it (group, mode 0640); the start, and `vignette check` "
            "run as root, warn of those that are not. A private key that root alone may read is kept by "
            "reloads as long as it stays the same file; when it changes, a reload is refused, and only "
            "a restart applies it. Ports below 1024 can still be bound: `CAP_NET_BIND_SERVICE` is kept."),
      value("admin", &S::admin, admin, Reload::restart,
            "Where the control API and `/metrics` listen. Whoever reaches it controls the node: keep it on "
            "loopback or a unix socket."),
      value("trusted", &S::trusted, list_of(network(), "list of networks"), Reload::live,
            "Hops in front of us whose `X-Forwarded-*` and `Forwarded` fields are believed. The client's "
            "address is the last one in the chain that is not in this list."),
  };
}

std::vector<Option> log_options() {
  using L = LogOptions;
  auto access = path_to_be();
  access.name = "path or word";
  access.range = "\"stdout\", \"off\" or a path";
  access.parse = [path = access.parse](Context& context, const Node& node) -> std::optional<std::string> {
    const bool word = node.is(Node::Kind::string) && (node.text == "stdout" || node.text == "off");
    return word ? std::optional(node.text) : path(context, node);
  };
  return {
      value("access", &L::access, access, Reload::restart,
            "Where the access log goes: one JSON object a line. A file is opened again on SIGUSR1."),
      value("level", &L::level,
            choice<LogLevel>({{"debug", LogLevel::debug},
                              {"info", LogLevel::info},
                              {"warn", LogLevel::warn},
                              {"error", LogLevel::error}}),
            Reload::live, "The least severe message that the error log (stderr) gets."),
  };
}

Option disks() {
  using D = DiskOptions;
  Option option = tables(
      "disk", &CacheOptions::disk,
      {required(value("path", &D::path, path_to_be(), Reload::restart,
                      "The folder for the volume's files. It is made when only its last part is missing; one "
                      "process at a time uses it.")),
       required(value("size", &D::size, size(128 * kMiB, 256 * kTiB), Reload::restart,
                      "Bytes reserved on the disk, all of them at the start. A later start with another size "
                      "grows the volume or cuts its end off."))},
      "A disk behind the memory tier. Keys are spread over several by their sizes; one that fails or is "
      "missing is left out and tried again every 30 seconds. Objects of up to 4 MiB go there; larger ones go "
      "in chunks.");
  option.find_restarts = [](const void* running, const void* next, const std::string& path,
                            std::vector<std::string>& names) {
    const auto same = [](const D& a, const D& b) { return a.path == b.path && a.size == b.size; };
    if (!std::ranges::equal(static_cast<const CacheOptions*>(running)->disk,
                            static_cast<const CacheOptions*>(next)->disk, same)) {
      names.push_back(path + "disk");
    }
  };
  return option;
}

std::vector<Option> cache_options() {
  using C = CacheOptions;
  return {
      value("memory", &C::memory, size(kMiB, 16 * kTiB), Reload::restart,
            "Budget of the memory tier: bodies, heads, index and open fills. The process needs a fixed part "
            "on top."),
      value("max_object", &C::max_object, size(kKiB, 16 * kTiB), Reload::restart,
            "Responses larger than this are not stored in one piece: those of origins that do ranges and "
            "have a "
            "strong ETag are stored in chunks of 1 MiB whatever their size, others pass through. Never more "
            "than "
            "`cache.memory`: a larger default is lowered to it, a larger value in the file is an error."),
      value("state", &C::state, path_to_be(), Reload::restart,
            "The folder for the journal of purges, so that they outlive the process. Without it and with "
            "disks, the first disk's. A journal that is lost costs what is stored: nothing older than a new "
            "one "
            "is served. One that comes back does not know what was purged while it was away: with disks that "
            "may "
            "be unmounted keep it on another file system. While it cannot be read, purges are refused."),
      disks(),
      value("disk_writes_per_day", &C::disk_writes_per_day, size(0, 256 * kTiB), Reload::restart,
            "Bytes a day that may be written to all disks together, so that flash lasts; `0` is no limit. An "
            "hour's share may be saved up, and half of it is kept for originals. Objects beyond it stay in "
            "memory."),
      value(
          "warm_per_second", &C::warm_per_second, size(0, 16 * kTiB), Reload::restart,
          "At a start, bytes a second of the objects that were hottest in memory when the node last saved "
          "their keys (each minute, and when it is stopped) that are read from the disks into memory again. "
          "`0` leaves memory to fill by requests."),
  };
}

std::vector<Option> limit_options() {
  using L = LimitOptions;
  return {
      value("request_line", &L::request_line, size(kKiB, 64 * kKiB), Reload::live,
            "Longest request line of a client; a longer one is answered 414."),
      value("header", &L::header, size(kKiB, 256 * kKiB), Reload::live,
            "All header fields of a request together; more is answered 431."),
      value("header_fields", &L::header_fields, integer(8, 100), Reload::live,
            "Number of header fields of a request; more is answered 431."),
      value("body", &L::body, size(0, kTiB), Reload::live,
            "Longest request body; a longer one is answered 413. A route's `max_body` overrides it."),
  };
}

std::vector<Option> timeout_options() {
  using T = TimeoutOptions;
  return {
      value("header", &T::header, duration(kTick, minutes(10)), Reload::live,
            "Time for a whole request head, from its first byte; after it 408."),
      value("body_stall", &T::body_stall, duration(kTick, hours(1)), Reload::live,
            "Longest time without a byte of a request body that is being read; after it 408."),
      value("send_stall", &T::send_stall, duration(kTick, hours(1)), Reload::live,
            "Longest time in which a client takes no byte of its response; after it the connection is "
            "closed."),
      value("min_rate", &T::min_rate, size(0, 1024 * kMiB), Reload::live,
            "Bytes a second that a client must send of its body, and take of its response, on the average of "
            "`body_stall` and `send_stall`: one that trickles bytes to keep a connection busy is treated as "
            "one that stalls. Time that the node or an origin needs does not count. `0` is no minimum."),
      value("keep_alive", &T::keep_alive, duration(kTick, hours(1)), Reload::live,
            "How long a client's connection may be idle between requests."),
      value("drain", &T::drain, duration(milliseconds(0), hours(1)), Reload::live,
            "After SIGTERM, how long requests in flight may take to end."),
  };
}

Option redirect_https() {
  Option option{.key = "redirect",
                .type = "string",
                .range = "\"https\" or \"https:PORT\"",
                .doc =
                    "Answer every request with a redirect to the same URL over https (301; 308 when not "
                    "GET or HEAD), on port 443 or the one named. Not together with `tls`."};
  option.read = [](Context& context, const Node& node, void* owner) {
    auto& port = static_cast<Listener*>(owner)->redirect_https_port;
    if (node.is(Node::Kind::string) && node.text == "https") {
      port = 443;
      return;
    }
    const bool named = node.is(Node::Kind::string) && node.text.starts_with("https:");
    const auto parsed = named ? parse_address("localhost:" + node.text.substr(6)) : std::nullopt;
    if (parsed && parsed->port != 0) {
      port = parsed->port;
    } else {
      refuse(context, node, "\"https\" or \"https:PORT\" such as \"https:8443\"");
    }
  };
  return option;
}

std::vector<Option> listener_options() {
  return {
      required(value("address", &Listener::address, listen_address(), Reload::live,
                     "Where clients connect. Port 0 lets the kernel choose; `[::]` takes IPv6 only.")),
      value("tls", &Listener::tls, boolean(), Reload::live,
            "Speak TLS 1.2 or 1.3 with the certificates of this file, chosen by server name. Without it, "
            "plain HTTP."),
      redirect_https(),
  };
}

std::vector<Option> certificate_options() {
  using C = Certificate;
  return {
      required(value("chain", &C::chain, path_to_be(), Reload::live,
                     "PEM file: the certificate, then its intermediates.")),
      required(value("key", &C::key, path_to_be(), Reload::live, "PEM file: its private key.")),
      value("self_signed", &C::self_signed, list_of(text(), "list of strings"), Reload::live,
            "For trying things out: when neither file exists they are made at start, self-signed for these "
            "names and addresses. Browsers will warn."),
  };
}

Option include_option() {
  // Taken out of the tree before the tree is read; the row is here for the reference.
  Option option{.key = "include",
                .type = "path or list of paths",
                .range = "* and ? match within a name",
                .doc =
                    "Files whose content is added to this one, at top level. Relative paths inside them "
                    "are relative to them. A key that two files set is an error; lists of tables "
                    "(`[[site]]`, `[[listener]]`, `[[certificate]]`) are joined, this file's first."};
  option.read = [](Context&, const Node&, void*) {};
  return option;
}

std::vector<Option> build_schema() {
  using C = Config;
  return {
      include_option(),
      table("server", &C::server, server_options(), "The process."),
      table("log", &C::log, log_options(), "Logs."),
      table("cache", &C::cache, cache_options(), "The cache, shared by all workers."),
      table("limits", &C::limits, limit_options(), "What one client may send."),
      table("timeouts", &C::timeouts, timeout_options(), "How long one client may take."),
      tables("listener", &C::listeners, listener_options(), "An address where clients connect."),
      tables("certificate", &C::certificates, certificate_options(),
             "A certificate for the listeners with `tls`. The first is used when no name matches."),
      [] {
        Option option{.key = "origin",
                      .shape = Option::Shape::map,
                      .type = "tables by name",
                      .doc =
                          "Something we fetch from. Its kind is what it has: `servers`, `s3` or "
                          "`directory`."};
        option.children = origin_options();
        option.read = [rows = option.children](Context& context, const Node& node, void* owner) {
          if (!expect_table(context, node)) return;
          for (const Member& member : node.members) {
            Origin& origin = static_cast<Config*>(owner)->origins.emplace_back();
            origin.name = member.key;
            origin.where = member.at;
            if (expect_table(context, member.value)) read_members(context, member.value, rows, &origin);
          }
        };
        return option;
      }(),
      tables("site", &C::sites, site_options(), "A set of host names and what is served under them."),
      table("images", &C::images, image_options(), "Resized photos; see the `images` key of a route."),
      table("geo", &C::geo, geo_options(), "Where clients are."),
  };
}

}  // namespace

const std::vector<Option>& schema() {
  static const std::vector<Option> rows = build_schema();
  return rows;
}

std::vector<std::string> changes_that_need_restart(const Config& running, const Config& next) {
  std::vector<std::string> names;
  for (const Option& row : schema()) {
    if (row.find_restarts) row.find_restarts(&running, &next, "", names);
  }
  return names;
}

void read_members(Context& context, const Node& node, const std::vector<Option>& options, void* owner) {
  std::vector<std::string> known;
  known.reserve(options.size());
  for (const Option& option : options) known.push_back(option.key);
  for (const Member& member : node.members) {
    const auto row = std::ranges::find(options, member.key, &Option::key);
    if (row == options.end()) {
      context.error(member.at,
                    fmt::format("unknown key \"{}\"{}", member.key, suggestion(member.key, known)));
    } else {
      row->read(context, member.value, owner);
    }
  }
  for (const Option& option : options) {
    if (option.required && !node.find(option.key)) {
      context.error(node.at, fmt::format("\"{}\" is missing here", option.key));
    }
  }
}

}  // namespace vignette::conf
