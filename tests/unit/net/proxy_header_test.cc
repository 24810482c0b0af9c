#include "net/proxy_header.h"

#include <catch2/catch.hpp>

#include <array>
#include <string>

#include "base/crc32c.h"
#include "loop.h"

using namespace vignette;
using namespace vignette::net;
using namespace vignette::net::test;
using namespace std::string_literals;

namespace {

using State = ProxyParsed::State;

const std::string kMagic = "\r\n\r\n\0\r\nQUIT\n"s;

std::string sized(std::size_t number) {
  return {static_cast<char>(number >> 8), static_cast<char>(number & 0xff)};
}
std::string second(char command, char family, const std::string& rest) {
  return kMagic + command + family + sized(rest.size()) + rest;
}
std::string tlv(char type, const std::string& value) { return type + sized(value.size()) + value; }

const std::string kFour = "\x0a\x01\x02\x03\xc0\xa8\x00\x01\xdc\x04\x01\xbb"s;
const std::string kSix = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x07" + std::string(15, '\0') +
                         "\x01" + "\x13\x88" + "\x00\x50"s;

// With the checksum in its TLV, added to `size` when that is wrong on purpose.
std::string with_checksum(std::string tail, std::uint32_t error = 0) {
  std::string whole = second(0x21, 0x11, kFour + tlv(0x03, std::string(4, '\0')) + tail);
  const std::uint32_t sum = crc32c(whole) ^ error;
  for (std::size_t i = 0; i < 4; ++i) whole[16 + 12 + 3 + i] = static_cast<char>(sum >> (24 - 8 * i));
  return whole;
}

ProxyParsed parse(const std::string& text, ProxyHeader& header) { return parse_proxy_header(text, header); }

std::string verdict(const std::string& text) {
  ProxyHeader header;
  const ProxyParsed parsed = parse(text, header);
  if (parsed.state == State::need_more) return "more";
  if (parsed.state == State::refused) return std::string(to_string(parsed.fault));
  if (!header.is_relayed()) return "own " + std::to_string(parsed.consumed);
  return header.client.to_string() + " " + header.local.to_string() + " " + std::to_string(parsed.consumed);
}

}  // namespace

TEST_CASE("A line of version 1 tells both ends, and how long it is") {
  CHECK(verdict("PROXY TCP4 10.1.2.3 192.168.0.1 56324 443\r\nGET") == "10.1.2.3:56324 192.168.0.1:443 43");
  CHECK(verdict("PROXY TCP6 2001:db8::7 ::1 5000 80\r\n") == "[2001:db8::7]:5000 [::1]:80 36");
  CHECK(verdict("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n") == "0.0.0.0:0 255.255.255.255:65535 44");
  CHECK(verdict("PROXY UNKNOWN\r\n\r\n") == "own 15");
  CHECK(verdict("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n") == "own 35");
  // The longest there is.
  const std::string longest = "PROXY UNKNOWN " + std::string(91, 'x') + "\r\n";
  CHECK(longest.size() == kProxyLineBytes);
  CHECK(verdict(longest) == "own 107");
}

TEST_CASE("Version 1 is read strictly") {
  for (const char* line : {
           "PROXY TCP4 10.1.2.3 192.168.0.1 56324\r\n",
           "PROXY TCP4 10.1.2.3 192.168.0.1 56324 443 1\r\n",
           "PROXY TCP4  10.1.2.3 192.168.0.1 56324 443\r\n",
           "PROXY TCP4 10.1.2.3 192.168.0.1 56324 443 \r\n",
           "PROXY  TCP4 10.1.2.3 192.168.0.1 56324 443\r\n",
           "PROXY TCP4\t10.1.2.3 192.168.0.1 56324 443\r\n",
           "PROXY TCP4 10.1.2.3 192.168.0.1 056324 443\r\n",
           "PROXY TCP4 10.1.2.3 192.168.0.1 65536 443\r\n",
           "PROXY TCP4 10.1.2.3 192.168.0.1 -1 443\r\n",
           "PROXY TCP4 10.1.2.3 192.168.0.1 +1 443\r\n",
           "PROXY TCP4 10.1.2.3 192.168.0.1 0x1 443\r\n",
           "PROXY TCP4 10.1.2.3 192.168.0.1  443\r\n",
           "PROXY TCP4 10.01.2.3 192.168.0.1 56324 443\r\n",
           "PROXY TCP4 10.1.2 192.168.0.1 56324 443\r\n",
           "PROXY TCP4 10.1.2.256 192.168.0.1 56324 443\r\n",
           "PROXY TCP4 ::1 ::1 56324 443\r\n",
           "PROXY TCP6 10.1.2.3 192.168.0.1 56324 443\r\n",
           "PROXY TCP6 [::1] ::1 56324 443\r\n",
           "PROXY TCP6 fe80::1%lo ::1 56324 443\r\n",
           "PROXY tcp4 10.1.2.3 192.168.0.1 56324 443\r\n",
           "PROXY UDP4 10.1.2.3 192.168.0.1 56324 443\r\n",
           "PROXY UNKNOWNX\r\n",
           "PROXY UNKNOWN a\tb\r\n",
           "PROXY \r\n",
           "PROXY TCP4 10.1.2.3 192.168.0.1 56324 443\n",
           "PROXY TCP4 10.1.2.3 192.168.0.1 56324 443\rX",
           "PROXY UNKNOWN\r\rn",
       }) {
    INFO(line);
    CHECK(verdict(line) == "proxy_malformed");
  }
  CHECK(verdict("PROXY TCP4 10.1.2.3 192.168.0.1 5 443\0\r\n"s) == "proxy_malformed");
}

