#include "http/content_codec.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <string_view>

namespace vignette::http {
namespace {

using Feed = ContentCodec::Feed;
using State = ContentCodec::State;

constexpr Coding kMade[] = {Coding::zstd, Coding::br, Coding::gzip};

// Text that repeats itself in places, as pages do.
std::string page(std::size_t size) {
  std::string text;
  text.reserve(size + 64);
  for (std::uint32_t i = 0; text.size() < size; ++i) {
    text += "<li class=\"item\">" + std::to_string(i * 2654435761U) + "</li>\n";
  }
  text.resize(size);
  return text;
}

// Feeds `piece` bytes at a time into blocks of `room`; what came out until it was done or failed.
struct Outcome {
  State state = State::hungry;
  std::string bytes;
};
Outcome run(ContentCodec& codec, std::string_view input, std::size_t piece, std::size_t room,
            Feed between = Feed::more) {
  Outcome outcome;
  std::string out(room, '\0');
  do {
    const std::string_view now = input.substr(0, std::min(piece, input.size()));
    const Feed feed = now.size() == input.size() ? Feed::end : between;
    const ContentCodec::Step step = codec.step({now.data(), now.size()}, {out.data(), out.size()}, feed);
    outcome.state = step.state;
    outcome.bytes.append(out, 0, step.produced);
    input.remove_prefix(step.consumed);
    // A step that does nothing would be a loop without an end.
    const bool moved = step.consumed > 0 || step.produced > 0;
    if (!moved && step.state == State::full) return {State::failed, "does not move"};
  } while (outcome.state == State::hungry || outcome.state == State::full);
  return outcome;
}

std::string encoded(Coding coding, std::string_view text) {
  const auto codec = make_encoder(coding, text.size());
  const Outcome outcome = run(*codec, text, 64 * 1024, 64 * 1024);
  REQUIRE(outcome.state == State::done);
  return outcome.bytes;
}

Outcome decoded(Coding coding, std::string_view bytes, std::size_t piece = 4096, std::size_t room = 4096) {
  const auto codec = make_decoder(coding);
  return run(*codec, bytes, piece, room);
}

TEST_CASE("What is made of a page is smaller, and undone it is the page, however it is cut") {
  for (const Coding coding : kMade) {
    INFO(to_string(coding));
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1024}, std::size_t{300'000}}) {
      const std::string text = page(size);
      const std::string small = encoded(coding, text);
      if (size >= 1024) CHECK(small.size() < size / 2);
      for (const std::size_t piece : {std::size_t{1}, std::size_t{1000}, std::size_t{1} << 20}) {
        if (piece == 1 && size > 2000) continue;
        const auto encoder = make_encoder(coding, std::nullopt);
        const Outcome made = run(*encoder, text, piece, 100);
        REQUIRE(made.state == State::done);
        CHECK(decoded(coding, made.bytes, piece, 100).bytes == text);
        CHECK(decoded(coding, made.bytes, piece, 100).state == State::done);
      }
    }
  }
}

TEST_CASE("A flush brings out all that was fed") {
  for (const Coding coding : kMade) {
    INFO(to_string(coding));
    const auto encoder = make_encoder(coding, std::nullopt);
    const auto decoder = make_decoder(coding);
    std::string room(4096, '\0');
    std::string back(4096, '\0');
    for (const std::string_view event : {"first event\n", "second event\n"}) {
      const auto made = encoder->step({event.data(), event.size()}, {room.data(), room.size()}, Feed::flush);
      REQUIRE(made.state == State::hungry);
      const auto read = decoder->step({room.data(), made.produced}, {back.data(), back.size()}, Feed::more);
      CHECK(std::string_view(back).substr(0, read.produced) == event);
    }
  }
}

TEST_CASE("Bytes that no coding compresses come through whole") {
  std::string noise(200'000, '\0');
  std::uint64_t seed = 1;
  for (char& c : noise) {
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    c = static_cast<char>(seed >> 56);
  }
  for (const Coding coding : kMade) CHECK(decoded(coding, encoded(coding, noise)).bytes == noise);
}

TEST_CASE("What is cut short or damaged, or has something behind it, is malformed") {
  const std::string text = page(5000);
  for (const Coding coding : kMade) {
    INFO(to_string(coding));
    const std::string good = encoded(coding, text);
    for (const std::size_t size : {std::size_t{1}, std::size_t{5}, good.size() / 2, good.size() - 1}) {
      CHECK(decoded(coding, std::string_view(good).substr(0, size)).state == State::malformed);
    }
    CHECK(decoded(coding, good + "behind it").state == State::malformed);
    CHECK(decoded(coding, text).state == State::malformed);
    CHECK(decoded(coding, "").state == State::done);
  }
  std::string damaged = encoded(Coding::gzip, text);
  damaged[damaged.size() - 6] = static_cast<char>(~damaged[damaged.size() - 6]);  // in its checksum
  CHECK(decoded(Coding::gzip, damaged).state == State::malformed);
}

TEST_CASE("Members of gzip and frames of zstd that follow each other are one body") {
  for (const Coding coding : {Coding::gzip, Coding::zstd}) {
    INFO(to_string(coding));
    const std::string both = encoded(coding, "one ") + encoded(coding, "and two");
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{4096}}) {
      const Outcome outcome = decoded(coding, both, piece);
      CHECK(outcome.state == State::done);
      CHECK(outcome.bytes == "one and two");
    }
  }
}

TEST_CASE("Identity has no codec") {
  CHECK_FALSE(make_encoder(Coding::identity, 10));
  CHECK_FALSE(make_decoder(Coding::identity));
}

}  // namespace
}  // namespace vignette::http
