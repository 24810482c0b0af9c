// One client connection speaking HTTP/2: three kinds of strands around one session.
//
//   reader       bytes in -> session -> requests; what can be answered at once is, without a strand
//   writer       session -> frames of many streams in one write; alone writes to the socket
//   one a stream waits for whatever its exchange waits for, and until its answer has been taken
//
// The session is called by all of them and never waits; who has given it something wakes the writer. A stream
// is ours until the session has closed it and its strand has ended. The connection lives as long as a strand
// of it.
//
//   open --drain--> GOAWAY, PING --answered, or 1 s--> GOAWAY --last answer--> closed
//     |--idle--> GOAWAY -> closed        |--failure of the session--> GOAWAY, linger, closed
//
// Loop-thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "http/h2/session.h"
#include "net/signal.h"
#include "net/strand.h"
#include "net/stream.h"
#include "net/task.h"
#include "proxy/client/client_facts.h"
#include "proxy/client/h2_stream.h"
#include "proxy/client/out_queue.h"
#include "proxy/client/wire_count.h"

namespace vignette::proxy {

struct WorkerContext;

class H2Connection final : private http::H2Events, private http::H2Output {
 public:
  // Until the connection is over, whichever way; the calling strand is its reader. `received`: what was read
  // of it before.
  static net::Task<void> run(WorkerContext& context, net::Stream stream, ClientFacts facts,
                             std::string received);

  H2Connection(WorkerContext& context, net::Stream stream, ClientFacts facts);
  ~H2Connection();
  H2Connection(const H2Connection&) = delete;
  H2Connection& operator=(const H2Connection&) = delete;

  // Takes no more requests than are on their way, and ends behind the last answer.
  void begin_drain();

  // For the responder and the body of a stream; nothing happens when it is closed.
  void respond(H2Stream& stream, int status, std::span<const http::H2Field> fields, bool bodiless);
  void interim(H2Stream& stream, int status);
  void resume(H2Stream& stream);
  void reset(H2Stream& stream, http::H2Error error);
  void consumed(H2Stream& stream, std::size_t bytes);
  // Whether it is up to the client that nothing of `stream` is sent; `moves`: others of the connection are.
  bool client_holds(const H2Stream& stream, bool moves) const;
  bool client_may_send(const H2Stream& stream) const;
  std::uint64_t data_bytes() const { return data_bytes_; }  // of all answers, handed to the writer so far
  std::string& scratch();                                   // valid until the next wait
  std::string_view now_date() const;

 private:
  static constexpr std::size_t kWriteBytes = 64 * 1024;  // gathered before they are written
  static constexpr std::size_t kReadBytes = 32 * 1024;

  using Self = std::shared_ptr<H2Connection>;
  class Serving;

  static net::Task<void> write(Self self);
  static net::Task<void> serve(Self self, H2Stream* stream);
  net::Task<void> read(const Self& self, std::string_view received);
  net::Task<void> write_frames();
  net::Task<void> end_reading();
  net::Task<bool> wait_for_bytes();
  TimePoint read_deadline() const;
  bool take_bytes(const Self& self);
  bool take(const Self& self, std::span<const char> bytes);
  void start_requests(const Self& self);
  void answer_at_once(H2Stream& stream);
  void make_exchange(H2Stream& stream);
  bool is_misdirected(const H2Stream& stream) const;
  void leave(H2Stream& stream);
  void conclude(H2Stream& stream);
  void log_malformed(H2Stream& stream);
  void log_failure();
  void end_streams();
  void release(H2Stream& stream);
  void sweep();
  void drain();
  void count_bytes();
  void wake_writer() { work_.notify_all(); }

  http::H2Stream& on_open(std::int32_t id) override;
  void on_request(http::H2Stream& stream) override;
  void on_data(http::H2Stream& stream, std::string_view bytes) override;
  void on_input_end(http::H2Stream& stream) override;
  void on_taken(http::H2Stream& stream, std::size_t bytes) override;
  void on_closed(http::H2Stream& stream, http::H2Error error) override;
  void text(std::string_view bytes) override { out_.text(bytes); }
  void slice(Slice bytes) override { out_.slice(std::move(bytes)); }

  WorkerContext& context_;
  net::Stream stream_;
  ClientFacts facts_;
  http::H2Session session_;
  OutQueue out_;
  std::vector<std::unique_ptr<H2Stream>> streams_;
  std::vector<H2Stream*> asked_;   // by the bytes just taken
  std::vector<H2Stream*> closed_;  // without a strand, to be released
  H2Stream* heading_ = nullptr;    // whose head has begun and not ended
  TimePoint head_begun_{};
  TimePoint idle_since_;                      // while there are no streams
  TimePoint shutdown_at_ = net::kNoDeadline;  // when a drain goes on without the client's word
  net::Signal work_;                          // for the writer
  net::Signal written_;                       // the writer has ended
  net::StrandRef reader_;
  WireCount counted_;
  Error lost_{Code::closed, Blame::client, Retry::no, 0, "connection"};  // why answers could not be sent
  std::uint64_t data_bytes_ = 0;
  bool has_asked_ = false;  // a first request has begun
  bool over_ = false;       // nothing more is read; the writer ends when all is sent
  bool writing_ = true;     // the writer has not ended
};

}  // namespace vignette::proxy
