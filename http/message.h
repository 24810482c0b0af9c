// The normalised model of a request and of a response head. Parsers fill it, policies read it, writers
// serialise it. All views point into the buffer the head was parsed from (or to static text) and live as
// long.
#pragma once

#include <cstdint>
#include <string_view>

#include "http/field_list.h"

namespace vignette::http {

enum class Method : std::uint8_t { get, head, post, put, delete_, options, patch, trace, connect, other };
Method method_from(std::string_view name);  // case-sensitive
std::string_view to_string(Method method);  // "GET"; "" for other: use RequestHead::method_name
inline bool is_safe(Method method) {        // RFC 9110 §9.2.1
  return method == Method::get || method == Method::head || method == Method::options ||
         method == Method::trace;
}
inline bool is_idempotent(Method method) {  // RFC 9110 §9.2.2
  return is_safe(method) || method == Method::put || method == Method::delete_;
}

enum class Version : std::uint8_t { http_1_0, http_1_1, http_2 };
std::string_view to_string(Version version);  // "HTTP/1.1"

enum class Framing : std::uint8_t {
  none,         // no body follows
  length,       // content_length bytes follow
  chunked,      // decode with ChunkedDecoder
  until_close,  // responses only
};

struct RequestHead {
  Method method = Method::other;
  Version version = Version::http_1_1;
  Framing framing = Framing::none;
  bool has_query = false;            // tells "/a?" from "/a"
  bool keep_alive = false;           // what the client asks for (RFC 9112 §9.3)
  bool expect_continue = false;      // it waits for 100 before it sends the body
  bool upgrade_websocket = false;    // GET with Connection: upgrade and Upgrade: websocket, and no body
  std::uint16_t port = 0;            // of the authority; 0 when it names none
  std::uint64_t content_length = 0;  // meaningful with Framing::length (0 is then Framing::none)
  std::string_view method_name;
  std::string_view target;     // as received (in absolute-form without Host, the host in it is lower-cased)
  std::string_view scheme;     // "http" or "https" in absolute-form (HTTP/2: :scheme), else ""
  std::string_view authority;  // host[:port]; "" only when an HTTP/1.0 request names none
  std::string_view host;       // lower case, no trailing dot, no port; an IPv6 literal keeps its brackets
  std::string_view path;       // raw, starts with '/', or is "*" for OPTIONS; see normalize_path
  std::string_view query;      // raw, without '?'
  FieldList fields;

  void clear();
  bool has_body() const { return framing != Framing::none; }
};

struct ResponseHead {
  int status = 0;
  Version version = Version::http_1_1;
  Framing framing = Framing::none;
  bool keep_alive = false;          // whether the connection may be reused after this message
  bool has_content_length = false;  // a valid Content-Length was there (also on HEAD and 304 answers)
  std::uint64_t content_length = 0;
  FieldList fields;

  void clear();
  bool is_interim() const { return status >= 100 && status < 200 && status != 101; }
};

}  // namespace vignette::http
