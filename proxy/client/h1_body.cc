#include "proxy/client/h1_body.h"

#include <algorithm>
#include <cstring>

#include "net/worker.h"

namespace vignette::proxy {

H1Body::H1Body(net::Stream& stream, H1Responder& responder, const http::RequestHead& head,
               std::span<char> received, const Options& options)
    : stream_(stream),
      responder_(responder),
      options_(options),
      chunked_(head.framing == http::Framing::chunked),
      expects_continue_(head.expect_continue),
      left_(head.framing == http::Framing::length ? head.content_length : 0),
      unread_(received) {
  if (head.framing == http::Framing::none) state_ = State::complete;
}

Result<Piece> H1Body::broken(Error error) {
  state_ = State::broken;
  return std::unexpected(error);
}

net::Task<Result<void>> H1Body::begin() {
  started_ = true;
  // A client that sent the body along does not wait for permission (RFC 9110 §10.1.1).
  if (!expects_continue_ || !unread_.empty()) co_return Result<void>{};
  responder_.interim_continue();
  auto sent = co_await responder_.flush();
  co_return sent;
}

net::Task<Result<Piece>> H1Body::next(TimePoint deadline) {
  if (state_ == State::complete) co_return Piece{.bytes = {}, .last = true};
  if (state_ == State::broken) co_return fail(Code::closed, Blame::client, "request body");
  // Before the client is told to go on: a length over the limit is known from the head.
  if (left_ > options_.max_bytes - std::min(bytes_, options_.max_bytes)) {
    co_return broken({Code::limit, Blame::client, Retry::no, 0, "request body"});
  }
  if (!started_) {
    auto begun = co_await begin();
    if (!begun) co_return broken(begun.error());
  }
  if (chunked_) {
    auto piece = co_await next_of_chunks(deadline);
    co_return piece;
  }
  auto piece = co_await next_of_length(deadline);
  co_return piece;
}

// Some bytes, at least one. Errors: the body's end.
net::Task<Result<std::size_t>> H1Body::receive(std::span<char> into, TimePoint deadline) {
  net::Worker& worker = co_await net::this_worker();
  const TimePoint began = worker.now();
  auto got = co_await stream_.read(into, std::min(deadline, options_.pace.deadline(began)));
  Error error{Code::closed, Blame::client, Retry::no, 0, "request body"};
  if (!got) error = got.error();
  if (!got || *got == 0) {
    state_ = State::broken;
    co_return std::unexpected(error);
  }
  options_.pace.moved(worker.now() - began, *got);
  co_return got;
}

std::size_t H1Body::piece_bytes() const {
  return static_cast<std::size_t>(std::min<std::uint64_t>(left_, kPieceBytes));
}

net::Task<Result<Piece>> H1Body::next_of_length(TimePoint deadline) {
  BlockRef block = BlockRef::allocate(piece_bytes());
  std::size_t size = 0;
  if (!unread_.empty()) {
    size = std::min(unread_.size(), piece_bytes());
    std::memcpy(block->data(), unread_.data(), size);
    unread_ = unread_.subspan(size);
  } else {
    auto got = co_await receive(std::span(block->data(), piece_bytes()), deadline);
    if (!got) co_return std::unexpected(got.error());
    size = *got;
  }
  left_ -= size;
  bytes_ += size;
  if (left_ == 0) state_ = State::complete;
  co_return Piece{.bytes = Slice(std::move(block), 0, size), .last = left_ == 0};
}

// Decodes what is unread until there is a piece, the end, or nothing left. The payload is copied, so the
// window can be read into again at once.
Result<Piece> H1Body::take_chunks() {
  using Fed = http::ChunkedDecoder::State;
  while (!unread_.empty()) {
    auto fed = decoder_.feed(unread_);
    Slice payload = fed.payload.empty() ? Slice() : Slice::copy(fed.payload);
    unread_ = unread_.subspan(fed.consumed);
    bytes_ += payload.size();
    if (fed.state == Fed::error) {
      return broken({Code::malformed, Blame::client, Retry::no, 0, to_string(fed.refusal).data()});
    }
    if (bytes_ > options_.max_bytes)
      return broken({Code::limit, Blame::client, Retry::no, 0, "request body"});
    if (fed.state == Fed::done) state_ = State::complete;
    if (!payload.empty() || complete()) return Piece{.bytes = std::move(payload), .last = complete()};
  }
  return Piece{};
}

net::Task<Result<Piece>> H1Body::next_of_chunks(TimePoint deadline) {
  for (;;) {
    auto piece = take_chunks();
    if (!piece || !piece->bytes.empty() || piece->last) co_return piece;
    if (!window_) window_ = BlockRef::allocate(kWindowBytes);
    auto got = co_await receive(std::span(window_->data(), window_->capacity()), deadline);
    if (!got) co_return std::unexpected(got.error());
    unread_ = std::span(window_->data(), *got);
  }
}

}  // namespace vignette::proxy
