#include "proxy/policy/websocket.h"

#include <algorithm>

namespace vignette::proxy {
namespace {

// 16 bytes: 22 digits of base64 and the padding.
bool is_websocket_key(std::string_view key) {
  const auto is_digit = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  };
  return key.size() == 24 && key.ends_with("==") && std::ranges::all_of(key.substr(0, 22), is_digit);
}

}  // namespace

bool is_websocket_handshake(const http::FieldList& fields) {
  using http::FieldId;
  return fields.count(FieldId::sec_websocket_key) == 1 && fields.count(FieldId::sec_websocket_version) == 1 &&
         is_websocket_key(fields.value(FieldId::sec_websocket_key));
}

}  // namespace vignette::proxy
