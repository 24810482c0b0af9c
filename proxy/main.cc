// The command line. Each command is a function of process/cli.h; this file only says what there is.

#include <CLI/CLI.hpp>

#include <cstdio>

#include "proxy/process/cli.h"

using namespace vignette::proxy;

namespace {

// Which node is asked.
void add_address_options(CLI::App& command, std::string& config, std::string& admin) {
  command.add_option("-c,--config", config, "Configuration file that names the admin address");
  command.add_option("--admin", admin, "Admin address, 127.0.0.1:9180 or unix:/run/…")->capture_default_str();
}

// And whether its answer is printed as it is.
void add_node_options(CLI::App& command, StatusArguments& arguments) {
  add_address_options(command, arguments.config, arguments.admin);
  command.add_flag("--json", arguments.json, "Print the answer as it came");
}

void add_warm_options(CLI::App& command, WarmArguments& arguments) {
  WarmJob& job = arguments.job;
  auto* what = command.add_option_group("what");
  what->add_option("LIST", job.list, "File of URLs, one a line, or a hot list; - for standard input");
  what->add_option("--sitemap", job.sitemap, "Sitemap or sitemap index: a URL of this node, a file, or -");
  what->add_option("--from", job.from, "Hot list of another node: a file, or its admin address");
  what->require_option(1);
  command.add_option("--rate", job.per_second, "Requests a second; 0 for no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--concurrency", job.concurrency, "Requests at a time")
      ->check(CLI::Range(1, 32))
      ->capture_default_str();
  command.add_option("-H,--header", job.fields, "\"Name: value\" of the requests for URLs")
      ->allow_extra_args(false);
  add_address_options(command, arguments.config, arguments.admin);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Vignette: an edge proxy and photo CDN node in one server.", "vignette"};
  app.set_version_flag("--version", version_text());
  app.require_subcommand(1);

  ServeArguments serve;
  CLI::App* serve_command = app.add_subcommand("serve", "Run the node.");
  serve_command->add_option("-c,--config", serve.config,
                            "Configuration file; without one the quickstart runs");
  serve_command->add_option("--photos", serve.photos, "Quickstart: the directory of photos")
      ->capture_default_str();
  serve_command->add_option("--state", serve.state, "Quickstart: where the certificate it makes is kept")
      ->capture_default_str();

  std::string checked;
  CLI::App* check_command =
      app.add_subcommand("check", "Read a configuration and list everything wrong with it.");
  check_command->add_option("FILE", checked, "Configuration file")->required();

  CLI::App* reference_command = app.add_subcommand("reference", "Print every option of the configuration.");

  StatusArguments status;
  CLI::App* status_command = app.add_subcommand("status", "Ask a running node how it is.");
  add_node_options(*status_command, status);

  PurgeArguments purge;
  CLI::App* purge_command =
      app.add_subcommand("purge", "Take something out of a running node's cache; it does not come back.");
  purge_command->add_option("URL", purge.urls, "What these answer; a photo goes with all its sizes");
  purge_command->add_option("--tag", purge.tags,
                            "All that carries this tag (Cache-Tag, Surrogate-Key, xkey, Cache-Groups)");
  purge_command->add_option("--prefix", purge.prefixes,
                            "All below this URL, or below these keys of --origin");
  purge_command->add_option("--origin", purge.origin, "All that came from this origin");
  purge_command->add_flag("--all", purge.all, "Everything");
  purge_command->add_flag("--soft", purge.soft, "Make it stale instead");
  purge_command->add_flag("--erase", purge.erase, "Overwrite its bytes on disk, and wait for that")
      ->excludes("--soft");
  purge_command->add_flag("--dry-run", purge.dry_run, "Only count what it would take");
  add_address_options(*purge_command, purge.config, purge.admin);
  purge_command->add_flag("--json", purge.json, "Print the receipt as it came");

  TopArguments top;
  CLI::App* top_command = app.add_subcommand("top", "The keys with most hits, misses or bytes sent lately.");
  add_node_options(*top_command, top.node);
  top_command->add_option("--by", top.by, "What counts")
      ->check(CLI::IsMember({"hits", "misses", "bytes"}))
      ->capture_default_str();
  top_command->add_option("-n,--limit", top.limit, "How many")
      ->check(CLI::Range(1, 200))
      ->capture_default_str();

  ExplainArguments explain;
  CLI::App* explain_command = app.add_subcommand(
      "explain",
      "What a running node has of a URL, why the last answer was a miss, and what the next will be.");
  explain_command->add_option("URL", explain.url, "The URL that a client asks for")->required();
  explain_command->add_option("--header", explain.headers,
                              "Of the request, \"Accept: image/webp\"; repeatable");
  add_node_options(*explain_command, explain.node);

  StatusArguments what_if;
  CLI::App* what_if_command =
      app.add_subcommand("whatif", "The misses that other sizes of memory would give.");
  add_node_options(*what_if_command, what_if);

  HotArguments hot;
  CLI::App* hot_command =
      app.add_subcommand("hot", "List the keys with most hits in a running node's memory.");
  add_address_options(*hot_command, hot.config, hot.admin);
  hot_command->add_option("-n,--limit", hot.limit, "How many")->check(CLI::Range(1, 262'144));

  WarmArguments warm;
  CLI::App* warm_command =
      app.add_subcommand("warm", "Have a running node fetch what is in a list into its cache, at a pace.");
  add_warm_options(*warm_command, warm);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (serve_command->parsed()) return run_serve(serve);
  if (check_command->parsed()) return run_check(checked);
  if (reference_command->parsed()) return run_reference();
  if (status_command->parsed()) return run_status(status);
  if (top_command->parsed()) return run_top(top);
  if (hot_command->parsed()) return run_hot(hot);
  if (warm_command->parsed()) return run_warm(warm);
  if (explain_command->parsed()) return run_explain(explain);
  if (what_if_command->parsed()) return run_what_if(what_if);
  if (purge_command->parsed()) return run_purge(purge);
  return 2;
}
