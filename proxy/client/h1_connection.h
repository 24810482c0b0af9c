// One client connection speaking HTTP/1.1: heads in, exchanges run one after the other, answers out.
//
//   idle --byte--> reading head --head--> exchange --answered--> next head in the buffer? yes: again, unsent
//     ^                |  |                                      no: flush, then idle
//     |  (time-out)    |  refused: answer, linger, close
//     +----------------+                       101: a tunnel (tunnel.h), to which the connection is given up
//
// Pipelined requests whose heads have arrived whole are answered in one write. Loop-thread only; one strand.
#pragma once

#include <memory>
#include <string_view>

#include "net/stream.h"
#include "net/task.h"
#include "proxy/client/client_facts.h"
#include "proxy/client/h1_work.h"
#include "proxy/client/wire_count.h"

namespace vignette::proxy {

struct WorkerContext;

class H1Connection {
 public:
  // `received`: what was read of it before.
  H1Connection(WorkerContext& context, net::Stream stream, ClientFacts facts, std::string_view received);
  ~H1Connection();
  H1Connection(const H1Connection&) = delete;
  H1Connection& operator=(const H1Connection&) = delete;

  // Until the connection is over, whichever way.
  net::Task<void> run();

 private:
  enum class Next : std::uint8_t { request, close, linger };

  static constexpr std::size_t kUnsentLimit = 64 * 1024;  // queued answers of a pipeline before they are sent

  net::Task<bool> wait_for_request();
  net::Task<bool> read_head();
  net::Task<Next> serve();
  net::Task<bool> answer();
  net::Task<Result<void>> send_queued();
  net::Task<void> refuse(int status, std::string_view reason);
  net::Task<void> end_and_linger();
  net::Task<void> tunnel(std::unique_ptr<TunnelEnd> origin);
  void count_bytes();
  void acquire();
  void release();
  void make_room();
  void start_request();
  Next after_answer();
  void take_surplus();
  bool next_head_is_here();

  WorkerContext& context_;
  net::Stream stream_;
  ClientFacts facts_;
  std::unique_ptr<H1Work> work_;
  WireCount counted_;
  bool first_ = true;
};

}  // namespace vignette::proxy
