// An origin of one large object under every path, with ranges, conditions and versions.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "base/strings.h"
#include "http/range.h"
#include "tests/support/periodic_text.h"
#include "tests/support/scripted_origin.h"

namespace vignette::test {

inline constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

// A plain function of place and version.
struct LargeObject {
  std::uint64_t size = 0;
  unsigned version = 1;

  std::string etag() const { return "\"" + std::to_string(version) + "-" + std::to_string(size) + "\""; }
  static LargeObject of_etag(std::string_view etag) {
    const Halves halves = split_once(etag.substr(1, etag.size() - 2), '-');
    return {std::stoull(std::string(halves.after)),
            static_cast<unsigned>(std::stoul(std::string(halves.before)))};
  }
  std::string bytes(std::uint64_t first, std::uint64_t last) const {
    return periodic_text(last - first + 1, 90 * 251, [&](std::uint64_t i) {
      const std::uint64_t at = first + i;
      return static_cast<char>('!' + (at * 31 + at / 251 + version * 7) % 90);
    });
  }
};

class LargeOrigin {
 public:
  enum class OnMismatch : std::uint8_t {
    refuse,      // 412
    other_part,  // knows no If-Match: the part of what it has now
  };

  explicit LargeOrigin(std::uint64_t size) : object_{size, 1} {}

  LargeObject now() {
    const std::lock_guard lock(mutex_);
    return object_;
  }
  void change(std::uint64_t size) {
    const std::lock_guard lock(mutex_);
    object_ = {size, object_.version + 1};
  }
  // The body of the first answer stops there until the gate is open.
  void pause_at(std::uint64_t position, Gate& gate) {
    pause_at_ = position;
    gate_ = &gate;
  }

  // Set before the request that they are for.
  std::atomic<bool> serves_ranges{true};
  std::atomic<bool> says_ranges{true};
  std::atomic<bool> is_broken{false};
  std::atomic<std::uint64_t> cut_once_at{0};  // the next body ends there, too early
  OnMismatch on_mismatch = OnMismatch::refuse;
  std::string lines = "Cache-Control: max-age=600\r\n";
  std::string tag_line = "by version";  // or the line itself

  ScriptedOrigin::Script script() {
    return [this](const OriginCall& call, const ScriptedOrigin::Send& send) { return answer(call, send); };
  }

 private:
  bool answer(const OriginCall& call, const ScriptedOrigin::Send& send) {
    if (is_broken) return send(ScriptedOrigin::answer(503, "", ""));
    const LargeObject object = now();
    std::string head = lines;
    head += tag_line == "by version" ? "ETag: " + object.etag() + "\r\n" : tag_line;
    if (says_ranges) head += "Accept-Ranges: bytes\r\n";
    if (call.field("if-none-match") == object.etag()) {
      return send("HTTP/1.1 304 Not Modified\r\n" + head + "\r\n");
    }
    const std::string match = call.field("if-match");
    if (!match.empty() && match != object.etag() && serves_ranges && on_mismatch == OnMismatch::refuse) {
      return send(ScriptedOrigin::answer(412, "", ""));
    }
    http::RangeAnswer range;
    if (serves_ranges) range = http::parse_range(call.field("range"), object.size);
    if (range.kind == http::RangeAnswer::Kind::unsatisfiable)
      return send(ScriptedOrigin::answer(416, "", ""));
    const bool is_part = range.kind == http::RangeAnswer::Kind::part;
    const http::ByteRange part = is_part ? range.range : http::ByteRange{0, object.size - 1};
    if (is_part) {
      head += "Content-Range: bytes " + std::to_string(part.first) + "-" + std::to_string(part.last) + "/" +
              std::to_string(object.size) + "\r\n";
    }
    head += "Content-Length: " + std::to_string(part.size()) + "\r\n\r\n";
    if (!send((is_part ? "HTTP/1.1 206 Part\r\n" : "HTTP/1.1 200 OK\r\n") + head)) return false;
    if (call.method == "HEAD") return true;
    return send_body(object, part, send);
  }

  bool send_body(const LargeObject& object, http::ByteRange part, const ScriptedOrigin::Send& send) {
    const std::uint64_t cut = cut_once_at.exchange(0);
    const std::uint64_t pause = pause_at_.exchange(0);
    constexpr std::uint64_t kPiece = 256 * 1024;
    for (std::uint64_t at = part.first; at <= part.last;) {
      std::uint64_t end = std::min(at + kPiece, part.last + 1);
      if (pause > at) end = std::min(end, pause);
      if (cut > at) end = std::min(end, cut);
      if (!send(object.bytes(at, end - 1))) return false;
      if (end == cut) return false;
      if (end == pause) gate_->wait();
      at = end;
    }
    return true;
  }

  std::mutex mutex_;
  LargeObject object_;
  std::atomic<std::uint64_t> pause_at_{0};
  Gate* gate_ = nullptr;
};

}  // namespace vignette::test
