// What scenes share: the configuration of a node in front of one origin, and a few origins everybody needs.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <thread>

#include "tests/support/raw_client.h"
#include "tests/support/scripted_origin.h"
#include "tests/support/test_node.h"

namespace vignette::test {

// One listener and one site whose every path goes to `origin`. `route` and `top` are further lines of the
// route and of the file.
inline std::string proxy_config(const ScriptedOrigin& origin, std::string_view route = "",
                                std::string_view top = "") {
  std::string text(top);
  text += "\n[[listener]]\naddress = \"127.0.0.1:0\"\n";
  text += "[origin.app]\nservers = [\"" + origin.address() + "\"]\n";
  text += "[[site]]\nhosts = [\"*\"]\n[[site.route]]\npath = \"/*\"\norigin = \"app\"\n";
  text.append(route).append("\n");
  return text;
}

// Waits until it is so; false: not within ten seconds.
template <class Condition>
bool becomes(Condition&& condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

// Answers every request with 200 and these field lines.
inline ScriptedOrigin::Script always(std::string lines, std::string body) {
  return [lines, body](const OriginCall& call, const ScriptedOrigin::Send& send) {
    std::string text = ScriptedOrigin::answer(200, lines, body);
    if (call.method == "HEAD") text.resize(text.size() - body.size());
    return send(text);
  };
}

// A node in front of a scripted origin.
struct Scene {
  explicit Scene(ScriptedOrigin::Script script, std::string_view route = "", std::string_view top = "",
                 const TestNode::Options& options = {})
      : origin(std::move(script)), node(proxy_config(origin, route, top), options) {}

  RawClient client() const { return RawClient(node.port()); }

  ScriptedOrigin origin;
  TestNode node;
};

// Bytes that tell their own place, so that a misplaced piece shows.
inline std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>('!' + (i * 31 + i / 251) % 90);
  return bytes;
}

// Readable bytes for messages.
inline std::string printable(std::string_view bytes) {
  std::string out;
  for (char c : bytes.substr(0, 160)) {
    if (c == '\r')
      out += "\\r";
    else if (c == '\n')
      out += "\\n";
    else if (c < 32 || c == 127)
      out += "\\x" + std::to_string(static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out;
}

}  // namespace vignette::test
