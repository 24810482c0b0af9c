// Text that goes into pages we write.
#pragma once

#include <string>
#include <string_view>

namespace vignette {

// `text` as the content of an element or of a quoted attribute. Bytes that are not UTF-8 become U+FFFD.
std::string escape_html(std::string_view text);

}  // namespace vignette
