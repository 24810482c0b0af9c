#include "proxy/client/h1_connection.h"

#include <cstring>
#include <utility>

#include "proxy/client/head_limits.h"
#include "proxy/client/linger.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

// The client's end of a tunnel.
class ClientEnd final : public StreamEnd {
 public:
  ClientEnd(net::Stream stream, Slice received, const WireCount& counted, WorkerContext& context)
      : StreamEnd(std::move(stream), std::move(received)), counted_(counted), context_(context) {}

 private:
  void moved(const net::Stream& stream) override {
    counted_.add(stream, context_.node.metrics, context_.index);
  }

  WireCount counted_;
  WorkerContext& context_;
};

}  // namespace

H1Connection::H1Connection(WorkerContext& context, net::Stream stream, ClientFacts facts,
                           std::string_view received)
    : context_(context), stream_(std::move(stream)), facts_(facts) {
  if (received.empty()) return;
  acquire();
  std::memcpy(work_->input->data(), received.data(), received.size());
  work_->end = received.size();
}

H1Connection::~H1Connection() {
  count_bytes();
  release();
}

void H1Connection::count_bytes() { counted_.add(stream_, context_.node.metrics, context_.index); }

void H1Connection::acquire() {
  if (work_) return;
  work_ = context_.h1_work.take();
  work_->parser = http::RequestParser(head_limits(context_.snapshot->config->limits));
  work_->head.clear();
  work_->begin = work_->end = 0;
  if (!work_->input || work_->input->capacity() > H1Work::kInputBytes) {
    work_->input = BlockRef::allocate(H1Work::kInputBytes);
  }
}

void H1Connection::release() {
  if (!work_) return;
  work_->clear_request();
  work_->out.clear();
  context_.h1_work.give(std::move(work_));
}

net::Task<void> H1Connection::run() {
  for (;;) {
    auto more = co_await wait_for_request();
    if (!more) co_return;
    auto got = co_await read_head();
    if (!got) co_return;
    auto next = co_await serve();
    if (next == Next::linger) co_await end_and_linger();
    if (next != Next::request) co_return;
  }
}

// Between requests nothing is held but the stream.
net::Task<bool> H1Connection::wait_for_request() {
  if (work_ && work_->begin < work_->end) co_return true;
  const conf::TimeoutOptions& timeouts = context_.snapshot->config->timeouts;
  if (context_.node.draining && !first_) co_return false;
  if (!stream_.readable_now()) release();
  // A connection that has not asked anything yet may be about to: a drain lets it.
  net::Strand& strand = co_await net::this_strand();
  std::optional<IdleConnections::Place> place;
  if (!first_) place.emplace(context_.idle, strand);
  auto ready =
      co_await stream_.wait_readable(context_.loop.now() + (first_ ? timeouts.header : timeouts.keep_alive));
  if (!ready) co_return false;
  acquire();
  co_return true;
}

// Moves what is unparsed to the front, or into a larger buffer.
void H1Connection::make_room() {
  H1Work& work = *work_;
  std::size_t size = work.end - work.begin;
  std::size_t capacity = work.input->capacity();
  if (work.begin > 0 && size < capacity / 2) {
    std::memmove(work.input->data(), work.input->data() + work.begin, size);
  } else {
    // The parser decides before this grows past twice what its limits allow.
    BlockRef larger = BlockRef::allocate(capacity * 2);
    std::memcpy(larger->data(), work.input->data() + work.begin, size);
    work.input = std::move(larger);
  }
  work.begin = 0;
  work.end = size;
}

// False: there is no request; the connection has been dealt with.
net::Task<bool> H1Connection::read_head() {
  H1Work& work = *work_;
  TimePoint deadline = context_.loop.now() + context_.snapshot->config->timeouts.header;
  for (;;) {
    if (work.begin < work.end) {
      http::Parsed parsed = work.parser.parse(work.unparsed(), work.head);
      if (parsed.done()) {
        work.begin += parsed.consumed;
        co_return true;
      }
      if (parsed.refused()) {
        co_await refuse(parsed.status, to_string(parsed.refusal));
        co_return false;
      }
    }
    if (!work.out.empty()) {
      auto sent = co_await send_queued();
      if (!sent) co_return false;
    }
    if (work.end == work.input->capacity()) make_room();
    auto got = co_await stream_.read(
        std::span(work.input->data() + work.end, work.input->capacity() - work.end), deadline);
    if (!got && got.error().code == Code::timeout && work.parser.started()) {
      // Its views follow the buffer, which may have moved since: they go to the log.
      work.parser.parse(work.unparsed(), work.head);
      co_await refuse(408, "header_timeout");
      co_return false;
    }
    if (!got || *got == 0) co_return false;
    work.end += *got;
    count_bytes();
  }
}

