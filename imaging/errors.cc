#include "imaging/errors.h"

namespace vignette::imaging {

int status_for(ErrorClass error) {
  switch (error) {
    case ErrorClass::none:
      return 200;
    case ErrorClass::bad_request:
      return 400;
    case ErrorClass::forbidden:
      return 403;
    case ErrorClass::unsupported:
      return 415;
    case ErrorClass::broken:
      return 422;
    case ErrorClass::too_large:
      return 413;
    case ErrorClass::deadline:
    case ErrorClass::busy:
    case ErrorClass::cancelled:
      return 503;
    case ErrorClass::crashed:
    case ErrorClass::internal:
      return 500;
  }
  return 500;
}

std::string_view to_string(ErrorClass error) {
  switch (error) {
    case ErrorClass::none:
      return "none";
    case ErrorClass::bad_request:
      return "bad_request";
    case ErrorClass::forbidden:
      return "forbidden";
    case ErrorClass::unsupported:
      return "unsupported";
    case ErrorClass::broken:
      return "broken";
    case ErrorClass::too_large:
      return "too_large";
    case ErrorClass::deadline:
      return "deadline";
    case ErrorClass::busy:
      return "busy";
    case ErrorClass::crashed:
      return "crashed";
    case ErrorClass::cancelled:
      return "cancelled";
    case ErrorClass::internal:
      return "internal";
  }
  return "internal";
}

}  // namespace vignette::imaging
