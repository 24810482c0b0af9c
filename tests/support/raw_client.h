// A client that sends exactly the bytes it is told to and reads what comes: blocking sockets, loopback only,
// every wait bounded. Any thread; one at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace vignette::test {

struct RawResponse {
  int status = 0;                             // 0: the connection ended before a status line
  std::map<std::string, std::string> fields;  // lower-case names; several lines are joined by ", "
  std::string head;                           // as received
  std::string body;                           // de-framed
  bool complete = false;  // framed and whole (or ended by an orderly close where that is the framing)

  std::string field(const std::string& name) const {
    auto found = fields.find(name);
    return found == fields.end() ? "" : found->second;
  }
};

class RawClient {
 public:
  explicit RawClient(std::uint16_t port, std::chrono::milliseconds timeout = std::chrono::seconds(10));

  void send(std::string_view bytes);
  // Sends a GET with Host: test.local and the given extra lines ("Name: value\r\n").
  void get(std::string_view target, std::string_view lines = "");
  // The next answer; `head_only` for answers to HEAD. Interim 1xx answers are skipped but counted.
  RawResponse read(bool head_only = false);
  RawResponse fetch(std::string_view target, std::string_view lines = "") {
    get(target, lines);
    return read();
  }
  // Everything until the end of the connection.
  std::string read_to_end();
  // True when the peer has closed (or reset) and nothing is left to read.
  bool at_end();
  void shutdown_write();
  // Ends with RST.
  void reset();
  void close() { socket_.reset(); }
  int interim() const { return interim_; }
  int descriptor() const { return socket_.get(); }

 private:
  bool fill();
  std::optional<std::string> take_line();
  bool take(std::size_t bytes, std::string& out);
  void read_body(RawResponse& response, bool head_only);

  UniqueFd socket_;
  std::string buffer_;
  bool ended_ = false;
  bool reset_seen_ = false;
  int interim_ = 0;
};

}  // namespace vignette::test
