#include "http/h2/frame_guard.h"

#include <algorithm>

namespace vignette::http {
namespace {

enum FrameType : std::uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kReset = 3,
  kSettings = 4,
  kPing = 6,
  kWindowUpdate = 8,
  kContinuation = 9,
  kPriorityUpdate = 16,
};

constexpr std::uint8_t kEndStream = 1;
constexpr std::uint8_t kEndHeaders = 4;
constexpr std::uint8_t kPadded = 8;

std::int32_t number31(const unsigned char* bytes) {
  return (bytes[0] & 0x7F) << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

H2FrameGuard::Step idle_stream() { return {0, H2Error::protocol_error, "h2_idle_stream"}; }
H2FrameGuard::Step closed_stream() { return {0, H2Error::stream_closed, "h2_closed_stream"}; }
H2FrameGuard::Step idle_flood() { return {0, H2Error::enhance_your_calm, "h2_idle_frames"}; }
H2FrameGuard::Step stream_number() { return {0, H2Error::protocol_error, "h2_stream_number"}; }

}  // namespace

bool H2FrameGuard::Rate::add(TimePoint now, unsigned limit, Duration in) {
  if (now - since >= in) {
    since = now;
    count = 0;
  }
  return ++count <= limit;
}

void H2FrameGuard::on_closed(std::int32_t stream, bool by_us) {
  if (std::ranges::any_of(closed_, [&](const Closed& closed) { return closed.stream == stream; })) return;
  Closed& oldest = closed_[next_closed_];
  forgotten_ = std::max(forgotten_, oldest.stream);
  oldest = {stream, by_us};
  next_closed_ = (next_closed_ + 1) % kRemembered;
}

std::size_t H2FrameGuard::payload_bytes() const {
  return static_cast<std::size_t>(header_[0]) << 16 | static_cast<std::size_t>(header_[1]) << 8 | header_[2];
}

// Takes what is missing of what is looked at; how many bytes it took.
std::size_t H2FrameGuard::collect(std::span<const char> bytes) {
  const std::size_t taken = std::min(header_wanted_ - header_bytes_, bytes.size());
  std::copy_n(reinterpret_cast<const unsigned char*>(bytes.data()), taken, header_.begin() + header_bytes_);
  header_bytes_ += taken;
  return taken;
}

H2FrameGuard::Step H2FrameGuard::next(std::span<const char> bytes, const OpenStreams& streams,
                                      TimePoint now) {
  if (preface_left_ > 0) {
    const std::size_t taken = std::min(preface_left_, bytes.size());
    preface_left_ -= taken;
    return {taken};
  }
  std::size_t taken = 0;
  if (payload_left_ == 0) {
    taken = collect(bytes);
    const bool has_dependency =
        header_bytes_ == kHeader && header_[3] == kPriority && payload_bytes() >= kDependency;
    if (has_dependency) {
      header_wanted_ = kHeader + kDependency;
      taken += collect(bytes.subspan(taken));
    }
    if (header_bytes_ < header_wanted_) return {taken};
    payload_left_ = payload_bytes() - (header_wanted_ - kHeader);
    const Step refused = check(streams, now);
    header_bytes_ = 0;
    header_wanted_ = kHeader;
    if (refused.error != H2Error::no_error) return refused;
  }
  const std::size_t payload = std::min(payload_left_, bytes.size() - taken);
  payload_left_ -= payload;
  return {taken + payload};
}

H2FrameGuard::Step H2FrameGuard::check(const OpenStreams& streams, TimePoint now) {
  const std::uint8_t type = header_[3];
  const std::uint8_t flags = header_[4];
  const std::int32_t stream = number31(header_.data() + 5);
  if (asks_for_nothing(type, flags) && !count_idle(now)) return idle_flood();
  if (type == kReset && !count_reset(now)) return {0, H2Error::enhance_your_calm, "h2_resets"};
  const bool was_in_head = in_head_;
  if (type == kHeaders || type == kContinuation) in_head_ = (flags & kEndHeaders) == 0;
  if (was_in_head) return {};  // the session knows what is wrong with it
  if (type == kPriority) return check_priority(stream);
  return stream == 0 ? Step{} : check_stream(streams, type, stream, now);
}

bool H2FrameGuard::asks_for_nothing(std::uint8_t type, std::uint8_t flags) const {
  switch (type) {
    case kData:  // the length of a padding of nothing is nothing, too
      return payload_left_ <= ((flags & kPadded) != 0 ? 1U : 0U) && (flags & kEndStream) == 0;
    case kContinuation:
      return payload_left_ == 0 && (flags & kEndHeaders) == 0;
    case kPriority:
    case kSettings:
    case kPing:
    case kPriorityUpdate:
      return true;
    default:
      return type > kContinuation;  // unknown: ignored
  }
}

// Priorities of this kind are not heeded any more, but nothing depends on itself, or has no stream at all.
H2FrameGuard::Step H2FrameGuard::check_priority(std::int32_t stream) const {
  const bool depends_on_itself = header_wanted_ > kHeader && number31(header_.data() + kHeader) == stream;
  if (stream != 0 && !depends_on_itself) return {};
  return {0, H2Error::protocol_error, "h2_priority"};
}

// We open no streams, so even numbers are idle for ever.
H2FrameGuard::Step H2FrameGuard::check_stream(const OpenStreams& streams, std::uint8_t type,
                                              std::int32_t stream, TimePoint now) {
  const bool is_ours = stream % 2 == 0;
  if (type == kHeaders && is_ours) return stream_number();
  if (type == kHeaders && stream > last_stream_) {
    last_stream_ = stream;
    return {};
  }
  const bool is_idle = is_ours || stream > last_stream_;
  switch (type) {
    case kData:
    case kHeaders:
      if (is_idle) return idle_stream();
      return streams.is_open(stream) ? Step{} : check_closed(type, stream, now);
    case kReset:
    case kWindowUpdate:
      return is_idle ? idle_stream() : Step{};
    default:
      return {};
  }
}

// A number that was passed over was never opened, and is closed all the same (section 5.1.1). What was closed
// too long ago to be remembered may have been closed by us: such frames are taken for late ones.
H2FrameGuard::Step H2FrameGuard::check_closed(std::uint8_t type, std::int32_t stream, TimePoint now) {
  const auto found =
      std::ranges::find_if(closed_, [&](const Closed& closed) { return closed.stream == stream; });
  if (found != closed_.end()) return found->by_us ? Step{} : closed_stream();
  if (stream > forgotten_) return type == kHeaders ? stream_number() : closed_stream();
  return count_idle(now) ? Step{} : idle_flood();
}

}  // namespace vignette::http