void H1Connection::start_request() {
  H1Work& work = *work_;
  const http::RequestHead& head = work.head;
  const conf::TimeoutOptions& timeouts = context_.snapshot->config->timeouts;
  H1Responder::Options options;
  options.version = head.version;
  options.head_only = head.method == http::Method::head;
  options.keep_alive = head.keep_alive && !context_.node.draining;
  work.out.set_pace({timeouts.send_stall, timeouts.min_rate});
  work.responder.emplace(stream_, work.out, context_.http_date(), options);
  if (head.has_body()) {
    work.body.emplace(stream_, *work.responder, head, work.unparsed(),
                      H1Body::Options{.max_bytes = 0, .pace = {timeouts.body_stall, timeouts.min_rate}});
    work.responder->watch_body(*work.body);
  }
  work.exchange.emplace(context_, facts_, work.head, work.body ? &*work.body : nullptr, *work.responder,
                        work.scratch);
}

net::Task<H1Connection::Next> H1Connection::serve() {
  first_ = false;
  start_request();
  auto sent = co_await answer();
  Next next = sent ? after_answer() : Next::close;
  if (work_->responder->aborted()) stream_.reset();
  work_->clear_request();
  co_return next;
}

// Runs the exchange and sends what it queued, unless the next request is already here. False: the client
// is gone or must not get a clean end.
net::Task<bool> H1Connection::answer() {
  H1Work& work = *work_;
  if (!work.exchange->answer_now()) {
    net::HangupGuard guard(stream_);
    auto sent = co_await send_queued();
    if (sent) co_await work.exchange->answer();
  }
  bool complete = work.responder->ended();
  bool hold =
      work.responder->keep_alive() && work.out.bytes() < kUnsentLimit && !work.body && next_head_is_here();
  Result<void> sent;
  if (complete && !hold) sent = co_await send_queued();
  if (!sent) work.exchange->lose_client(sent.error());
  count_bytes();
  std::unique_ptr<TunnelEnd> origin = work.exchange->take_tunnel();
  const bool is_tunnel = origin && complete && sent;
  if (is_tunnel) co_await tunnel(std::move(origin));
  work.exchange->finish();
  co_return complete&& sent && !is_tunnel;
}

// What the client has already sent behind its request is the first that goes through.
net::Task<void> H1Connection::tunnel(std::unique_ptr<TunnelEnd> origin) {
  const std::span<char> early = work_->unparsed();
  auto client = std::make_unique<ClientEnd>(std::move(stream_), Slice::copy({early.data(), early.size()}),
                                            counted_, context_);
  const Duration idle = context_.snapshot->config->timeouts.tunnel;
  auto outcome = co_await run_tunnel(context_, std::move(client), std::move(origin), idle);
  work_->exchange->note_tunnel(outcome);
}

// Answers that were held for a common write must not wait for anything else.
net::Task<Result<void>> H1Connection::send_queued() {
  auto sent = co_await work_->out.flush(stream_);
  co_return sent;
}

// Whether a further request has arrived whole, so that its answer may share a write with this one.
bool H1Connection::next_head_is_here() {
  std::string_view rest(work_->input->data() + work_->begin, work_->end - work_->begin);
  return rest.find("\r\n\r\n") != std::string_view::npos;
}

H1Connection::Next H1Connection::after_answer() {
  H1Work& work = *work_;
  if (work.body) {
    // An answer before the body was read: what follows would be taken for a request.
    if (!work.body->complete()) return Next::linger;
    take_surplus();
  }
  return work.responder->keep_alive() ? Next::request : Next::linger;
}

// Bytes behind a body are the next request's.
void H1Connection::take_surplus() {
  H1Work& work = *work_;
  std::span<char> surplus = work.body->surplus();
  if (surplus.data() >= work.input->data() && surplus.data() <= work.input->data() + work.input->capacity()) {
    work.begin = work.end - surplus.size();
    return;
  }
  BlockRef input = BlockRef::allocate(std::max(surplus.size(), H1Work::kInputBytes));
  std::memcpy(input->data(), surplus.data(), surplus.size());
  work.input = std::move(input);
  work.begin = 0;
  work.end = surplus.size();
}

// The head could not be read: nothing behind it can be trusted either.
net::Task<void> H1Connection::refuse(int status, std::string_view reason) {
  H1Work& work = *work_;
  work.head.fields.clear();
  H1Responder::Options options;
  options.keep_alive = false;
  options.head_only = work.head.method == http::Method::head;
  const conf::TimeoutOptions& timeouts = context_.snapshot->config->timeouts;
  work.out.set_pace({timeouts.send_stall, timeouts.min_rate});
  work.responder.emplace(stream_, work.out, context_.http_date(), options);
  work.exchange.emplace(context_, facts_, work.head, nullptr, *work.responder, work.scratch);
  work.exchange->refuse(answer_for_head(status, reason));
  auto sent = co_await work.out.flush(stream_);
  work.exchange->finish();
  work.clear_request();
  if (sent) co_await end_and_linger();
}

net::Task<void> H1Connection::end_and_linger() {
  stream_.shutdown_write();
  acquire();
  co_await linger(stream_, std::span(work_->input->data(), work_->input->capacity()));
}

}  // namespace vignette::proxy
