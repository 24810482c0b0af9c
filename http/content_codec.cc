#include "http/content_codec.h"

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <bit>
#include <limits>

namespace vignette::http {
namespace {

using Feed = ContentCodec::Feed;
using State = ContentCodec::State;
using Step = ContentCodec::Step;

constexpr int kGzipLevel = 5;
constexpr int kGzipMemory = 8;  // of zlib's scale: 256 KiB with the largest window
constexpr int kGzipWrapper = 16;
constexpr int kBrotliQuality = 4;
constexpr int kZstdLevel = 3;
constexpr int kZstdLargestWindow = 23;  // RFC 9659
constexpr int kLargestWindow = 18;
constexpr int kLeastWindow = 12;

// Of the window, as a power of two: a short body needs no large one.
int window_bits(std::optional<std::uint64_t> size, int most) {
  if (!size) return most;
  const auto needed = static_cast<int>(std::bit_width(std::min(*size, std::uint64_t{1} << most)));
  return std::clamp(needed, kLeastWindow, most);
}

// zlib counts in 32 bits, and its input is not const where it is not told to be.
class Zlib : public ContentCodec {
 protected:
  template <class Call>
  int run(std::span<const char> in, std::span<char> out, Step& step, Call call) {
    const auto limit = [](std::size_t size) {
      return static_cast<uInt>(std::min<std::size_t>(size, std::numeric_limits<uInt>::max()));
    };
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream_.avail_in = limit(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = limit(out.size());
    const int result = call();
    step.consumed = limit(in.size()) - stream_.avail_in;
    step.produced = limit(out.size()) - stream_.avail_out;
    return result;
  }

  z_stream stream_{};
};

class GzipEncoder final : public Zlib {
 public:
  ~GzipEncoder() override { deflateEnd(&stream_); }

  bool start(std::optional<std::uint64_t> size) {
    return deflateInit2(&stream_, kGzipLevel, Z_DEFLATED, window_bits(size, MAX_WBITS) + kGzipWrapper,
                        kGzipMemory, Z_DEFAULT_STRATEGY) == Z_OK;
  }
  Step step(std::span<const char> in, std::span<char> out, Feed feed) override {
    const int flush = feed == Feed::end ? Z_FINISH : feed == Feed::flush ? Z_SYNC_FLUSH : Z_NO_FLUSH;
    Step step;
    const int result = run(in, out, step, [&] { return deflate(&stream_, flush); });
    if (result == Z_STREAM_END) {
      step.state = State::done;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      step.state = State::failed;
    } else {
      step.state = step.produced == out.size() || step.consumed < in.size() ? State::full : State::hungry;
    }
    return step;
  }
};

// Members that follow each other are one body (RFC 1952 §2.2).
class GzipDecoder final : public Zlib {
 public:
  ~GzipDecoder() override { inflateEnd(&stream_); }

  bool start() { return inflateInit2(&stream_, MAX_WBITS + kGzipWrapper) == Z_OK; }
  Step step(std::span<const char> in, std::span<char> out, Feed feed) override {
    if (in.empty() && is_between_) return {feed == Feed::end ? State::done : State::hungry, 0, 0};
    if (is_between_ && inflateReset(&stream_) != Z_OK) return {};
    Step step;
    const int result = run(in, out, step, [&] { return inflate(&stream_, Z_NO_FLUSH); });
    is_between_ = result == Z_STREAM_END;
    if (result == Z_MEM_ERROR) return step;
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
      step.state = State::malformed;
    } else if (step.produced == out.size() || step.consumed < in.size()) {
      step.state = State::full;
    } else if (feed == Feed::end) {
      step.state = is_between_ ? State::done : State::malformed;
    } else {
      step.state = State::hungry;
    }
    return step;
  }

 private:
  bool is_between_ = true;  // before the first member, or behind the last one
};

// Brotli moves pointers and sizes along.
struct BrotliIo {
  BrotliIo(std::span<const char> in, std::span<char> out)
      : next_in(reinterpret_cast<const std::uint8_t*>(in.data())),
        next_out(reinterpret_cast<std::uint8_t*>(out.data())),
        in_left(in.size()),
        out_left(out.size()) {}
  Step step(std::span<const char> in, std::span<char> out) const {
    return {State::failed, in.size() - in_left, out.size() - out_left};
  }
  const std::uint8_t* next_in;
  std::uint8_t* next_out;
  std::size_t in_left;
  std::size_t out_left;
};

class BrotliEncoder final : public ContentCodec {
 public:
  ~BrotliEncoder() override { BrotliEncoderDestroyInstance(state_); }

  bool start(std::optional<std::uint64_t> size) {
    state_ = BrotliEncoderCreateInstance(nullptr, nullptr, nullptr);
    if (!state_) return false;
    const auto hint = std::min<std::uint64_t>(size.value_or(0), std::numeric_limits<std::uint32_t>::max());
    const auto window = static_cast<std::uint32_t>(window_bits(size, kLargestWindow));
    return BrotliEncoderSetParameter(state_, BROTLI_PARAM_QUALITY, kBrotliQuality) == BROTLI_TRUE &&
           BrotliEncoderSetParameter(state_, BROTLI_PARAM_LGWIN, window) == BROTLI_TRUE &&
           BrotliEncoderSetParameter(state_, BROTLI_PARAM_SIZE_HINT, static_cast<std::uint32_t>(hint)) ==
               BROTLI_TRUE;
  }
  Step step(std::span<const char> in, std::span<char> out, Feed feed) override {
    const BrotliEncoderOperation operation = feed == Feed::end     ? BROTLI_OPERATION_FINISH
                                             : feed == Feed::flush ? BROTLI_OPERATION_FLUSH
                                                                   : BROTLI_OPERATION_PROCESS;
    BrotliIo io(in, out);
    const BROTLI_BOOL ok = BrotliEncoderCompressStream(state_, operation, &io.in_left, &io.next_in,
                                                       &io.out_left, &io.next_out, nullptr);
    Step step = io.step(in, out);
    if (ok != BROTLI_TRUE) return step;
    if (BrotliEncoderIsFinished(state_) == BROTLI_TRUE) {
      step.state = State::done;
    } else {
      const bool has_more = io.in_left > 0 || BrotliEncoderHasMoreOutput(state_) == BROTLI_TRUE;
      step.state = has_more || feed == Feed::end ? State::full : State::hungry;
    }
    return step;
  }

