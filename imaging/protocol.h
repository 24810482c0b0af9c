// The conversation between the node and the vignette-imaging supervisor over one unix stream socket: many
// jobs in flight, answered in any order. No I/O here: frames are built into and read out of buffers,
// descriptors travel beside them. Everything that comes in is validated; neither side trusts the other's
// arithmetic.
//
// Frame: u32 body length (little-endian, <= kMaxFrameBytes), u8 protocol version, u8 type, u8 descriptors (0
// or 1), u8 zero, body. A descriptor is sent with the first byte of its frame (SCM_RIGHTS); they arrive in
// frame order.
//
//   node -> supervisor   Job (with the sealed memfd of the source), Cancel
//   supervisor -> node   Hello (once, first), JobResult (with the sealed memfd of the picture when one was
//   made)
//
// The node queues: it never has more than Hello.lanes jobs in flight, of which at most Hello.heavy_lanes are
// heavy (ImageHeader::heavy); a job beyond the lanes is answered `busy`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/error.h"
#include "base/fd.h"
#include "imaging/errors.h"
#include "imaging/format.h"
#include "imaging/grammar.h"
#include "imaging/header.h"
#include "imaging/info.h"

namespace vignette::imaging {

inline constexpr std::uint8_t kProtocolVersion = 1;
inline constexpr std::size_t kMaxFrameBytes = 4096;
inline constexpr std::size_t kFrameHeaderBytes = 8;
inline constexpr std::size_t kMaxQueuedFds = 256;  // received and not yet claimed by a frame
inline constexpr std::uint64_t kMaxResultBytes = std::uint64_t{256} << 20;

// Part of every variant's ETag: raise it when the same ops give other bytes.
inline constexpr std::string_view kEngineVersion = "1";

// How the test build of a worker misbehaves; refused unless the program runs with --test-faults.
enum class Fault : std::uint8_t { none = 0, segv, hang, open_file, open_socket, exec, leak };
inline constexpr std::uint8_t kFaultCount = 7;

struct Job {
  enum class Kind : std::uint8_t { transform = 0, info };
  std::uint64_t id = 0;  // unique among those in flight
  Kind kind = Kind::transform;
  SourceFormat source = SourceFormat::unsupported;  // by our own sniff; the only loader that will be tried
  OutputFormat output = OutputFormat::jpeg;         // decided (choose_format), whatever transform.format says
  Transform transform;
  Limits limits;
  std::uint32_t deadline_ms = 0;   // from receipt; at least 1
  std::uint64_t source_bytes = 0;  // size of the memfd
  Fault fault = Fault::none;
};

struct Cancel {
  std::uint64_t id = 0;  // its JobResult still comes, with `cancelled` or better
};

struct Hello {
  std::uint32_t lanes = 0;        // all workers, 1..1024
  std::uint32_t heavy_lanes = 0;  // of these, 1..lanes
};

struct JobTimings {          // microseconds
  std::uint32_t queue = 0;   // supervisor's receipt to worker's start
  std::uint32_t decode = 0;  // opening and header work
  std::uint32_t pixels = 0;  // libvips is demand-driven: decode, resize and encode overlap and count here
};

struct JobResult {
  std::uint64_t id = 0;
  ErrorClass error = ErrorClass::none;
  OutputFormat output = OutputFormat::jpeg;
  std::uint32_t width = 0;  // of the picture made
  std::uint32_t height = 0;
  std::uint64_t output_bytes = 0;  // size of the memfd; 0 for info and errors
  ImageInfo info;                  // when error is none
  JobTimings timings;
};

using Message = std::variant<Job, Cancel, Hello, JobResult>;

// Appends one frame. The Job's and a picture's descriptor goes along with the first byte.
void encode(const Job& job, std::string& out);
void encode(const Cancel& cancel, std::string& out);
void encode(const Hello& hello, std::string& out);
void encode(const JobResult& result, std::string& out);

struct Received {
  Message message;
  UniqueFd fd;  // of a Job or of a JobResult with output_bytes > 0
};

// Reassembles frames from any cut of the stream. After an error it stays failed: close the socket.
class FrameReader {
 public:
  void feed(std::string_view bytes);
  void feed_fd(UniqueFd fd);
  // Nullopt: feed more. Errors: malformed (bad frame, missing or surplus descriptor), limit.
  Result<std::optional<Received>> next();
  std::size_t buffered() const { return buffer_.size() - offset_; }

 private:
  std::string buffer_;
  std::size_t offset_ = 0;
  std::deque<UniqueFd> fds_;
  bool failed_ = false;
};

// One body (no frame header), for datagram sockets between supervisor and worker and for fuzzing.
Result<Message> decode_body(std::uint8_t type, std::string_view body);

}  // namespace vignette::imaging
