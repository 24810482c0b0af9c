#include "proxy/origin/http_body.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "http/chunked.h"
#include "net/frame_pool.h"

namespace vignette::proxy {
namespace {

constexpr std::size_t kBlockBytes = 64 * 1024;
// The rest of a block is read into as long as it is worth a system call.
constexpr std::size_t kLeastRoom = 16 * 1024;

Error cut_short() { return {Code::closed, Blame::origin, Retry::no, 0, "response body"}; }

Error broken_framing(http::Refusal refusal) {
  return {Code::malformed, Blame::origin, Retry::no, 0, http::to_string(refusal).data()};
}

// All of it came with the head.
class WholeBody final : public BodySource, public net::Pooled {
 public:
  explicit WholeBody(Slice bytes) : bytes_(std::move(bytes)) {}
  net::Task<Result<Piece>> next(TimePoint) override {
    co_return Piece{.bytes = std::move(bytes_), .last = true};
  }

 private:
  Slice bytes_;
};

// What the other three share: the connection, and the block that is being read into.
class StreamedBody : public BodySource, public net::Pooled {
 protected:
  StreamedBody(OriginConnection connection, ReceivedBytes received, bool reusable)
      : connection_(std::move(connection)), received_(std::move(received)), reusable_(reusable) {}

  // What came with the head, once; empty afterwards.
  Slice take_received() {
    std::size_t begin = std::exchange(received_.begin, received_.end);
    return Slice(received_.block, begin, received_.end - begin);
  }
  // At most `most` bytes, in [begin, end) of the block; none at the end of the connection. Errors: as
  // Stream::read.
  net::Task<Result<std::span<char>>> read(std::uint64_t most, TimePoint deadline) {
    std::size_t room = received_.block->capacity() - received_.end;
    if (room < std::min<std::uint64_t>(most, kLeastRoom)) {
      received_.block =
          BlockRef::allocate(static_cast<std::size_t>(std::min<std::uint64_t>(most, kBlockBytes)));
      room = received_.block->capacity();
      received_.end = 0;
    }
    std::span<char> into(received_.block->data() + received_.end,
                         static_cast<std::size_t>(std::min<std::uint64_t>(most, room)));
    auto got = co_await connection_->stream().read(into, deadline);
    if (!got) co_return std::unexpected(broken(got.error()));
    received_.begin = received_.end;
    received_.end += *got;
    co_return into.first(*got);
  }
  Error broken(Error error) {
    error.retry = Retry::no;
    connection_.reset();
    return error;
  }
  void finish(bool clean) {
    if (clean && reusable_) std::move(*connection_).give_back();
    connection_.reset();
  }

  std::optional<OriginConnection> connection_;
  ReceivedBytes received_;
  const bool reusable_;
};

class LengthBody final : public StreamedBody {
 public:
  // `left`: of the body, more than has been received.
  LengthBody(OriginConnection connection, ReceivedBytes received, bool reusable, std::uint64_t left)
      : StreamedBody(std::move(connection), std::move(received), reusable), left_(left) {}

  net::Task<Result<Piece>> next(TimePoint deadline) override {
    Slice bytes = take_received();
    if (bytes.empty()) {
      // Room for one byte more: a read that fills its buffer leaves it open whether more is there, which the
      // next user of the connection would have to ask the kernel.
      auto got = co_await read(left_ + 1, deadline);
      if (!got) co_return std::unexpected(got.error());
      if (got->empty()) co_return std::unexpected(broken(cut_short()));
      bytes = take_received();
    }
    const bool too_much = bytes.size() > left_;
    if (too_much) bytes = bytes.sub(0, static_cast<std::size_t>(left_));
    left_ -= bytes.size();
    if (left_ == 0) finish(!too_much);
    co_return Piece{.bytes = std::move(bytes), .last = left_ == 0};
  }

 private:
  std::uint64_t left_;
};

class CloseBody final : public StreamedBody {
 public:
  CloseBody(OriginConnection connection, ReceivedBytes received)
      : StreamedBody(std::move(connection), std::move(received), false) {}

