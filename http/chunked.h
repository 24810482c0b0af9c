// Chunked transfer coding (RFC 9112 §7.1): strict decoder without a buffer of its own, and the few bytes an
// encoder needs. Extensions and trailers are checked and dropped.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "http/refusal.h"

namespace vignette::http {

struct ChunkLimits {
  std::size_t size_digits = 15;
  std::size_t extension_bytes = 256;           // of one chunk, from its first ';' on
  std::size_t message_extension_bytes = 4096;  // of all chunks together
  std::size_t trailer_fields = 32;
  std::size_t trailer_bytes = 8 * 1024;
};

// Loop-thread only. After done or error only reset() is legal.
class ChunkedDecoder {
 public:
  enum class State : std::uint8_t { need_more, done, error };
  struct Fed {
    State state = State::need_more;
    Refusal refusal = Refusal::none;  // with State::error: answer 400 (502 for an origin) and close
    std::size_t consumed = 0;  // bytes of the input that are dealt with; the rest belongs to the next call
    std::string_view payload;  // body bytes, a view into the input; may be empty
  };

  explicit ChunkedDecoder(const ChunkLimits& limits = {}) : limits_(limits) {}

  // Consumes framing up to and including one run of body bytes. Call until the input is used up or the state
  // is not need_more. With done, `consumed` ends right behind the message.
  Fed feed(std::span<char> input);
  // The same for all of the input at once: body bytes are moved together to the front of `input`, `payload`
  // is that front. Everything is consumed unless done or error came first.
  Fed feed_compacting(std::span<char> input);
  void reset();

  std::uint64_t body_bytes() const { return body_bytes_; }
  bool done() const { return phase_ == Phase::done; }

 private:
  enum class Phase : std::uint8_t {
    size_first,
    size,
    size_lf,
    ext_name_first,
    ext_name,
    ext_after_name,
    ext_value_first,
    ext_token,
    ext_quoted,
    ext_escape,
    ext_after_quoted,
    data,
    data_cr,
    data_lf,
    trailer_first,
    trailer_name,
    trailer_value,
    trailer_lf,
    end_lf,
    done,
    error,
  };
  Refusal step(char c);
  Refusal step_size(char c);
  Refusal step_extension(char c);
  Refusal step_trailer(char c);
  Refusal count_extension_byte();
  Refusal end_of_trailer_name();
  void end_of_size_line();

  ChunkLimits limits_;
  Phase phase_ = Phase::size_first;
  std::uint64_t chunk_left_ = 0;
  std::uint64_t body_bytes_ = 0;
  std::size_t digits_ = 0;
  std::size_t extension_bytes_ = 0;
  std::size_t message_extension_bytes_ = 0;
  std::size_t trailer_fields_ = 0;
  std::size_t trailer_bytes_ = 0;
  std::size_t name_bytes_ = 0;
  std::array<char, 24> name_{};  // enough to recognise the names that must not be trailers
};

// Room for the largest header: 16 digits and CRLF.
inline constexpr std::size_t kChunkHeaderBytes = 18;
// Writes "<hex>\r\n", returns the length. A size of 0 would end the body and is a breach of contract.
std::size_t write_chunk_header(std::uint64_t size, std::span<char, kChunkHeaderBytes> out);
inline constexpr std::string_view kChunkEnd = "\r\n";        // behind the bytes of each chunk
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";  // behind the last chunk's end

}  // namespace vignette::http
