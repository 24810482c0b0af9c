// Pictures with libvips: one job at a time, in a process of its own. Everything the source says is hostile.
//
// Pipeline: open with the loader our sniff chose (JPEG shrunk in the decoder while that leaves at least 3.5
// times the target), ICC or CMYK to sRGB, to 16-bit linear light, premultiply, Lanczos3, back to 8-bit sRGB,
// turn upright, cut or pad, drop every metadata field, encode.
#pragma once

#include <cstdint>
#include <string_view>

#include "imaging/engine/vips_types.h"
#include "imaging/errors.h"
#include "imaging/info.h"
#include "imaging/protocol.h"

namespace vignette::imaging {

// Starts libvips: only our five loaders allowed, no cache, no run-time code generation. Starts no thread, so
// the process may fork afterwards. False: libvips cannot run here.
bool engine_init(const char* program);

// Runs a tiny job through every loader and saver, ICC and CMYK, so that whatever opens files or loads modules
// has done so before the sandbox closes. Starts threads: call it after fork. False: a loader or saver is
// missing.
bool engine_warm();

struct EngineResult {
  ErrorClass error = ErrorClass::internal;
  Encoded picture;  // of a transform that worked
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  ImageInfo info;
  JobTimings timings;
};

// Does `job` (transform or info) on the bytes of `source`, which must live and not change meanwhile.
EngineResult engine_run(const Job& job, std::string_view source);

}  // namespace vignette::imaging
