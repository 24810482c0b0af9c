#include "proxy/media/coded_body.h"

#include <algorithm>
#include <span>
#include <utility>

#include "http/content_codec.h"
#include "net/frame_pool.h"
#include "net/worker.h"
#include "proxy/media/source_budget.h"
#include "proxy/policy/compression.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

using http::Coding;
using http::ContentCodec;

constexpr std::size_t kCodedBytesATurn = 64 * 1024;
constexpr std::size_t kEncodedBlockBytes = 16 * 1024;
constexpr std::size_t kLeastBlockBytes = 1024;

enum class Direction : std::uint8_t { encode, decode };

// What a codec takes of memory; http/content_codec.h.
std::uint64_t codec_bytes(Coding coding, Direction direction) {
  const bool encodes = direction == Direction::encode;
  switch (coding) {
    case Coding::gzip:
      return encodes ? 256U << 10 : 48U << 10;
    case Coding::br:
      return encodes ? 2U << 20 : 16U << 20;
    case Coding::zstd:
      return encodes ? 1U << 20 : 8U << 20;
    case Coding::identity:
      break;
  }
  return 0;
}

class CodedBody final : public BodySource, public net::Pooled {
 public:
  CodedBody(std::unique_ptr<BodySource> source, std::unique_ptr<ContentCodec> codec, Direction direction,
            bool is_flushed, SourceBudget::Permit permit)
      : source_(std::move(source)),
        codec_(std::move(codec)),
        direction_(direction),
        is_flushed_(is_flushed),
        permit_(std::move(permit)) {}

  net::Task<Result<Piece>> next(TimePoint deadline) override {
    for (;;) {
      if (worked_ >= kCodedBytesATurn) {
        worked_ = 0;
        auto turn = co_await net::yield();
        if (!turn) co_return std::unexpected(turn.error());
      }
      if (input_.empty() && !has_more_ && !is_last_) {
        auto piece = co_await source_->next(deadline);
        if (!piece) co_return std::unexpected(piece.error());
        input_ = std::move(piece->bytes);
        is_last_ = piece->last;
      }
      auto made = work();
      if (!made || made->last || !made->bytes.empty()) co_return made;
    }
  }

 private:
  std::size_t block_bytes() const {
    if (direction_ == Direction::decode) return kCodedBytesATurn;
    return std::clamp(input_.size(), kLeastBlockBytes, kEncodedBlockBytes);
  }
  // One block of output, or as much as the input at hand gives.
  Result<Piece> work() {
    using State = ContentCodec::State;
    if (!block_) block_ = BlockRef::allocate(block_bytes());
    std::size_t size = 0;
    State state = State::full;
    while (state == State::full && size < block_->capacity() && worked_ < kCodedBytesATurn) {
      const Slice in = input_.sub(0, std::min(input_.size(), kCodedBytesATurn));
      const bool is_all = in.size() == input_.size();
      const auto step = codec_->step({in.data(), in.size()},
                                     {block_->data() + size, block_->capacity() - size}, feed(is_all));
      state = step.state;
      if (state == State::malformed) return fail(Code::malformed, Blame::origin, "content coding");
      if (state == State::failed) return fail(Code::exhausted, Blame::internal, "content coding");
      input_ = input_.sub(step.consumed, input_.size() - step.consumed);
      size += step.produced;
      taken_ += step.consumed;
      made_ += step.produced;
      worked_ += std::max(step.consumed, step.produced);
    }
    has_more_ = state == State::full;
    const bool is_bomb = made_ > kFreeBytes && made_ / kMostGrowth > taken_;
    if (is_bomb && direction_ == Direction::decode) {
      return fail(Code::limit, Blame::origin, "content coding");
    }
    Piece piece{.bytes = {}, .last = state == State::done};
    if (size > 0) piece.bytes = Slice(std::exchange(block_, BlockRef()), 0, size);
    return piece;
  }
  ContentCodec::Feed feed(bool is_all) const {
    if (!is_all) return ContentCodec::Feed::more;
    if (is_last_) return ContentCodec::Feed::end;
    return is_flushed_ ? ContentCodec::Feed::flush : ContentCodec::Feed::more;
  }

  std::unique_ptr<BodySource> source_;
  std::unique_ptr<ContentCodec> codec_;
  const Direction direction_;
  const bool is_flushed_;
  SourceBudget::Permit permit_;
  Slice input_;
  BlockRef block_;          // of output, empty so far
  bool is_last_ = false;    // nothing follows `input_`
  bool has_more_ = false;   // the codec has output left for what it was fed
  std::size_t worked_ = 0;  // since the last turn
  std::uint64_t taken_ = 0;
  std::uint64_t made_ = 0;
};

struct Codec {
  std::unique_ptr<ContentCodec> codec;
  SourceBudget::Permit permit;
};

Codec make_codec(WorkerContext& context, Coding coding, Direction direction,
                 std::optional<std::uint64_t> length) {
  Codec made{nullptr, context.codec_room.take(codec_bytes(coding, direction))};
  if (made.permit) {
    made.codec =
        direction == Direction::encode ? http::make_encoder(coding, length) : http::make_decoder(coding);
  }
  return made;
}

}  // namespace

void code_response(WorkerContext& context, const conf::RouteCompress& rule, const http::RequestHead& request,
                   OriginResponse& response) {
  http::ResponseHead& head = *response.head;
  if (!rule.enabled) return;
  if (head.status == 304) {
    if (auto texts = apply_to_not_modified(request.fields, head.fields)) response.made_bytes = *texts;
    return;
  }
  CodingChange change = decide_coding(rule, request.fields, head, response.content_length);
  if (!change.varies) return;
  const Direction direction = change.made != Coding::identity ? Direction::encode : Direction::decode;
  const Coding coding = direction == Direction::encode ? change.made : change.undone;
  Codec made;
  if (change.changes_body() && response.body) {
    made = make_codec(context, coding, direction, response.content_length);
    if (!made.codec) {
      context.node.metrics.codecs_refused.add(context.index);
      change.made = change.undone = Coding::identity;
    }
  }
  auto texts = apply_coding(change, head.fields);
  if (!texts) return;
  response.made_bytes = std::move(*texts);
  if (!change.changes_body()) return;
  const bool has_codec = made.codec != nullptr;
  if (has_codec) {
    const bool is_flushed = !response.content_length;
    response.body = std::make_unique<CodedBody>(std::move(response.body), std::move(made.codec), direction,
                                                is_flushed, std::move(made.permit));
    context.node.metrics.answers_encoded[static_cast<std::size_t>(change.made)]->add(context.index);
  }
  // Of a HEAD's answer too; an answer that is empty stays so.
  if (has_codec || request.method == http::Method::head) response.content_length.reset();
}

}  // namespace vignette::proxy
