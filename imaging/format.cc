#include "imaging/format.h"

#include <algorithm>

namespace vignette::imaging {
namespace {

using namespace std::string_view_literals;

enum class Brand { avif, heic, container, other };

Brand brand_of(std::string_view name) {
  if (name == "avif") return Brand::avif;
  for (std::string_view heic : {"heic"sv, "heix"sv, "heim"sv, "heis"sv}) {
    if (name == heic) return Brand::heic;
  }
  return name == "mif1" ? Brand::container : Brand::other;
}

// ISO base media: the major brand decides; for the generic "mif1" the first compatible brand we know does.
// Image sequences (avis, hevc, msf1) are video to us.
std::optional<SourceFormat> sniff_ftyp(std::string_view prefix, bool complete) {
  std::uint32_t size = 0;
  for (int i = 0; i < 4; ++i)
    size = size << 8 | static_cast<unsigned char>(prefix[static_cast<std::size_t>(i)]);
  if (size < 16) return SourceFormat::unsupported;
  const std::size_t end = std::min<std::size_t>(size, kSniffBytes);
  const Brand major = brand_of(prefix.substr(8, 4));
  if (major == Brand::avif) return SourceFormat::avif;
  if (major == Brand::heic) return SourceFormat::heic;
  if (major == Brand::other) return SourceFormat::unsupported;
  for (std::size_t at = 16; at + 4 <= end; at += 4) {
    if (at + 4 > prefix.size()) {
      if (complete) break;
      return std::nullopt;
    }
    const Brand brand = brand_of(prefix.substr(at, 4));
    if (brand == Brand::avif) return SourceFormat::avif;
    if (brand == Brand::heic) return SourceFormat::heic;
  }
  return SourceFormat::unsupported;
}

bool may_become(std::string_view prefix, std::string_view magic) {
  return prefix.size() < magic.size() && magic.starts_with(prefix);
}

}  // namespace

std::optional<SourceFormat> sniff(std::string_view prefix, bool complete) {
  constexpr std::string_view kJpeg = "\xff\xd8\xff";
  constexpr std::string_view kPng = "\x89PNG\r\n\x1a\n";
  if (prefix.starts_with(kJpeg)) return SourceFormat::jpeg;
  if (prefix.starts_with(kPng)) return SourceFormat::png;
  if (prefix.starts_with("GIF87a") || prefix.starts_with("GIF89a")) return SourceFormat::gif;
  if (prefix.size() >= 12) {
    if (prefix.starts_with("RIFF") && prefix.substr(8, 4) == "WEBP") return SourceFormat::webp;
    if (prefix.substr(4, 4) == "ftyp") return sniff_ftyp(prefix, complete);
    return SourceFormat::unsupported;
  }
  if (complete) return SourceFormat::unsupported;
  const bool open = may_become(prefix, kJpeg) || may_become(prefix, kPng) || may_become(prefix, "GIF87a") ||
                    may_become(prefix, "GIF89a") || may_become(prefix.substr(0, 4), "RIFF") ||
                    prefix.starts_with("RIFF") || prefix.size() < 8 || prefix.substr(4, 4) == "ftyp";
  if (open) return std::nullopt;
  return SourceFormat::unsupported;
}

std::string_view content_type(SourceFormat format) {
  switch (format) {
    case SourceFormat::jpeg:
      return "image/jpeg";
    case SourceFormat::png:
      return "image/png";
    case SourceFormat::webp:
      return "image/webp";
    case SourceFormat::gif:
      return "image/gif";
    case SourceFormat::avif:
      return "image/avif";
    case SourceFormat::heic:
      return "image/heic";
    case SourceFormat::unsupported:
      break;
  }
  return "application/octet-stream";
}

std::string_view content_type(OutputFormat format) {
  switch (format) {
    case OutputFormat::jpeg:
      return "image/jpeg";
    case OutputFormat::webp:
      return "image/webp";
    case OutputFormat::png:
      return "image/png";
  }
  return "application/octet-stream";
}

std::string_view to_string(SourceFormat format) {
  return format == SourceFormat::unsupported ? "unsupported"sv : content_type(format).substr(6);
}

std::string_view to_string(OutputFormat format) { return content_type(format).substr(6); }

std::optional<OutputFormat> output_format(std::string_view name) {
  if (name == "jpeg") return OutputFormat::jpeg;
  if (name == "webp") return OutputFormat::webp;
  if (name == "png") return OutputFormat::png;
  return std::nullopt;
}

OutputFormat choose_format(std::optional<OutputFormat> asked, bool accepts_webp, bool source_alpha) {
  if (asked) return *asked;
  if (accepts_webp) return OutputFormat::webp;
  return source_alpha ? OutputFormat::png : OutputFormat::jpeg;
}

}  // namespace vignette::imaging
