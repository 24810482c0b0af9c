// `<ops>` of an image URL: `p:preset` and/or `name=value`, joined by commas, to a Transform and back to its
// one canonical spelling, which is part of the cache key.
//
// Ops: w h (1..max_side pixels), fit (inside|cover|contain|fill|scale-down), up (0|1), dpr (1..4, two
// decimals), q (1..100|auto), f (auto|jpeg|webp|png). An op in the URL overrides the same op of its preset.
// Nothing enlarges a picture unless up=1.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imaging/format.h"

namespace vignette::imaging {

// The numbers travel between processes: append only.
enum class Fit : std::uint8_t {
  inside = 0,  // as large as fits in w x h
  cover,       // fills w x h exactly, the overhang is cut; a small source gives a smaller box of that shape
  contain,     // fits inside, then padded to exactly w x h
  fill,        // stretched to w x h
  scale_down,  // inside, and up is ignored
};
inline constexpr std::uint8_t kFitCount = 5;

struct Transform {
  std::uint32_t width = 0;   // pixels, dpr and ladder applied; 0 = follows from the height, or the source's
  std::uint32_t height = 0;  // likewise
  Fit fit = Fit::inside;
  bool enlarge = false;
  std::uint8_t quality = 0;            // 1..100; 0 = auto
  std::optional<OutputFormat> format;  // nullopt = auto

  bool operator==(const Transform&) const = default;
};

struct OpError {
  enum class Reason : std::uint8_t { unknown_op, unknown_preset, repeated, bad_value, syntax };
  Reason reason = Reason::syntax;
  std::string op;               // the offending piece as written, at most 40 bytes
  std::string message() const;  // one sentence for the 400 body and for `check`, naming the op
};

struct GrammarOptions {
  std::map<std::string, std::string, std::less<>> presets;  // name -> ops; names are [a-z0-9_-]{1,32}
  std::vector<std::uint32_t> ladder;                        // ascending widths; empty = none
  std::uint32_t max_side = 8192;                            // largest w or h after dpr, pixels
};

struct ParsedOps {
  Transform transform;
  bool preset_only = false;  // nothing but one p:preset was written
};

// Immutable after construction.
class Grammar {
 public:
  // Fails on a preset that does not parse, has a bad name or uses a preset, and on a ladder that is not
  // ascending within 1..max_side; the error's `op` starts with the preset's name.
  static std::expected<Grammar, OpError> make(GrammarOptions options);

  // `text` is the raw path segment (no percent-decoding: no legal op needs it). Empty is a syntax error.
  // With a ladder a width written in the URL (or multiplied by a dpr written there) rounds up to the next
  // rung, the last rung at most, and h follows in proportion; a preset's own width is taken as the operator
  // wrote it.
  std::expected<ParsedOps, OpError> parse(std::string_view text) const;

 private:
  struct Raw;
  Grammar() = default;
  static std::expected<void, OpError> read_ops(std::string_view text, bool presets_allowed, Raw& raw);
  std::expected<Transform, OpError> resolve(const Raw& url, const Raw* preset) const;

  GrammarOptions options_;
};

// Lower case, sorted by name, defaults and ops without effect dropped, dpr folded in:
// "fit=cover,h=150,w=150". The same picture of the same source has one spelling. "" is the identity.
std::string canonical_ops(const Transform& transform);
// The same with the format decided: always holds "f=…"; q is dropped where the format has none.
std::string canonical_ops(const Transform& transform, OutputFormat format);

}  // namespace vignette::imaging
