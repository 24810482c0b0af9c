#include "cache/purge/purge_cause.h"

#include <tuple>

#include "cache/purge/identity.h"

namespace vignette::cache {
namespace {

// Words of the node's own are URLs, whose name the object has already.
PurgedBy purged_by(PurgeKind kind, std::string_view word) {
  switch (kind) {
    case PurgeKind::everything:
      return PurgedBy::everything;
    case PurgeKind::url:
      return PurgedBy::url;
    case PurgeKind::prefix:
      return PurgedBy::prefix;
    case PurgeKind::tag:
      break;
  }
  if (is_origin_tag(word)) return PurgedBy::origin;
  return is_given_tag(word) || word == kManyTags ? PurgedBy::tag : PurgedBy::url;
}

std::string purged_name(std::string_view word) {
  if (is_origin_tag(word)) word.remove_prefix(origin_tag("").size());
  return tag_name(word);
}

}  // namespace

std::string_view to_string(PurgedBy by) {
  switch (by) {
    case PurgedBy::everything:
      return "everything";
    case PurgedBy::url:
      return "url";
    case PurgedBy::tag:
      return "tag";
    case PurgedBy::prefix:
      return "prefix";
    case PurgedBy::origin:
      return "origin";
  }
  return "unknown";
}

void worsen(std::optional<PurgeCause>& cause, std::uint64_t sequence, const PurgeEpoch& epoch, PurgeKind kind,
            std::string_view word) {
  const bool is_hard = sequence < epoch.hard;
  const std::uint64_t number = is_hard ? epoch.hard : epoch.soft;
  if (sequence >= number) return;
  if (cause && std::tuple(is_hard, number) <= std::tuple(cause->mode == PurgeMode::hard, cause->sequence)) {
    return;
  }
  cause = {.by = purged_by(kind, word),
           .mode = is_hard ? PurgeMode::hard : PurgeMode::soft,
           .name = purged_name(word),
           .sequence = number,
           .at = is_hard ? epoch.hard_at : epoch.soft_at};
}

}  // namespace vignette::cache
