#include "imaging/worker/process_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace vignette::imaging {

std::uint64_t resident_bytes(pid_t pid) {
  const UniqueFd file(::open(("/proc/" + std::to_string(pid) + "/statm").c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 128> text{};
  const ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : -1;
  if (size <= 0) return 0;
  // "total resident shared …", in pages
  std::array<std::uint64_t, 3> pages{};
  const char* at = text.data();
  const char* const end = at + size;
  for (std::uint64_t& field : pages) {
    const auto [next, error] = std::from_chars(at, end, field);
    if (error != std::errc() || next == end) return 0;
    at = next + 1;
  }
  const std::uint64_t own = pages[1] > pages[2] ? pages[1] - pages[2] : 0;
  return own * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace vignette::imaging
