// From an [origin.NAME] to the object that fetches. Main thread only: reads credentials and CA files.
#pragma once

#include <expected>
#include <memory>
#include <string>

#include "conf/config.h"
#include "proxy/origin/origin.h"

namespace vignette::proxy {

struct Node;

// The error is a sentence for the operator. `options` must outlive the origin (the snapshot keeps both).
std::expected<std::unique_ptr<Origin>, std::string> make_origin(const conf::Origin& options, Node& node);

}  // namespace vignette::proxy
