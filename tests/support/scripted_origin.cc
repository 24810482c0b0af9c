#include "tests/support/scripted_origin.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <chrono>
#include <stdexcept>

#include "base/strings.h"

namespace vignette::test {
namespace {

// One of the node's, and what of it has been received and not yet read. False from a function: it is gone.
class Connection {
 public:
  explicit Connection(int socket) : socket_(socket) {}

  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  bool read_call(OriginCall& call, ScriptedOrigin::Read read) {
    if (!take_through("\r\n\r\n", call.head)) return false;
    call.method = split_once(call.head, ' ').before;
    call.target = split_once(split_once(call.head, ' ').after, ' ').before;
    if (read == ScriptedOrigin::Read::head_only) return true;
    if (call.field("transfer-encoding") == "chunked") return read_chunks(call.body);
    std::string length = call.field("content-length");
    return length.empty() || take(std::stoul(length), call.body);
  }

 private:
  bool receive() {
    char bytes[16384];
    ssize_t got = ::recv(socket_, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    buffer_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  bool take(std::size_t bytes, std::string& out) {
    while (buffer_.size() < bytes) {
      if (!receive()) return false;
    }
    out.append(buffer_, 0, bytes);
    buffer_.erase(0, bytes);
    return true;
  }

  bool take_through(std::string_view end, std::string& out) {
    while (buffer_.find(end) == std::string::npos) {
      if (!receive()) return false;
    }
    return take(buffer_.find(end) + end.size(), out);
  }

  bool read_chunks(std::string& body) {
    for (;;) {
      std::string size_line, end;
      if (!take_through("\r\n", size_line)) return false;
      std::size_t size = std::stoul(size_line, nullptr, 16);
      if (!take(size, body) || !take_through("\r\n", end)) return false;
      if (size == 0) return true;
    }
  }

  int socket_;
  std::string buffer_;
};

}  // namespace

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
  Connection connection(socket);
  const Send send = [&](std::string_view bytes) { return connection.send(bytes); };
  for (bool more = true; more && !stopping_;) {
    OriginCall call;
    if (!connection.read_call(call, read_)) break;
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
