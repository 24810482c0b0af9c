// Many threads ask for few keys whose fills are slow, fail, are not for others, vary by language, and get
// second attempts. Each attempt has bytes of its own, named by its ETag: whoever reads gets those of one
// attempt from end to end, in its own language. Run it under tsan and asan.
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <thread>

#include "../cache_support.h"
#include "cache/fill_table.h"
#include "cache/memory_store.h"
#include "cache/vary.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

constexpr unsigned kThreads = 6;
constexpr int kSteps = 300;
constexpr unsigned kKeys = 6;
constexpr int kTries = 4;
constexpr std::array<std::string_view, 3> kLanguages = {"de", "en", "fr"};

struct Totals {
  std::atomic<int> attempts{0}, joined{0}, lost{0}, failed{0}, refused{0}, other_language{0}, wrong{0};
  std::atomic<int> whole{0}, hits{0};
};

class Client {
 public:
  Client(MemoryStore& store, FillTable& table, ManualClock& clock, Totals& totals, unsigned seed)
      : store_(store), table_(table), clock_(clock), totals_(totals), random_(seed) {}

  void run() {
    for (int step = 0; step < kSteps; ++step) {
      name_ = (random_() % 2 ? "plain/" : "varied/") + std::to_string(random_() % kKeys);
      language_ = kLanguages[random_() % kLanguages.size()];
      const unsigned dice = random_() % 100;
      if (dice < 20) store_.erase(hash_key(name_), name_);
      if (dice == 20) store_.clear();
      if (dice > 80) clock_.advance(kSecondAttemptAfter);
      ask();
    }
  }

 private:
  enum class End : std::uint8_t { answered, look_again };

  bool is_varied() const { return name_.starts_with('v'); }
  std::size_t size() const { return hash_key(name_).lo % 120'000; }

  http::FieldList request() const {
    http::FieldList fields;
    fields.add("accept-language", language_);
    return fields;
  }

  void ask() {
    const http::FieldList fields = request();
    for (int i = 0; i < kTries; ++i) {
      std::string name = name_;
      Key key = hash_key(name);
      const VariantLookup found = try_lookup_variant(store_, fields, key, name);
      if (found.lookup.object) return check_hit(*found.lookup.object);
      Joined joined = table_.join_or_start(key, name, clock_.now());
      if (joined.hit && joined.hit->flags().is_vary_marker) continue;
      if (joined.hit && vary_matches(*joined.hit, fields)) return check_hit(*joined.hit);
      if (joined.hit) continue;
      if (!joined.started()) ++totals_.joined;
      if ((joined.started() ? fetch(joined) : follow(joined)) == End::answered) return;
    }
    Joined alone = table_.start_alone(hash_key(name_), name_, clock_.now());
    if (fetch(alone) != End::answered) ++totals_.wrong;
  }

  void check_hit(const Object& object) {
    ++totals_.hits;
    if (body_text(object) != body_of(object)) ++totals_.wrong;
    check_language(object);
  }

  std::string body_of(const Object& object) const { return body_for(object.etag(), size()); }

  void check_language(const Object& object) {
    if (is_varied() && !object.etag().ends_with(std::string(language_) + "\"")) ++totals_.wrong;
  }

  End fetch(Joined& joined) {
    const unsigned kind = random_() % 10;
    const std::string etag =
        "\"" + std::to_string(totals_.attempts.fetch_add(1)) + "-" + std::string(language_) + "\"";
    for (unsigned i = random_() % 300; i > 0 && !joined.writer.lost(); --i) std::this_thread::yield();
    if (kind == 0) return End::answered;  // the origin went away before its head
    if (set_head(joined.writer, etag, kind) == HeadVerdict::lost) {
      ++totals_.lost;
      joined.writer.reset();
      return follow(joined);
    }
    return send(joined, body_for(etag, size()), kind == 2);
  }

  HeadVerdict set_head(FillWriter& writer, const std::string& etag, unsigned kind) {
    const std::string fields = "ETag: " + etag + "\r\n";
    const std::string values = "accept-language:" + std::string(language_);
    ObjectHead head = fresh_head(fields);
    if (random_() % 2) head.content_length = size();
    if (is_varied()) {
      head.vary = "accept-language";
      head.vary_values = values;
    }
    return writer.set_head(head, kind == 1 ? Reason::is_private : Reason::none);
  }

  // `breaks`: the origin goes away in the middle of its body.
  End send(Joined& joined, const std::string& body, bool breaks) {
    std::string read;
    for (std::size_t at = 0; at < body.size(); at += 7'001) {
      if (breaks && at > 30'000) return End::answered;
      if (!joined.writer.append(Slice::copy(std::string_view(body).substr(at, 7'001)))) ++totals_.wrong;
      read += take_all(joined.reader);
    }
    if (!joined.writer.commit()) ++totals_.wrong;
    read += take_all(joined.reader);
    ++(read == body ? totals_.whole : totals_.wrong);
    return End::answered;
  }

  // As an exchange does: a head that was selected by other values is not this request's.
  End follow(Joined& joined) {
    const http::FieldList fields = request();
    std::string read;
    while (true) {
      const FillState state = joined.reader.state();
      if (state == FillState::refused) {
        ++totals_.refused;
        return End::look_again;
      }
      const ObjectRef object = joined.reader.object();
      if (object && !vary_matches(*object, fields)) {
        ++totals_.other_language;
        return End::look_again;
      }
      read += take_all(joined.reader);
      if (object) check_language(*object);
      if (object && !body_of(*object).starts_with(read)) ++totals_.wrong;
      if (state == FillState::complete) {
        ++(read == body_of(*object) ? totals_.whole : totals_.wrong);
        return End::answered;
      }
      if (state == FillState::failed) {
        ++totals_.failed;
        return End::answered;
      }
      if (random_() % 1000 == 0) return End::answered;  // a client that leaves
      std::this_thread::yield();
    }
  }

  MemoryStore& store_;
  FillTable& table_;
  ManualClock& clock_;
  Totals& totals_;
  std::mt19937 random_;
  std::string name_;
  std::string_view language_;
};

}  // namespace

TEST_CASE("many threads join fills with second attempts and variants, and each reads one attempt's bytes") {
  ManualClock clock;
  MemoryStore store({.budget_bytes = 2 << 20, .max_object_bytes = 200'000, .shards = 2});
  FillTable table(store, clock);
  Totals totals;
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] { Client(store, table, clock, totals, i + 1).run(); });
    }
  }
  WARN("attempts " << totals.attempts << ", joined " << totals.joined << ", second " << table.stats().seconds
                   << ", lost " << totals.lost << ", failed " << totals.failed << ", refused "
                   << totals.refused << ", other language " << totals.other_language << ", whole "
                   << totals.whole << ", hits " << totals.hits);
  CHECK(totals.wrong == 0);
  CHECK(totals.joined > 0);
  CHECK(totals.hits > 0);
  CHECK(totals.whole > 0);
  CHECK(table.stats().seconds > 0);
  CHECK(table.stats().open == 0);
  store.clear();
  CHECK(store.stats().objects == 0);
  CHECK(store.stats().used_bytes == store.stats().bytes);
}
