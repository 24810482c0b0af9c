// What a start reads of the hot list, and what another node sends as one: any bytes.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "cache/warm/hot_list.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

// A list that is accepted is written as it was read, but for zeros in front of its numbers.
void read_list(std::string_view text) {
  const auto read = read_hot_list(text);
  if (!read) return;
  const auto again = read_hot_list(write_hot_list(*read));
  VCHECK(again && *again == *read);
}

// The same for a key of these bytes.
void read_as_key(std::string_view key_string) {
  if (key_string.empty() || key_string.size() > kMaxHotKeyBytes / 2) return;
  const HotEntry entry{3, 4, HotKind::response, std::string(key_string)};
  const std::string list = write_hot_list({&entry, 1});
  const auto read = read_hot_list(list);
  VCHECK(read && read->size() == 1 && read->front() == entry);
  VCHECK(!read_hot_list(std::string_view(list).substr(0, list.size() - 1)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  read_list(bytes);
  read_as_key(bytes);
  if (const auto key_string = unescape_key(bytes)) VCHECK(escape_key(*key_string) == bytes);
  return 0;
}
