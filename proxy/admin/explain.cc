#include "proxy/admin/explain.h"

#include <algorithm>
#include <utility>

#include "cache/manifest.h"
#include "cache/vary.h"

namespace vignette::proxy {
namespace {

using std::chrono::seconds;

// One question's way through the tiers.
class Inquiry {
 public:
  Inquiry(const Node& node, const http::FieldList& fields, const cache::CachePolicy& policy)
      : node_(node), fields_(fields), policy_(policy), now_(node.clock.wall()) {
    if (policy.obey_request) wishes_ = http::request_directives(fields);
  }

  // Follows Vary markers from `key_string` on, into `explanation` where it is given.
  KeyFacts follow(std::string key_string, Explanation* explanation) const;

 private:
  KeyFacts look(const std::string& key_string) const;
  void judge(KeyFacts& facts) const;
  void remember(const cache::Key& key, KeyFacts& facts) const;
  void count_chunks(KeyFacts& facts) const;
  std::vector<KnownVariant> variants_of(const std::string& primary) const;

  const Node& node_;
  const http::FieldList& fields_;
  const cache::CachePolicy& policy_;
  const WallTime now_;
  std::optional<http::RequestDirectives> wishes_;  // where the route obeys them
};

std::optional<OpenFill> describe_fill(const cache::FillRef& fill, TimePoint now) {
  if (!fill) return std::nullopt;
  const cache::ObjectRef object = fill->object();
  return OpenFill{.since = std::chrono::floor<seconds>(now - fill->started_at()),
                  .has_head = object != nullptr,
                  .bytes = object ? object->body().length() : 0};
}

KeyFacts Inquiry::look(const std::string& key_string) const {
  const cache::Key key = cache::hash_key(key_string);
  KeyFacts facts;
  facts.key_string = key_string;
  cache::Residence residence = node_.store.residence(key, key_string);
  facts.disk = std::move(residence.disk);
  facts.object = std::move(residence.in_memory);
  if (facts.object) facts.tier = Tier::memory;
  if (!facts.object && facts.disk && facts.disk->is_there) {
    facts.object = node_.store.inspect(key, key_string);
    if (facts.object) facts.tier = Tier::disk;
  }
  facts.fill = describe_fill(node_.fills.find(key, key_string), node_.clock.now());
  if (facts.fill && !facts.object) facts.tier = Tier::filling;
  judge(facts);
  remember(key, facts);
  return facts;
}

void Inquiry::judge(KeyFacts& facts) const {
  if (!facts.object) return;
  const cache::Object& object = *facts.object;
  facts.verdict = cache::judge(node_.store.purges(), object);
  if (facts.verdict != cache::Verdict::live) {
    facts.purge = node_.store.purges()->cause_of(object.sequence(), object.key_string(), object.tags());
  }
  facts.serve = cache::decide_serve(object, now_, wishes_ ? &*wishes_ : nullptr);
  facts.lifetime = cache::explain_lifetime(object, policy_);
}

void Inquiry::remember(const cache::Key& key, KeyFacts& facts) const {
  facts.passes_for = std::chrono::ceil<seconds>(node_.fills.passes_for(key, node_.clock.now()));
  const cache::MissBook* misses = node_.store.misses();
  if (!misses) return;
  facts.last = misses->last(key);
  facts.may_be_forgotten = misses->may_have_forgotten(key);
}

void Inquiry::count_chunks(KeyFacts& facts) const {
  if (!facts.object || !facts.object->flags().is_manifest) return;
  facts.chunks = cache::chunk_count(*facts.object->content_length());
  std::string name;
  for (std::uint64_t i = 0; i < std::min(facts.chunks, kMaxChunksCounted); ++i) {
    const cache::Key key = cache::chunk_key(*facts.object, i, name);
    facts.chunks_present += node_.store.may_have(key, name);
  }
}

std::vector<KnownVariant> Inquiry::variants_of(const std::string& primary) const {
  std::vector<KnownVariant> known;
  for (std::string& values : node_.fills.variants(primary)) {
    std::string name = primary;
    const cache::Key key = cache::extend_key(values, name);
    known.push_back({.values = std::move(values), .is_stored = node_.store.may_have(key, name)});
  }
  return known;
}

KeyFacts Inquiry::follow(std::string key_string, Explanation* explanation) const {
  KeyFacts facts = look(key_string);
  for (int depth = 1; depth < cache::kMaxVaryDepth; ++depth) {
    const bool is_marker = facts.object && facts.object->flags().is_vary_marker;
    if (!is_marker || facts.verdict == cache::Verdict::dead) break;
    std::string values;
    if (!cache::append_vary_values(facts.object->vary(), fields_, values)) break;
    if (explanation) {
      explanation->vary = facts.object->vary();
      explanation->vary_values = values;
      explanation->variants = variants_of(key_string);
    }
    cache::extend_key(values, key_string);
    facts = look(key_string);
    facts.lacks_variant = !facts.object;
  }
  count_chunks(facts);
  return facts;
}

}  // namespace

std::expected<Explanation, std::string> explain(const Node& node, const Snapshot& snapshot,
                                                const ExplainQuestion& question) {
  http::FieldList fields = question.field_list();
  const WallTime now = node.clock.wall();
  const auto asked = find_key(snapshot, question, fields, now);
  if (!asked) return std::unexpected(asked.error());
  Explanation explanation;
  explanation.url = question.url;
  explanation.site = asked->site;
  explanation.route = asked->route->label;
  explanation.origin = asked->route->origins.front()->name();
  explanation.mode = asked->policy.mode;
  explanation.now = now;
  explanation.purge_sequence = cache::sequence_of(node.store.purges());
  explanation.facts = Inquiry(node, fields, asked->policy).follow(asked->key_string, &explanation);
  if (!asked->original.empty()) {
    const http::FieldList none{};
    explanation.original = Inquiry(node, none, cache::media_policy()).follow(asked->original, nullptr);
  }
  return explanation;
}

}  // namespace vignette::proxy
