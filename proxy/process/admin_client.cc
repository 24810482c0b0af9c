#include "proxy/process/admin_client.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "net/address.h"

namespace vignette::proxy {
namespace {

constexpr std::size_t kMaxAnswer = 64 << 20;

std::unexpected<std::string> trouble(const std::string& address, std::string_view what) {
  return std::unexpected(fmt::format("admin {}: {} ({})", address, what, std::strerror(errno)));
}

std::string read_number(const nlohmann::json& object, const char* name) {
  auto found = object.find(name);
  return found == object.end() || found->is_null() ? "?" : found->dump();
}

// What came back into memory at the start; "" where nothing could.
std::string restore_line(const nlohmann::json& warm) {
  const auto restore = warm.value("restore", nlohmann::json::object());
  if (restore.empty()) return {};
  return fmt::format("memory after the start: {} of {} hot objects read from disk, {} bytes ({})\n",
                     read_number(restore, "objects"), read_number(restore, "listed"),
                     read_number(restore, "bytes"), restore.value("phase", "?"));
}

// Throws the library's exceptions where a value is not of the type it should be.
std::string summarize(const nlohmann::json& status) {
  std::string out =
      fmt::format("vignette {}, pid {}, up {} s, {} workers{}\n", status.value("version", "?"),
                  read_number(status, "pid"), read_number(status, "uptime_seconds"),
                  read_number(status, "workers"), status.value("draining", false) ? ", draining" : "");
  out += fmt::format("configuration {} (generation {})\n", status.value("configuration", "?"),
                     read_number(status, "generation"));
  for (const auto& listener : status.value("listeners", nlohmann::json::array())) {
    out += fmt::format("  {} {}\n", listener.value("kind", "?"), listener.value("address", "?"));
  }
  auto connections = status.value("connections", nlohmann::json::object());
  out += fmt::format("connections: {} open, {} accepted\n", read_number(connections, "open"),
                     read_number(connections, "accepted"));
  out += "requests:";
  const auto requests = status.value("requests", nlohmann::json::object());
  for (const auto& [outcome, count] : requests.items()) {
    out += fmt::format(" {} {}", outcome, count.dump());
  }
  auto cache = status.value("cache", nlohmann::json::object());
  out += fmt::format("\ncache: {} objects, {} of {} bytes, {} fills open\n", read_number(cache, "objects"),
                     read_number(cache, "used_bytes"), read_number(cache, "budget_bytes"),
                     read_number(cache, "open_fills"));
  if (!status.value("purges", nlohmann::json::object()).value("durable", true)) {
    out += "purges: NOT DURABLE: the journal cannot be written, and a restart would forget some\n";
  }
  for (const auto& disk : status.value("disks", nlohmann::json::array())) {
    out += fmt::format("disk {} {}: {} objects, {} of {} bytes written to, {} waiting\n",
                       disk.value("path", "?"), disk.value("state", "?"), read_number(disk, "objects"),
                       read_number(disk, "used_bytes"), read_number(disk, "bytes"),
                       read_number(disk, "queued_objects"));
  }
  out += restore_line(status.value("warm", nlohmann::json::object()));
  for (const auto& origin : status.value("origins", nlohmann::json::array())) {
    out += fmt::format("origin {}\n", origin.value("name", "?"));
    for (const auto& server : origin.value("servers", nlohmann::json::array())) {
      out += fmt::format("  {} {}{}\n", server.value("address", "?"), server.value("state", "?"),
                         server.value("backup", false) ? " (backup)" : "");
    }
  }
  return out;
}

}  // namespace

namespace {

// What a refusal says about itself, else its status line.
std::string sentence_of(const std::string& answer) {
  const std::size_t body = answer.find("\r\n\r\n");
  const auto refusal =
      nlohmann::json::parse(body == std::string::npos ? "" : answer.substr(body + 4), nullptr, false);
  if (refusal.is_object() && refusal.contains("error") && refusal["error"].is_string()) {
    const std::string error = refusal["error"].get<std::string>();
    const auto detail = refusal.find("detail");
    return detail != refusal.end() && detail->is_string()
               ? fmt::format("{} ({})", error, detail->get<std::string>())
               : error;
  }
  return answer.substr(0, answer.find("\r\n"));
}

std::expected<std::string, std::string> ask(const std::string& address, const std::string& request,
                                            std::chrono::seconds patience) {
  const timeval timeout{.tv_sec = patience.count(), .tv_usec = 0};
  auto parsed = net::Address::parse(address);
  if (!parsed) return std::unexpected(fmt::format("admin {}: not an address", address));
  sockaddr_storage storage{};
  socklen_t size = parsed->to_sockaddr(storage);
  UniqueFd socket(::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&storage), size) != 0) {
    return trouble(address, "cannot connect; is the node running?");
  }
  if (::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return trouble(address, "cannot send");
  }
  std::string answer;
  char bytes[16384];
  for (;;) {
    ssize_t got = ::recv(socket.get(), bytes, sizeof bytes, 0);
    if (got < 0) return trouble(address, "no answer");
    if (got == 0) break;
    answer.append(bytes, static_cast<std::size_t>(got));
    if (answer.size() > kMaxAnswer)
      return std::unexpected(fmt::format("admin {}: the answer is too long", address));
  }
  std::size_t body = answer.find("\r\n\r\n");
  if (!answer.starts_with("HTTP/1.1 200 ") || body == std::string::npos) {
    return std::unexpected(fmt::format("admin {}: {}", address, sentence_of(answer)));
  }
  return answer.substr(body + 4);
}

}  // namespace

std::expected<std::string, std::string> admin_get(const std::string& address, std::string_view path,
                                                  std::chrono::seconds patience) {
  return ask(address, fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path),
             patience);
}

std::expected<std::string, std::string> admin_post(const std::string& address, std::string_view path,
                                                   std::string_view body, std::chrono::seconds patience) {
  return ask(address,
             fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                         "Content-Length: {}\r\nConnection: close\r\n\r\n{}",
                         path, body.size(), body),
             patience);
}

std::string purge_summary(const std::string& text) {
  const nlohmann::json receipt = nlohmann::json::parse(text, nullptr, false);
  if (!receipt.is_object()) return text;
  try {
    if (receipt.value("dry_run", false)) {
      return fmt::format("would purge {} objects in memory, {} bytes; {} on disk (counted {})\n",
                         read_number(receipt, "known_in_memory"),
                         read_number(receipt, "body_bytes_in_memory"), read_number(receipt, "known_on_disk"),
                         receipt.value("counted", ""));
    }
    std::string line = fmt::format("purge {} at {}, {}: {} objects in memory, {} on disk (counted {})\n",
                                   read_number(receipt, "id"), receipt.value("at", "?"),
                                   receipt.value("mode", "?"), read_number(receipt, "known_in_memory"),
                                   read_number(receipt, "known_on_disk"), receipt.value("counted", ""));
    if (const auto erased = receipt.find("erased"); erased != receipt.end()) {
      line += fmt::format("erased: {} copies on disk, {} bytes overwritten\n", read_number(*erased, "copies"),
                          read_number(*erased, "bytes"));
    }
    return line;
  } catch (const nlohmann::json::exception&) {
    return text;
  }
}

std::string status_summary(const std::string& text) {
  nlohmann::json status = nlohmann::json::parse(text, nullptr, false);
  if (!status.is_object()) return text;
  try {
    return summarize(status);
  } catch (const nlohmann::json::exception&) {
    return text;
  }
}

}  // namespace vignette::proxy
