// The chunked decoder: strictness, limits, and independence from how the input is cut.
#include <catch2/catch.hpp>

#include <random>

#include "heads.h"
#include "http/chunked.h"

using namespace vignette::http;
using namespace vignette::http::test;

namespace {

struct Decoded {
  ChunkedDecoder::State state = ChunkedDecoder::State::need_more;
  Refusal refusal = Refusal::none;
  std::string body;
  std::size_t consumed = 0;
  bool operator==(const Decoded&) const = default;
};

Decoded decode(std::string text, std::size_t piece, bool compacting = false) {
  ChunkedDecoder decoder;
  Decoded result;
  while (result.state == ChunkedDecoder::State::need_more && result.consumed < text.size()) {
    const std::size_t size = std::min(piece, text.size() - result.consumed);
    const std::span<char> input(text.data() + result.consumed, size);
    const ChunkedDecoder::Fed fed = compacting ? decoder.feed_compacting(input) : decoder.feed(input);
    result.body.append(fed.payload);
    result.consumed += fed.consumed;
    result.state = fed.state;
    result.refusal = fed.refusal;
  }
  return result;
}

Decoded decode_all_ways(const std::string& text) {
  const Decoded whole = decode(text, text.size());
  for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, std::size_t{7}}) {
    CHECK(decode(text, piece) == whole);
    CHECK(decode(text, piece, true) == whole);
  }
  CHECK(decode(text, text.size(), true) == whole);
  return whole;
}

void refused(std::string_view text, Refusal refusal) {
  INFO(printable(text));
  const Decoded got = decode_all_ways(std::string(text));
  CHECK(got.state == ChunkedDecoder::State::error);
  CHECK(to_string(got.refusal) == to_string(refusal));
}

std::string accepted(std::string_view text) {
  INFO(printable(text));
  const Decoded got = decode_all_ways(std::string(text));
  CHECK(got.state == ChunkedDecoder::State::done);
  CHECK(to_string(got.refusal) == "none");
  return got.body;
}

}  // namespace

TEST_CASE("Chunks are joined and the decoder stops right behind the body") {
  CHECK(accepted("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n") == "hello world");
  CHECK(accepted("0\r\n\r\n").empty());
  CHECK(accepted("A\r\n0123456789\r\n000\r\n\r\n") == "0123456789");
  CHECK(accepted("000000000000005\r\nhello\r\n0\r\n\r\n") == "hello");
  const Decoded got = decode_all_ways("1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n");
  CHECK(got.state == ChunkedDecoder::State::done);
  CHECK(got.consumed == 11);
}

TEST_CASE("A chunk size with 0x, sign, underscore, blanks, no digit or more than 15 digits is refused") {
  for (const char* size : {"0x5",
                           "+5",
                           "-5",
                           "5_0",
                           " 5",
                           "5 ",
                           "\t5",
                           "5\t",
                           "",
                           "g",
                           "5g",
                           "5 ;x",
                           ";x",
                           "5,",
                           "\"5\"",
                           "0000000000000005",
                           "FFFFFFFFFFFFFFFF",
                           "10000000000000000",
                           "5:",
                           "\xA0"
                           "5",
                           "5.0"}) {
    refused(std::string(size) + "\r\nhello\r\n0\r\n\r\n", Refusal::bad_chunk_size);
  }
}

TEST_CASE("Bare CR, bare LF and controls in chunk framing are refused") {
  refused("5\nhello\r\n0\r\n\r\n", Refusal::bare_lf);
  refused("5\rhello\r\n0\r\n\r\n", Refusal::bare_cr);
  refused("5\r\r\nhello\r\n0\r\n\r\n", Refusal::bare_cr);
  refused("5\r\nhello\n0\r\n\r\n", Refusal::bare_lf);
  refused("5\r\nhello\r\n0\n\r\n", Refusal::bare_lf);
  refused("5\r\nhello\r\n0\r\n\n", Refusal::bare_lf);
  refused("0\r\n\rX", Refusal::bare_cr);
  refused(raw("5\0\r\nhello\r\n0\r\n\r\n"), Refusal::control_character);
  refused("5\x0b\r\nhello\r\n0\r\n\r\n", Refusal::control_character);
  refused("\r\n5\r\nhello\r\n0\r\n\r\n", Refusal::bad_chunk_size);
}

TEST_CASE("Chunk data not followed by CRLF is refused") {
  refused("5\r\nhelloX\r\n0\r\n\r\n", Refusal::bad_chunk_end);
  refused("5\r\nhello0\r\n\r\n", Refusal::bad_chunk_end);
  refused("4\r\nhello\r\n0\r\n\r\n", Refusal::bad_chunk_end);
  refused("5\r\nhello\rX0\r\n\r\n", Refusal::bad_chunk_end);
  refused("6\r\nhello\r\n0\r\n\r\n", Refusal::bare_lf);
}

