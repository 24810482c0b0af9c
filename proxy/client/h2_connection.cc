#include "proxy/client/h2_connection.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "proxy/client/h2_share.h"
#include "proxy/client/head_limits.h"
#include "proxy/client/linger.h"
#include "proxy/policy/client_address.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

// A client that does not answer the first word of a drain is not waited for longer.
constexpr Duration kDrainNotice = std::chrono::seconds(1);

http::H2Session::Options session_options(const conf::Config& config) {
  http::H2Session::Options options;
  options.header_bytes = static_cast<std::uint32_t>(config.limits.header);
  return options;
}

H2Stream& ours(http::H2Stream& stream) { return static_cast<H2Stream&>(stream); }

}  // namespace

void H2Stream::clear() {
  exchange.reset();
  body.reset();
  responder.reset();
  scratch.clear();
  in.clear();
  out.clear();
  head.clear();
  fields.clear();
  id = 0;
  place = 0;
  taken = 0;
  refusal = http::Refusal::none;
  error = http::H2Error::no_error;
  out_ended = input_ended = deferred = answered = closed = running = waits = false;
  strand = {};
}

// A stream's strand is at its exchange; also when an exception, or the end of the worker, takes the strand
// away.
class H2Connection::Serving {
 public:
  Serving(H2Connection& connection, H2Stream& stream) : connection_(connection), stream_(stream) {}
  ~Serving() { connection_.leave(stream_); }
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;

 private:
  H2Connection& connection_;
  H2Stream& stream_;
};

H2Connection::H2Connection(WorkerContext& context, net::Stream stream, ClientFacts facts)
    : context_(context),
      stream_(std::move(stream)),
      facts_(facts),
      session_(*this, session_options(*context.snapshot->config)),
      idle_since_(context.loop.now()) {
  const conf::TimeoutOptions& timeouts = context.snapshot->config->timeouts;
  out_.set_pace({timeouts.send_stall, timeouts.min_rate});
  context_.h2->connections.insert(this);
}

H2Connection::~H2Connection() { context_.h2->connections.erase(this); }

net::Task<void> H2Connection::run(WorkerContext& context, net::Stream stream, ClientFacts facts,
                                  std::string received) {
  const Self self = std::make_shared<H2Connection>(context, std::move(stream), facts);
  net::Strand& strand = co_await net::this_strand();
  self->reader_ = net::StrandRef(strand);
  context.loop.spawn_named("h2 writer", write, self);
  if (context.node.draining) self->begin_drain();
  co_await self->read(self, received);
  self->over_ = true;
  self->end_streams();
  self->wake_writer();
  co_await self->end_reading();
}

// What was said last is still sent; then nothing holds the socket.
net::Task<void> H2Connection::end_reading() {
  if (!session_.failure().empty()) {
    log_failure();
    const BlockRef block = BlockRef::allocate(kReadBytes);
    co_await linger(stream_, std::span(block->data(), block->capacity()));
    stream_.close();
  }
  while (writing_) {
    auto ended = co_await written_.wait();
    if (!ended) co_return;
  }
}

net::Task<void> H2Connection::read(const Self& self, std::string_view received) {
  if (!received.empty() && !take(self, received)) co_return;
  for (;;) {
    auto ready = co_await wait_for_bytes();
    if (!ready || !take_bytes(self)) co_return;
  }
}

// A head that has begun has its own time, however its bytes trickle in; a connection that waits for a request
// has the same as one of HTTP/1.1; what there is between them has the deadlines of its streams.
TimePoint H2Connection::read_deadline() const {
  const conf::TimeoutOptions& timeouts = context_.snapshot->config->timeouts;
  if (heading_) return head_begun_ + timeouts.header;
  if (!streams_.empty()) return net::kNoDeadline;
  return idle_since_ + (has_asked_ ? timeouts.keep_alive : timeouts.header);
}

// False: nothing more is to be read.
net::Task<bool> H2Connection::wait_for_bytes() {
  for (;;) {
    const Duration look_again = context_.snapshot->config->timeouts.keep_alive;
    auto ready = co_await stream_.wait_readable(std::min(read_deadline(), context_.loop.now() + look_again));
    if (ready) co_return true;
    if (ready.error().code != Code::timeout) co_return false;
    if (!session_.failure().empty()) co_return false;  // the writer has found it
    if (context_.loop.now() < read_deadline()) continue;
    const bool is_late = heading_ != nullptr;
    session_.terminate(is_late ? http::H2Error::enhance_your_calm : http::H2Error::no_error,
                       is_late ? "header_timeout" : "");
    co_return false;
  }
}

// The writer may have closed the stream since it was said to be readable.
bool H2Connection::take_bytes(const Self& self) {
  if (!stream_) return false;
  std::array<char, kReadBytes> bytes;
  auto got = stream_.try_read(bytes);
  if (got && !*got) return true;
  if (got && **got > 0) return take(self, std::span(bytes).first(**got));
  stream_.close();
  return false;
}

