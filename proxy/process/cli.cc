#include "proxy/process/cli.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include <fmt/core.h>

#include "base/log.h"
#include "conf/loader.h"
#include "net/limits.h"
#include "net/versions.h"
#include "proxy/admin/explain_key.h"
#include "proxy/admin/explain_report.h"
#include "proxy/admin/insight_report.h"
#include "proxy/process/admin_client.h"
#include "proxy/process/allocator.h"
#include "proxy/process/server.h"
#include "proxy/process/sign_client.h"

namespace vignette::proxy {
namespace {

constexpr std::chrono::seconds kListPatience{150};  // of the hottest of millions of keys
constexpr std::size_t kToldFailures = 20;

constexpr std::chrono::seconds kErasePatience = std::chrono::hours(2);  // the node answers within one

void complain(std::string_view text) {
  std::string line = fmt::format("vignette: {}\n", text);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

// Over itself, on a terminal.
void show_progress(const WarmCounts& counts, std::size_t all) {
  const std::string line =
      fmt::format("\r{} of {}: {} hit, {} stored, {} failed{}", counts.asked, all, counts.hit, counts.stored,
                  counts.failed, counts.asked == all ? "\n" : "");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

conf::Loaded load_quickstart(const ServeArguments& arguments, const conf::Checks& checks) {
  std::error_code ignored;
  std::string photos = std::filesystem::absolute(arguments.photos, ignored).string();
  std::string countries;
  if (!arguments.countries.empty()) {
    countries = std::filesystem::absolute(arguments.countries, ignored).string();
  }
  return conf::load_text(conf::quickstart_text(photos, countries), "quickstart", arguments.state, checks);
}

void print_welcome(const conf::Config& config) {
  for (const conf::Listener& listener : config.listeners) {
    print(fmt::format("vignette: open {}://{}/\n", listener.tls ? "https" : "http",
                      listener.address.to_string()));
  }
  print(config.geo.country.empty()
            ? "vignette: countries of clients are unknown: no database was named (--countries FILE)\n"
            : fmt::format("vignette: countries of clients by {}\n", config.geo.country));
  if (config.server.admin) {
    print(fmt::format("vignette: metrics and status at http://{}/\n", config.server.admin->to_string()));
  }
}

template <typename Arguments>
std::optional<std::string> admin_address(const Arguments& arguments) {
  if (arguments.config.empty()) return arguments.admin;
  conf::Loaded loaded = conf::load_file(arguments.config);
  if (!loaded) {
    complain(loaded.error().front().to_string());
    return std::nullopt;
  }
  if (!(*loaded)->server.admin) {
    complain(fmt::format("{}: the admin address is off", arguments.config));
    return std::nullopt;
  }
  return (*loaded)->server.admin->to_string();
}

// With the named key of the configuration, its first, or that of a file.
std::optional<SignJob> sign_job(const SignArguments& arguments) {
  SignJob job{
      .url = arguments.url, .key_id = arguments.key_id, .secret = {}, .lifetime_seconds = arguments.expires};
  if (arguments.config.empty()) {
    auto secret = read_secret(arguments.secret_file);
    if (!secret) complain(secret.error());
    if (!secret) return std::nullopt;
    job.secret = std::move(*secret);
    return job;
  }
  const conf::Loaded loaded = conf::load_file(arguments.config);
  if (!loaded) {
    complain(loaded.error().front().to_string());
    return std::nullopt;
  }
  for (const conf::ImageKey& key : (*loaded)->images.keys) {
    if (!job.key_id.empty() && key.id != job.key_id) continue;
    job.key_id = key.id;
    job.secret = std::string(key.secret.reveal());
    return job;
  }
  complain(fmt::format("{}: [images] has no such key", arguments.config));
  return std::nullopt;
}

// Prints a document of the admin API, as it came or as `summarize` puts it.
int ask(const StatusArguments& arguments, std::string_view path,
        std::string (*summarize)(const std::string& json)) {
  auto address = admin_address(arguments);
  if (!address) return 1;
  auto answer = admin_get(*address, path);
  if (!answer) {
    complain(answer.error());
    return 1;
  }
  print(arguments.json ? *answer + "\n" : summarize(*answer));
  return 0;
}

}  // namespace

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

int run_serve(const ServeArguments& arguments) {
  net::hold_signals();
  Logger log;
  bool quickstart = arguments.config.empty();
  Server::Load load = [arguments, quickstart](const conf::Checks& checks) {
    return quickstart ? load_quickstart(arguments, checks) : conf::load_file(arguments.config, checks);
  };
  conf::Loaded loaded = load(snapshot_checks());
  if (!loaded) {
    for (const conf::Diagnostic& diagnostic : loaded.error()) {
      std::string line = diagnostic.to_string() + "\n";
      std::fwrite(line.data(), 1, line.size(), stderr);
    }
    return 1;
  }
  Server server(*loaded, load, log);
  if (quickstart) server.on_ready([config = *loaded] { print_welcome(*config); });
  return server.run();
}

int run_reference() {
  print(conf::reference());
  return 0;
}

int run_status(const StatusArguments& arguments) { return ask(arguments, "/v1/status", status_summary); }

int run_top(const TopArguments& arguments) {
  return ask(arguments.node, fmt::format("/v1/top?by={}&limit={}", arguments.by, arguments.limit),
             top_summary);
}

int run_explain(const ExplainArguments& arguments) {
  return ask(arguments.node, "/v1/explain?" + explain_query(arguments.url, arguments.headers),
             explain_summary);
}

int run_what_if(const StatusArguments& arguments) { return ask(arguments, "/v1/whatif", what_if_summary); }

int run_hot(const HotArguments& arguments) {
  auto address = admin_address(arguments);
  if (!address) return 1;
  const std::string path = arguments.limit ? fmt::format("/v1/hot?limit={}", arguments.limit) : "/v1/hot";
  auto list = admin_get(*address, path, kListPatience);
  if (!list) {
    complain(list.error());
    return 1;
  }
  print(*list);
  return 0;
}

int run_warm(const WarmArguments& arguments) {
  auto address = admin_address(arguments);
  if (!address) return 1;
  auto orders = gather_orders(*address, arguments.job);
  if (!orders) {
    complain(orders.error());
    return 1;
  }
  std::size_t told = 0;
  const bool is_watched = ::isatty(STDERR_FILENO) == 1;
  const WarmCounts counts = run_orders(
      *address, *orders, arguments.job,
      [&told](std::string_view order, std::string_view why) {
        if (++told <= kToldFailures) complain(fmt::format("{}: {}", order, why));
        if (told == kToldFailures) complain("further failures are only counted");
      },
      [&](const WarmCounts& so_far) {
        if (is_watched) show_progress(so_far, orders->size());
      });
  print(fmt::format("warm: {} asked, {} hit, {} stored, {} failed\n", counts.asked, counts.hit, counts.stored,
                    counts.failed));
  return counts.failed > 0 ? 1 : 0;
}

int run_purge(const PurgeArguments& arguments) {
  auto address = admin_address(arguments);
  if (!address) return 1;
  nlohmann::json order = nlohmann::json::object();
  if (!arguments.urls.empty()) order["url"] = arguments.urls;
  if (!arguments.tags.empty()) order["tag"] = arguments.tags;
  if (!arguments.prefixes.empty()) order["prefix"] = arguments.prefixes;
  if (!arguments.origin.empty()) order["origin"] = arguments.origin;
  if (arguments.all) order["all"] = true;
  if (arguments.soft) order["mode"] = "soft";
  if (arguments.erase) order["erase"] = true;
  if (arguments.dry_run) order["dry_run"] = true;
  const auto patience = arguments.erase ? kErasePatience : kAdminPatience;
  auto answer = admin_post(*address, "/v1/purge",
                           order.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), patience);
  if (!answer) {
    complain(answer.error());
    return 1;
  }
  print(arguments.json ? *answer + "\n" : purge_summary(*answer));
  return 0;
}

int run_sign(const SignArguments& arguments) {
  auto job = sign_job(arguments);
  if (!job) return 1;
  const auto made = sign_url(*job, SystemClock().wall());
  if (!made) {
    complain(made.error());
    return 1;
  }
  print(*made + "\n");
  return 0;
}

std::string version_text() {
  std::string text = fmt::format("vignette {}\n", VIGNETTE_VERSION);
  for (const std::string& library : net::library_versions()) text += library + "\n";
  text += fmt::format("allocator {}", allocator_name());
  return text;
}

}  // namespace vignette::proxy
