// What a Stream owns: the descriptor, its one registration with the loop, what the loop has said about it
// (level flags, as events are edges), and at most one waiting operation a side. Internal to net/.
#pragma once

#include <event2/event_struct.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>

#include "net/stream.h"
#include "net/tls_session.h"

namespace vignette::net {

enum class Outcome : std::uint8_t { done, blocked, failed };

// What is known about bytes to read: maybe = nobody has asked the kernel yet.
enum class Level : std::uint8_t { no, maybe, yes };

// By TCP_INFO; nothing where it does not apply. Our SYN counts as one byte when we connected.
std::optional<std::uint64_t> tcp_bytes_acked(int descriptor);

// Drops `count` bytes from the front of the parts, and empty parts with them.
void consume(std::span<iovec>& parts, std::size_t count);

// Of our side: asked to end, and ended once the bytes of TLS that were still queued have gone.
enum class Ending : std::uint8_t { no, asked, done };

// The door to a stream's socket for the files of this folder.
class StreamAccess {
 public:
  static Socket& socket(Stream& stream) { return *stream.socket_; }
  static Result<Stream> adopt(Worker& worker, UniqueFd descriptor, Blame blame, const Address* peer) {
    return Stream::adopt_nonblocking(worker, std::move(descriptor), blame, peer);
  }
};

class Socket final : public Pooled {
 public:
  Socket(Worker& worker, UniqueFd descriptor, Blame blame, const Address* peer);
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  bool watch();  // registers with the loop; false when the kernel refuses

  // Each tries the system call unless the flags say that it would block; `error` is set on failure.
  Outcome read(std::span<char> into, std::size_t& got, Error& error);
  Outcome write(std::span<iovec>& parts, std::size_t& taken, Error& error, bool more = false);
  Outcome send_file(FileBytes& bytes, std::size_t& taken,
                    Error& error);       // plain; the file's end is done, too
  Outcome wait_input(Error& error);      // something to read: for TLS, application bytes
  Outcome wait_raw_input(Error& error);  // bytes on the wire
  Outcome wait_output(Error& error);
  bool input_arrived();  // as wait_input, errors and the end included
  IdleState idle_state();

  // libevent reports a reset as it reports data, so one that came with the last bytes has no edge of its own.
  // A write would meet it; a read with none in between has to ask.
  bool reset_may_hide() const { return emptied && !written_since_read; }

  // Below TLS.
  Outcome receive(std::span<char> into, std::size_t& got, int& sys_errno);
  Outcome send(const iovec* parts, std::size_t count, std::size_t& taken, int& sys_errno, bool more = false);

  Error error_of(int sys_errno, const char* where);
  void shutdown_write();
  void abort_on_close();  // the peer will see RST

  Worker& worker;
  StreamOp* reader = nullptr;
  StreamOp* writer = nullptr;
  HangupGuard* guard = nullptr;
  std::unique_ptr<TlsSession> tls;
  UniqueFd descriptor;
  Level readable = Level::maybe;
  bool writable = true;
  bool peer_closed = false;  // the loop has seen FIN or worse
  bool reset_seen = false;
  bool written_since_read = false;
  bool emptied = false;      // the last read was short, and nobody has asked since whether more is there
  bool active_open = false;  // the kernel counts our SYN as acknowledged
  Ending ending = Ending::no;
  Blame blame;
  Family family = Family::none;
  std::uint16_t peer_port = 0;
  IpAddress peer_ip;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t sent_before = 0;  // at the first write after the last read

 private:
  friend class HangupGuard;
  void on_event(short what);
  void note_sent(std::size_t count);
  void end_when_sent();
  void check_hang_up();
  void hang_up();
  static void step(StreamOp* op);

  event event_{};
  bool watched_ = false;
};

}  // namespace vignette::net
