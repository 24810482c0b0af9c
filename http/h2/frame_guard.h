// Reads the headers of an HTTP/2 client's frames before the session does and holds them against two things:
//
// * RFC 9113 sections 5.1, 5.1.1 and 6.3: which frames a stream that is idle, closed or out of order may
// still
//   get. nghttp2 ignores some that the RFC calls errors of the connection.
// * How many frames that ask for nothing a client may send, each cheap to send and none of it free to take:
//   resets (CVE-2023-44487, also those that a client makes us send), pings, settings, priorities, empty DATA.
//
// Knows framing only, no content. Loop-thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/clock.h"

namespace vignette::http {

// RFC 9113 section 7.
enum class H2Error : std::uint32_t {
  no_error = 0,
  protocol_error = 1,
  internal_error = 2,
  flow_control_error = 3,
  settings_timeout = 4,
  stream_closed = 5,
  frame_size_error = 6,
  refused_stream = 7,
  cancel = 8,
  compression_error = 9,
  connect_error = 10,
  enhance_your_calm = 11,
};

class H2FrameGuard {
 public:
  static constexpr unsigned kResets = 100;  // in kResetsIn
  static constexpr Duration kResetsIn = std::chrono::minutes(1);
  static constexpr unsigned kIdleFrames = 1000;  // in kIdleFramesIn
  static constexpr Duration kIdleFramesIn = std::chrono::seconds(10);

  // Whether a stream that was opened is still open.
  class OpenStreams {
   public:
    virtual bool is_open(std::int32_t stream) const = 0;

   protected:
    ~OpenStreams() = default;
  };

  struct Step {
    std::size_t bytes = 0;  // to hand to the session; never past a frame's end
    H2Error error = H2Error::no_error;
    std::string_view reason = {};  // with an error, which ends the connection: a word for the log; static
  };

  // The next step of what was received; `bytes` is not empty. After an error not to be called again.
  Step next(std::span<const char> bytes, const OpenStreams& streams, TimePoint now);

  // `by_us`: frames for it may be on their way, and are ignored (section 5.1, "closed"). The first word
  // counts.
  void on_closed(std::int32_t stream, bool by_us);
  // A reset that the client sent, or that it made us send. False: there were too many.
  bool count_reset(TimePoint now) { return resets_.add(now, kResets, kResetsIn); }
  // Another thing that asks for nothing. False: there were too many.
  bool count_idle(TimePoint now) { return idle_frames_.add(now, kIdleFrames, kIdleFramesIn); }

 private:
  static constexpr std::size_t kPreface = 24;
  static constexpr std::size_t kHeader = 9;
  static constexpr std::size_t kDependency = 4;  // bytes of a PRIORITY frame's payload that are looked at
  static constexpr std::size_t kRemembered = 256;

  struct Closed {
    std::int32_t stream = 0;
    bool by_us = false;
  };
  struct Rate {
    TimePoint since{};
    unsigned count = 0;
    bool add(TimePoint now, unsigned limit, Duration in);
  };

  std::size_t payload_bytes() const;
  std::size_t collect(std::span<const char> bytes);
  Step check(const OpenStreams& streams, TimePoint now);
  Step check_priority(std::int32_t stream) const;
  Step check_stream(const OpenStreams& streams, std::uint8_t type, std::int32_t stream, TimePoint now);
  Step check_closed(std::uint8_t type, std::int32_t stream, TimePoint now);
  bool asks_for_nothing(std::uint8_t type, std::uint8_t flags) const;

  std::size_t preface_left_ = kPreface;
  std::array<unsigned char, kHeader + kDependency> header_{};
  std::size_t header_bytes_ = 0;
  std::size_t header_wanted_ = kHeader;
  std::size_t payload_left_ = 0;
  bool in_head_ = false;  // between a HEADERS and the end of its block nothing but CONTINUATION may come
  std::int32_t last_stream_ = 0;
  std::array<Closed, kRemembered> closed_{};  // a ring
  std::size_t next_closed_ = 0;
  std::int32_t forgotten_ = 0;  // the highest number that the ring has lost
  Rate resets_;
  Rate idle_frames_;
};

}  // namespace vignette::http
