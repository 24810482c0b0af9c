#include "http/message.h"

#include <array>

namespace vignette::http {
namespace {
constexpr std::array<std::string_view, 10> kMethods = {"GET",     "HEAD",  "POST",  "PUT",     "DELETE",
                                                       "OPTIONS", "PATCH", "TRACE", "CONNECT", ""};
}  // namespace

Method method_from(std::string_view name) {
  if (name == "GET") return Method::get;
  for (std::size_t i = 1; i + 1 < kMethods.size(); ++i) {
    if (name == kMethods[i]) return static_cast<Method>(i);
  }
  return Method::other;
}

std::string_view to_string(Method method) { return kMethods[static_cast<std::size_t>(method)]; }

std::string_view to_string(Version version) {
  switch (version) {
    case Version::http_1_0:
      return "HTTP/1.0";
    case Version::http_1_1:
      return "HTTP/1.1";
    case Version::http_2:
      return "HTTP/2.0";
  }
  return "";
}

void RequestHead::clear() {
  method = Method::other;
  version = Version::http_1_1;
  framing = Framing::none;
  has_query = keep_alive = expect_continue = upgrade_websocket = false;
  port = 0;
  content_length = 0;
  method_name = target = scheme = authority = host = path = query = {};
  fields.clear();
}

void ResponseHead::clear() {
  status = 0;
  version = Version::http_1_1;
  framing = Framing::none;
  keep_alive = has_content_length = false;
  content_length = 0;
  fields.clear();
}

}  // namespace vignette::http
