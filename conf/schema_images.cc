// The rows of [images].
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "conf/option_types.h"

namespace vignette::conf {
namespace {

constexpr std::size_t kLeastSecret = 16;
constexpr std::size_t kMostSecret = 4096;

bool is_id_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

std::optional<std::string> bad_id(std::string_view id) {
  if (id.size() <= 32 && std::ranges::all_of(id, is_id_char)) return std::nullopt;
  return fmt::format("expected at most 32 letters, digits, '_' and '-', not \"{}\"", id);
}

void take_secret(Context& context, const Node& node, std::string bytes, std::string_view from,
                 ImageKey& key) {
  while (!bytes.empty() && (bytes.back() == '\n' || bytes.back() == '\r')) bytes.pop_back();
  if (bytes.size() < kLeastSecret || bytes.size() > kMostSecret) {
    context.error(node.at, fmt::format("the secret in {} has {} bytes, expected {} to {}", from, bytes.size(),
                                       kLeastSecret, kMostSecret));
    return;
  }
  key.secret = Secret(std::move(bytes));
}

Option secret_file() {
  Option option{.key = "secret_file",
                .type = "path",
                .range = "a readable file of 16 to 4096 bytes",
                .doc = "The file that holds the secret. Line ends after it do not count."};
  option.read = [](Context& context, const Node& node, void* owner) {
    const auto path = file_path().parse(context, node);
    if (!path) return;
    std::ifstream file(*path, std::ios::binary);
    std::string bytes(kMostSecret + 8, '\0');
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    bytes.resize(static_cast<std::size_t>(file.gcount()));
    take_secret(context, node, std::move(bytes), *path, *static_cast<ImageKey*>(owner));
  };
  return option;
}

Option secret_env() {
  Option option{.key = "secret_env",
                .type = "string",
                .range = "a variable of 16 to 4096 bytes",
                .doc = "The environment variable that holds the secret."};
  option.read = [](Context& context, const Node& node, void* owner) {
    const auto name = text().parse(context, node);
    if (!name) return;
    const char* secret = std::getenv(name->c_str());
    if (secret) {
      take_secret(context, node, secret, *name, *static_cast<ImageKey*>(owner));
    } else {
      context.error(node.at, fmt::format("the environment variable {} is not set", *name));
    }
  };
  return option;
}

Type<std::vector<std::pair<std::string, std::string>>> presets() {
  using Presets = std::vector<std::pair<std::string, std::string>>;
  Type<Presets> type{"table of strings", "names of letters, digits, '_' and '-'", {}, {}};
  type.parse = [](Context& context, const Node& node) -> std::optional<Presets> {
    if (!node.is(Node::Kind::table)) return refuse(context, node, "a table of strings");
    Presets out;
    for (const Member& member : node.members) {
      if (const auto wrong = bad_id(member.key)) context.error(member.at, *wrong);
      if (const auto operations = text().parse(context, member.value))
        out.emplace_back(member.key, *operations);
    }
    std::ranges::sort(out);
    return out;
  };
  type.show = [](const Presets&) { return std::string("{}"); };
  return type;
}

Type<std::vector<std::uint32_t>> ladder() {
  auto type = list_of(integer(1, 16384), "list of integers");
  type.parse = [inner = type.parse](Context& context,
                                    const Node& node) -> std::optional<std::vector<std::uint32_t>> {
    auto rungs = inner(context, node);
    if (!rungs || std::ranges::is_sorted(*rungs, std::less_equal<>())) return rungs;
    context.error(node.at, "expected widths in ascending order, each once");
    return std::nullopt;
  };
  return type;
}

}  // namespace

std::vector<Option> image_options() {
  using I = ImageOptions;
  Option keys = tables("keys", &I::keys,
                       {required(value("id", &ImageKey::id, text("string", "at most 32 characters", bad_id),
                                       Reload::live, "Its name in a signed URL.")),
                        secret_file(), secret_env()},
                       "Keys that sign image URLs; any of them is accepted, the first is used to sign. Each "
                       "has either `secret_file` or `secret_env`.");
  return {
      value("unsigned", &I::unsigned_access,
            choice<UnsignedImages>({{"off", UnsignedImages::off},
                                    {"presets", UnsignedImages::presets},
                                    {"on", UnsignedImages::on}}),
            Reload::live,
            "Whether URLs without a signature are served: never, only with one preset and nothing else, or "
            "always. With `\"on\"` anybody can make the node work."),
      std::move(keys),
      value(
          "presets", &I::presets, presets(), Reload::live,
          "Named operations, used as `p:NAME` in a URL: `presets = { thumb = \"w=150,h=150,fit=cover\" }`."),
      value("ladder", &I::ladder, ladder(), Reload::live,
            "Widths that are made; one asked for is rounded up to the next. Empty makes every width, and a "
            "cache entry for each."),
      value(
          "max_pixels", &I::max_pixels,
          [] {
            Type<std::uint64_t> type{"integer", "1 to 1000000000", {}, {}};
            const auto inner = integer(1, 1'000'000'000);
            type.parse = [inner](Context& context, const Node& node) -> std::optional<std::uint64_t> {
              return inner.parse(context, node);
            };
            type.show = [](const std::uint64_t& pixels) { return fmt::format("{}", pixels); };
            return type;
          }(),
          Reload::restart, "Pixels of an original, from its header; more is answered 413 before decoding."),
      value("max_source", &I::max_source, size(1ULL << 10, 1ULL << 32), Reload::restart,
            "Bytes of an original; more is answered 413."),
      value("deadline", &I::deadline, duration(milliseconds(10), std::chrono::minutes(5)), Reload::restart,
            "Time for one image; after it its worker process is killed and the answer is 503."),
      value("workers", &I::workers, auto_or(integer(1, 1024)), Reload::restart,
            "Image worker processes, beside one for heavy pictures. `\"auto\"` is one a core."),
  };
}

}  // namespace vignette::conf
