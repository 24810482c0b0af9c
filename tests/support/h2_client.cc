#include "tests/support/h2_client.h"

#include <poll.h>
#include <sys/socket.h>

namespace vignette::test {
namespace {

constexpr int kPatienceMs = 10'000;

}  // namespace

H2Client::H2Client(std::uint16_t port, Windows windows,
                   const std::vector<std::pair<int, std::uint32_t>>& settings)
    : socket_(port), windows_(windows) {
  send(std::string(h2::kPreface) + h2::settings(settings));
}

std::uint32_t H2Client::request(const h2::Fields& fields, bool end) {
  const std::uint32_t stream = next_stream_;
  next_stream_ += 2;
  send(h2::headers(stream, fields, h2::kHeadEnd | (end ? h2::kEnd : h2::kNone)));
  return stream;
}

H2Answer& H2Client::answer(std::uint32_t stream) {
  H2Answer& answer = answers_[stream];
  while (!answer.ended && !answer.reset && read_frame()) {
  }
  return answer;
}

std::optional<std::uint32_t> H2Client::read_to_end() {
  while (read_frame()) {
  }
  return goaway_;
}

bool H2Client::ping() {
  const int before = pongs_;
  send(h2::frame(h2::kPing, h2::kNone, 0, "12345678"));
  while (pongs_ == before && read_frame()) {
  }
  return pongs_ > before;
}

bool H2Client::fill() {
  pollfd state{socket_.descriptor(), POLLIN, 0};
  if (::poll(&state, 1, kPatienceMs) <= 0) return false;
  char bytes[65536];
  const ssize_t got = ::recv(socket_.descriptor(), bytes, sizeof bytes, 0);
  if (got == 0) ended_ = true;
  if (got <= 0) return false;
  buffer_.append(bytes, static_cast<std::size_t>(got));
  return true;
}

bool H2Client::read_frame() {
  for (;;) {
    if (auto frame = h2::take_frame(buffer_)) {
      frame_ = std::move(*frame);
      take_in();
      return true;
    }
    if (!fill()) return false;
  }
}

void H2Client::take_in() {
  switch (frame_.type) {
    case h2::kSettings:
      if ((frame_.flags & h2::kAck) == 0) send(h2::frame(h2::kSettings, h2::kAck, 0));
      break;
    case h2::kPing:
      if (frame_.flags & h2::kAck) {
        ++pongs_;
      } else {
        send(h2::frame(h2::kPing, h2::kAck, 0, frame_.payload));
      }
      break;
    case h2::kGoaway:
      last_stream_ = frame_.read(0);
      goaway_ = frame_.error();
      ++goaways_;
      break;
    case h2::kReset:
      answers_[frame_.stream].reset = frame_.error();
      break;
    case h2::kHeaders:
    case h2::kContinuation:
      head_ += frame_.payload;
      if (frame_.flags & h2::kHeadEnd) take_head(std::exchange(head_, {}));
      break;
    case h2::kData:
      answers_[frame_.stream].body += frame_.payload;
      if (windows_ == Windows::opened && !frame_.payload.empty()) {
        const auto size = static_cast<std::uint32_t>(frame_.payload.size());
        send(h2::window_update(0, size) + h2::window_update(frame_.stream, size));
      }
      break;
    default:
      break;
  }
  if (frame_.ends()) answers_[frame_.stream].ended = true;
}

void H2Client::take_head(const std::string& block) {
  H2Answer& answer = answers_[frame_.stream];
  const h2::Fields fields = decoder_.decode(block);
  for (const auto& [name, value] : fields) {
    if (name == ":status") {
      answer.status = std::stoi(value);
      if (answer.status >= 200) continue;
      ++answer.interim;
      answer.status = 0;
      return;
    }
    std::string& known = answer.fields[name];
    known += known.empty() ? value : ", " + value;
  }
}

}  // namespace vignette::test
