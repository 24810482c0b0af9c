#include "proxy/client/h2_body.h"

#include <algorithm>
#include <utility>

#include "net/worker.h"
#include "proxy/client/h2_connection.h"
#include "proxy/client/h2_stream.h"

namespace vignette::proxy {

bool H2Body::complete() const { return stream_.input_ended && stream_.in.empty(); }

// Before the client is told to go on: a length over the limit is known from the head.
Result<void> H2Body::check_length() const {
  if (bytes_ > max_bytes_ || stream_.head.content_length > max_bytes_) {
    return fail(Code::limit, Blame::client, "request body");
  }
  return {};
}

// A client that sent the body along does not wait for permission (RFC 9110 section 10.1.1).
void H2Body::begin() {
  if (std::exchange(started_, true) || !stream_.head.expect_continue) return;
  if (stream_.in.empty() && !stream_.input_ended) connection_.interim(stream_, 100);
}

net::Task<Result<Piece>> H2Body::next(TimePoint deadline) {
  if (auto fits = check_length(); !fits) co_return std::unexpected(fits.error());
  begin();
  auto received = co_await receive(deadline);
  if (!received) co_return std::unexpected(received.error());
  Slice bytes = stream_.in.pop(kPieceBytes);
  bytes_ += bytes.size();
  connection_.consumed(stream_, bytes.size());
  if (auto fits = check_length(); !fits) co_return std::unexpected(fits.error());
  co_return Piece{.bytes = std::move(bytes), .last = complete()};
}

// Until there are bytes, or the end. A client whose connection is full of others' bodies is not late.
net::Task<Result<void>> H2Body::receive(TimePoint deadline) {
  net::Worker& worker = co_await net::this_worker();
  while (stream_.in.empty() && !stream_.input_ended) {
    if (stream_.closed) co_return fail(Code::reset, Blame::client, "request body");
    const TimePoint began = worker.now();
    auto woken = co_await stream_.changed.wait(std::min(deadline, pace_.deadline(began)));
    if (woken) {
      pace_.moved(worker.now() - began, stream_.in.bytes());
      continue;
    }
    const bool is_late = woken.error().code == Code::timeout && worker.now() < deadline;
    if (!is_late || connection_.client_may_send(stream_)) {
      co_return fail(woken.error().code, Blame::client, "request body");
    }
    pace_ = full_pace_;
  }
  co_return Result<void>{};
}

}  // namespace vignette::proxy
