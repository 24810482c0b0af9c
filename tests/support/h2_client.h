// A client of HTTP/2 in plain text (prior knowledge) that sends exactly the frames it is told to and reads
// what comes: blocking sockets, loopback only, every wait bounded. Any thread; one at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "tests/support/h2_frames.h"
#include "tests/support/raw_client.h"

namespace vignette::test {

struct H2Answer {
  int status = 0;                             // 0: no head has come
  std::map<std::string, std::string> fields;  // several lines are joined by ", "
  std::string body;
  int interim = 0;                     // 1xx answers
  bool ended = false;                  // by its END_STREAM
  std::optional<std::uint32_t> reset;  // by RST_STREAM with this error

  std::string field(const std::string& name) const {
    auto found = fields.find(name);
    return found == fields.end() ? "" : found->second;
  }
};

class H2Client {
 public:
  enum class Windows : std::uint8_t { opened, kept };

  // Sends the preface and these SETTINGS. `opened`: gives back every window as soon as DATA has come.
  explicit H2Client(std::uint16_t port, Windows windows = Windows::opened,
                    const std::vector<std::pair<int, std::uint32_t>>& settings = {});

  void send(std::string_view bytes) { socket_.send(bytes); }
  // Sends HEADERS on the next stream; its number. Without `end` a body follows.
  std::uint32_t request(const h2::Fields& fields, bool end = true);
  // Reads until the answer on that stream has ended, by whatever; or the connection has.
  H2Answer& answer(std::uint32_t stream);
  // The same for a request without a body.
  H2Answer fetch(std::string_view path, h2::Fields more = {}) {
    return answer(request(h2::get(path, std::move(more))));
  }
  // Reads one frame and takes it in; false at the end of the connection, or when nothing comes for 10 s.
  bool read_frame();
  // Reads to the end of the connection. The error of GOAWAY, when one came.
  std::optional<std::uint32_t> read_to_end();
  // A PING is answered: the node has seen what was sent before.
  bool ping();

  std::optional<std::uint32_t> goaway() const { return goaway_; }
  std::uint32_t last_stream() const { return last_stream_; }  // of the GOAWAY
  int goaways() const { return goaways_; }
  bool ended() const { return ended_; }  // by an orderly end
  const h2::Frame& last_frame() const { return frame_; }
  H2Answer& peek(std::uint32_t stream) { return answers_[stream]; }
  RawClient& socket() { return socket_; }

 private:
  bool fill();
  void take_in();
  void take_head(const std::string& block);

  RawClient socket_;
  Windows windows_;
  std::string buffer_;
  std::string head_;  // a block in pieces
  h2::Decoder decoder_;
  h2::Frame frame_;
  std::map<std::uint32_t, H2Answer> answers_;
  std::uint32_t next_stream_ = 1;
  std::optional<std::uint32_t> goaway_;
  std::uint32_t last_stream_ = 0;
  int goaways_ = 0;
  int pongs_ = 0;
  bool ended_ = false;
};

}  // namespace vignette::test
