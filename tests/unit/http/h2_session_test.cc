// An HTTP/2 session from the wire's side: frames in, events and frames out, nothing between but memory.
#include <catch2/catch.hpp>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "http/h2/session.h"
#include "tests/support/h2_frames.h"

using namespace vignette;
using namespace vignette::http;
namespace h2 = vignette::test::h2;
using namespace std::chrono_literals;

namespace {

struct Seen : http::H2Stream {
  std::string body;
  std::size_t taken = 0;
  bool asked = false;
  bool ended = false;
};

class Peer : H2Events, H2Output {
 public:
  explicit Peer(const H2Session::Options& options = {}) : session(*this, options) {}
  virtual ~Peer() = default;

  void give(std::string_view bytes) { session.feed(bytes, now); }
  void greet() { give(h2::greeting() + h2::frame(h2::kSettings, h2::kAck, 0)); }
  std::string give_and_drain(std::string_view bytes) {
    give(bytes);
    return drain();
  }
  // What the session has to say.
  std::string drain(std::size_t limit = 1'000'000) {
    out_.clear();
    session.drain(*this, limit);
    return std::exchange(out_, {});
  }
  std::vector<h2::Frame> frames(std::size_t limit = 1'000'000) {
    std::string bytes = drain(limit);
    std::vector<h2::Frame> all;
    while (auto frame = h2::take_frame(bytes)) all.push_back(std::move(*frame));
    CHECK(bytes.empty());
    return all;
  }
  // Of a type, on a stream.
  std::vector<h2::Frame> frames_of(std::uint8_t type, std::uint32_t stream) {
    std::vector<h2::Frame> found;
    for (h2::Frame& frame : frames()) {
      if (frame.type == type && frame.stream == stream) found.push_back(std::move(frame));
    }
    return found;
  }
  // The error of the reset that this stream gets, or nothing.
  std::optional<std::uint32_t> reset_of(std::uint32_t stream) {
    const auto found = frames_of(h2::kReset, stream);
    return found.empty() ? std::nullopt : std::optional(found.front().error());
  }
  std::optional<std::uint32_t> goaway() {
    const auto found = frames_of(h2::kGoaway, 0);
    return found.empty() ? std::nullopt : std::optional(found.back().error());
  }
  Seen& at(std::int32_t stream) { return *streams.at(stream); }
  void answer(std::int32_t stream, std::string_view body) {
    const std::vector<H2Field> fields = {{.name = "server", .value = "test"}};
    session.respond(at(stream), 200, fields, body.empty());
    at(stream).out.push(Slice::copy(body));
    at(stream).out_ended = true;
    session.resume(at(stream));
  }

  H2Session session;
  TimePoint now{1h};
  std::map<std::int32_t, std::unique_ptr<Seen>> streams;
  std::map<std::int32_t, H2Error> closed;

 private:
  http::H2Stream& on_open(std::int32_t id) override {
    auto stream = std::make_unique<Seen>();
    stream->fields.begin({});
    return *(streams[id] = std::move(stream));
  }
  void on_request(http::H2Stream& stream) override { static_cast<Seen&>(stream).asked = true; }
  void on_data(http::H2Stream& stream, std::string_view bytes) override {
    static_cast<Seen&>(stream).body += bytes;
  }
  void on_input_end(http::H2Stream& stream) override { static_cast<Seen&>(stream).ended = true; }
  void on_taken(http::H2Stream& stream, std::size_t bytes) override {
    static_cast<Seen&>(stream).taken += bytes;
  }
  void on_closed(http::H2Stream& stream, H2Error error) override { closed[stream.id] = error; }
  void text(std::string_view bytes) override { out_ += bytes; }
  void slice(Slice bytes) override { out_ += bytes.view(); }