bool H2Connection::take(const Self& self, std::span<const char> bytes) {
  session_.feed(bytes, context_.loop.now());
  start_requests(self);
  sweep();
  count_bytes();
  wake_writer();
  return session_.failure().empty();
}

net::Task<void> H2Connection::write(Self self) {
  co_await self->write_frames();
  self->writing_ = false;
  self->written_.notify_all();
  if (self->session_.failure().empty()) {
    self->reader_.cancel();
  } else {
    self->end_streams();  // nobody is there to take their answers; the reader lingers
  }
}

net::Task<void> H2Connection::write_frames() {
  for (;;) {
    if (context_.loop.now() >= shutdown_at_) {
      shutdown_at_ = net::kNoDeadline;
      session_.shut_down();
    }
    drain();
    sweep();
    if (!out_.empty()) {
      auto sent = co_await out_.flush(stream_);
      count_bytes();
      if (sent) continue;
      lost_ = sent.error();
      stream_.reset();
      co_return;
    }
    if (over_ || session_.finished()) break;
    if (streams_.empty()) out_.release();
    auto woken = co_await work_.wait(shutdown_at_);
    if (!woken && woken.error().code != Code::timeout) break;
  }
  stream_.shutdown_write();
}

// What there is to say, as far as it may wait to be written. Only here the session may find that it has
// failed by itself, and tells the reader.
void H2Connection::drain() {
  if (out_.bytes() < kWriteBytes) session_.drain(*this, kWriteBytes - out_.bytes());
}

void H2Connection::count_bytes() { counted_.add(stream_, context_.node.metrics, context_.index); }

// Answers what can be answered at once; the rest, and what is not taken at once, gets a strand.
void H2Connection::start_requests(const Self& self) {
  if (session_.failure().empty()) {
    for (H2Stream* stream : asked_) {
      if (!stream->closed) answer_at_once(*stream);
    }
  }
  drain();
  for (H2Stream* stream : asked_) {
    if (stream->closed || !stream->exchange) continue;
    stream->running = true;
    stream->strand = context_.loop.spawn_named("stream", serve, self, stream);
  }
  asked_.clear();
}

void H2Connection::make_exchange(H2Stream& stream) {
  const conf::TimeoutOptions& timeouts = context_.snapshot->config->timeouts;
  stream.responder.emplace(*this, stream,
                           H2Responder::Options{.head_only = stream.head.method == http::Method::head,
                                                .pace = {timeouts.send_stall, timeouts.min_rate}});
  if (stream.head.has_body()) {
    stream.body.emplace(*this, stream, Pace(timeouts.body_stall, timeouts.min_rate));
  }
  stream.exchange.emplace(context_, facts_, stream.head, stream.body ? &*stream.body : nullptr,
                          *stream.responder, stream.scratch);
}

void H2Connection::answer_at_once(H2Stream& stream) {
  make_exchange(stream);
  if (stream.refusal != http::Refusal::none) {
    stream.exchange->refuse(answer_for_head(http::status_for(stream.refusal), to_string(stream.refusal)));
  } else if (is_misdirected(stream)) {
    stream.exchange->refuse({.status = 421,
                             .reason = "misdirected",
                             .detail = "This connection's certificate does not cover that host."});
  } else {
    stream.waits = !stream.exchange->answer_now();
  }
}

// A client may use a connection for every name that the certificate it was shown covers (RFC 9113 section
// 9.1.1), and for the name it asked for, whether it checked that or not.
bool H2Connection::is_misdirected(const H2Stream& stream) const {
  if (!facts_.tls_server) return false;
  const net::TlsServer& server = *facts_.tls_server;
  const net::TlsInfo info = stream_.tls_info();
  if (iequals(stream.head.host, info.sni)) return false;
  if (!info.sni.empty() && !server.covers(stream.head.host)) return true;
  return !std::ranges::equal(server.choose(stream.head.host), server.choose(info.sni));
}

net::Task<void> H2Connection::serve(Self self, H2Stream* stream) {
  const Serving serving(*self, *stream);
  if (stream->waits && !stream->closed) co_await stream->exchange->answer();
  if (stream->responder->ended()) {
    auto sent = co_await stream->responder->finish();
    if (!sent) stream->exchange->lose_client(sent.error());
  }
}

// The stream's strand has done what it could. Where the request has not come whole, the rest is not wanted
// (RFC 9113 section 8.1).
void H2Connection::leave(H2Stream& stream) {
  if (!stream.answered) {
    reset(stream, http::H2Error::cancel);
  } else if (!stream.input_ended) {
    reset(stream, http::H2Error::no_error);
  }
  conclude(stream);
  stream.running = false;
  if (stream.closed) closed_.push_back(&stream);
  sweep();
  wake_writer();
}

void H2Connection::conclude(H2Stream& stream) {
  if (!stream.exchange) return;
  if (!stream.answered) stream.exchange->lose_client(lost_);
  stream.exchange->finish();
  stream.exchange.reset();
}

