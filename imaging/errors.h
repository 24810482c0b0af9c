// Why a picture was not made, and the one place that turns it into an HTTP status.
#pragma once

#include <cstdint>
#include <string_view>

namespace vignette::imaging {

// The numbers travel between processes: append only.
enum class ErrorClass : std::uint8_t {
  none = 0,
  bad_request,  // the URL or an op is wrong; no fetch was made
  forbidden,    // signature missing, wrong or expired; no fetch was made
  unsupported,  // not an image, or a kind of image we do not open
  broken,       // a supported format that cannot be decoded: empty, truncated, corrupt
  too_large,    // over a limit of pixels, side, frames or bytes
  deadline,     // did not finish in time; the worker was killed
  busy,         // no free lane
  crashed,      // the worker died on this job
  cancelled,    // the node asked to drop it
  internal,     // our own failure
};
inline constexpr std::uint8_t kErrorClassCount = 11;

// 200, 400, 403, 415, 422, 413, 503 (deadline, busy, cancelled), 500 (crashed, internal).
int status_for(ErrorClass error);

// Names for logs and metrics; static strings.
std::string_view to_string(ErrorClass error);

}  // namespace vignette::imaging