  std::string out_;
};

struct Greeted : Peer {
  explicit Greeted(const H2Session::Options& options = {}) : Peer(options) {
    greet();
    drain();
  }
};

constexpr std::uint32_t kProtocol = 1;
constexpr std::uint32_t kFlow = 3;
constexpr std::uint32_t kClosed = 5;
constexpr std::uint32_t kSize = 6;
constexpr std::uint32_t kRefused = 7;
constexpr std::uint32_t kCompression = 9;
constexpr std::uint32_t kCalm = 11;

}  // namespace

TEST_CASE("A session begins with settings and a larger window") {
  Peer peer;
  const auto frames = peer.frames();
  REQUIRE(frames.size() == 2);
  CHECK(frames[0].type == h2::kSettings);
  CHECK(frames[1].type == h2::kWindowUpdate);
  CHECK(frames[1].read(0) == 1024 * 1024 - 65535);
}

TEST_CASE("A request comes in whatever pieces, and its answer goes out as a head and DATA") {
  const std::string bytes = h2::greeting() + h2::headers(1, h2::get("/photo.jpg?a=b"));
  for (std::size_t piece : {std::size_t{1}, std::size_t{7}, bytes.size()}) {
    Peer peer;
    for (std::size_t at = 0; at < bytes.size(); at += piece)
      peer.give(std::string_view(bytes).substr(at, piece));
    REQUIRE(peer.at(1).asked);
    CHECK(peer.at(1).input_ended);
    CHECK(peer.at(1).head.path == "/photo.jpg");
    peer.drain();
    peer.answer(1, "bytes");
    const auto frames = peer.frames();
    REQUIRE(frames.size() == 2);
    h2::Decoder decoder;
    CHECK(decoder.decode(frames[0].payload) == h2::Fields{{":status", "200"}, {"server", "test"}});
    CHECK(frames[1].payload == "bytes");
    CHECK(frames[1].ends());
    CHECK(peer.at(1).answered);
    CHECK(peer.closed.at(1) == H2Error::no_error);
  }
}

TEST_CASE("An answer without a body ends with its head") {
  Greeted peer;
  peer.give(h2::headers(1, h2::request("HEAD", "/")));
  peer.answer(1, "");
  const auto frames = peer.frames();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].ends());
}

TEST_CASE("A body is given on as it comes, and the window opens by what is consumed") {
  Greeted peer({.stream_window = 65535, .connection_window = 65535});
  peer.give(h2::headers(1, h2::request("POST", "/"), h2::kHeadEnd));
  const std::string piece(16384, 'x');
  for (int i = 0; i < 3; ++i) peer.give(h2::data(1, piece));
  CHECK(peer.at(1).body.size() == 3 * 16384);
  CHECK(peer.frames().empty());  // nobody has consumed anything
  peer.session.consume(peer.at(1), 3 * 16384);
  const auto frames = peer.frames();
  REQUIRE(frames.size() == 2);
  for (const h2::Frame& frame : frames) {
    CHECK(frame.type == h2::kWindowUpdate);
    CHECK(frame.read(0) == 3 * 16384);
  }
  peer.give(h2::data(1, "end", h2::kEnd));
  CHECK(peer.at(1).ended);
  CHECK(peer.at(1).input_ended);
}

TEST_CASE("A client that sends past a window loses the stream, or the connection") {
  const auto flood = [](Peer& peer, int pieces) {
    peer.give(h2::headers(1, h2::request("POST", "/"), h2::kHeadEnd));
    for (int i = 0; i < pieces; ++i) peer.give(h2::data(1, std::string(16384, 'x')));
  };
  Greeted stream({.stream_window = 65535, .connection_window = 1024 * 1024});
  flood(stream, 10);
  CHECK(stream.reset_of(1) == kFlow);
  CHECK(stream.at(1).body.size() <= 65535 + 16384);
  Greeted connection({.stream_window = 1024 * 1024, .connection_window = 65535});
  flood(connection, 5);
  CHECK(connection.goaway() == kFlow);
  CHECK(connection.session.failure() == "h2_flow_control");
  CHECK(connection.session.finished());
}

