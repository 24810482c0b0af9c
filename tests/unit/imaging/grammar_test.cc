#include "imaging/grammar.h"

#include <catch2/catch.hpp>

#include "imaging/geometry.h"

namespace vignette::imaging {
namespace {

Grammar make(GrammarOptions options = {}) {
  auto grammar = Grammar::make(std::move(options));
  REQUIRE(grammar);
  return *std::move(grammar);
}

std::string canonical(const Grammar& grammar, std::string_view ops) {
  const auto parsed = grammar.parse(ops);
  INFO(ops << ": " << (parsed ? "" : parsed.error().message()));
  REQUIRE(parsed);
  return canonical_ops(parsed->transform);
}

std::string refusal(const Grammar& grammar, std::string_view ops) {
  const auto parsed = grammar.parse(ops);
  INFO(ops);
  REQUIRE(!parsed);
  return parsed.error().message();
}

TEST_CASE("ops have one canonical spelling") {
  const Grammar grammar = make();
  struct Row {
    const char* ops;
    const char* canonical;
  };
  const Row row = GENERATE(values<Row>({
      {"w=150,h=150,fit=cover", "fit=cover,h=150,w=150"},
      {"fit=cover,h=150,w=150", "fit=cover,h=150,w=150"},
      {"w=0150", "w=150"},
      {"w=150,fit=inside,q=auto,f=auto,up=0,dpr=1", "w=150"},
      {"w=150,fit=cover", "w=150"},
      {"w=150,h=9,fit=scale-down,up=1", "h=9,w=150"},
      {"up=1", ""},
      {"w=10,up=1", "up=1,w=10"},
      {"w=100,dpr=2", "w=200"},
      {"w=100,h=33,dpr=1.5", "h=50,w=150"},
      {"w=100,dpr=1.25", "w=125"},
      {"q=80", "q=80"},
      {"f=webp", "f=webp"},
      {"h=8192", "h=8192"},
      {"w=1", "w=1"},
      {"q=100,f=png", "f=png,q=100"},
  }));
  CHECK(canonical(grammar, row.ops) == row.canonical);
}

TEST_CASE("the decided format is part of the canonical key and drops a quality it does not have") {
  const Grammar grammar = make();
  const Transform transform = grammar.parse("q=80,w=10")->transform;
  CHECK(canonical_ops(transform, OutputFormat::webp) == "f=webp,q=80,w=10");
  CHECK(canonical_ops(transform, OutputFormat::png) == "f=png,w=10");
}

TEST_CASE("a bad op is refused by name") {
  const Grammar grammar = make();
  struct Row {
    const char* ops;
    const char* message;
  };
  const Row row = GENERATE(values<Row>({
      {"", "'' is not name=value or p:preset"},
      {"w=10,", "'' is not name=value or p:preset"},
      {"w", "'w' is not name=value or p:preset"},
      {"width=10", "unknown op 'width=10'"},
      {"W=10", "unknown op 'W=10'"},
      {"w=10,w=10", "repeated op 'w=10'"},
      {"w=0", "bad value in op 'w=0'"},
      {"w=-1", "bad value in op 'w=-1'"},
      {"w=1e3", "bad value in op 'w=1e3'"},
      {"w=8193", "bad value in op 'w=8193'"},
      {"h=99999999999999999999", "bad value in op 'h=99999999999999999999'"},
      {"w=8000,dpr=2", "bad value in op 'w=16000'"},
      {"fit=crop", "bad value in op 'fit=crop'"},
      {"fit=Cover", "bad value in op 'fit=Cover'"},
      {"q=0", "bad value in op 'q=0'"},
      {"q=101", "bad value in op 'q=101'"},
      {"f=jpg", "bad value in op 'f=jpg'"},
      {"f=avif", "bad value in op 'f=avif'"},
      {"up=2", "bad value in op 'up=2'"},
      {"dpr=0.5", "bad value in op 'dpr=0.5'"},
      {"dpr=4.01", "bad value in op 'dpr=4.01'"},
      {"dpr=1.234", "bad value in op 'dpr=1.234'"},
      {"dpr=2.", "bad value in op 'dpr=2.'"},
      {"p:thumb", "unknown preset 'thumb'"},
      {"p:", "unknown preset 'p:'"},
      {"w=%31", "bad value in op 'w=%31'"},
  }));
  CHECK(refusal(grammar, row.ops) == row.message);
}

TEST_CASE("a preset is a default that the URL may override") {
  const Grammar grammar = make({{{"thumb", "w=150,h=150,fit=cover"}, {"hero", "w=1000,q=60"}}, {}, 8192});
  CHECK(canonical(grammar, "p:thumb") == "fit=cover,h=150,w=150");
  CHECK(canonical(grammar, "p:thumb,w=300") == "fit=cover,h=150,w=300");
  CHECK(canonical(grammar, "q=90,p:hero") == "q=90,w=1000");
  CHECK(grammar.parse("p:thumb")->preset_only);
  CHECK(!grammar.parse("p:thumb,w=300")->preset_only);
  CHECK(!grammar.parse("w=300")->preset_only);
  CHECK(refusal(grammar, "p:thumb,p:hero") == "repeated op 'p:hero'");
}

TEST_CASE("presets and ladders are checked when they are loaded") {
  const auto error = [](GrammarOptions options) {
    const auto grammar = Grammar::make(std::move(options));
    REQUIRE(!grammar);
    return grammar.error().message();
  };
  CHECK(error({{{"thumb", "w=150,blur=2"}}, {}, 8192}) == "unknown op 'thumb: blur=2'");
  CHECK(error({{{"a", "w=1"}, {"b", "p:a"}}, {}, 8192}).contains("b: p:a"));
  CHECK(error({{{"Thumb!", "w=1"}}, {}, 8192}).contains("Thumb!"));
  CHECK(error({{{"big", "w=5000"}}, {}, 4096}) == "bad value in op 'big: w=5000'");
  CHECK(error({{}, {150, 150}, 8192}).contains("ladder: 150"));
  CHECK(error({{}, {0}, 8192}).contains("ladder: 0"));
  CHECK(error({{}, {9000}, 8192}).contains("ladder: 9000"));
}

TEST_CASE("with a ladder the client's width rounds up to the next rung") {
  const Grammar grammar = make({{{"avatar", "w=100,h=100"}}, {150, 240, 320, 2048}, 8192});
  CHECK(canonical(grammar, "w=1") == "w=150");
  CHECK(canonical(grammar, "w=150") == "w=150");
  CHECK(canonical(grammar, "w=151") == "w=240");
  CHECK(canonical(grammar, "w=120,dpr=2") == "w=240");
  CHECK(canonical(grammar, "w=121,dpr=2") == "w=320");
  CHECK(canonical(grammar, "w=4000") == "w=2048");
  CHECK(canonical(grammar, "w=200,h=100") == "h=120,w=240");
  CHECK(canonical(grammar, "h=77") == "h=77");
  CHECK(canonical(grammar, "p:avatar") == "h=100,w=100");
  CHECK(canonical(grammar, "p:avatar,dpr=2") == "h=240,w=240");
}

TEST_CASE("geometry follows fit and never enlarges unasked") {
  const Grammar grammar = make();
  struct Row {
    const char* ops;
    std::uint32_t width, height;
    Geometry expected;
  };
  const Row row = GENERATE(values<Row>({
      {"w=512", 4120, 2747, {512, 341, 512, 341}},
      {"h=341", 4120, 2747, {511, 341, 511, 341}},
      {"w=100,h=100", 400, 200, {100, 50, 100, 50}},
      {"w=100,h=100", 50, 20, {50, 20, 50, 20}},
      {"w=100,h=100,up=1", 50, 20, {100, 40, 100, 40}},
      {"w=100,h=100,fit=scale-down,up=1", 50, 20, {50, 20, 50, 20}},
      {"w=100,h=100,fit=cover", 400, 200, {200, 100, 100, 100}},
      {"w=200,h=100,fit=cover", 100, 100, {100, 100, 100, 50}},
      {"w=200,h=100,fit=cover,up=1", 100, 100, {200, 200, 200, 100}},
      {"w=100,h=100,fit=contain", 400, 200, {100, 50, 100, 100}},
      {"w=100,h=100,fit=contain", 50, 20, {50, 20, 100, 100}},
      {"w=100,h=300,fit=fill", 400, 200, {100, 200, 100, 200}},
      {"w=100,h=300,fit=fill,up=1", 400, 200, {100, 300, 100, 300}},
      {"w=10", 3, 16000, {3, 16000, 3, 16000}},
      {"w=1", 16000, 3, {1, 1, 1, 1}},
      {"q=50", 640, 480, {640, 480, 640, 480}},
  }));
  INFO(row.ops);
  CHECK(plan(grammar.parse(row.ops)->transform, row.width, row.height) == row.expected);
}

}  // namespace
}  // namespace vignette::imaging
