// The server's end of an HTTP/2 connection (RFC 9113, 9218) over nghttp2, without I/O: bytes go in by feed()
// and come out by drain(). Everything that a client can do wrong ends here, as a reset of its stream or of
// its connection; what passes is a request in the model that HTTP/1.1 requests have too.
//
// Callbacks run inside feed() and drain(). They may queue and notify; they must not resume anything, nor call
// the session. Loop-thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/slice_queue.h"
#include "http/h2/frame_guard.h"
#include "http/h2/request_fields.h"
#include "http/message.h"

struct nghttp2_session;

namespace vignette::http {

// What the session keeps of a stream. The connection derives from it; it lives from on_open() to on_closed()
// or abandon().
struct H2Stream {
  std::int32_t id = 0;
  RequestHead head;
  H2RequestFields fields;
  Refusal refusal = Refusal::none;  // of the head: with on_request() it is to be answered instead
  SliceQueue out;                   // of the body, for the client; the session takes from its front
  bool out_ended = false;           // nothing will be added to `out`
  bool input_ended = false;         // the client has sent everything
  bool deferred = false;            // the session waits for resume()
  bool answered = false;            // the frame that ends our side has been taken by drain()
};

class H2Events {
 public:
  // A request begins.
  virtual H2Stream& on_open(std::int32_t id) = 0;
  // Its head is complete.
  virtual void on_request(H2Stream& stream) = 0;
  // A piece of its body. The client's window shrinks by it until consume().
  virtual void on_data(H2Stream& stream, std::string_view bytes) = 0;
  virtual void on_input_end(H2Stream& stream) = 0;
  // drain() took so many bytes out of stream.out; or, with 0, the end of the answer.
  virtual void on_taken(H2Stream& stream, std::size_t bytes) = 0;
  // No further call for this stream. no_error: both sides ended in order, or one said that it needs no more.
  virtual void on_closed(H2Stream& stream, H2Error error) = 0;

 protected:
  ~H2Events() = default;
};

class H2Output {
 public:
  virtual void text(std::string_view bytes) = 0;  // copies
  virtual void slice(Slice bytes) = 0;

 protected:
  ~H2Output() = default;
};

struct H2Field {
  std::string_view name;  // lower case
  std::string_view value;
  bool indexed = true;  // worth a place in the peer's table
};

class H2Session final : private H2FrameGuard::OpenStreams {
 public:
  struct Options {
    std::uint32_t streams = 128;                   // open at a time
    std::uint32_t stream_window = 256 * 1024;      // bytes of a body that may wait to be consumed
    std::int32_t connection_window = 1024 * 1024;  // the same of all streams together
    std::uint32_t header_bytes = 32 * 1024;        // what we tell the client; H2RequestFields counts
  };

  // Queues our SETTINGS. `events` outlives the session.
  H2Session(H2Events& events, const Options& options);
  ~H2Session();
  H2Session(const H2Session&) = delete;
  H2Session& operator=(const H2Session&) = delete;

  // After failure() has become a word nothing more is taken in.
  void feed(std::span<const char> bytes, TimePoint now);
  // "", or why the connection must end once drain() has nothing more: a GOAWAY with an error was queued. A
  // word for the log; static.
  std::string_view failure() const { return failure_; }

  // Gives frames to `out` until there are none or about `limit` bytes were given; how many were. May find a
  // failure().
  std::size_t drain(H2Output& out, std::size_t limit);
  bool wants_write() const;
  // Nothing is left to do on this connection.
  bool finished() const;

  // The answer's head; its body is what stream.out has and gets, unless `bodiless`.
  void respond(H2Stream& stream, int status, std::span<const H2Field> fields, bool bodiless);
  // An interim answer, before respond().
  void respond_interim(H2Stream& stream, int status);
  // stream.out or stream.out_ended changed.
  void resume(H2Stream& stream);
  void reset(H2Stream& stream, H2Error error);
  // So many bytes of on_data() are done with: the client may send more. Also of a stream that is closed.
  void consume(const H2Stream& stream, std::size_t bytes);
  // The stream ends here without a word to the client, whose connection is about to end. No event follows.
  void abandon(H2Stream& stream);

  // What the client lets us send, and we let it send, now; of that stream and of the connection.
  bool has_stream_window(const H2Stream& stream) const;
  bool has_connection_window() const;
  bool may_client_send(const H2Stream& stream) const;

  // Graceful, in two steps a round trip apart, so that requests on their way are still taken (section 6.8): a
  // notice with a PING behind it; then, when that is answered or by shut_down(), the last stream's number.
  void announce_shutdown();
  void shut_down();
  // At once, streams or not. `reason` becomes failure(), unless it is empty.
  void terminate(H2Error error, std::string_view reason);

 private:
  struct Callbacks;
  struct Deleter {
    void operator()(nghttp2_session* session) const;
  };
  enum class Shutdown : std::uint8_t { none, announced, done };

  bool is_open(std::int32_t stream) const override;
  void finish_head(H2Stream& stream, bool ended);
  void on_reset_sent(std::int32_t stream, H2Error error);
  void on_goaway_sent(H2Error error);
  void on_ping_answered();

  H2Events& events_;
  H2FrameGuard guard_;
  std::unique_ptr<nghttp2_session, Deleter> session_;
  H2Output* out_ = nullptr;  // while drain() runs
  std::size_t drained_ = 0;
  std::size_t drain_limit_ = 0;
  TimePoint now_{};
  Shutdown shutdown_ = Shutdown::none;
  std::string_view failure_;
};

}  // namespace vignette::http