TEST_CASE("What begins no header is refused at its first wrong byte") {
  for (const char* start :
       {"G", "GET / HTTP/1.1\r\n", "PROXYX", "PROXY\r", "proxy ", "\x16\x03\x01", "\r\n\r\nG", " "}) {
    INFO(start);
    CHECK(verdict(start) == "proxy_missing");
  }
  CHECK(verdict("\r\n\r\n\0\r\nQUIT\r"s) == "proxy_missing");
}

TEST_CASE("A header of version 2 tells both ends, whatever follows them") {
  CHECK(verdict(second(0x21, 0x11, kFour) + "GET") == "10.1.2.3:56324 192.168.0.1:443 28");
  CHECK(verdict(second(0x21, 0x21, kSix)) == "[2001:db8::7]:5000 [::1]:80 52");
  const std::string extra = tlv(0x01, "h2") + tlv(0x04, std::string(100, '\0')) + tlv(0x30, "");
  CHECK(verdict(second(0x21, 0x11, kFour + extra)) == "10.1.2.3:56324 192.168.0.1:443 139");
  CHECK(verdict(with_checksum(extra)) == "10.1.2.3:56324 192.168.0.1:443 146");
}

TEST_CASE("LOCAL, UNSPEC and unix clients leave the connection its own ends") {
  CHECK(verdict(second(0x20, 0x00, "")) == "own 16");
  CHECK(verdict(second(0x20, 0x11, kFour)) == "own 28");
  CHECK(verdict(second(0x20, 0x7f, "anything")) == "own 24");
  CHECK(verdict(second(0x21, 0x00, "anything")) == "own 24");
  CHECK(verdict(second(0x21, 0x31, std::string(216, 'p'))) == "own 232");
}

TEST_CASE("Version 2 is read strictly") {
  CHECK(verdict(second(0x11, 0x11, kFour)) == "proxy_unsupported");  // the version
  CHECK(verdict(second(0x22, 0x11, kFour)) == "proxy_unsupported");  // the command
  CHECK(verdict(second(0x21, 0x12, kFour)) == "proxy_unsupported");  // datagrams
  CHECK(verdict(second(0x21, 0x10, kFour)) == "proxy_unsupported");
  CHECK(verdict(second(0x21, 0x41, kFour)) == "proxy_unsupported");
  CHECK(verdict(second(0x21, 0x11, kFour.substr(1))) == "proxy_malformed");
  CHECK(verdict(second(0x21, 0x21, kFour)) == "proxy_malformed");
  CHECK(verdict(second(0x21, 0x31, std::string(215, 'p'))) == "proxy_malformed");
  CHECK(verdict(second(0x21, 0x11, kFour + "\x01")) == "proxy_malformed");
  CHECK(verdict(second(0x21, 0x11, kFour + "\x01\x00\x05tiny"s)) == "proxy_malformed");
  CHECK(verdict(second(0x21, 0x11, kFour + tlv(0x03, "abc"))) == "proxy_malformed");
  CHECK(verdict(with_checksum("", 1)) == "proxy_malformed");
}

TEST_CASE("A header is at most so long") {
  const std::string room(kProxyHeaderBytes - 16 - 12 - 3, 'v');
  CHECK(verdict(second(0x21, 0x11, kFour + tlv(0x30, room))).ends_with(" 4096"));
  CHECK(verdict(second(0x21, 0x11, kFour + tlv(0x30, room + "v")).substr(0, 16)) == "proxy_too_long");
  CHECK(verdict("PROXY UNKNOWN " + std::string(92, 'x')) == "more");
  CHECK(verdict("PROXY UNKNOWN " + std::string(93, 'x')) == "proxy_too_long");
  CHECK(verdict("PROXY UNKNOWN " + std::string(92, 'x') + "\r") == "proxy_too_long");
}