 private:
  BrotliEncoderState* state_ = nullptr;
};

class BrotliDecoder final : public ContentCodec {
 public:
  ~BrotliDecoder() override { BrotliDecoderDestroyInstance(state_); }

  bool start() {
    state_ = BrotliDecoderCreateInstance(nullptr, nullptr, nullptr);
    return state_ != nullptr;
  }
  Step step(std::span<const char> in, std::span<char> out, Feed feed) override {
    has_begun_ = has_begun_ || !in.empty();
    if (!has_begun_) return {feed == Feed::end ? State::done : State::hungry, 0, 0};
    BrotliIo io(in, out);
    const BrotliDecoderResult result =
        BrotliDecoderDecompressStream(state_, &io.in_left, &io.next_in, &io.out_left, &io.next_out, nullptr);
    Step step = io.step(in, out);
    switch (result) {
      case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT:
        step.state = State::full;
        break;
      case BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT:
        step.state = feed == Feed::end ? State::malformed : State::hungry;
        break;
      case BROTLI_DECODER_RESULT_SUCCESS:
        step.state = io.in_left > 0 ? State::malformed : feed == Feed::end ? State::done : State::hungry;
        break;
      case BROTLI_DECODER_RESULT_ERROR:
        step.state = State::malformed;
        break;
    }
    return step;
  }

 private:
  BrotliDecoderState* state_ = nullptr;
  bool has_begun_ = false;
};

class ZstdEncoder final : public ContentCodec {
 public:
  ~ZstdEncoder() override { ZSTD_freeCCtx(context_); }

  bool start(std::optional<std::uint64_t> size) {
    context_ = ZSTD_createCCtx();
    if (!context_) return false;
    const auto set = [this](ZSTD_cParameter parameter, int value) {
      return ZSTD_isError(ZSTD_CCtx_setParameter(context_, parameter, value)) == 0;
    };
    return set(ZSTD_c_compressionLevel, kZstdLevel) &&
           set(ZSTD_c_windowLog, window_bits(size, kLargestWindow));
  }
  Step step(std::span<const char> in, std::span<char> out, Feed feed) override {
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    const ZSTD_EndDirective directive = feed == Feed::end     ? ZSTD_e_end
                                        : feed == Feed::flush ? ZSTD_e_flush
                                                              : ZSTD_e_continue;
    const std::size_t left = ZSTD_compressStream2(context_, &output, &input, directive);
    Step step{State::failed, input.pos, output.pos};
    if (ZSTD_isError(left) != 0) return step;
    if (feed == Feed::end) {
      step.state = left == 0 ? State::done : State::full;
    } else if (input.pos < in.size() || (feed == Feed::flush && left > 0)) {
      step.state = State::full;
    } else {
      step.state = State::hungry;
    }
    return step;
  }

 private:
  ZSTD_CCtx* context_ = nullptr;
};

// Frames that follow each other are one body (RFC 8878 §3.1).
class ZstdDecoder final : public ContentCodec {
 public:
  ~ZstdDecoder() override { ZSTD_freeDCtx(context_); }

  bool start() {
    context_ = ZSTD_createDCtx();
    return context_ &&
           ZSTD_isError(ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, kZstdLargestWindow)) == 0;
  }
  Step step(std::span<const char> in, std::span<char> out, Feed feed) override {
    if (in.empty() && is_between_) return {feed == Feed::end ? State::done : State::hungry, 0, 0};
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    const std::size_t left = ZSTD_decompressStream(context_, &output, &input);
    Step step{State::malformed, input.pos, output.pos};
    if (ZSTD_isError(left) != 0) return step;
    is_between_ = left == 0;
    if (output.pos == out.size() || input.pos < in.size()) {
      step.state = State::full;
    } else if (feed == Feed::end) {
      step.state = is_between_ ? State::done : State::malformed;
    } else {
      step.state = State::hungry;
    }
    return step;
  }

 private:
  ZSTD_DCtx* context_ = nullptr;
  bool is_between_ = true;  // before the first frame, or behind the last one
};

template <class Codec, class... Arguments>
std::unique_ptr<ContentCodec> started(Arguments... arguments) {
  auto codec = std::make_unique<Codec>();
  return codec->start(arguments...) ? std::unique_ptr<ContentCodec>(std::move(codec)) : nullptr;
}

}  // namespace

std::unique_ptr<ContentCodec> make_encoder(Coding coding, std::optional<std::uint64_t> size) {
  switch (coding) {
    case Coding::gzip:
      return started<GzipEncoder>(size);
    case Coding::br:
      return started<BrotliEncoder>(size);
    case Coding::zstd:
      return started<ZstdEncoder>(size);
    case Coding::identity:
      break;
  }
  return nullptr;
}

std::unique_ptr<ContentCodec> make_decoder(Coding coding) {
  switch (coding) {
    case Coding::gzip:
      return started<GzipDecoder>();
    case Coding::br:
      return started<BrotliDecoder>();
    case Coding::zstd:
      return started<ZstdDecoder>();
    case Coding::identity:
      break;
  }
  return nullptr;
}

}  // namespace vignette::http
