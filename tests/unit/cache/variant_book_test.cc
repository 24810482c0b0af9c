#include "cache/variant_book.h"

#include <catch2/catch.hpp>

#include "cache/memory_store.h"
#include "cache_support.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

ObjectRef variant(std::string_view url, std::string_view value) {
  ObjectHead head = fresh_head();
  const std::string values = "x-a:" + std::string(value);
  head.vary = "x-a";
  head.vary_values = values;
  std::string name(url);
  const Key key = extend_key(values, name);
  return Object::complete(head, key, name, "body");
}

struct Rig {
  MemoryStore store{{.budget_bytes = 64 << 20}};
  VariantBook book{store};

  ObjectRef put(std::string_view url, std::string_view value) {
    ObjectRef object = variant(url, value);
    store.insert(object);
    book.note(*object);
    return object;
  }
  bool has(std::string_view url, std::string_view value) {
    const ObjectRef like = variant(url, value);
    return store.peek(like->key(), like->key_string()) != nullptr;
  }
};

}  // namespace

TEST_CASE("a URL keeps as many variants as it may, and of one more the least used goes") {
  Rig rig;
  for (std::size_t i = 0; i < kMaxVariants; ++i) {
    const ObjectRef object = rig.put("h/a", std::to_string(i));
    if (i != 7) object->note_use();
  }
  CHECK(rig.store.stats().objects == kMaxVariants);
  CHECK(rig.book.dropped() == 0);
  rig.put("h/a", "new");
  CHECK(rig.store.stats().objects == kMaxVariants);
  CHECK(rig.book.dropped() == 1);
  CHECK_FALSE(rig.has("h/a", "7"));
  CHECK(rig.has("h/a", "new"));
  CHECK(rig.has("h/a", "0"));
}

TEST_CASE("variants of other URLs, and one that is stored again, count for nothing") {
  Rig rig;
  for (std::size_t i = 0; i < kMaxVariants; ++i) rig.put("h/a", std::to_string(i));
  for (std::size_t i = 0; i < kMaxVariants; ++i) rig.put("h/b", std::to_string(i));
  for (int i = 0; i < 3; ++i) rig.put("h/a", "5");
  CHECK(rig.store.stats().objects == 2 * kMaxVariants);
  CHECK(rig.book.dropped() == 0);
}

TEST_CASE("what was used long ago gives way to what is used now") {
  Rig rig;
  const ObjectRef once = rig.put("h/a", "once");
  for (int i = 0; i < 4; ++i) once->note_use();
  for (std::size_t i = 0; i + 1 < kMaxVariants; ++i) rig.put("h/a", std::to_string(i));
  for (std::size_t i = 0; i < 8 * kMaxVariants; ++i) {
    const ObjectRef fresh = rig.put("h/a", "n" + std::to_string(i));
    for (int use = 0; use < 4; ++use) fresh->note_use();
  }
  CHECK_FALSE(rig.has("h/a", "once"));
  CHECK(rig.store.stats().objects == kMaxVariants);
}

TEST_CASE("what the store has let go makes room without a variant being dropped") {
  Rig rig;
  for (std::size_t i = 0; i < kMaxVariants; ++i) rig.put("h/a", std::to_string(i))->note_use();
  const ObjectRef gone = variant("h/a", "3");
  rig.store.erase(gone->key(), gone->key_string());
  rig.put("h/a", "new");
  CHECK(rig.book.dropped() == 0);
  CHECK(rig.store.stats().objects == kMaxVariants);
}

TEST_CASE("long values leave room for fewer variants") {
  Rig rig;
  const std::string longest(3000, 'v');
  for (int i = 0; i < 10; ++i) rig.put("h/a", longest + std::to_string(i));
  CHECK(rig.store.stats().objects == kMaxVariantBytes / 3000);
}

TEST_CASE("more URLs than the book has pages make it forget, not fail") {
  Rig rig;
  const std::size_t urls = 16 * kMaxVariedUrlsPerShard * 2;
  for (std::size_t i = 0; i < urls; ++i) rig.put("h/" + std::to_string(i), "1");
  CHECK(rig.store.stats().objects == urls);
  for (std::size_t i = 0; i < 2 * kMaxVariants; ++i) rig.put("h/last", std::to_string(i));
  CHECK(rig.store.stats().objects == urls + kMaxVariants);
}

TEST_CASE("URLs with long values leave room for fewer URLs, and those noted last stay") {
  Rig rig;
  constexpr std::size_t kUrls = 2048;
  constexpr std::size_t kLong = 8000;
  const auto url = [](std::size_t i) { return "h/" + std::to_string(i); };
  for (std::size_t i = 0; i < kUrls; ++i) rig.book.note(*variant(url(i), std::string(kLong, 'v')));
  std::size_t remembered = 0;
  for (std::size_t i = 0; i < kUrls; ++i) {
    for (const std::string& values : rig.book.values_of(url(i))) remembered += values.size();
  }
  CHECK(remembered <= 16 * kMaxVariantShardBytes);
  CHECK(remembered > 8 * kMaxVariantShardBytes);
  CHECK(rig.book.values_of(url(kUrls - 1)).size() == 1);
}

TEST_CASE("an object without a key of its own variant is no variant") {
  Rig rig;
  rig.book.note(*object_for("h/a", 1));
  ObjectHead head = fresh_head();
  head.vary = "x-a";
  head.vary_values = "x-a:1";
  rig.book.note(*Object::complete(head, hash_key("h/a"), "h/a", "x"));
  CHECK(rig.book.dropped() == 0);
}