TEST_CASE("Every part of a header that is not all of it asks for more") {
  for (const std::string& whole :
       {"PROXY TCP4 10.1.2.3 192.168.0.1 56324 443\r\n"s, "PROXY UNKNOWN\r\n"s, second(0x21, 0x21, kSix),
        second(0x20, 0, ""), with_checksum(tlv(1, "h2"))}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      INFO(whole << " up to " << size);
      CHECK(verdict(whole.substr(0, size)) == "more");
    }
  }
}

TEST_CASE("What is written is read back") {
  const auto end = [](const char* text) { return *Address::parse(text); };
  const std::array<ProxyHeader, 4> headers{
      ProxyHeader{end("10.1.2.3:56324"), end("192.168.0.1:443")},
      ProxyHeader{end("[2001:db8::7]:5000"), end("[::1]:80")},
      ProxyHeader{end("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
                  end("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:65535")},
      ProxyHeader{end("10.1.2.3:56324"), end("[::1]:80")}};
  for (const ProxyHeader& header : headers) {
    for (ProxyVersion version : {ProxyVersion::v1, ProxyVersion::v2}) {
      std::array<char, kProxyLineBytes> bytes;
      const std::size_t size = write_proxy_header(version, header, bytes);
      CHECK(verdict({bytes.data(), size}) ==
            header.client.to_string() + " " + header.local.to_string() + " " + std::to_string(size));
    }
  }
  std::array<char, kProxyLineBytes> bytes;
  CHECK(std::string(bytes.data(), write_proxy_header(ProxyVersion::v1, {}, bytes)) == "PROXY UNKNOWN\r\n");
  CHECK(verdict({bytes.data(), write_proxy_header(ProxyVersion::v2, {}, bytes)}) == "own 16");
}

namespace {

struct HeaderScene {
  std::string sent;
  bool one_by_one = false;
  bool ends = false;
  std::string seen = {};   // of the header
  std::string after = {};  // what the stream had behind it
};

Task<void> send_header(Stream stream, HeaderScene& scene) {
  const std::size_t step = scene.one_by_one ? 1 : scene.sent.size();
  for (std::size_t at = 0; at < scene.sent.size(); at += step) {
    iovec part{scene.sent.data() + at, step};
    auto sent = co_await stream.write({&part, 1}, kNoDeadline);
    if (!sent) co_return;
    auto turn = co_await yield();
    if (!turn) co_return;
  }
  if (scene.ends) co_return;
  char byte;
  auto until_closed = co_await stream.read({&byte, 1}, kNoDeadline);
  static_cast<void>(until_closed);
}

Task<void> receive_header(Stream stream, HeaderScene& scene, Duration within) {
  Worker& worker = co_await this_worker();
  auto header = co_await read_proxy_header(stream, worker.now() + within);
  if (!header) {
    scene.seen = std::string(to_string(header.error().code)) + " " + header.error().where;
    co_return;
  }
  scene.seen = header->is_relayed() ? header->client.to_string() : "own";
  std::array<char, 64> bytes;
  while (scene.after.size() < 3) {
    auto got = co_await stream.read(bytes, soon(worker));
    if (!got || *got == 0) co_return;
    scene.after.append(bytes.data(), *got);
  }
}

void run(HeaderScene& scene, Duration within = 10s) {
  Worker worker;
  auto [left, right] = stream_pair(worker);
  worker.spawn(send_header, std::move(left), std::ref(scene));
  worker.spawn(receive_header, std::move(right), std::ref(scene), within);
  REQUIRE(run_to_end(worker));
}

}  // namespace

TEST_CASE("A header is taken off a stream, and not a byte more") {
  for (const bool one_by_one : {false, true}) {
    HeaderScene first{.sent = "PROXY TCP4 10.1.2.3 192.168.0.1 56324 443\r\nTLS", .one_by_one = one_by_one};
    run(first);
    CHECK(first.seen == "10.1.2.3:56324");
    CHECK(first.after == "TLS");
    HeaderScene other{.sent = with_checksum(tlv(1, "h2")) + "TLS", .one_by_one = one_by_one};
    run(other);
    CHECK(other.seen == "10.1.2.3:56324");
    CHECK(other.after == "TLS");
  }
}

TEST_CASE("A stream without a header, with half of one or with none in time says so") {
  HeaderScene none{.sent = "GET / HTTP/1.1\r\n"};
  run(none);
  CHECK(none.seen == "malformed proxy_missing");
  HeaderScene half{.sent = "PROXY TCP4 10.1", .one_by_one = true, .ends = true};
  run(half);
  CHECK(half.seen == "closed PROXY header");
  HeaderScene silent{.sent = "", .ends = true};
  run(silent);
  CHECK(silent.seen == "closed PROXY header");
  HeaderScene late{.sent = "PROXY TCP4 10.1"};
  run(late, 30ms);
  CHECK(late.seen.starts_with("timeout "));
}
