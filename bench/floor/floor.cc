// The floor: a bare epoll loop that answers every request with the same bytes, without parsing more than the
// size in its path. Nobody who reads a request and writes an answer can be cheaper. It is also the origin of
// the pass-through benches, as it costs next to nothing beside the proxies that are measured.
//
//   bench_floor   prints "floor: listening on 127.0.0.1:PORT"
//
// GET /anything/SIZE is SIZE bytes (at most 1 MiB) with keep-alive, an ETag and a day of freshness; GET
// /count is the number of requests answered so far. Requests must not have bodies. One thread.
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace {

constexpr std::size_t kMaxBody = 1 << 20;
constexpr std::size_t kMaxUnsent = 64 << 20;
constexpr std::size_t kMaxRequest = 64 << 10;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct Connection {
  int fd;
  std::string input;  // less than one request
  std::string unsent;
};

class Floor {
 public:
  void run();

 private:
  void listen_on_loopback();
  void accept_all();
  void on_ready(Connection& connection, std::uint32_t events);
  bool read_requests(Connection& connection);  // false: close
  void answer(Connection& connection, std::string_view request);
  bool flush(Connection& connection);
  void close_connection(Connection& connection);
  const std::string& sized_answer(std::size_t size);

  int epoll_ = -1;
  int listener_ = -1;
  std::uint64_t answered_ = 0;
  std::array<char, kMaxRequest> buffer_;
  std::map<std::size_t, std::string> answers_;
  std::map<int, std::unique_ptr<Connection>> connections_;
};

std::string response(std::string_view body, std::string_view more) {
  return fmt::format(
      "HTTP/1.1 200 OK\r\nServer: floor\r\n"
      "Content-Type: application/octet-stream\r\nContent-Length: {}\r\n{}\r\n{}",
      body.size(), more, body);
}

std::size_t size_in(std::string_view request) {
  const std::size_t end = request.find(' ', 4);
  if (end == std::string_view::npos) return 0;
  const std::string_view target = request.substr(4, end - 4);
  std::size_t size = 0;
  for (char c : target.substr(target.rfind('/') + 1)) {
    if (c < '0' || c > '9' || size > kMaxBody) return 0;
    size = size * 10 + static_cast<std::size_t>(c - '0');
  }
  return size > kMaxBody ? 0 : size;
}

const std::string& Floor::sized_answer(std::size_t size) {
  const auto [it, fresh] = answers_.try_emplace(size);
  if (fresh) {
    const std::string more = fmt::format("Cache-Control: public, max-age=86400\r\nETag: \"{}\"\r\n", size);
    it->second = response(std::string(size, 'x'), more);
  }
  return it->second;
}

void Floor::answer(Connection& connection, std::string_view request) {
  if (request.starts_with("GET /count ")) {
    connection.unsent += response(std::to_string(answered_), "Cache-Control: no-store\r\n");
    return;
  }
  ++answered_;
  const std::string& bytes = sized_answer(size_in(request));
  std::size_t sent = 0;
  if (connection.unsent.empty()) {
    const ssize_t wrote = ::send(connection.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (wrote > 0) sent = static_cast<std::size_t>(wrote);
  }
  if (sent < bytes.size()) connection.unsent.append(bytes, sent);
}

bool Floor::flush(Connection& connection) {
  while (!connection.unsent.empty()) {
    const ssize_t wrote =
        ::send(connection.fd, connection.unsent.data(), connection.unsent.size(), MSG_NOSIGNAL);
    if (wrote < 0) return errno == EAGAIN;
    connection.unsent.erase(0, static_cast<std::size_t>(wrote));
  }
  return true;
}

bool Floor::read_requests(Connection& connection) {
  while (true) {
    const ssize_t got = ::recv(connection.fd, buffer_.data(), buffer_.size(), 0);
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN;
    std::string_view bytes(buffer_.data(), static_cast<std::size_t>(got));
    if (!connection.input.empty()) bytes = connection.input.append(bytes);
    std::size_t end = 0;
    while ((end = bytes.find("\r\n\r\n")) != std::string_view::npos) {
      answer(connection, bytes);
      bytes.remove_prefix(end + 4);
    }
    connection.input = std::string(bytes);
    if (connection.input.size() > kMaxRequest || connection.unsent.size() > kMaxUnsent) return false;
    if (static_cast<std::size_t>(got) < buffer_.size()) return true;
  }
}

void Floor::on_ready(Connection& connection, std::uint32_t events) {
  bool open = (events & EPOLLERR) == 0;
  if (open && (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP))) open = read_requests(connection);
  if (open) open = flush(connection);
  if (open && (events & EPOLLRDHUP)) open = false;
  if (!open) close_connection(connection);
}

void Floor::close_connection(Connection& connection) {
  const int fd = connection.fd;
  ::close(fd);
  connections_.erase(fd);
}

void Floor::accept_all() {
  while (true) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    auto connection = std::make_unique<Connection>(Connection{fd, {}, {}});
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = connection.get()}};
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
    connections_[fd] = std::move(connection);
  }
}

void Floor::listen_on_loopback() {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof address;
  if (listener_ < 0 || ::bind(listener_, generic, length) != 0 || ::listen(listener_, 1024) != 0)
    die("listen");
  ::getsockname(listener_, generic, &length);
  fmt::print("floor: listening on 127.0.0.1:{}\n", ntohs(address.sin_port));
  std::fflush(stdout);
}

void Floor::run() {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) die("epoll_create1");
  listen_on_loopback();
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event) != 0) die("epoll_ctl");
  std::array<epoll_event, 64> ready;
  while (true) {
    const int count = ::epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), -1);
    for (int i = 0; i < count; ++i) {
      const epoll_event& happened = ready[static_cast<std::size_t>(i)];
      if (happened.data.ptr == nullptr) {
        accept_all();
      } else {
        on_ready(*static_cast<Connection*>(happened.data.ptr), happened.events);
      }
    }
  }
}

}  // namespace

int main() { Floor().run(); }
