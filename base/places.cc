#include "base/places.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/core.h>

namespace vignette {
namespace {

namespace fs = std::filesystem;

// As the effective user: access(2) asks for the real one.
bool permits(const std::string& path, int what) {
  return ::faccessat(AT_FDCWD, path.c_str(), what, AT_EACCESS) == 0;
}

std::optional<std::string> why_not_folder(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return fmt::format("the folder {}: {}", path, std::strerror(errno));
  if (!S_ISDIR(status.st_mode)) return fmt::format("{} is not a folder", path);
  if (!permits(path, W_OK | X_OK)) return fmt::format("the folder {}: {}", path, std::strerror(errno));
  return std::nullopt;
}

std::optional<std::string> why_not_above(const std::string& path) {
  // "a/b/" names what "a/b" names.
  const fs::path plain = fs::path(path).has_filename() ? fs::path(path) : fs::path(path).parent_path();
  const fs::path above = plain.parent_path();
  return why_not_folder(above.empty() ? "." : above.string());
}

}  // namespace

std::optional<std::string> why_not_writable_file(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    return errno == ENOENT ? why_not_above(path) : fmt::format("{}: {}", path, std::strerror(errno));
  }
  if (S_ISDIR(status.st_mode)) return fmt::format("{} is a folder", path);
  if (!permits(path, W_OK)) return fmt::format("{}: {}", path, std::strerror(errno));
  return std::nullopt;
}

std::optional<std::string> why_not_writable_folder(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0 && errno == ENOENT) return why_not_above(path);
  return why_not_folder(path);
}

}  // namespace vignette
