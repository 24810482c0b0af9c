// Listeners: binding is apart from serving, so that a process can bind while it is still root, and hand each
// worker a listener of its own (SO_REUSEPORT).
#pragma once

#include <functional>
#include <memory>

#include "base/error.h"
#include "base/fd.h"
#include "net/address.h"
#include "net/stream.h"
#include "net/task.h"
#include "net/tls.h"

namespace vignette::net {

class Worker;

struct ListenOptions {
  int backlog = 4096;
  bool reuse_port = true;  // several listeners on one address share its connections
  bool v6_only = true;
  int defer_accept = 0;       // seconds for TCP_DEFER_ACCEPT; 0 = off; only where the client speaks first
  unsigned unix_mode = 0660;  // of a unix socket's file; a stale file is replaced, a live one is an error
};

class Listener {
 public:
  using OnConnection = std::move_only_function<void(Stream)>;
  using OnDescriptor = std::move_only_function<void(UniqueFd, const Address& peer)>;

  // Binds and listens. Errors: denied, unavailable (in use), malformed (a path too long), io; with errno.
  static Result<Listener> open(const Address& address, const ListenOptions& options = {});
  // The error of open(), also where the listener there shares its address: another process of the same user
  // would otherwise quietly get half of our connections. Nothing is bound afterwards. For TCP.
  static Result<void> check_free(const Address& address);
  // Takes over a listening socket.
  static Result<Listener> adopt(UniqueFd descriptor);

  Listener();
  Listener(Listener&&) noexcept;
  Listener& operator=(Listener&&) noexcept;
  ~Listener();  // close()

  const Address& address() const;  // with the real port
  int descriptor() const;          // for handing over; stays the listener's

  // Starts accepting in the worker's loop: up to 16 a wake. Out of descriptors: pauses for 100 ms, doubling
  // to 1.6 s, and counts (WorkerCounters::accept_exhausted). The callback runs in the loop and typically
  // spawns; it must not destroy the listener. Loop-thread only, or before run(); from then on the listener
  // belongs to that worker.
  void serve(Worker& worker, OnConnection on_connection);
  // The same with bare descriptors (non-blocking, close-on-exec), for handing connections to another worker.
  void serve_descriptors(Worker& worker, OnDescriptor on_descriptor);

  // Accepts what the kernel has already queued, then closes, so that a reload loses no connection.
  // Loop-thread only once serving.
  void close();

 private:
  struct Impl;
  explicit Listener(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The server side of a TLS handshake. `server` must live until it is done. Errors as Stream's; `reason`, when
// given, gets the text of a TLS error for a log.
Task<Result<Stream>> tls_accept(Stream stream, const TlsServer& server, TimePoint deadline,
                                std::string* reason = nullptr);

}  // namespace vignette::net
