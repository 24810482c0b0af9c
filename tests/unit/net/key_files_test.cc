#include "net/key_files.h"

#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include "base/check.h"
#include "base/fd.h"
#include "net/limits.h"

using namespace vignette;
using namespace vignette::net;

namespace {

// A folder that everybody may search, with a key in it that its owner alone may read.
class KeyFolder {
 public:
  KeyFolder() {
    VCHECK(::mkdtemp(folder_));
    std::filesystem::permissions(folder_, std::filesystem::perms(0755));
    write("old");
  }
  ~KeyFolder() { std::filesystem::remove_all(folder_); }
  KeyFolder(const KeyFolder&) = delete;
  KeyFolder& operator=(const KeyFolder&) = delete;

  std::string folder() const { return folder_; }
  std::string key() const { return folder() + "/a.key"; }
  void write(std::string_view text) const {
    std::ofstream(key() + ".new") << text;
    std::filesystem::permissions(key() + ".new", std::filesystem::perms(0600));
    std::filesystem::rename(key() + ".new", key());
  }

 private:
  char folder_[32] = "/tmp/vignette-keys-XXXXXX";
};

// What a process says that has read the key as root and reads it again as nobody, after `meanwhile`.
std::string read_again_as_nobody(const std::string& path, const std::function<void()>& meanwhile) {
  int ends[2];
  VCHECK(::pipe(ends) == 0);
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  if (const pid_t child = ::fork(); child != 0) {
    writer.reset();
    char text[256];
    const ssize_t size = ::read(reader.get(), text, sizeof text);
    ::waitpid(child, nullptr, 0);
    return {text, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  }
  KeyFiles keys;
  VCHECK(keys.read(path) && keys.take_kept().empty());
  meanwhile();
  VCHECK(drop_user("nobody"));
  const auto again = keys.read(path);
  const std::string text = !again ? again.error() : *again + (keys.take_kept().empty() ? ", read" : ", kept");
  ::_exit(::write(writer.get(), text.data(), text.size()) > 0 ? 0 : 1);
}

}  // namespace

TEST_CASE("Keys are read afresh as long as that is permitted") {
  const KeyFolder files;
  KeyFiles keys;
  CHECK(keys.read(files.key()) == "old");
  files.write("new");
  CHECK(keys.read(files.key()) == "new");
  std::filesystem::remove(files.key());
  CHECK(keys.read(files.key()) == std::unexpected<std::string>("No such file or directory"));
  CHECK(keys.take_kept().empty());
}

TEST_CASE("A key that root has read is kept by who may not read it, until it changes") {
  if (::getuid() != 0) {
    WARN("not root: giving root up was not tried");
    return;
  }
  const KeyFolder files;
  CHECK(read_again_as_nobody(files.key(), [] {}) == "old, kept");
  CHECK(read_again_as_nobody(files.key(), [&] { files.write("new"); }) ==
        "it has changed, and this process may not read it any more");
  const auto readable = [&] { std::filesystem::permissions(files.key(), std::filesystem::perms(0644)); };
  CHECK(read_again_as_nobody(files.key(), readable) == "new, read");
  const auto hidden = [&] { std::filesystem::permissions(files.folder(), std::filesystem::perms(0700)); };
  CHECK(read_again_as_nobody(files.key(), hidden) == "Permission denied");
}
