// Long texts that repeat, in the time of a copy: a function called for each byte is slow under sanitizers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>

namespace vignette::test {

// `byte_at(i)` is asked for the first `period` places; the rest is theirs again.
template <class ByteAt>
std::string periodic_text(std::size_t size, std::size_t period, ByteAt byte_at) {
  std::string text(size, '\0');
  char* bytes = text.data();
  for (std::size_t i = 0; i < std::min(size, period); ++i) bytes[i] = byte_at(i);
  for (std::size_t at = period; at < size; at += period) {
    std::copy_n(bytes, std::min(period, size - at), bytes + at);
  }
  return text;
}

}  // namespace vignette::test
