#include "base/error.h"

#include <system_error>

namespace vignette {

std::string_view to_string(Code code) {
  switch (code) {
    case Code::closed:
      return "closed";
    case Code::reset:
      return "reset";
    case Code::timeout:
      return "timeout";
    case Code::refused:
      return "refused";
    case Code::cancelled:
      return "cancelled";
    case Code::limit:
      return "limit";
    case Code::malformed:
      return "malformed";
    case Code::unsupported:
      return "unsupported";
    case Code::tls:
      return "tls";
    case Code::dns:
      return "dns";
    case Code::io:
      return "io";
    case Code::not_found:
      return "not_found";
    case Code::denied:
      return "denied";
    case Code::exhausted:
      return "exhausted";
    case Code::unavailable:
      return "unavailable";
    case Code::internal:
      return "internal";
  }
  return "unknown";
}

std::string_view to_string(Blame blame) {
  switch (blame) {
    case Blame::client:
      return "client";
    case Blame::origin:
      return "origin";
    case Blame::internal:
      return "internal";
  }
  return "unknown";
}

std::string explain(const Error& error) {
  if (error.sys_errno == 0) return std::string(to_string(error.code));
  return std::generic_category().message(error.sys_errno);
}

}  // namespace vignette
