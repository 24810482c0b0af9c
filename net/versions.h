// The libraries this folder runs with, for `vignette --version`.
#pragma once

#include <string>
#include <vector>

namespace vignette::net {

// "libevent 2.1.12-stable", … of the libraries that are loaded, not of the headers.
std::vector<std::string> library_versions();

}  // namespace vignette::net
