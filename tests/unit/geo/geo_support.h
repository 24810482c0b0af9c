// What tests of databases share.
#pragma once

#include <arpa/inet.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "geo/database.h"

namespace vignette::geo {

inline Address ip(const std::string& text) {
  Address bytes{};
  bytes[10] = bytes[11] = 0xff;
  if (inet_pton(AF_INET, text.c_str(), bytes.data() + 12) == 1) return bytes;
  REQUIRE(inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1);
  return bytes;
}

// A file that lives as long as its test.
class TempFile {
 public:
  explicit TempFile(const std::string& bytes) {
    std::string name = (std::filesystem::temp_directory_path() / "vignette-geo-XXXXXX").string();
    const int fd = ::mkstemp(name.data());
    REQUIRE(fd >= 0);
    ::close(fd);
    path_ = name;
    write(bytes);
  }
  ~TempFile() { std::filesystem::remove(path_); }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  const std::string& path() const { return path_; }

  // In place, as cp does it.
  void write(const std::string& bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }
  // As mv does it.
  void replace(const std::string& bytes) const {
    std::ofstream(path_ + ".new", std::ios::binary) << bytes;
    std::filesystem::rename(path_ + ".new", path_);
  }

 private:
  std::string path_;
};

// Empty when the shared data is absent; says so.
inline std::string shared_data() {
  const char* named = std::getenv("VIGNETTE_DATA");
  const std::string root = named ? named : std::string(VIGNETTE_SOURCE_DIR) + "/../shared/data";
  if (std::filesystem::exists(root + "/geo")) return root + "/geo/";
  WARN("skipped: MaxMind's test databases are not in " << root);
  return {};
}

}  // namespace vignette::geo
