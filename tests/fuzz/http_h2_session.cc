// An HTTP/2 session behind a client's greeting: whatever follows, the requests it lets through are clean,
// bodies keep to their windows and lengths, and what it says ends. The first byte says how the rest is cut.
#include <map>

#include "http/h2/session.h"
#include "http/hop_by_hop.h"
#include "http_fuzz.h"

using namespace vignette;
using namespace vignette::http;

namespace {

constexpr std::uint32_t kStreamWindow = 65535;
constexpr std::size_t kFrame = 16384;

struct Stream : http::H2Stream {
  std::size_t received = 0;
  std::size_t unconsumed = 0;
  bool ended = false;
};

class Server final : H2Events, H2Output {
 public:
  void give(std::span<const char> bytes) {
    session_.feed(bytes, now_);
    for (Stream* stream : asked_) answer(*stream);
    asked_.clear();
    session_.drain(*this, 100'000);
    for (auto& [id, stream] : streams_) session_.consume(*stream, std::exchange(stream->unconsumed, 0));
    for (const auto& stream : closed_) session_.consume(*stream, stream->unconsumed);
    closed_.clear();
    now_ += std::chrono::milliseconds(1);
  }
  bool over() const { return session_.finished(); }

 private:
  void answer(Stream& stream) {
    if (!streams_.contains(stream.id)) return;
    check(stream);
    const H2Field field{.name = "server", .value = "fuzz"};
    session_.respond(stream, 200, {&field, 1}, stream.head.method == Method::head);
    stream.out.push(Slice::copy("answer"));
    stream.out_ended = true;
    session_.resume(stream);
  }
  static void check(const Stream& stream) {
    const RequestHead& head = stream.head;
    VCHECK(!is_malformed(stream.refusal));
    if (stream.refusal != Refusal::none) return;
    fuzz::check_fields_are_clean(head.fields);
    VCHECK(head.method != Method::connect && !head.method_name.empty());
    VCHECK(head.path == "*" || head.path.starts_with('/'));
    VCHECK(!head.host.empty() && head.fields.count(FieldId::host) == 1);
    VCHECK(head.fields.count(FieldId::cookie) <= 1 && head.fields.count(FieldId::content_length) <= 1);
    for (const Field& field : head.fields) {
      VCHECK(!is_hop_by_hop(field.id) || field.id == FieldId::te || field.id == FieldId::trailer ||
             field.id == FieldId::http2_settings || field.id == FieldId::proxy_authorization ||
             field.id == FieldId::proxy_authenticate || field.id == FieldId::proxy_authentication_info);
    }
  }

  http::H2Stream& on_open(std::int32_t id) override {
    auto stream = std::make_unique<Stream>();
    stream->fields.begin({});
    return *(streams_[id] = std::move(stream));
  }
  void on_request(http::H2Stream& stream) override { asked_.push_back(static_cast<Stream*>(&stream)); }
  void on_data(http::H2Stream& stream, std::string_view bytes) override {
    Stream& ours = static_cast<Stream&>(stream);
    VCHECK(!ours.ended);
    ours.received += bytes.size();
    ours.unconsumed += bytes.size();
    VCHECK(ours.unconsumed <= kStreamWindow + kFrame);  // the one that goes past it costs the stream
  }
  void on_input_end(http::H2Stream& stream) override {
    Stream& ours = static_cast<Stream&>(stream);
    VCHECK(!std::exchange(ours.ended, true));
    VCHECK(ours.head.framing != Framing::length || ours.received == ours.head.content_length);
  }
  void on_taken(http::H2Stream&, std::size_t) override {}
  void on_closed(http::H2Stream& stream, H2Error) override {
    const auto found = streams_.find(stream.id);
    VCHECK(found != streams_.end());
    std::erase(asked_, found->second.get());
    closed_.push_back(std::move(found->second));
    streams_.erase(found);
  }
  void text(std::string_view bytes) override { sent_ += bytes.size(); }
  void slice(Slice bytes) override { sent_ += bytes.size(); }

  H2Session session_{*this, {.streams = 16, .stream_window = kStreamWindow, .connection_window = 131'072}};
  TimePoint now_{std::chrono::hours(1)};
  std::map<std::int32_t, std::unique_ptr<Stream>> streams_;
  std::vector<std::unique_ptr<Stream>> closed_;
  std::vector<Stream*> asked_;
  std::size_t sent_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static constexpr char kGreeting[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0\0\0\0\4\1\0\0\0\0";
  const std::size_t piece = 1 + data[0];
  std::span<const char> rest(reinterpret_cast<const char*>(data + 1), size - 1);
  Server server;
  server.give(std::span(kGreeting, sizeof kGreeting - 1));
  while (!rest.empty() && !server.over()) {
    const std::size_t now = std::min(piece * piece, rest.size());
    server.give(rest.first(now));
    rest = rest.subspan(now);
  }
  return 0;
}
