#include "imaging/grammar.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace vignette::imaging {

// What was written, before presets, dpr and ladder are applied. Empty = not written.
struct Grammar::Raw {
  std::string_view preset;
  std::optional<std::uint32_t> width;
  std::optional<std::uint32_t> height;
  std::optional<Fit> fit;
  std::optional<bool> enlarge;
  std::optional<std::uint32_t> dpr_hundredths;
  std::optional<std::uint8_t> quality;                // 0 = auto
  std::optional<std::optional<OutputFormat>> format;  // inner nullopt = auto
};

namespace {

using Reason = OpError::Reason;

constexpr std::uint32_t kLargestNumber = 1'000'000;  // max_side is checked after dpr
constexpr std::size_t kMaxShownBytes = 40;
constexpr std::size_t kMaxPieces = 32;
constexpr std::size_t kMaxNameBytes = 32;
constexpr CharSet kNameBytes{"abcdefghijklmnopqrstuvwxyz0123456789-_"};

std::unexpected<OpError> refuse(Reason reason, std::string_view piece) {
  return std::unexpected(OpError{reason, std::string(piece.substr(0, kMaxShownBytes))});
}

std::optional<std::uint32_t> parse_side(std::string_view text) {
  const auto value = parse_u64(text, kLargestNumber);
  if (!value || *value == 0) return std::nullopt;
  return static_cast<std::uint32_t>(*value);
}

// "2", "1.5" or "1.25", from 1 to 4, in hundredths.
std::optional<std::uint32_t> parse_dpr(std::string_view text) {
  const Halves halves = split_once(text, '.');
  const auto whole = parse_u64(halves.before, 4);
  if (!whole) return std::nullopt;
  auto value = static_cast<std::uint32_t>(*whole * 100);
  if (halves.found) {
    if (halves.after.empty() || halves.after.size() > 2) return std::nullopt;
    const auto fraction = parse_u64(halves.after, 99);
    if (!fraction) return std::nullopt;
    value += static_cast<std::uint32_t>(halves.after.size() == 1 ? *fraction * 10 : *fraction);
  }
  if (value < 100 || value > 400) return std::nullopt;
  return value;
}

std::optional<Fit> parse_fit(std::string_view text) {
  if (text == "inside") return Fit::inside;
  if (text == "cover") return Fit::cover;
  if (text == "contain") return Fit::contain;
  if (text == "fill") return Fit::fill;
  if (text == "scale-down") return Fit::scale_down;
  return std::nullopt;
}

std::string_view fit_name(Fit fit) {
  switch (fit) {
    case Fit::inside:
      return "inside";
    case Fit::cover:
      return "cover";
    case Fit::contain:
      return "contain";
    case Fit::fill:
      return "fill";
    case Fit::scale_down:
      return "scale-down";
  }
  return "inside";
}

std::optional<bool> parse_flag(std::string_view text) {
  if (text == "0") return false;
  if (text == "1") return true;
  return std::nullopt;
}

std::optional<std::uint8_t> parse_quality(std::string_view text) {
  if (text == "auto") return std::uint8_t{0};
  const auto value = parse_u64(text, 100);
  if (!value || *value == 0) return std::nullopt;
  return static_cast<std::uint8_t>(*value);
}

std::optional<std::optional<OutputFormat>> parse_format(std::string_view text) {
  if (text == "auto") return std::optional<OutputFormat>();
  if (const auto format = output_format(text)) return format;
  return std::nullopt;
}

// Stores a parsed value; `piece` names the op in the error.
template <typename T>
std::expected<void, OpError> store(std::optional<T>& slot, std::optional<T> parsed, std::string_view piece) {
  if (slot) return refuse(Reason::repeated, piece);
  if (!parsed) return refuse(Reason::bad_value, piece);
  slot = *std::move(parsed);
  return {};
}

bool good_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes &&
         std::ranges::all_of(name, [](char c) { return kNameBytes.contains(c); });
}

template <typename T>
const std::optional<T>& first(const std::optional<T>& url, const std::optional<T>& preset) {
  return url ? url : preset;
}

std::uint64_t divide_rounded(std::uint64_t value, std::uint64_t by) { return (value + by / 2) / by; }

}  // namespace

std::string OpError::message() const {
  switch (reason) {
    case Reason::unknown_op:
      return fmt::format("unknown op '{}'", op);
    case Reason::unknown_preset:
      return fmt::format("unknown preset '{}'", op);
    case Reason::repeated:
      return fmt::format("repeated op '{}'", op);
    case Reason::bad_value:
      return fmt::format("bad value in op '{}'", op);
    case Reason::syntax:
      return fmt::format("'{}' is not name=value or p:preset", op);
  }
  return "bad op";
}

