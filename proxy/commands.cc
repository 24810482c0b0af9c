#include "proxy/commands.h"

#include <CLI/CLI.hpp>

#include <memory>
#include <string>

#include "proxy/process/cli.h"

namespace vignette::proxy {
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

// "": it is one.
std::string complain_of_rate(const std::string& text) {
  double rate = 0;
  if (CLI::detail::lexical_cast(text, rate) && rate >= 0) return {};
  return "\"" + text + "\" is no pace: give requests a second, 0 for no limit";
}

void add_warm_options(CLI::App& command, WarmArguments& arguments) {
  WarmJob& job = arguments.job;
  auto* what = command.add_option_group("what");
  what->add_option("LIST", job.list, "File of URLs, one a line, or a hot list; - for standard input");
  what->add_option("--sitemap", job.sitemap, "Sitemap or sitemap index: a URL of this node, a file, or -");
  what->add_option("--from", job.from, "Hot list of another node: a file, or its admin address");
  what->require_option(1);
  command.add_option("--rate", job.per_second, "Requests a second; 0 for no limit")
      ->check(complain_of_rate, "NUMBER")
      ->capture_default_str();
  command.add_option("--concurrency", job.concurrency, "Requests at a time")
      ->check(CLI::Range(1, 32))
      ->capture_default_str();
  command.add_option("-H,--header", job.fields, "\"Name: value\" of the requests for URLs")
      ->allow_extra_args(false);
  add_address_options(command, arguments.config, arguments.admin);
}

template <class Arguments>
struct Command {
  CLI::App& line;
  Arguments& arguments;  // live as long as the application
};

// What the command returns becomes the program's exit code.
template <class Arguments>
Command<Arguments> add(CLI::App& app, int& code, const char* name, const char* help,
                       int (*run)(const Arguments&)) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App& line = *app.add_subcommand(name, help);
  line.callback([arguments, run, &code] { code = run(*arguments); });
  return {line, *arguments};
}

void add_serve(CLI::App& app, int& code) {
  auto [line, serve] = add(app, code, "serve", "Run the node.", run_serve);
  line.add_option("-c,--config", serve.config, "Configuration file; without one the quickstart runs");
  line.add_option("--photos", serve.photos, "Quickstart: the directory of photos")->capture_default_str();
  line.add_option("--countries", serve.countries,
                  "Quickstart: a MaxMind database of countries; without one they are unknown");
  line.add_option("--state", serve.state, "Quickstart: where the certificate it makes is kept")
      ->capture_default_str();
}

void add_configuration(CLI::App& app, int& code) {
  auto [line, file] =
      add(app, code, "check", "Read a configuration and list everything wrong with it.", run_check);
  line.add_option("FILE", file, "Configuration file")->required();
  app.add_subcommand("reference", "Print every option of the configuration.")->callback([&code] {
    code = run_reference();
  });
}

void add_purge(CLI::App& app, int& code) {
  auto [line, purge] = add(app, code, "purge",
                           "Take something out of a running node's cache; it does not come back.", run_purge);
  line.add_option("URL", purge.urls, "What these answer; a photo goes with all its sizes");
  line.add_option("--tag", purge.tags,
                  "All that carries this tag (Cache-Tag, Surrogate-Key, xkey, Cache-Groups)")
      ->allow_extra_args(false);
  line.add_option("--prefix", purge.prefixes, "All below this URL, or below these keys of --origin")
      ->allow_extra_args(false);
  line.add_option("--origin", purge.origin, "All that came from this origin");
  line.add_flag("--all", purge.all, "Everything");
  line.add_flag("--soft", purge.soft, "Make it stale instead");
  line.add_flag("--erase", purge.erase, "Overwrite its bytes on disk, and wait for that")->excludes("--soft");
  line.add_flag("--dry-run", purge.dry_run, "Only count what it would take");
  add_address_options(line, purge.config, purge.admin);
  line.add_flag("--json", purge.json, "Print the receipt as it came");
}

// What a running node says of itself.
void add_questions(CLI::App& app, int& code) {
  auto [status_line, status] = add(app, code, "status", "Ask a running node how it is.", run_status);
  add_node_options(status_line, status);
  auto [what_if_line, what_if] =
      add(app, code, "whatif", "The misses that other sizes of memory would give.", run_what_if);
  add_node_options(what_if_line, what_if);
}

void add_top(CLI::App& app, int& code) {
  auto [line, top] = add(app, code, "top", "The keys with most hits, misses or bytes sent lately.", run_top);
  add_node_options(line, top.node);
  line.add_option("--by", top.by, "What counts")
      ->check(CLI::IsMember({"hits", "misses", "bytes"}))
      ->capture_default_str();
  line.add_option("-n,--limit", top.limit, "How many")->check(CLI::Range(1, 200))->capture_default_str();
}

void add_explain(CLI::App& app, int& code) {
  auto [line, explain] =
      add(app, code, "explain",
          "What a running node has of a URL, why the last answer was a miss, and what the next will be.",
          run_explain);
  line.add_option("URL", explain.url, "The URL that a client asks for")->required();
  line.add_option("--header", explain.headers, "Of the request, \"Accept: image/webp\"; repeatable");
  add_node_options(line, explain.node);
}

void add_warming(CLI::App& app, int& code) {
  auto [hot_line, hot] =
      add(app, code, "hot", "List the keys with most hits in a running node's memory.", run_hot);
  add_address_options(hot_line, hot.config, hot.admin);
  hot_line.add_option("-n,--limit", hot.limit, "How many")->check(CLI::Range(1, 262'144));
  auto [warm_line, warm] = add(
      app, code, "warm", "Have a running node fetch what is in a list into its cache, at a pace.", run_warm);
  add_warm_options(warm_line, warm);
}

void add_sign(CLI::App& app, int& code) {
  auto [line, sign] = add(app, code, "sign", "Sign the URL of an image.", run_sign);
  line.add_option("URL", sign.url, "Path or URL with - in the signature's place: /i/-/w=640/cat.jpg")
      ->required();
  line.add_option("--key-id", sign.key_id, "Name of the key, told in the URL");
  line.add_option("--expires", sign.expires, "Seconds from now until which it holds")
      ->check(CLI::PositiveNumber);
  auto* from = line.add_option_group("from");
  from->add_option("--secret-file", sign.secret_file, "File that holds the secret");
  from->add_option("-c,--config", sign.config, "Configuration file: the named key of [images], or its first");
  from->require_option(1);
}

}  // namespace

void add_commands(CLI::App& app, int& code) {
  for (auto* add_to : {add_serve, add_configuration, add_questions, add_purge, add_top, add_explain,
                       add_warming, add_sign}) {
    add_to(app, code);
  }
}

}  // namespace vignette::proxy
