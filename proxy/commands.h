// What the program's command line has. Each command is a function of process/cli.h.
#pragma once

#include <CLI/CLI.hpp>

namespace vignette::proxy {

// The chosen command runs when `app` parses; what it returns becomes `code`. Both outlive the parsing.
void add_commands(CLI::App& app, int& code);

}  // namespace vignette::proxy