TEST_CASE("An answer keeps to the client's window and goes on when it opens") {
  Peer peer;
  peer.give(std::string(h2::kPreface) + h2::settings({{4, 10}}) + h2::headers(1, h2::get("/")));
  peer.drain();
  peer.answer(1, "0123456789abcde");
  auto data = peer.frames_of(h2::kData, 1);
  REQUIRE(data.size() == 1);
  CHECK(data[0].payload == "0123456789");
  CHECK_FALSE(peer.session.has_stream_window(peer.at(1)));
  CHECK(peer.session.has_connection_window());
  peer.give(h2::window_update(1, 100));
  data = peer.frames_of(h2::kData, 1);
  REQUIRE(data.size() == 1);
  CHECK(data[0].payload == "abcde");
  CHECK(data[0].ends());
}

TEST_CASE("Only about as much is drained as was asked for, and the rest later") {
  Greeted peer;
  peer.give(h2::headers(1, h2::get("/")));
  peer.answer(1, std::string(60'000, 'x'));
  std::size_t body = 0;
  for (int rounds = 0; !peer.at(1).answered; ++rounds) {
    REQUIRE(rounds < 10);
    const std::string bytes = peer.drain(20'000);
    CHECK(bytes.size() < 40'000);
    body += bytes.size();
  }
  CHECK(body > 60'000);
  CHECK(body < 60'200);
}

TEST_CASE("A body that is made as it goes is taken when it is there") {
  Greeted peer;
  peer.give(h2::headers(1, h2::get("/")));
  peer.session.respond(peer.at(1), 200, {}, false);
  CHECK(peer.frames().size() == 1);
  CHECK_FALSE(peer.session.wants_write());
  peer.at(1).out.push(Slice::copy("one"));
  peer.session.resume(peer.at(1));
  CHECK(peer.frames_of(h2::kData, 1).at(0).payload == "one");
  CHECK(peer.at(1).taken == 3);
  peer.at(1).out_ended = true;
  peer.session.resume(peer.at(1));
  CHECK(peer.frames_of(h2::kData, 1).at(0).ends());
}

TEST_CASE("More urgent answers go first, and incremental ones share") {
  Greeted peer;
  peer.give(h2::headers(1, h2::get("/later", {{"priority", "u=5"}})) +
            h2::headers(3, h2::get("/first", {{"priority", "u=1"}})) +
            h2::headers(5, h2::get("/a", {{"priority", "u=3, i"}})) +
            h2::headers(7, h2::get("/b", {{"priority", "u=3, i"}})));
  for (const int stream : {1, 3, 5, 7}) peer.answer(stream, std::string(10'000, 'x'));
  peer.give(h2::window_update(0, 1'000'000));
  std::string order;
  for (const h2::Frame& frame : peer.frames()) {
    if (frame.type == h2::kData) order += std::to_string(frame.stream);
  }
  CHECK(order == "3571");

  Greeted other;
  other.give(h2::headers(1, h2::get("/a")) + h2::headers(3, h2::get("/b")));
  other.give(h2::frame(h2::kPriorityUpdate, 0, 0, h2::number(3, 4) + "u=0"));
  other.answer(1, "late");
  other.answer(3, "soon");
  order.clear();
  for (const h2::Frame& frame : other.frames()) {
    if (frame.type == h2::kData) order += std::to_string(frame.stream);
  }
  CHECK(order == "31");
}

TEST_CASE("A malformed request is reset and nobody hears of it") {
  const std::vector<h2::Fields> malformed = {
      h2::get("/", {{"Upper", "x"}}),
      h2::get("/", {{"a:b", "x"}}),
      h2::get("/", {{"a", " x"}}),
      h2::get("/", {{"a", "x "}}),
      h2::get("/", {{"a", "x\ry"}}),
      h2::get("/", {{"a", "x\ny"}}),
      h2::get("/", {{"a", std::string("x\0y", 3)}}),
      h2::get("/", {{"connection", "close"}}),
      h2::get("/", {{"keep-alive", "1"}}),
      h2::get("/", {{"proxy-connection", "close"}}),
      h2::get("/", {{"transfer-encoding", "chunked"}}),
      h2::get("/", {{"upgrade", "websocket"}}),
      h2::get("/", {{"te", "gzip"}}),
      h2::get("/", {{":late", "x"}}),
      h2::get("/", {{":path", "/twice"}}),
      h2::get("/", {{"x", "y"}, {":authority", "behind"}}),
      h2::get("/", {{":unknown", "x"}}),
      h2::get("/", {{"host", "other.local"}}),
      h2::get(""),
      h2::get("/a b"),
      h2::get("no-slash"),
      h2::request("G ET", "/"),
      h2::request("", "/"),
      {{":method", "GET"}, {":authority", "a"}, {":path", "/"}},
      {{":scheme", "http"}, {":authority", "a"}, {":path", "/"}},
      {{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}},
      {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}},
  };
  for (const h2::Fields& fields : malformed) {
    Greeted peer;
    peer.give(h2::headers(1, fields));
    INFO(fields.back().first << ": " << fields.back().second);
    CHECK_FALSE(peer.at(1).asked);
    CHECK(peer.reset_of(1) == kProtocol);
    CHECK(peer.closed.at(1) == H2Error::protocol_error);
    CHECK(peer.session.failure().empty());
    peer.give(h2::headers(3, h2::get("/")));
    CHECK(peer.at(3).asked);
  }
}

TEST_CASE("A length that the DATA does not keep is an error of the stream") {
  const auto post = [](const char* length) { return h2::request("POST", "/", {{"content-length", length}}); };
  for (const std::string& body :
       {h2::data(1, "123456", h2::kEnd), h2::data(1, "1234", h2::kEnd), h2::data(1, "123456"),
        h2::data(1, "1234") + h2::headers(1, {{"trailer", "x"}})}) {
    Greeted peer;
    peer.give(h2::headers(1, post("5"), h2::kHeadEnd) + body);
    CHECK(peer.reset_of(1) == kProtocol);
    CHECK_FALSE(peer.at(1).ended);
  }
  Greeted peer;
  peer.give(h2::headers(1, post("5")));
  CHECK(peer.reset_of(1) == kProtocol);
  CHECK_FALSE(peer.at(1).asked);
}

TEST_CASE("Trailers end the body; pseudo-fields, too many of them or no end are errors of the stream") {
  const std::string post = h2::headers(1, h2::request("POST", "/"), h2::kHeadEnd) + h2::data(1, "x");
  Greeted peer;
  peer.give(post + h2::headers(1, {{"checksum", "1"}}));
  CHECK(peer.at(1).ended);
  CHECK(peer.at(1).head.fields.find("checksum") == nullptr);
  Greeted pseudo;
  pseudo.give(post + h2::headers(1, {{":path", "/"}}));
  CHECK(pseudo.reset_of(1) == kProtocol);
  Greeted endless;
  endless.give(post + h2::headers(1, {{"checksum", "1"}}, h2::kHeadEnd));
  CHECK(endless.reset_of(1) == kProtocol);
  Greeted many;
  many.give(post + h2::headers(1, h2::Fields(33, {"a", "b"})));
  CHECK(many.reset_of(1));
  CHECK_FALSE(many.at(1).ended);
}

TEST_CASE("Errors of the connection are told with their code, and nothing more is taken in") {
  struct Case {
    std::string bytes;
    std::uint32_t error;
  };
  const std::string open = h2::headers(1, h2::request("POST", "/"), h2::kHeadEnd);
  const std::string closed = h2::headers(1, h2::get("/"));
  const std::vector<Case> cases = {
      {h2::data(0, "x"), kProtocol},
      {h2::frame(h2::kHeaders, 5, 0, h2::block(h2::get("/"))), kProtocol},
      {h2::data(1, "x"), kProtocol},
      {h2::headers(2, h2::get("/")), kProtocol},
      {h2::frame(h2::kPush, 4, 1, h2::number(2, 4)), kProtocol},
      {h2::frame(h2::kContinuation, 4, 1, ""), kProtocol},
      {h2::frame(h2::kPing, 0, 0, "short"), kSize},
      {h2::frame(h2::kPing, 0, 1, "12345678"), kProtocol},
      {h2::frame(h2::kSettings, 0, 1, ""), kProtocol},
      {h2::frame(h2::kSettings, 0, 0, "odd"), kSize},
      {h2::frame(h2::kSettings, h2::kAck, 0, h2::number(0, 6)), kSize},
      {h2::settings({{2, 2}}), kProtocol},
      {h2::settings({{4, 0x80000000}}), kFlow},
      {h2::settings({{5, 100}}), kProtocol},
      {h2::window_update(0, 0), kProtocol},
      {h2::window_update(0, 0x7FFFFFFF), kFlow},
      {h2::frame(h2::kWindowUpdate, 0, 0, "abc"), kSize},
      {open + h2::frame(h2::kReset, 0, 1, "abc"), kSize},
      {h2::reset(0, 8), kProtocol},
      {h2::frame(h2::kPriority, 0, 0, h2::number(0, 5)), kProtocol},
      {h2::frame(h2::kGoaway, 0, 1, h2::number(0, 8)), kProtocol},
      {open + h2::frame(h2::kData, 0, 1, std::string(16385, 'x')), kSize},
      {open + h2::frame(h2::kData, h2::kPadded, 1, "\x05x"), kProtocol},
      {h2::frame(h2::kHeaders, 5, 1, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), kCompression},
      {h2::frame(h2::kHeaders, 5, 1, "\x80"), kCompression},
      {h2::headers(1, h2::get("/"), h2::kEnd) + h2::headers(3, h2::get("/")), kProtocol},
      {h2::headers(1, h2::get("/"), h2::kEnd) + h2::frame(0xFA, 0, 0, "x"), kProtocol},
      {closed + h2::data(1, "x"), kClosed},
      {closed + h2::headers(1, h2::get("/")), kClosed},
      {h2::headers(5, h2::get("/")) + h2::headers(3, h2::get("/")), kProtocol},
  };
  for (const Case& c : cases) {
    Greeted peer;
    peer.give(c.bytes);
    INFO("case " << (&c - cases.data()));
    CHECK(peer.goaway() == c.error);
    CHECK_FALSE(peer.session.failure().empty());
    CHECK(peer.session.finished());
    const std::size_t before = peer.streams.size();
    peer.give(h2::headers(7, h2::get("/")));
    CHECK(peer.streams.size() == before);
  }
}

TEST_CASE("What does not begin with the preface gets no further") {
  Peer peer;
  peer.give("GET / HTTP/1.1\r\nHost: test.local\r\n\r\n");
  CHECK_FALSE(peer.session.failure().empty());
  Peer without_settings;
  without_settings.give(std::string(h2::kPreface) + h2::headers(1, h2::get("/")));
  CHECK(without_settings.goaway() == kProtocol);
}

TEST_CASE("Unknown frames, settings and errors are ignored") {
  Greeted peer;
  peer.give(h2::frame(0xFA, 0xFF, 1, "anything") + h2::settings({{0x99, 1}}));
  peer.give(h2::headers(1, h2::get("/")));
  REQUIRE(peer.streams.contains(1));
  CHECK(peer.at(1).asked);
  peer.give(h2::headers(3, h2::get("/")) + h2::reset(3, 0xFE));
  CHECK(peer.closed.contains(3));
  peer.give(h2::frame(h2::kGoaway, 0, 0, h2::number(0, 4) + h2::number(0xFE, 4)));
  peer.answer(1, "still");
  CHECK(peer.frames_of(h2::kData, 1).size() == 1);
  CHECK(peer.session.failure().empty());
  CHECK(peer.session.finished());
}

TEST_CASE("More streams than agreed are refused, and what was on its way for them is no error") {
  Greeted peer({.streams = 2});
  Peer early({.streams = 2});
  early.give(h2::greeting());  // our SETTINGS are not acknowledged yet
  std::string bytes;
  for (std::uint32_t stream : {1u, 3u, 5u})
    bytes += h2::headers(stream, h2::request("POST", "/"), h2::kHeadEnd);
  early.give(bytes + h2::data(5, "late", h2::kEnd));
  CHECK(early.reset_of(5) == kRefused);
  CHECK(early.session.failure().empty());
  CHECK_FALSE(early.streams.contains(5));
  peer.give(bytes);
  CHECK(peer.goaway() == kProtocol);
}

TEST_CASE("Floods end the connection with a word for the log") {
  Greeted resets;
  for (std::uint32_t i = 0; i <= H2FrameGuard::kResets; ++i) {
    resets.give(h2::headers(1 + 2 * i, h2::get("/")) + h2::reset(1 + 2 * i, 8));
  }
  CHECK(resets.session.failure() == "h2_resets");
  CHECK(resets.goaway() == kCalm);

  Greeted provoked;
  for (std::uint32_t i = 0; i <= H2FrameGuard::kResets; ++i) {
    provoked.give(h2::headers(1 + 2 * i, h2::get("/", {{"connection", "close"}})));
    provoked.drain();
  }
  CHECK(provoked.session.failure() == "h2_resets");

  Greeted unread;  // a client that pings and reads nothing
  for (int i = 0; i < 200; ++i) unread.give(h2::frame(h2::kPing, 0, 0, "12345678"));
  CHECK(unread.session.failure() == "h2_flood");
  CHECK(unread.goaway() == kCalm);

  Greeted pieces;
  pieces.give(h2::headers(1, h2::get("/"), h2::kEnd));
  for (int i = 0; i < 20; ++i) pieces.give(h2::frame(h2::kContinuation, 0, 1, h2::block({{"a", "b"}})));
  CHECK(pieces.session.failure() == "h2_flood");
}

TEST_CASE("A header block that unpacks to a hundred times its size is refused, not kept") {
  Greeted peer;
  // One long value into the table, then references to it.
  std::string block = h2::block(h2::get("/"));
  block += '\x40' + h2::hpack_text("bomb") + h2::hpack_text(std::string(3000, 'x'));
  block += std::string(12'000, '\xBE');
  peer.give(h2::frame(h2::kHeaders, 5, 1, block));
  REQUIRE(peer.at(1).asked);
  CHECK(peer.at(1).refusal == Refusal::header_too_large);
  CHECK(status_for(peer.at(1).refusal) == 431);
  CHECK(peer.at(1).head.fields.size() < 20);
}

TEST_CASE("A shutdown is announced first, and takes what was on its way") {
  Greeted peer;
  peer.session.announce_shutdown();
  auto frames = peer.frames();
  REQUIRE(frames.size() == 2);
  const auto notice = frames[0].type == h2::kGoaway ? frames[0] : frames[1];
  const auto ping = frames[0].type == h2::kPing ? frames[0] : frames[1];
  CHECK(notice.read(0) == 0x7FFFFFFF);
  CHECK(notice.error() == 0);
  CHECK_FALSE(peer.session.finished());
  peer.give(h2::headers(1, h2::get("/")));
  CHECK(peer.at(1).asked);
  peer.give(h2::frame(h2::kPing, h2::kAck, 0, ping.payload));
  frames = peer.frames();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].type == h2::kGoaway);
  CHECK(frames[0].read(0) == 1);
  peer.give(h2::headers(3, h2::get("/")));
  CHECK_FALSE(peer.streams.contains(3));
  CHECK_FALSE(peer.session.finished());
  peer.answer(1, "last");
  peer.drain();
  CHECK(peer.session.finished());
  CHECK(peer.session.failure().empty());
}

TEST_CASE("An abandoned stream is not touched any more") {
  Greeted peer;
  peer.give(h2::headers(1, h2::get("/")));
  peer.answer(1, std::string(60'000, 'x'));
  peer.drain(10'000);
  peer.session.abandon(peer.at(1));
  peer.streams.clear();
  peer.drain();
  CHECK(peer.closed.empty());
}
