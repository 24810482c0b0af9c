// What every Store keeps: a random walk beside a plain map, then the edges. `Factory` makes a
// std::unique_ptr<Store> of at least 64 MiB, so that nothing is evicted here.
#pragma once

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <optional>
#include <random>

#include "cache/store.h"
#include "cache_support.h"

namespace vignette::cache {

// A tier that has to wait answers through its executor.
inline ObjectRef look_up(Store& store, HandExecutor& executor, std::string_view name) {
  Lookup now = store.try_lookup(hash_key(name), name);
  if (now.outcome != Lookup::Outcome::must_wait) return now.object;
  std::optional<Lookup> later;
  store.lookup(hash_key(name), name, executor, [&](Lookup found) { later = std::move(found); });
  while (!later) executor.run();
  return later->object;
}

template <typename Factory>
void conforms_to_a_map(Factory make_store, unsigned seed, int steps) {
  const std::unique_ptr<Store> store = make_store();
  HandExecutor executor;
  std::map<std::string, ObjectRef> model;
  std::mt19937 random(seed);
  for (int step = 0; step < steps; ++step) {
    const std::string name = "h/" + std::to_string(random() % 60);
    const auto known = model.find(name);
    switch (random() % 6) {
      case 0:
      case 1: {
        const ObjectRef object = object_for(name, random() % 20'000);
        const Insertion insertion = store->insert(object);
        REQUIRE(insertion == (known == model.end() ? Insertion::inserted : Insertion::replaced));
        model[name] = object;
        break;
      }
      case 2:
        REQUIRE(store->erase(hash_key(name), name) == (model.erase(name) == 1));
        break;
      case 3: {
        if (known == model.end()) break;
        const ObjectRef fresh = known->second->freshened(fresh_head("ETag: \"new\"\r\n"));
        REQUIRE(store->replace_head(*known->second, fresh));
        REQUIRE_FALSE(store->replace_head(*known->second, fresh));
        known->second = fresh;
        break;
      }
      default: {
        const ObjectRef found = look_up(*store, executor, name);
        REQUIRE(static_cast<bool>(found) == (known != model.end()));
        if (!found) break;
        REQUIRE(found->is_for(hash_key(name), name));
        REQUIRE(found->etag() == known->second->etag());
        REQUIRE(body_text(*found) == body_for(name, known->second->body().length()));
      }
    }
    REQUIRE(store->stats().objects == model.size());
  }
  store->clear();
  CHECK(store->stats().objects == 0);
}

template <typename Factory>
void keeps_its_edges(Factory make_store) {
  const std::unique_ptr<Store> store = make_store();
  HandExecutor executor;

  // Two key strings of one hash: never the other's photo.
  const Key clash = hash_key("h/first");
  store->insert(Object::complete(fresh_head(), clash, "h/first", "first"));
  CHECK_FALSE(store->try_lookup(clash, "h/second").object);
  CHECK_FALSE(store->erase(clash, "h/second"));
  CHECK_FALSE(store->peek(clash, "h/second"));
  store->insert(Object::complete(fresh_head(), clash, "h/second", "second"));
  CHECK_FALSE(store->try_lookup(clash, "h/first").object);

  // The answer of lookup() is posted, once.
  int answers = 0;
  store->lookup(clash, "h/second", executor, [&](Lookup found) {
    ++answers;
    CHECK(found.outcome == Lookup::Outcome::hit);
  });
  CHECK(answers == 0);
  while (answers == 0) executor.run();
  executor.run();
  CHECK(answers == 1);

  // What is replaced or erased stays whole for who holds it.
  const ObjectRef held = store->peek(clash, "h/second");
  REQUIRE(held);
  CHECK(store->erase(clash, "h/second"));
  CHECK(body_text(*held) == "second");
  CHECK_FALSE(store->replace_head(*held, held->freshened(fresh_head())));

  CHECK(store->max_object_bytes() > 0);
  CHECK(static_cast<bool>(store->reserve(0)));
}

}  // namespace vignette::cache
