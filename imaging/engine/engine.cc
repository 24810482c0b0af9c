#include "imaging/engine/engine.h"

#include <vips/vector.h>

#include <algorithm>
#include <chrono>

#include "imaging/engine/steps.h"
#include "imaging/engine/warm_samples.h"
#include "imaging/geometry.h"

namespace vignette::imaging {
namespace {

// Below this ratio the decoder's box filter, which is not in linear light, would show.
constexpr double kDecoderShrinkMargin = 3.5;
// A side longer than this between steps is refused: libvips counts in 32 bits.
constexpr std::uint32_t kMaxScaledSide = 1'000'000;

class Stopwatch {
 public:
  std::uint32_t lap_microseconds() {
    const auto now = std::chrono::steady_clock::now();
    const auto lap = std::chrono::duration_cast<std::chrono::microseconds>(now - start_);
    start_ = now;
    return static_cast<std::uint32_t>(std::min<std::int64_t>(lap.count(), UINT32_MAX));
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

std::uint8_t orientation_of(VipsImage* image, const ImageHeader& header) {
  // libheif turns pictures itself; our scan knows PNG's eXIf, which not every libvips reads.
  if (header.format == SourceFormat::avif || header.format == SourceFormat::heic) return 1;
  const int tag = vips_image_get_orientation(image);
  return tag >= 2 && tag <= 8 ? static_cast<std::uint8_t>(tag) : header.orientation;
}

std::uint32_t frames_of(VipsImage* image) {
  return static_cast<std::uint32_t>(std::max(1, vips_image_get_n_pages(image)));
}

ImageInfo describe(Image& image, std::string_view source, const ImageHeader& header) {
  ImageInfo info;
  info.format = header.format;
  info.orientation = orientation_of(image.get(), header);
  info.width = static_cast<std::uint32_t>(image->Xsize);
  info.height = static_cast<std::uint32_t>(image->Ysize);
  if (info.orientation >= 5) std::swap(info.width, info.height);
  info.frames = frames_of(image.get());
  info.alpha = vips_image_hasalpha(image.get()) != 0;
  info.icc_bytes = keep_good_profile(image);
  info.source_bytes = source.size();
  return info;
}

ErrorClass check_claims(const Job& job, std::string_view source, const ImageInfo& info) {
  ImageHeader real;
  real.width = info.width;
  real.height = info.height;
  if (info.frames > job.limits.max_frames) return ErrorClass::too_large;
  return check_limits(real, source.size(), job.limits);
}

// The largest decoder shrink that leaves the margin on both sides.
int choose_shrink(std::uint32_t width, std::uint32_t height, std::uint32_t target_width,
                  std::uint32_t target_height) {
  for (const int shrink : {8, 4, 2}) {
    if (width >= kDecoderShrinkMargin * target_width * shrink &&
        height >= kDecoderShrinkMargin * target_height * shrink) {
      return shrink;
    }
  }
  return 1;
}

ErrorClass transform(const Job& job, std::string_view source, Image image, EngineResult& result) {
  const ImageInfo& info = result.info;
  const Geometry geometry = plan(job.transform, info.width, info.height);
  if (geometry.scaled_width > kMaxScaledSide || geometry.scaled_height > kMaxScaledSide)
    return ErrorClass::too_large;
  std::uint32_t width = geometry.scaled_width;  // as stored, before turning
  std::uint32_t height = geometry.scaled_height;
  if (info.orientation >= 5) std::swap(width, height);
  if (job.source == SourceFormat::jpeg) {
    const int shrink = choose_shrink(static_cast<std::uint32_t>(image->Xsize),
                                     static_cast<std::uint32_t>(image->Ysize), width, height);
    if (shrink > 1) {
      image = open_source(source, job.source, shrink);
      if (!image) return ErrorClass::broken;
      keep_good_profile(image);
    }
  }
  Planes planes;
  Image out;
  const bool made = to_srgb(std::move(image), planes) && resize(std::move(planes), width, height, out) &&
                    turn_upright(out, info.orientation) && fit_box(out, geometry, job.output);
  if (!made) return ErrorClass::broken;
  result.width = geometry.output_width;
  result.height = geometry.output_height;
  return encode(out, job.output, job.transform.quality, result.picture) ? ErrorClass::none
                                                                        : ErrorClass::broken;
}

ErrorClass run(const Job& job, std::string_view source, EngineResult& result) {
  Stopwatch watch;
  const HeaderScan scan = scan_header(source, true);
  if (scan.state != HeaderScan::State::done) return scan.error;
  if (scan.header.format != job.source) return ErrorClass::unsupported;
  if (const ErrorClass error = check_limits(scan.header, source.size(), job.limits);
      error != ErrorClass::none) {
    return error;
  }
  Image image = open_source(source, job.source, 1);
  if (!image) return ErrorClass::broken;
  result.info = describe(image, source, scan.header);
  result.timings.decode = watch.lap_microseconds();
  if (const ErrorClass error = check_claims(job, source, result.info); error != ErrorClass::none)
    return error;
  if (job.kind == Job::Kind::info) return ErrorClass::none;
  const ErrorClass error = transform(job, source, std::move(image), result);
  result.timings.pixels = watch.lap_microseconds();
  return error;
}

}  // namespace

bool engine_init(const char* program) {
  // Library chatter about hostile files is nobody's news, and printing it would need system calls.
  g_log_set_default_handler([](const gchar*, GLogLevelFlags, const gchar*, gpointer) {}, nullptr);
  if (vips_init(program) != 0) return false;
  vips_concurrency_set(1);
  vips_cache_set_max(0);
  vips_vector_set_enabled(FALSE);  // ORC compiles at run time: the sandbox forbids executable memory
  vips_operation_block_set("VipsForeignLoad", TRUE);
  for (const char* loader : {"VipsForeignLoadJpeg", "VipsForeignLoadPng", "VipsForeignLoadWebp",
                             "VipsForeignLoadNsgif", "VipsForeignLoadHeif"}) {
    vips_operation_block_set(loader, FALSE);
  }
  return true;
}

EngineResult engine_run(const Job& job, std::string_view source) {
  EngineResult result;
  result.error = run(job, source, result);
  if (result.error != ErrorClass::none) result.picture = Encoded();
  vips_error_clear();
  vips_thread_shutdown();
  return result;
}

namespace {

// Colour management keeps tables of its own: use it once.
bool warm_profiles() {
  const std::vector<WarmSample> samples = warm_samples();
  Image image = open_source(samples.front().bytes, samples.front().format, 1);
  VipsBlob* blob = nullptr;
  if (!image || vips_profile_load("srgb", &blob, nullptr) != 0 || blob == nullptr) return false;
  std::size_t size = 0;
  const void* data = vips_blob_get(blob, &size);
  vips_image_set_blob_copy(image.get(), VIPS_META_ICC_NAME, data, size);
  vips_area_unref(reinterpret_cast<VipsArea*>(blob));
  Planes planes;
  Image out;
  Encoded encoded;
  return keep_good_profile(image) > 0 && to_srgb(std::move(image), planes) &&
         resize(std::move(planes), 5, 5, out) && encode(out, OutputFormat::png, 0, encoded);
}

}  // namespace

bool engine_warm() {
  if (!warm_profiles()) return false;
  for (const WarmSample& sample : warm_samples()) {
    for (const OutputFormat output : {OutputFormat::jpeg, OutputFormat::webp, OutputFormat::png}) {
      Job job;
      job.source = sample.format;
      job.output = output;
      job.transform.width = 7;
      job.transform.height = 5;
      job.transform.fit = Fit::contain;
      if (engine_run(job, sample.bytes).error != ErrorClass::none) return false;
    }
  }
  return true;
}

}  // namespace vignette::imaging