  net::Task<Result<Piece>> next(TimePoint deadline) override {
    Slice bytes = take_received();
    if (!bytes.empty()) co_return Piece{.bytes = std::move(bytes), .last = false};
    auto got = co_await read(kBlockBytes, deadline);
    if (!got) co_return std::unexpected(got.error());
    if (got->empty()) finish(false);
    co_return Piece{.bytes = take_received(), .last = got->empty()};
  }
};

class ChunkedBody final : public StreamedBody {
 public:
  // `payload`: what came with the head, decoded.
  ChunkedBody(OriginConnection connection, ReceivedBytes received, bool reusable,
              http::ChunkedDecoder decoder, Slice payload)
      : StreamedBody(std::move(connection), std::move(received), reusable),
        decoder_(decoder),
        payload_(std::move(payload)) {}

  net::Task<Result<Piece>> next(TimePoint deadline) override {
    using State = http::ChunkedDecoder::State;
    // A moved-from slice keeps its size.
    if (!payload_.empty()) co_return Piece{.bytes = std::exchange(payload_, {}), .last = false};
    for (;;) {
      auto got = co_await read(kBlockBytes, deadline);
      if (!got) co_return std::unexpected(got.error());
      if (got->empty()) co_return std::unexpected(broken(cut_short()));
      auto fed = decoder_.feed_compacting(*got);
      if (fed.state == State::error) co_return std::unexpected(broken(broken_framing(fed.refusal)));
      bool last = fed.state == State::done;
      Slice bytes(received_.block, received_.begin, fed.payload.size());
      received_.begin = received_.end;
      if (last) finish(fed.consumed == got->size());
      if (last || !bytes.empty()) co_return Piece{.bytes = std::move(bytes), .last = last};
    }
  }

 private:
  http::ChunkedDecoder decoder_;
  Slice payload_;
};

void finish_now(OriginConnection connection, bool reusable) {
  if (reusable) std::move(connection).give_back();
}

std::unique_ptr<BodySource> make_length_body(OriginConnection connection, std::uint64_t length,
                                             ReceivedBytes received, bool reusable) {
  std::size_t available = received.end - received.begin;
  if (available < length) {
    return std::make_unique<LengthBody>(std::move(connection), std::move(received), reusable, length);
  }
  finish_now(std::move(connection), reusable && available == length);
  return std::make_unique<WholeBody>(
      Slice(std::move(received.block), received.begin, static_cast<std::size_t>(length)));
}

Result<std::unique_ptr<BodySource>> make_chunked_body(OriginConnection connection, ReceivedBytes received,
                                                      bool reusable) {
  http::ChunkedDecoder decoder;
  std::span<char> input(received.block->data() + received.begin, received.end - received.begin);
  auto fed = decoder.feed_compacting(input);
  if (fed.state == http::ChunkedDecoder::State::error) return std::unexpected(broken_framing(fed.refusal));
  Slice payload(received.block, received.begin, fed.payload.size());
  received.begin = received.end;
  if (fed.state == http::ChunkedDecoder::State::done) {
    finish_now(std::move(connection), reusable && fed.consumed == input.size());
    return std::make_unique<WholeBody>(std::move(payload));
  }
  return std::make_unique<ChunkedBody>(std::move(connection), std::move(received), reusable, decoder,
                                       std::move(payload));
}

}  // namespace

Result<std::unique_ptr<BodySource>> make_body(OriginConnection connection, const http::ResponseHead& head,
                                              ReceivedBytes received, bool reusable) {
  switch (head.framing) {
    case http::Framing::none:
      break;
    case http::Framing::length:
      return make_length_body(std::move(connection), head.content_length, std::move(received), reusable);
    case http::Framing::chunked:
      return make_chunked_body(std::move(connection), std::move(received), reusable);
    case http::Framing::until_close:
      return std::make_unique<CloseBody>(std::move(connection), std::move(received));
  }
  finish_now(std::move(connection), reusable && received.begin == received.end);
  return nullptr;
}

}  // namespace vignette::proxy