// Nobody but the log hears of a request that was never one.
void H2Connection::log_malformed(H2Stream& stream) {
  const bool is_known = http::is_malformed(stream.refusal);
  make_exchange(stream);
  stream.exchange->reject(is_known ? to_string(stream.refusal) : "malformed_request");
  stream.exchange->finish();
  stream.exchange.reset();
}

void H2Connection::log_failure() {
  context_.node.metrics.refused(context_.index, session_.failure());
  if (const auto skipped = context_.h2->complaints.admit()) {
    context_.node.log.info("client {}: HTTP/2 connection refused: {} ({} more since the last line)",
                           ip_to_string(facts_.peer), session_.failure(), *skipped);
  }
}

void H2Connection::end_streams() {
  for (const std::unique_ptr<H2Stream>& stream : streams_) {
    if (std::exchange(stream->closed, true)) continue;
    session_.abandon(*stream);
    if (stream->running) {
      stream->strand.cancel();
      stream->changed.notify_all();
    } else {
      closed_.push_back(stream.get());
    }
  }
  sweep();
}

void H2Connection::sweep() {
  while (!closed_.empty()) {
    H2Stream& stream = *closed_.back();
    closed_.pop_back();
    if (stream.error == http::H2Error::protocol_error && !stream.responder) log_malformed(stream);
    conclude(stream);
    release(stream);
  }
}

// Back to the worker: neither the session nor a strand knows it any more.
void H2Connection::release(H2Stream& stream) {
  session_.consume(stream, stream.in.bytes());
  std::unique_ptr<H2Stream> released = std::move(streams_[stream.place]);
  streams_[released->place] = std::move(streams_.back());
  if (streams_[released->place]) streams_[released->place]->place = released->place;
  streams_.pop_back();
  if (streams_.empty()) idle_since_ = context_.loop.now();
  released->clear();
  context_.h2->streams.give(std::move(released));
}

void H2Connection::begin_drain() {
  session_.announce_shutdown();
  shutdown_at_ = context_.loop.now() + kDrainNotice;
  wake_writer();
}

void H2Connection::respond(H2Stream& stream, int status, std::span<const http::H2Field> fields,
                           bool bodiless) {
  if (stream.closed) return;
  session_.respond(stream, status, fields, bodiless);
  wake_writer();
}

void H2Connection::interim(H2Stream& stream, int status) {
  if (stream.closed) return;
  session_.respond_interim(stream, status);
  wake_writer();
}

void H2Connection::resume(H2Stream& stream) {
  if (stream.closed) return;
  session_.resume(stream);
  wake_writer();
}

void H2Connection::reset(H2Stream& stream, http::H2Error error) {
  if (stream.closed) return;
  session_.reset(stream, error);
  wake_writer();
}

void H2Connection::consumed(H2Stream& stream, std::size_t bytes) {
  session_.consume(stream, bytes);
  wake_writer();
}

bool H2Connection::client_holds(const H2Stream& stream, bool moves) const {
  return !session_.has_stream_window(stream) || (!moves && !session_.has_connection_window());
}

bool H2Connection::client_may_send(const H2Stream& stream) const { return session_.may_client_send(stream); }

std::string& H2Connection::scratch() { return context_.h2->lines; }
std::string_view H2Connection::now_date() const { return context_.http_date(); }

http::H2Stream& H2Connection::on_open(std::int32_t) {
  std::unique_ptr<H2Stream> stream = context_.h2->streams.take();
  stream->fields.begin(head_limits(context_.snapshot->config->limits));
  stream->head.version = http::Version::http_2;
  stream->place = streams_.size();
  heading_ = stream.get();
  head_begun_ = context_.loop.now();
  has_asked_ = true;
  streams_.push_back(std::move(stream));
  return *streams_.back();
}

void H2Connection::on_request(http::H2Stream& stream) {
  heading_ = nullptr;
  asked_.push_back(&ours(stream));
}

void H2Connection::on_data(http::H2Stream& stream, std::string_view bytes) {
  ours(stream).in.append(bytes);
  ours(stream).changed.notify_all();
}

void H2Connection::on_input_end(http::H2Stream& stream) { ours(stream).changed.notify_all(); }

void H2Connection::on_taken(http::H2Stream& stream, std::size_t bytes) {
  ours(stream).taken += bytes;
  data_bytes_ += bytes;
  ours(stream).changed.notify_all();
}

void H2Connection::on_closed(http::H2Stream& stream, http::H2Error error) {
  H2Stream& closed = ours(stream);
  closed.closed = true;
  closed.error = error;
  if (heading_ == &closed) heading_ = nullptr;
  closed.changed.notify_all();
  if (!closed.running) {
    closed_.push_back(&closed);
  } else if (!closed.answered) {
    closed.strand.cancel();
  }
}

}  // namespace vignette::proxy
