#include <CLI/CLI.hpp>

#include "proxy/commands.h"
#include "proxy/process/cli.h"

int main(int argc, char** argv) {
  CLI::App app{"Vignette: an edge proxy and photo CDN node in one server.", "vignette"};
  app.set_version_flag("--version", vignette::proxy::version_text());
  app.require_subcommand(1);
  int code = 2;
  vignette::proxy::add_commands(app, code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return code;
}
