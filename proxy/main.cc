// The command line. Each command is a function of process/cli.h; this file only says what there is.

#include <CLI/CLI.hpp>

#include <cstdio>

#include "proxy/process/cli.h"

using namespace vignette::proxy;

namespace {

// Which node is asked, and whether its answer is printed as it is.
void add_node_options(CLI::App& command, StatusArguments& arguments) {
  command.add_option("-c,--config", arguments.config, "Configuration file that names the admin address");
  command.add_option("--admin", arguments.admin, "Admin address, 127.0.0.1:9180 or unix:/run/…")
      ->capture_default_str();
  command.add_flag("--json", arguments.json, "Print the answer as it came");
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
  purge_command->add_flag("--dry-run", purge.dry_run, "Only count what it would take");
  purge_command->add_option("-c,--config", purge.config, "Configuration file that names the admin address");
  purge_command->add_option("--admin", purge.admin, "Admin address, 127.0.0.1:9180 or unix:/run/…")
      ->capture_default_str();
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

  StatusArguments what_if;
  CLI::App* what_if_command =
      app.add_subcommand("whatif", "The misses that other sizes of memory would give.");
  add_node_options(*what_if_command, what_if);

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
  if (what_if_command->parsed()) return run_what_if(what_if);
  if (purge_command->parsed()) return run_purge(purge);
  return 2;
}
