// A PROXY header: refused as soon as it can be, the same in pieces as whole, and what is read can be written
// and read again.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "net/proxy_header.h"

using namespace vignette::net;

namespace {

using State = ProxyParsed::State;

void check_round_trip(const ProxyHeader& header) {
  for (const ProxyVersion version : {ProxyVersion::v1, ProxyVersion::v2}) {
    std::array<char, kProxyLineBytes> bytes;
    const std::size_t size = write_proxy_header(version, header, bytes);
    ProxyHeader again;
    const ProxyParsed parsed = parse_proxy_header({bytes.data(), size}, again);
    VCHECK(parsed.state == State::done && parsed.consumed == size);
    VCHECK(again.client == header.client && again.local == header.local);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  ProxyHeader header;
  const ProxyParsed whole = parse_proxy_header(text, header);
  VCHECK(whole.consumed <= size && whole.consumed <= kProxyHeaderBytes);
  VCHECK(size < kProxyHeaderBytes || whole.state != State::need_more);
  VCHECK((whole.state == State::refused) == (whole.fault != ProxyFault::none));
  // A verdict holds however much more comes, and before it there was none.
  State last = State::need_more;
  for (std::size_t piece = 0; piece <= size && piece <= kProxyHeaderBytes; ++piece) {
    ProxyHeader part;
    const ProxyParsed parsed = parse_proxy_header(text.substr(0, piece), part);
    if (last != State::need_more) VCHECK(parsed.state == last);
    if (parsed.state == State::done) {
      VCHECK(whole.state == State::done && parsed.consumed == whole.consumed && piece >= whole.consumed);
      VCHECK(part.client == header.client && part.local == header.local);
    }
    last = parsed.state;
  }
  VCHECK(last == whole.state);
  if (whole.state == State::done) check_round_trip(header);
  return 0;
}
