#include "conf/include.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <utility>

#include "base/fd.h"

namespace vignette::conf {
namespace {

constexpr std::size_t kMaxFile = 16 << 20;  // bytes
constexpr std::size_t kMaxFiles = 1000;

bool is_list_of_tables(const Node& node) {
  return node.is(Node::Kind::array) && !node.items.empty() &&
         std::ranges::all_of(node.items, [](const Node& item) { return item.is(Node::Kind::table); });
}

// `top`: at the file's top level, where lists of tables are joined.
void merge(Context& context, Node& into, Node from, bool top) {
  for (Member& member : from.members) {
    const auto present = std::ranges::find(into.members, member.key, &Member::key);
    if (present == into.members.end()) {
      into.members.push_back(std::move(member));
    } else if (present->value.is(Node::Kind::table) && member.value.is(Node::Kind::table)) {
      merge(context, present->value, std::move(member.value), false);
    } else if (top && is_list_of_tables(present->value) && is_list_of_tables(member.value)) {
      std::ranges::move(member.value.items, std::back_inserter(present->value.items));
    } else {
      context.error(member.at, fmt::format("\"{}\" is already set at {}:{}", member.key, present->at.file,
                                           present->at.line));
    }
  }
}

// Paths that a pattern names, sorted; the pattern itself when it has no wildcard.
std::vector<std::string> expand(const std::string& pattern) {
  if (pattern.find_first_of("*?[") == std::string::npos) return {pattern};
  glob_t found{};
  std::vector<std::string> paths;
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  ::globfree(&found);
  return paths;
}

class TreeReader {
 public:
  TreeReader(Context& context, std::vector<std::string>& files) : context_(context), files_(files) {}

  Node read(const Source& source, std::string_view text) {
    files_.push_back(source.name);
    context_.add_file(source.name, source.folder);
    auto parsed = parse_toml(text, source.name);
    if (!parsed) {
      const Diagnostic& why = parsed.error();
      context_.error({why.file, why.line, why.column}, why.message);
      return {};
    }
    Node tree = std::move(*parsed);
    const auto include = std::ranges::find(tree.members, "include", &Member::key);
    if (include == tree.members.end()) return tree;
    const Node named = std::move(include->value);
    tree.members.erase(include);
    include_all(named, tree);
    return tree;
  }

 private:
  void include_all(const Node& named, Node& tree) {
    if (named.is(Node::Kind::array)) {
      for (const Node& item : named.items) include_pattern(item, tree);
    } else {
      include_pattern(named, tree);
    }
  }

  void include_pattern(const Node& named, Node& tree) {
    if (!named.is(Node::Kind::string) || named.text.empty()) {
      context_.error(named.at, "expected a path or a list of paths");
      return;
    }
    for (const std::string& path : expand(context_.resolve(named.at, named.text))) {
      include_file(named.at, path, tree);
    }
  }

  void include_file(const Position& at, const std::string& path, Node& tree) {
    std::error_code error;
    const std::string identity = std::filesystem::weakly_canonical(path, error).string();
    if (const auto open = std::ranges::find(open_, identity); open != open_.end()) {
      context_.error(at, fmt::format("{} includes itself{}", path,
                                     open + 1 == open_.end() ? "" : " through the files it includes"));
      return;
    }
    const auto [first, fresh] = included_.emplace(identity, at);
    if (!fresh) {
      context_.error(
          at, fmt::format("{} is already included at {}:{}", path, first->second.file, first->second.line));
      return;
    }
    if (files_.size() >= kMaxFiles) {
      context_.error(at, fmt::format("more than {} files", kMaxFiles));
      return;
    }
    const auto text = read_file(path);
    if (!text) {
      context_.error(at, text.error());
      return;
    }
    open_.push_back(identity);
    merge(context_, tree, read({path, folder_of(path)}, *text), true);
    open_.pop_back();
  }

 public:
  void enter(const std::string& path) {
    std::error_code error;
    open_.push_back(std::filesystem::weakly_canonical(path, error).string());
  }

 private:
  Context& context_;
  std::vector<std::string>& files_;
  std::vector<std::string> open_;             // the chain of files being read
  std::map<std::string, Position> included_;  // and where each was named first
};

}  // namespace

std::string folder_of(const std::string& path) { return std::filesystem::path(path).parent_path().string(); }

std::expected<std::string, std::string> read_file(const std::string& path) {
  const auto refuse = [&](std::string_view why) {
    return std::unexpected(fmt::format("cannot read {}: {}", path, why));
  };
  // Not blocking on a named pipe that nobody writes.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return refuse(std::strerror(errno));
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return refuse(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return refuse("not a file");
  std::string content;
  char buffer[16384];
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof(buffer));
    if (n < 0) return refuse(std::strerror(errno));
    if (n == 0) return content;
    content.append(buffer, static_cast<std::size_t>(n));
    if (content.size() > kMaxFile) return refuse("larger than 16 MiB");
  }
}

Node read_tree(Context& context, const Source& source, std::string_view text,
               std::vector<std::string>& files) {
  TreeReader reader(context, files);
  reader.enter(source.name);
  return reader.read(source, text);
}

}  // namespace vignette::conf
