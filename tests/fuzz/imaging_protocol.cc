// The node's and the supervisor's frame reader on bytes of a hostile peer, fed in two parts.
#include <fcntl.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "imaging/protocol.h"

using namespace vignette;
using namespace vignette::imaging;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  FrameReader reader;
  for (int i = 0; i < 4; ++i) reader.feed_fd(UniqueFd());
  for (const std::string_view part : {bytes.substr(0, size / 2), bytes.substr(size / 2)}) {
    reader.feed(part);
    while (true) {
      const auto next = reader.next();
      if (!next || !*next) break;
      if (const auto* result = std::get_if<JobResult>(&(*next)->message)) {
        VCHECK(result->output_bytes <= kMaxResultBytes);
        VCHECK(result->error == ErrorClass::none || result->output_bytes == 0);
        std::string again;
        encode(*result, again);
        VCHECK(decode_body(4, std::string_view(again).substr(kFrameHeaderBytes)));
      }
      if (const auto* job = std::get_if<Job>(&(*next)->message)) {
        VCHECK(job->deadline_ms >= 1 && job->source != SourceFormat::unsupported);
      }
    }
  }
  return 0;
}
