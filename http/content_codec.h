// Content codings as streams: gzip (RFC 1952), br (RFC 7932) and zstd (RFC 8878), made and undone piece by
// piece. Sans-I/O; one user at a time; memory is bounded, whatever the length:
//
//            makes        undoes
//   gzip     256 KiB      48 KiB       level 5, window 32 KiB
//   br       2 MiB        16 MiB       quality 4, made with a window of 256 KiB, undone with any of RFC 7932
//   zstd     1 MiB        8 MiB        level 3, made with a window of 256 KiB, undone up to RFC 9659's 8 MiB
//
// Nothing at all is undone to nothing. At these levels 64 KiB of text take up to 0.7 ms of a core for zstd,
// and up to 2.5 ms for br and gzip.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "http/accept.h"

namespace vignette::http {

class ContentCodec {
 public:
  // What follows behind the input of a step.
  enum class Feed : std::uint8_t {
    more,   // more of the same body, soon
    flush,  // more, but nobody knows when: what was fed so far must come out now
    end,    // nothing
  };
  enum class State : std::uint8_t {
    hungry,     // all of the input is taken, and what there is of output is out
    full,       // `out` is used up: step again with what is left of the input and the same feed
    done,       // after Feed::end: the last byte is out
    malformed,  // undoing: not that coding, cut short, or something follows its end
    failed,     // no memory
  };
  struct Step {
    State state = State::failed;
    std::size_t consumed = 0;
    std::size_t produced = 0;
  };

  virtual ~ContentCodec() = default;
  // `out` is not empty. After done, malformed or failed never again.
  virtual Step step(std::span<const char> in, std::span<char> out, Feed feed) = 0;
};

// `size`: of what will be fed, where it is known; only a hint. Null when memory is short, or for identity.
std::unique_ptr<ContentCodec> make_encoder(Coding coding, std::optional<std::uint64_t> size);
std::unique_ptr<ContentCodec> make_decoder(Coding coding);

}  // namespace vignette::http
