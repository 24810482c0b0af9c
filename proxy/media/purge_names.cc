#include "proxy/media/purge_names.h"

#include "base/strings.h"
#include "cache/purge/cache_groups.h"
#include "cache/purge/identity.h"
#include "cache/stored_fields.h"

namespace vignette::proxy {
namespace {

bool has_word(std::string_view words, std::string_view word) {
  for (std::string_view known : split(words, ' ')) {
    if (known == word) return true;
  }
  return false;
}

void add_words(std::string_view words, std::string& tags) {
  for (std::string_view word : split(words, ' ')) {
    if (word.empty() || has_word(tags, word)) continue;
    if (!tags.empty()) tags += ' ';
    tags += word;
  }
}

}  // namespace

void name_for_purges(const FillJob& job, const OriginResponse& response, cache::ObjectHead& head,
                     std::string& tags) {
  const Origin& origin = response.origin ? *response.origin : *job.origins.front();
  tags = head.tags;
  add_words(response.tags, tags);
  add_words(cache::origin_tag(origin.name()), tags);
  const std::string_view key_string = job.writer.fill()->key_string();
  if (job.origins.front()->is_store()) add_words(cache::self_tag(key_string), tags);
  for (const std::string& group : cache::read_cache_groups(response.head->fields, "cache-groups")) {
    add_words(cache::group_tag(key_string, group), tags);
  }
  head.tags = tags;
  head.sequence = response.sequence;
}

void name_freshened(const FillJob& job, const OriginResponse& response, cache::ObjectHead& head,
                    std::string& tags) {
  if (!cache::has_tags(response.head->fields)) head.tags = job.stale->tags();
  name_for_purges(job, response, head, tags);
  const std::uint64_t sequence = job.writer.fill()->sequence();
  if (head.sequence == 0 || head.sequence > sequence) head.sequence = sequence;
}

}  // namespace vignette::proxy