TEST_CASE("Chunk extensions are parsed and dropped") {
  for (const char* extension :
       {";a", ";a=b", "; a = b", ";a;b=c;d", ";a=\"b;c\\\" d\"", ";a=\"\"", ";a=\"\xC3\xA9\t\"", ";a ;b"}) {
    CHECK(accepted("5" + std::string(extension) + "\r\nhello\r\n0;x\r\n\r\n") == "hello");
  }
  for (const char* extension : {";", "; ", ";=b", ";a=", ";a=;", ";;a", ";a b", ";a=b c", ";a=\"b\"c",
                                ";a=\"b", ";a ", ";a=b ", ";\xA0", ";a\xFF", ";a=\"b\"=", ";(a)"}) {
    INFO(extension);
    const Decoded got = decode_all_ways("5" + std::string(extension) + "\r\nhello\r\n0\r\n\r\n");
    CHECK(got.state == ChunkedDecoder::State::error);
  }
  refused("5;a\nhello\r\n0\r\n\r\n", Refusal::bare_lf);
  refused("5;\nhello\r\n0\r\n\r\n", Refusal::bare_lf);
  refused("5;a\rhello\r\n0\r\n\r\n", Refusal::bare_cr);
  refused("5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", Refusal::bare_lf);
  refused("5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n", Refusal::bad_chunk_extension);
  refused("5;a\x01\r\nhello\r\n0\r\n\r\n", Refusal::control_character);
  refused("5;a=\"\\\x01\"\r\nhello\r\n0\r\n\r\n", Refusal::control_character);
}

TEST_CASE("Extensions of 256 bytes a chunk and 4 KiB a message pass, one byte more does not") {
  const auto chunk = [](std::size_t extension) {
    return "1;" + std::string(extension - 1, 'a') + "\r\nx\r\n";
  };
  accepted(chunk(256) + "0\r\n\r\n");
  refused(chunk(257) + "0\r\n\r\n", Refusal::chunk_extension_too_long);
  std::string message;
  for (int i = 0; i < 16; ++i) message += chunk(256);
  accepted(message + "0\r\n\r\n");
  refused(message + "0;a\r\n\r\n", Refusal::chunk_extension_too_long);
}

TEST_CASE("Trailers are checked like fields and dropped") {
  CHECK(accepted("1\r\nx\r\n0\r\nA: b\r\nC-D:\t\xC3\xA9\r\n\r\n") == "x");
  refused("0\r\nA : b\r\n\r\n", Refusal::bad_trailer);
  refused("0\r\n: b\r\n\r\n", Refusal::bad_trailer);
  refused("0\r\n A: b\r\n\r\n", Refusal::bad_trailer);
  refused("0\r\nA: b\r\n c\r\n\r\n", Refusal::bad_trailer);
  refused("0\r\nnocolon\r\n\r\n", Refusal::bad_trailer);
  refused("0\r\nA: b\n\r\n", Refusal::bare_lf);
  refused("0\r\nA: b\rc\r\n\r\n", Refusal::bare_cr);
  refused(raw("0\r\nA: b\0\r\n\r\n"), Refusal::control_character);
  refused("0\r\nContent-Length: 5\r\n\r\n", Refusal::bad_trailer);
  refused("0\r\nTransfer-encoding: chunked\r\n\r\n", Refusal::bad_trailer);
  refused("0\r\nGET / HTTP/1.1\r\n\r\n", Refusal::bad_trailer);
}

TEST_CASE("32 trailers of 8 KiB pass, one more field or byte does not") {
  const auto trailers = [](int count) {
    std::string text = "0\r\n";
    for (int i = 0; i < count; ++i) text += "X: y\r\n";
    return text + "\r\n";
  };
  accepted(trailers(32));
  refused(trailers(33), Refusal::trailers_too_large);
  const auto large = [](std::size_t bytes) { return "0\r\nX:" + std::string(bytes - 4, 'y') + "\r\n\r\n"; };
  accepted(large(8192));
  refused(large(8193), Refusal::trailers_too_large);
}

TEST_CASE("What the encoder writes is decoded to the same bytes for random bodies") {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::string body(random() % 300, '\0');
    for (char& c : body) c = static_cast<char>(random());
    std::string text;
    for (std::size_t at = 0; at < body.size();) {
      const std::size_t size = std::min<std::size_t>(body.size() - at, 1 + random() % 40);
      char header[kChunkHeaderBytes];
      text.append(header, write_chunk_header(size, std::span<char, kChunkHeaderBytes>(header)));
      text.append(body, at, size).append(kChunkEnd);
      at += size;
    }
    text += kLastChunk;
    const Decoded got = decode_all_ways(text);
    REQUIRE(got.state == ChunkedDecoder::State::done);
    REQUIRE(got.body == body);
  }
  char header[kChunkHeaderBytes];
  CHECK(std::string(header, write_chunk_header(~std::uint64_t{0}, std::span<char, kChunkHeaderBytes>(
                                                                      header))) == "ffffffffffffffff\r\n");
}
