#include "tests/support/raw_client.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <stdexcept>

#include "base/strings.h"

namespace vignette::test {

RawClient::RawClient(std::uint16_t port, std::chrono::milliseconds timeout)
    : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  timeval limit{.tv_sec = timeout.count() / 1000, .tv_usec = (timeout.count() % 1000) * 1000};
  setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  int one = 1;
  setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("RawClient: connect failed");
  }
}

void RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return;  // the peer has gone; reading will tell
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void RawClient::get(std::string_view target, std::string_view lines) {
  std::string request = "GET ";
  request.append(target).append(" HTTP/1.1\r\nHost: test.local\r\n").append(lines).append("\r\n");
  send(request);
}

// False at the end of the stream; throws when nothing came in time.
bool RawClient::fill() {
  if (ended_) return false;
  char bytes[16384];
  for (;;) {
    ssize_t got = ::recv(socket_.get(), bytes, sizeof bytes, 0);
    if (got > 0) {
      buffer_.append(bytes, static_cast<std::size_t>(got));
      return true;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      throw std::runtime_error("RawClient: nothing came in time");
    ended_ = true;
    reset_seen_ = got < 0;
    return false;
  }
}

std::optional<std::string> RawClient::take_line() {
  for (;;) {
    std::size_t end = buffer_.find("\r\n");
    if (end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 2);
      return line;
    }
    if (!fill()) return std::nullopt;
  }
}

bool RawClient::take(std::size_t bytes, std::string& out) {
  while (buffer_.size() < bytes) {
    if (!fill()) {
      out += buffer_;
      buffer_.clear();
      return false;
    }
  }
  out.append(buffer_, 0, bytes);
  buffer_.erase(0, bytes);
  return true;
}

RawResponse RawClient::read(bool head_only) {
  RawResponse response;
  auto status_line = take_line();
  if (!status_line) return response;
  response.head = *status_line + "\r\n";
  if (status_line->size() >= 12) response.status = std::stoi(status_line->substr(9, 3));
  while (auto line = take_line()) {
    response.head += *line + "\r\n";
    if (line->empty()) {
      if (response.status >= 100 && response.status < 200 && response.status != 101) {
        ++interim_;
        return read(head_only);
      }
      read_body(response, head_only);
      return response;
    }
    Halves field = split_once(*line, ':');
    std::string& value = response.fields[to_lower(field.before)];
    if (!value.empty()) value += ", ";
    value += trim(field.after);
  }
  return response;
}

void RawClient::read_body(RawResponse& response, bool head_only) {
  if (head_only || response.status == 204 || response.status == 304) {
    response.complete = true;
  } else if (response.field("transfer-encoding") == "chunked") {
    for (;;) {
      auto line = take_line();
      if (!line) return;
      std::size_t size = std::stoul(*line, nullptr, 16);
      if (size > 0 && !take(size, response.body)) return;
      if (!take_line()) return;
      if (size == 0) break;
    }
    response.complete = true;
  } else if (response.fields.contains("content-length")) {
    response.complete = take(std::stoul(response.field("content-length")), response.body);
  } else {
    response.body = read_to_end();
    response.complete = !reset_seen_;
  }
}

std::string RawClient::read_to_end() {
  while (fill()) {
  }
  return std::exchange(buffer_, {});
}

bool RawClient::at_end() {
  if (!buffer_.empty()) return false;
  return !fill();
}

void RawClient::shutdown_write() { ::shutdown(socket_.get(), SHUT_WR); }

void RawClient::reset() {
  linger now{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  socket_.reset();
}

}  // namespace vignette::test
