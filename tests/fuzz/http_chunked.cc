// A chunked body: pieces, bytes and compaction give the same body and verdict, and the body encoded again
// decodes to itself.
#include <algorithm>
#include <string>

#include "base/check.h"
#include "http/chunked.h"

using namespace vignette::http;

namespace {

struct Decoded {
  ChunkedDecoder::State state = ChunkedDecoder::State::need_more;
  Refusal refusal = Refusal::none;
  std::string body;
  std::size_t consumed = 0;
};

Decoded decode(std::string text, std::size_t piece, bool compacting) {
  ChunkedDecoder decoder;
  Decoded result;
  while (result.state == ChunkedDecoder::State::need_more && result.consumed < text.size()) {
    const std::span<char> input(text.data() + result.consumed,
                                std::min(piece, text.size() - result.consumed));
    const ChunkedDecoder::Fed fed = compacting ? decoder.feed_compacting(input) : decoder.feed(input);
    VCHECK(fed.consumed <= input.size());
    VCHECK(fed.consumed > 0 || fed.state == ChunkedDecoder::State::error);
    result.body.append(fed.payload);
    result.consumed += fed.consumed;
    result.state = fed.state;
    result.refusal = fed.refusal;
  }
  VCHECK(decoder.body_bytes() == result.body.size());
  return result;
}

void check_same(const Decoded& a, const Decoded& b) {
  VCHECK(a.state == b.state && a.refusal == b.refusal && a.body == b.body && a.consumed == b.consumed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const Decoded whole = decode(text, size + 1, false);
  check_same(whole, decode(text, 1, false));
  check_same(whole, decode(text, 1 + size % 13, true));
  check_same(whole, decode(text, size + 1, true));
  if (whole.body.empty()) return 0;
  char header[kChunkHeaderBytes];
  std::string again(header,
                    write_chunk_header(whole.body.size(), std::span<char, kChunkHeaderBytes>(header)));
  again.append(whole.body).append(kChunkEnd).append(kLastChunk);
  const Decoded encoded = decode(again, again.size(), false);
  VCHECK(encoded.state == ChunkedDecoder::State::done);
  VCHECK(encoded.body == whole.body && encoded.consumed == again.size());
  return 0;
}
