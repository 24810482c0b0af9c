#include "tests/support/scripted_origin.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <chrono>
#include <stdexcept>

#include "base/strings.h"

namespace vignette::test {

std::string OriginCall::field(std::string_view lower_name) const {
  std::size_t at = head.find("\r\n");
  while (at != std::string::npos && at + 2 < head.size()) {
    std::size_t end = head.find("\r\n", at + 2);
    Halves halves = split_once(std::string_view(head).substr(at + 2, end - at - 2), ':');
    if (iequals(halves.before, lower_name)) return std::string(trim(halves.after));
    at = end;
  }
  return "";
}

void Gate::open() {
  std::lock_guard lock(mutex_);
  open_ = true;
  changed_.notify_all();
}

void Gate::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::seconds(20), [this] { return open_; });
}

ScriptedOrigin::ScriptedOrigin(Script script, Read read)
    : script_(std::move(script)), read_(read), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener_.get(), 512) != 0 ||
      ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("ScriptedOrigin: cannot listen");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_loop(); });
}

ScriptedOrigin::~ScriptedOrigin() {
  stopping_ = true;
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  {
    std::lock_guard lock(mutex_);
    for (int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
}

std::string ScriptedOrigin::address() const { return "127.0.0.1:" + std::to_string(port_); }

std::string ScriptedOrigin::answer(int status, std::string_view lines, std::string_view body) {
  std::string text = "HTTP/1.1 " + std::to_string(status) + " Scripted\r\n";
  text.append(lines)
      .append("Content-Length: ")
      .append(std::to_string(body.size()))
      .append("\r\n\r\n")
      .append(body);
  return text;
}

std::vector<OriginCall> ScriptedOrigin::log() {
  std::lock_guard lock(mutex_);
  return log_;
}

bool ScriptedOrigin::wait_for_calls(int count) {
  std::unique_lock lock(mutex_);
  return arrived_.wait_for(lock, std::chrono::seconds(10),
                           [&] { return static_cast<int>(log_.size()) >= count; });
}

void ScriptedOrigin::accept_loop() {
  while (!stopping_) {
    int socket = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) continue;
    int number = ++connections_;
    std::lock_guard lock(mutex_);
    sockets_.push_back(socket);
    threads_.emplace_back([this, socket, number] { serve(socket, number); });
  }
}

void ScriptedOrigin::serve(int socket, int number) {
  std::string buffer;
  auto fill = [&] {
    char bytes[16384];
    ssize_t got = ::recv(socket, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    buffer.append(bytes, static_cast<std::size_t>(got));
    return true;
  };
  Send send = [&](std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  };
  auto take = [&](std::size_t bytes, std::string& out) {
    while (buffer.size() < bytes) {
      if (!fill()) return false;
    }
    out.append(buffer, 0, bytes);
    buffer.erase(0, bytes);
    return true;
  };
  auto line = [&](std::string& out) {
    while (buffer.find("\r\n") == std::string::npos) {
      if (!fill()) return false;
    }
    return take(buffer.find("\r\n") + 2, out);
  };
  auto read_call = [&](OriginCall& call) {
    while (buffer.find("\r\n\r\n") == std::string::npos) {
      if (!fill()) return false;
    }
    if (!take(buffer.find("\r\n\r\n") + 4, call.head)) return false;
    call.method = split_once(call.head, ' ').before;
    call.target = split_once(split_once(call.head, ' ').after, ' ').before;
    if (read_ == Read::head_only) return true;
    if (call.field("transfer-encoding") == "chunked") {
      for (;;) {
        std::string size_line, end;
        if (!line(size_line)) return false;
        std::size_t size = std::stoul(size_line, nullptr, 16);
        if (!take(size, call.body) || !line(end)) return false;
        if (size == 0) return true;
      }
    }
    std::string length = call.field("content-length");
    return length.empty() || take(std::stoul(length), call.body);
  };
  for (bool more = true; more && !stopping_;) {
    OriginCall call;
    if (!read_call(call)) break;
    call.number = ++calls_;
    call.connection = number;
    {
      std::lock_guard lock(mutex_);
      log_.push_back(call);
      arrived_.notify_all();
    }
    more = script_(call, send);
  }
  std::lock_guard lock(mutex_);
  std::erase(sockets_, socket);
  ::close(socket);
}

}  // namespace vignette::test
