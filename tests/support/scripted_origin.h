// An origin whose every byte the test decides: a thread per connection, blocking sockets, loopback, port 0.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/fd.h"

namespace vignette::test {

struct OriginCall {
  std::string head;  // with the empty line
  std::string body;  // de-framed
  std::string target;
  std::string method;
  int number = 0;                                        // of the request, from 1, over all connections
  int connection = 0;                                    // from 1
  std::string field(std::string_view lower_name) const;  // "" when absent
};

// A gate that a script waits at until the test opens it. Bounded: opens by itself after 20 s.
class Gate {
 public:
  void open();
  void wait();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

class ScriptedOrigin {
 public:
  // Writes raw bytes to the node; false once the connection is gone.
  using Send = std::function<bool(std::string_view)>;
  // Answers one request; returns whether the connection goes on.
  using Script = std::function<bool(const OriginCall&, const Send&)>;

  enum class Read : std::uint8_t { whole, head_only };
  // `head_only`: the script runs when the head is there, and the body stays unread.
  explicit ScriptedOrigin(Script script, Read read = Read::whole);
  ~ScriptedOrigin();
  ScriptedOrigin(const ScriptedOrigin&) = delete;
  ScriptedOrigin& operator=(const ScriptedOrigin&) = delete;

  // "127.0.0.1:PORT"
  std::string address() const;
  std::uint16_t port() const { return port_; }
  int calls() const { return calls_; }
  int connections() const { return connections_; }
  std::vector<OriginCall> log();
  // Blocks (at most 10 s) until that many requests have arrived; whether they did.
  bool wait_for_calls(int count);

  // A complete answer with Content-Length.
  static std::string answer(int status, std::string_view lines, std::string_view body);

 private:
  void accept_loop();
  void serve(int socket, int number);

  Script script_;
  Read read_;
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  std::atomic<int> calls_{0};
  std::atomic<int> connections_{0};
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<OriginCall> log_;
  std::vector<int> sockets_;
  std::list<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace vignette::test
