// vignette-imaging: started by the node with one end of a unix stream socket. See imaging/README.md.
#include <malloc.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "imaging/engine/engine.h"
#include "imaging/worker/supervisor.h"

namespace {

constexpr const char* kUsage =
    "usage: vignette-imaging [--fd N] [--lanes N] [--heavy-lanes N] [--max-jobs N] [--max-rss-mib N] "
    "[--test-faults]\n"
    "Makes pictures for vignette, which starts it; --fd (3) is its end of their socket.\n";

struct Arguments {
  std::uint32_t fd = 3;
  std::uint32_t max_rss_mib = 384;
  vignette::imaging::SupervisorOptions supervisor;
};

bool parse_number(std::string_view text, std::uint32_t minimum, std::uint32_t maximum, std::uint32_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value >= minimum && value <= maximum;
}

bool parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--test-faults") {
      arguments.supervisor.test_faults = true;
      continue;
    }
    const std::string_view value = i + 1 < argc ? argv[++i] : "";
    const bool good =
        (name == "--fd" && parse_number(value, 0, 1'000'000, arguments.fd)) ||
        (name == "--lanes" && parse_number(value, 1, 512, arguments.supervisor.lanes)) ||
        (name == "--heavy-lanes" && parse_number(value, 1, 512, arguments.supervisor.heavy_lanes)) ||
        (name == "--max-jobs" && parse_number(value, 1, 1'000'000'000, arguments.supervisor.max_jobs)) ||
        (name == "--max-rss-mib" && parse_number(value, 32, 1'000'000, arguments.max_rss_mib));
    if (!good) return false;
  }
  arguments.supervisor.max_rss_bytes = std::uint64_t{arguments.max_rss_mib} << 20;
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!parse(argc, argv, arguments)) {
    std::fputs(kUsage, stderr);
    return 64;
  }
  // A terminal's Ctrl-C and a service manager's SIGTERM reach the whole group while the node still drains:
  // the end of its socket is what ends us.
  for (const int ignored : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) std::signal(ignored, SIG_IGN);
  // One arena: glibc opens a file of /proc when it first shrinks a second one, and the sandbox kills for
  // that.
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, 256 * 1024);  // large buffers go back to the system at once
  if (!vignette::imaging::engine_init(argv[0])) {
    std::fputs("vignette-imaging: libvips does not start\n", stderr);
    return 1;
  }
  vignette::imaging::Supervisor supervisor(vignette::UniqueFd(static_cast<int>(arguments.fd)),
                                           arguments.supervisor);
  return supervisor.run();
}
