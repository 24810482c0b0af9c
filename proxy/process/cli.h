// What the commands of the program do. Each returns the exit status; errors are one line on stderr.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/process/warm_client.h"

namespace vignette::proxy {

struct ServeArguments {
  std::string config;  // empty: the quickstart
  std::string photos = "photos";
  std::string countries;  // empty: none is known
  std::string state = ".";
};
int run_serve(const ServeArguments& arguments);

int run_check(const std::string& file);
int run_reference();

struct StatusArguments {
  std::string config;  // where to read the admin address from; empty: `admin`
  std::string admin = "127.0.0.1:9180";
  bool json = false;
};
int run_status(const StatusArguments& arguments);

struct TopArguments {
  StatusArguments node;
  std::string by = "hits";  // misses, bytes
  std::size_t limit = 20;
};
int run_top(const TopArguments& arguments);
int run_what_if(const StatusArguments& arguments);

struct ExplainArguments {
  StatusArguments node;
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
};
int run_explain(const ExplainArguments& arguments);

struct HotArguments {
  std::string config;  // as above
  std::string admin = "127.0.0.1:9180";
  std::size_t limit = 0;  // 0: as many as the node gives
};
int run_hot(const HotArguments& arguments);

struct WarmArguments {
  std::string config;  // as above
  std::string admin = "127.0.0.1:9180";
  WarmJob job;
};
int run_warm(const WarmArguments& arguments);

struct PurgeArguments {
  std::string config;  // as above
  std::string admin = "127.0.0.1:9180";
  std::vector<std::string> urls;
  std::vector<std::string> tags;
  std::vector<std::string> prefixes;
  std::string origin;  // alone: all of it; with prefixes: they are of its keys
  bool all = false;
  bool soft = false;
  bool erase = false;
  bool dry_run = false;
  bool json = false;
};
int run_purge(const PurgeArguments& arguments);

struct SignArguments {
  std::string config;  // whose [images] keys sign; empty: `secret_file`
  std::string secret_file;
  std::string url;
  std::string key_id;
  std::optional<std::int64_t> expires;  // seconds from now
};
int run_sign(const SignArguments& arguments);

void print(std::string_view text);  // to standard output, at once

// The program, the libraries it runs with and its allocator, a line each.
std::string version_text();

}  // namespace vignette::proxy
