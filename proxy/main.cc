// The command line. Each command is a function of process/cli.h; this file only says what there is.

#include <CLI/CLI.hpp>

#include <cstdio>

#include "proxy/process/cli.h"

int main(int argc, char** argv) {
  using namespace vignette::proxy;
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
  status_command->add_option("-c,--config", status.config, "Configuration file that names the admin address");
  status_command->add_option("--admin", status.admin, "Admin address, 127.0.0.1:9180 or unix:/run/…")
      ->capture_default_str();
  status_command->add_flag("--json", status.json, "Print the answer as it came");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (serve_command->parsed()) return run_serve(serve);
  if (check_command->parsed()) return run_check(checked);
  if (reference_command->parsed()) return run_reference();
  if (status_command->parsed()) return run_status(status);
  return 2;
}