std::expected<void, OpError> Grammar::read_ops(std::string_view text, bool presets_allowed, Raw& raw) {
  std::size_t pieces = 0;
  for (const std::string_view piece : split(text, ',')) {
    if (++pieces > kMaxPieces) return refuse(Reason::syntax, piece);
    if (piece.starts_with("p:")) {
      if (!presets_allowed) return refuse(Reason::syntax, piece);
      if (!raw.preset.empty()) return refuse(Reason::repeated, piece);
      raw.preset = piece.substr(2);
      if (raw.preset.empty()) return refuse(Reason::unknown_preset, piece);
      continue;
    }
    const auto [name, value, found] = split_once(piece, '=');
    if (!found) return refuse(Reason::syntax, piece);
    std::expected<void, OpError> stored;
    if (name == "w") {
      stored = store(raw.width, parse_side(value), piece);
    } else if (name == "h") {
      stored = store(raw.height, parse_side(value), piece);
    } else if (name == "fit") {
      stored = store(raw.fit, parse_fit(value), piece);
    } else if (name == "up") {
      stored = store(raw.enlarge, parse_flag(value), piece);
    } else if (name == "dpr") {
      stored = store(raw.dpr_hundredths, parse_dpr(value), piece);
    } else if (name == "q") {
      stored = store(raw.quality, parse_quality(value), piece);
    } else if (name == "f") {
      stored = store(raw.format, parse_format(value), piece);
    } else {
      return refuse(Reason::unknown_op, piece);
    }
    if (!stored) return stored;
  }
  return {};
}

std::expected<Transform, OpError> Grammar::resolve(const Raw& url, const Raw* preset) const {
  const Raw none;
  const Raw& base = preset != nullptr ? *preset : none;
  const std::uint64_t dpr = first(url.dpr_hundredths, base.dpr_hundredths).value_or(100);
  std::uint64_t width = divide_rounded(first(url.width, base.width).value_or(0) * dpr, 100);
  std::uint64_t height = divide_rounded(first(url.height, base.height).value_or(0) * dpr, 100);
  const bool client_chose = url.width || url.dpr_hundredths;
  if (width > 0 && client_chose && !options_.ladder.empty()) {
    const auto rung = std::ranges::lower_bound(options_.ladder, width);
    const std::uint64_t rounded = rung == options_.ladder.end() ? options_.ladder.back() : *rung;
    if (height > 0) height = std::max<std::uint64_t>(1, divide_rounded(height * rounded, width));
    width = rounded;
  }
  if (width > options_.max_side) return refuse(Reason::bad_value, fmt::format("w={}", width));
  if (height > options_.max_side) return refuse(Reason::bad_value, fmt::format("h={}", height));
  Transform transform;
  transform.width = static_cast<std::uint32_t>(width);
  transform.height = static_cast<std::uint32_t>(height);
  transform.fit = first(url.fit, base.fit).value_or(Fit::inside);
  transform.enlarge = first(url.enlarge, base.enlarge).value_or(false);
  transform.quality = first(url.quality, base.quality).value_or(std::uint8_t{0});
  transform.format = first(url.format, base.format).value_or(std::nullopt);
  return transform;
}

std::expected<Grammar, OpError> Grammar::make(GrammarOptions options) {
  Grammar grammar;
  grammar.options_ = std::move(options);
  std::uint32_t previous = 0;
  for (const std::uint32_t rung : grammar.options_.ladder) {
    if (rung <= previous || rung > grammar.options_.max_side) {
      return refuse(Reason::bad_value, fmt::format("ladder: {}", rung));
    }
    previous = rung;
  }
  for (const auto& [name, text] : grammar.options_.presets) {
    if (!good_name(name)) return refuse(Reason::syntax, name);
    Raw raw;
    std::expected<void, OpError> read = read_ops(text, false, raw);
    if (read) {
      if (const auto resolved = grammar.resolve(Raw{}, &raw); !resolved)
        read = std::unexpected(resolved.error());
    }
    if (!read) return std::unexpected(OpError{read.error().reason, name + ": " + read.error().op});
  }
  return grammar;
}

std::expected<ParsedOps, OpError> Grammar::parse(std::string_view text) const {
  Raw raw;
  if (auto read = read_ops(text, true, raw); !read) return std::unexpected(std::move(read.error()));
  Raw preset;
  if (!raw.preset.empty()) {
    const auto found = options_.presets.find(raw.preset);
    if (found == options_.presets.end()) return refuse(Reason::unknown_preset, raw.preset);
    if (auto read = read_ops(found->second, false, preset); !read)
      return std::unexpected(std::move(read.error()));
  }
  auto transform = resolve(raw, raw.preset.empty() ? nullptr : &preset);
  if (!transform) return std::unexpected(std::move(transform.error()));
  return ParsedOps{*transform, !raw.preset.empty() && !text.contains(',')};
}

namespace {

// Drops what has no effect, so that one picture has one spelling.
Transform simplified(Transform transform) {
  if (transform.fit == Fit::scale_down) {
    transform.fit = Fit::inside;
    transform.enlarge = false;
  }
  if (transform.width == 0 || transform.height == 0) transform.fit = Fit::inside;
  if (transform.width == 0 && transform.height == 0) transform.enlarge = false;
  return transform;
}

}  // namespace

std::string canonical_ops(const Transform& transform) {
  const Transform t = simplified(transform);
  std::string out;
  const auto add = [&out](std::string_view name, const auto& value) {
    out += fmt::format("{}{}={}", out.empty() ? "" : ",", name, value);
  };
  if (t.format) add("f", to_string(*t.format));
  if (t.fit != Fit::inside) add("fit", fit_name(t.fit));
  if (t.height != 0) add("h", t.height);
  if (t.quality != 0) add("q", t.quality);
  if (t.enlarge) add("up", 1);
  if (t.width != 0) add("w", t.width);
  return out;
}

std::string canonical_ops(const Transform& transform, OutputFormat format) {
  Transform decided = transform;
  decided.format = format;
  if (format == OutputFormat::png) decided.quality = 0;
  return canonical_ops(decided);
}

}  // namespace vignette::imaging
