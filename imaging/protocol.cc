#include "imaging/protocol.h"

#include <algorithm>
#include <concepts>
#include <utility>

#include "base/check.h"

namespace vignette::imaging {
namespace {

enum class Type : std::uint8_t { job = 1, cancel = 2, hello = 3, result = 4 };

constexpr std::uint32_t kMaxSide = 1u << 24;
constexpr std::uint32_t kMaxLanes = 1024;

template <std::unsigned_integral T>
void put(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    out.push_back(static_cast<char>(static_cast<std::uint8_t>(value >> (8 * i))));
  }
}

template <typename E>
  requires std::is_enum_v<E>
void put(std::string& out, E value) {
  put(out, static_cast<std::uint8_t>(value));
}

// Reads fixed fields; any shortfall or value out of range sticks in ok().
class Fields {
 public:
  explicit Fields(std::string_view body) : body_(body) {}

  template <std::unsigned_integral T>
  T get(T minimum, T maximum) {
    if (body_.size() - at_ < sizeof(T)) {
      ok_ = false;
      return minimum;
    }
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      value |= std::uint64_t{static_cast<unsigned char>(body_[at_ + i])} << (8 * i);
    }
    at_ += sizeof(T);
    if (value < minimum || value > maximum) {
      ok_ = false;
      return minimum;
    }
    return static_cast<T>(value);
  }
  std::uint64_t u64(std::uint64_t maximum = UINT64_MAX) { return get<std::uint64_t>(0, maximum); }
  std::uint32_t u32(std::uint32_t minimum = 0, std::uint32_t maximum = UINT32_MAX) {
    return get<std::uint32_t>(minimum, maximum);
  }
  std::uint8_t u8(std::uint8_t minimum, std::uint8_t maximum) { return get<std::uint8_t>(minimum, maximum); }
  bool flag() { return u8(0, 1) == 1; }
  template <typename E>
  E pick(std::uint8_t count) {
    return static_cast<E>(u8(0, static_cast<std::uint8_t>(count - 1)));
  }
  void require(bool condition) { ok_ = ok_ && condition; }
  bool done() const { return ok_ && at_ == body_.size(); }

 private:
  std::string_view body_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

class Frame {
 public:
  Frame(std::string& out, Type type, bool descriptor) : out_(out), start_(out.size()) {
    put(out_, std::uint32_t{0});
    put(out_, kProtocolVersion);
    put(out_, type);
    put(out_, static_cast<std::uint8_t>(descriptor ? 1 : 0));
    put(out_, std::uint8_t{0});
  }
  ~Frame() {
    const std::size_t body = out_.size() - start_ - kFrameHeaderBytes;
    VCHECK(body <= kMaxFrameBytes);
    for (std::size_t i = 0; i < 4; ++i) out_[start_ + i] = static_cast<char>(body >> (8 * i) & 0xff);
  }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

 private:
  std::string& out_;
  std::size_t start_;
};

Job decode_job(Fields& in) {
  Job job;
  job.id = in.u64();
  job.kind = in.pick<Job::Kind>(2);
  job.source = in.pick<SourceFormat>(kSourceFormatCount);
  in.require(job.source != SourceFormat::unsupported);
  job.output = in.pick<OutputFormat>(kOutputFormatCount);
  job.transform.width = in.u32(0, kMaxSide);
  job.transform.height = in.u32(0, kMaxSide);
  job.transform.fit = in.pick<Fit>(kFitCount);
  job.transform.enlarge = in.flag();
  job.transform.quality = in.u8(0, 100);
  job.transform.format = job.output;
  job.limits.max_pixels = in.u64();
  job.limits.max_side = in.u32();
  job.limits.max_frames = in.u32();
  job.limits.max_source_bytes = in.u64();
  job.deadline_ms = in.u32(1, 3'600'000);
  job.source_bytes = in.u64(std::uint64_t{1} << 40);
  job.fault = in.pick<Fault>(kFaultCount);
  return job;
}

ImageInfo decode_info(Fields& in) {
  ImageInfo info;
  info.format = in.pick<SourceFormat>(kSourceFormatCount);
  info.width = in.u32(0, kMaxSide);
  info.height = in.u32(0, kMaxSide);
  info.orientation = in.u8(1, 8);
  info.frames = in.u32(1);
  info.alpha = in.flag();
  info.icc_bytes = in.u32();
  info.source_bytes = in.u64();
  return info;
}

JobResult decode_result(Fields& in) {
  JobResult result;
  result.id = in.u64();
  result.error = in.pick<ErrorClass>(kErrorClassCount);
  result.output = in.pick<OutputFormat>(kOutputFormatCount);
  result.width = in.u32(0, kMaxSide);
  result.height = in.u32(0, kMaxSide);
  result.output_bytes = in.u64(kMaxResultBytes);
  result.info = decode_info(in);
  result.timings = {in.u32(), in.u32(), in.u32()};
  in.require(result.error == ErrorClass::none || result.output_bytes == 0);
  in.require(result.output_bytes == 0 || (result.width > 0 && result.height > 0));
  return result;
}

bool wants_fd(const Message& message) {
  if (std::holds_alternative<Job>(message)) return true;
  const auto* result = std::get_if<JobResult>(&message);
  return result != nullptr && result->output_bytes > 0;
}

}  // namespace

