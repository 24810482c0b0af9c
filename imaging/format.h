// Image kinds: told from the first bytes (never from a name or a Content-Type), and chosen for output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace vignette::imaging {

// What we decode. The numbers travel between processes: append only.
enum class SourceFormat : std::uint8_t { unsupported = 0, jpeg, png, webp, gif, avif, heic };
inline constexpr std::uint8_t kSourceFormatCount = 7;

// What we encode. The numbers travel between processes: append only.
enum class OutputFormat : std::uint8_t { jpeg = 0, webp, png };
inline constexpr std::uint8_t kOutputFormatCount = 3;

// Bytes after which sniff() always decides.
inline constexpr std::size_t kSniffBytes = 64;

// Nullopt: a longer prefix is needed (only while fewer than kSniffBytes were given and `complete` is false).
// Everything that is not exactly one of ours is `unsupported`: text, SVG, PDF, TIFF, JPEG XL, video.
std::optional<SourceFormat> sniff(std::string_view prefix, bool complete);

std::string_view content_type(SourceFormat format);  // "application/octet-stream" for unsupported
std::string_view content_type(OutputFormat format);
std::string_view to_string(SourceFormat format);  // "jpeg", "png", …
std::string_view to_string(OutputFormat format);
std::optional<OutputFormat> output_format(std::string_view name);  // exact: jpeg, webp, png

// f=auto: WebP when the client lists image/webp with q > 0 (`*/*` alone does not count: the caller's duty),
// else PNG for a picture with transparency, else JPEG.
OutputFormat choose_format(std::optional<OutputFormat> asked, bool accepts_webp, bool source_alpha);

}  // namespace vignette::imaging