void encode(const Job& job, std::string& out) {
  Frame frame(out, Type::job, true);
  put(out, job.id);
  put(out, job.kind);
  put(out, job.source);
  put(out, job.output);
  put(out, job.transform.width);
  put(out, job.transform.height);
  put(out, job.transform.fit);
  put(out, static_cast<std::uint8_t>(job.transform.enlarge));
  put(out, job.transform.quality);
  put(out, job.limits.max_pixels);
  put(out, job.limits.max_side);
  put(out, job.limits.max_frames);
  put(out, job.limits.max_source_bytes);
  put(out, job.deadline_ms);
  put(out, job.source_bytes);
  put(out, job.fault);
}

void encode(const Cancel& cancel, std::string& out) {
  Frame frame(out, Type::cancel, false);
  put(out, cancel.id);
}

void encode(const Hello& hello, std::string& out) {
  Frame frame(out, Type::hello, false);
  put(out, hello.lanes);
  put(out, hello.heavy_lanes);
}

void encode(const JobResult& result, std::string& out) {
  Frame frame(out, Type::result, result.output_bytes > 0);
  put(out, result.id);
  put(out, result.error);
  put(out, result.output);
  put(out, result.width);
  put(out, result.height);
  put(out, result.output_bytes);
  put(out, result.info.format);
  put(out, result.info.width);
  put(out, result.info.height);
  put(out, result.info.orientation);
  put(out, result.info.frames);
  put(out, static_cast<std::uint8_t>(result.info.alpha));
  put(out, result.info.icc_bytes);
  put(out, result.info.source_bytes);
  put(out, result.timings.queue);
  put(out, result.timings.decode);
  put(out, result.timings.pixels);
}

Result<Message> decode_body(std::uint8_t type, std::string_view body) {
  Fields in(body);
  Message message;
  switch (static_cast<Type>(type)) {
    case Type::job:
      message = decode_job(in);
      break;
    case Type::cancel:
      message = Cancel{in.u64()};
      break;
    case Type::hello: {
      Hello hello;
      hello.lanes = in.u32(1, kMaxLanes);
      hello.heavy_lanes = in.u32(1, hello.lanes);
      message = hello;
      break;
    }
    case Type::result:
      message = decode_result(in);
      break;
    default:
      return fail(Code::malformed, Blame::internal, "imaging frame type");
  }
  if (!in.done()) return fail(Code::malformed, Blame::internal, "imaging frame body");
  return message;
}

void FrameReader::feed(std::string_view bytes) {
  if (failed_) return;
  if (offset_ > kMaxFrameBytes) {
    buffer_.erase(0, offset_);
    offset_ = 0;
  }
  buffer_.append(bytes);
}

void FrameReader::feed_fd(UniqueFd fd) {
  if (failed_ || fds_.size() >= kMaxQueuedFds) {
    failed_ = true;
    return;
  }
  fds_.push_back(std::move(fd));
}

Result<std::optional<Received>> FrameReader::next() {
  if (failed_) return fail(Code::malformed, Blame::internal, "imaging stream failed");
  const std::string_view pending = std::string_view(buffer_).substr(offset_);
  if (pending.size() < kFrameHeaderBytes) return std::nullopt;
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(pending[i]); };
  const std::size_t body =
      byte(0) | std::size_t{byte(1)} << 8 | std::size_t{byte(2)} << 16 | std::size_t{byte(3)} << 24;
  failed_ = true;  // until this frame has proved good
  if (body > kMaxFrameBytes) return fail(Code::limit, Blame::internal, "imaging frame length");
  if (byte(4) != kProtocolVersion || byte(6) > 1 || byte(7) != 0) {
    return fail(Code::malformed, Blame::internal, "imaging frame header");
  }
  if (pending.size() < kFrameHeaderBytes + body) {
    failed_ = false;
    return std::nullopt;
  }
  Result<Message> message = decode_body(byte(5), pending.substr(kFrameHeaderBytes, body));
  if (!message) return std::unexpected(message.error());
  const bool has_fd = byte(6) == 1;
  if (has_fd != wants_fd(*message) || (has_fd && fds_.empty())) {
    return fail(Code::malformed, Blame::internal, "imaging frame descriptor");
  }
  Received received{std::move(*message), UniqueFd()};
  if (has_fd) {
    received.fd = std::move(fds_.front());
    fds_.pop_front();
  }
  offset_ += kFrameHeaderBytes + body;
  failed_ = false;
  return received;
}

}  // namespace vignette::imaging
