// A client for benches of the disk and the soak: streams of GETs over keep-alive connections to one server on
// loopback, their latencies by what the answer says it is (Cache-Status), bodies counted and thrown away.
//
//   bench_replay PORT SECONDS [OPTION…] STREAM…
//     STREAM   name=hot,first=0,count=64,zipf=0.9,connections=16,rate=2000,drift=0 or …,order=once
//              Objects first … first+count-1 by a Zipf law (0: all alike). With a rate (a second) requests
//              come at random times whatever the server does, and latency counts from when a request was due;
//              without, each connection asks again as soon as it was answered. `drift` moves the objects on,
//              so many a second. order=once asks for each object one time, and the run ends with it.
//     --warm SECONDS       before the measured time; "warm" is printed when it is over
//     --sizes FROM-TO      of objects, KiB, log-uniform by their number; 20-200
//     --paths FILE         line N names the file in which the server keeps object N, and with
//     --page-cache MIB     the page cache is held at that much: who falls out of an LRU of the objects asked
//     for
//                          is dropped from it (posix_fadvise)
//     --drop FILE          this file never stays in the page cache: it is dropped each 20 ms
//
// Object N is /hit/N/BYTES. One line a stream and kind of answer; times in microseconds:
//   hot memory requests 20000 p50 110 p99 480 p999 900 max 2100
// Any answer but a whole 200 ends the program with an error.
#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <list>
#include <map>
#include <memory>
#include <random>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr std::size_t kDiscarded = 4 << 20;  // asked for in one recv
constexpr std::size_t kMostWaiting = 100'000;
constexpr auto kDropEvery = std::chrono::milliseconds(20);
constexpr unsigned kSizeSteps = 64;

[[noreturn]] void die(std::string_view what) {
  fmt::print(stderr, "bench_replay: {}\n", what);
  std::exit(1);
}

template <class Number>
Number number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) die(fmt::format("not a number: {}", text));
  return value;
}

// Times in buckets of 1/64 of their power of two.
class Histogram {
 public:
  void add(nanoseconds time) {
    const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 64));
    const int shift = static_cast<int>(std::bit_width(ns)) - 7;
    ++counts_[static_cast<std::size_t>(shift) * 64 + ((ns >> shift) & 63)];
    ++total_;
    most_ = std::max(most_, ns);
  }
  std::uint64_t total() const { return total_; }
  double most_us() const { return static_cast<double>(most_) / 1000; }
  double quantile_us(double share) const {
    auto left = static_cast<std::uint64_t>(share * static_cast<double>(total_));
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      if (left < counts_[i]) return static_cast<double>((64 + i % 64) << (i / 64)) / 1000;
      left -= counts_[i];
    }
    return most_us();
  }

 private:
  std::array<std::uint64_t, 58 * 64> counts_{};
  std::uint64_t total_ = 0;
  std::uint64_t most_ = 0;
};

// Ranks by a Zipf law; with exponent 0 all alike.
class Zipf {
 public:
  Zipf(std::size_t count, double exponent) : sums_(count) {
    double sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
      sums_[i] = sum += 1 / std::pow(static_cast<double>(i + 1), exponent);
    }
  }
  template <class Random>
  std::size_t operator()(Random& random) const {
    const double at = std::uniform_real_distribution<>(0, sums_.back())(random);
    return std::min<std::size_t>(
        static_cast<std::size_t>(std::ranges::upper_bound(sums_, at) - sums_.begin()), sums_.size() - 1);
  }

 private:
  std::vector<double> sums_;
};

std::uint64_t scrambled(std::uint64_t value) {
  value = (value ^ (value >> 31)) * 0x9E3779B97F4A7C15u;
  return value ^ (value >> 29);
}

// As if the machine had so much memory for a cache of files: an LRU of objects, whose losers leave the page
// cache.
class PageCache {
 public:
  void limit(std::size_t bytes) { limit_ = bytes; }
  void read_paths(const char* file) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) paths_.push_back(line);
    if (paths_.empty()) die(fmt::format("no paths in {}", file));
  }
  void touch(std::size_t object, std::size_t bytes) {
    if (paths_.empty()) return;
    if (auto found = places_.find(object); found != places_.end()) {
      order_.splice(order_.begin(), order_, found->second);
      return;
    }
    order_.push_front({object, bytes});
    places_[object] = order_.begin();
    for (used_ += bytes; used_ > limit_ && order_.size() > 1;) drop_oldest();
  }
  static void drop(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) die(fmt::format("{}: {}", path, std::strerror(errno)));
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ::close(fd);
  }

 private:
  struct Entry {
    std::size_t object;
    std::size_t bytes;
  };
  void drop_oldest() {
    const Entry oldest = order_.back();
    if (oldest.object >= paths_.size()) die("an object without a path");
    drop(paths_[oldest.object]);
    used_ -= oldest.bytes;
    places_.erase(oldest.object);
    order_.pop_back();
  }

  std::size_t limit_ = 0;
  std::size_t used_ = 0;
  std::vector<std::string> paths_;
  std::list<Entry> order_;  // the latest first
  std::unordered_map<std::size_t, std::list<Entry>::iterator> places_;
};

struct Options {
  std::uint16_t port = 0;
  Clock::duration measured{};
  Clock::duration warm{};
  double smallest = 20 * 1024;
  double largest = 200 * 1024;
  std::string dropped;

  std::size_t size_of(std::size_t object) const {
    const double step = static_cast<double>(scrambled(object) % kSizeSteps) / (kSizeSteps - 1);
    return static_cast<std::size_t>(smallest * std::pow(largest / smallest, step));
  }
};

struct Connection;

struct Stream {
  std::string name;
  std::size_t first = 0;
  std::size_t count = 1;
  double zipf = 0;
  double rate = 0;
  double drift = 0;
  bool once = false;
  std::size_t connections = 1;

  std::unique_ptr<Zipf> ranks;
  std::size_t asked = 0;
  Clock::time_point next_due;
  std::deque<Clock::time_point> due;  // no connection was free
  std::deque<Connection*> free;       // the one that rests longest is next, before the server ends it
  std::map<std::string, Histogram> seen;

  bool is_open_loop() const { return rate > 0; }
  bool is_over() const { return once && asked >= count; }
};

struct Connection {
  Stream* stream;
  int fd;
  Clock::time_point due;
  std::string head;
  std::size_t expected = 0;
  std::size_t body_left = 0;
  bool in_body = false;
  const char* kind = "";
};

class Replay {
 public:
  Replay(Options options, PageCache pages, std::vector<Stream> streams);
  void run();
  void print() const;

 private:
  void connect_all(Stream& stream);
  std::size_t next_object(Stream& stream);
  void ask(Connection& connection, Clock::time_point due);
  void on_readable(Connection& connection);
  bool read_head(Connection& connection);
  bool discard_body(Connection& connection);
  void answered(Connection& connection);
  void send_due(Stream& stream);
  Clock::time_point wake_at() const;
  void wait_and_read();
  bool is_over() const;

  Options options_;
  PageCache pages_;
  std::vector<Stream> streams_;
  std::deque<Connection> connections_;
  std::mt19937_64 random_{1};
  int epoll_ = -1;
  std::size_t in_flight_ = 0;
  bool measuring_ = false;
  Clock::time_point now_, started_;
};

Replay::Replay(Options options, PageCache pages, std::vector<Stream> streams)
    : options_(std::move(options)), pages_(std::move(pages)), streams_(std::move(streams)) {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  for (Stream& stream : streams_) {
    if (!stream.once) stream.ranks = std::make_unique<Zipf>(stream.count, stream.zipf);
    connect_all(stream);
  }
}

void Replay::connect_all(Stream& stream) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options_.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (std::size_t i = 0; i < stream.connections; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die("cannot connect");
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Connection& made = connections_.emplace_back(Connection{&stream, fd, {}, {}});
    epoll_event event{.events = EPOLLIN, .data = {.ptr = &made}};
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    stream.free.push_back(&made);
  }
}

std::size_t Replay::next_object(Stream& stream) {
  if (stream.once) return stream.first + stream.asked;
  const double elapsed = std::chrono::duration<double>(now_ - started_).count();
  return stream.first + static_cast<std::size_t>(elapsed * stream.drift) + (*stream.ranks)(random_);
}

void Replay::ask(Connection& connection, Clock::time_point due) {
  const std::size_t object = next_object(*connection.stream);
  ++connection.stream->asked;
  ++in_flight_;
  connection.due = due;
  connection.expected = options_.size_of(object);
  pages_.touch(object, connection.expected);
  const std::string request =
      fmt::format("GET /hit/{}/{} HTTP/1.1\r\nHost: bench\r\n\r\n", object, connection.expected);
  const ssize_t sent = ::send(connection.fd, request.data(), request.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(request.size())) die("the server took no request");
}

const char* kind_of(std::string_view head) {
  const std::size_t at = head.find("Cache-Status:");
  if (at == std::string_view::npos) return "answer";
  const std::string_view line = head.substr(at, head.find("\r\n", at) - at);
  if (line.find("; hit") == std::string_view::npos) return "miss";
  return line.find("detail=disk") == std::string_view::npos ? "memory" : "disk";
}

std::size_t content_length(std::string_view head) {
  constexpr std::string_view kName = "ontent-Length: ";
  const std::size_t at = head.find(kName);
  if (at == std::string_view::npos) die(fmt::format("an answer without a length:\n{}", head));
  const std::string_view rest = head.substr(at + kName.size());
  return number<std::size_t>(rest.substr(0, rest.find('\r')));
}

// True: whole. What of the body came with it is taken off.
bool Replay::read_head(Connection& connection) {
  std::array<char, 2048> buffer;
  const ssize_t got = ::recv(connection.fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got <= 0) die(got == 0 ? "the server closed a connection" : std::strerror(errno));
  connection.head.append(buffer.data(), static_cast<std::size_t>(got));
  const std::size_t end = connection.head.find("\r\n\r\n");
  if (end == std::string::npos) return false;
  const std::string_view head(connection.head.data(), end + 2);
  if (!head.starts_with("HTTP/1.1 200 ")) die(fmt::format("an answer that is no 200:\n{}", head));
  const std::size_t here = connection.head.size() - end - 4;
  if (content_length(head) != connection.expected || here > connection.expected) die("a wrong length");
  connection.kind = kind_of(head);
  connection.body_left = connection.expected - here;
  connection.in_body = true;
  return true;
}

// TCP throws away what is read with MSG_TRUNC, without a copy. True: that was all.
bool Replay::discard_body(Connection& connection) {
  while (connection.body_left > 0) {
    const ssize_t got =
        ::recv(connection.fd, nullptr, std::min(connection.body_left, kDiscarded), MSG_TRUNC | MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return false;
    if (got <= 0) die("a body was cut short");
    connection.body_left -= static_cast<std::size_t>(got);
  }
  return true;
}

void Replay::on_readable(Connection& connection) {
  if (!connection.in_body && !read_head(connection)) return;
  if (discard_body(connection)) answered(connection);
}

void Replay::answered(Connection& connection) {
  Stream& stream = *connection.stream;
  --in_flight_;
  const Clock::time_point end = Clock::now();
  if (measuring_ || stream.once) stream.seen[connection.kind].add(end - connection.due);
  connection.head.clear();
  connection.in_body = false;
  if (!stream.due.empty() && !stream.is_over()) {
    const Clock::time_point due = stream.due.front();
    stream.due.pop_front();
    return ask(connection, due);
  }
  if (stream.is_open_loop() || stream.is_over()) return stream.free.push_back(&connection);
  ask(connection, end);
}

void Replay::send_due(Stream& stream) {
  while (stream.next_due <= now_ && !stream.is_over()) {
    if (stream.free.empty()) {
      if (!stream.is_open_loop()) return;
      stream.due.push_back(stream.next_due);
      if (stream.due.size() > kMostWaiting) die("the server cannot keep up with the rate of " + stream.name);
    } else {
      Connection& connection = *stream.free.front();
      stream.free.pop_front();
      ask(connection, stream.is_open_loop() ? stream.next_due : now_);
    }
    if (!stream.is_open_loop()) continue;
    const double gap = std::exponential_distribution<>(stream.rate)(random_);
    stream.next_due += std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(gap));
  }
}

// On a thread of its own: it waits for the disk when somebody writes to that file.
void drop_repeatedly(const std::stop_token& stop, const std::string& file) {
  for (; !stop.stop_requested(); std::this_thread::sleep_for(kDropEvery)) PageCache::drop(file);
}

Clock::time_point Replay::wake_at() const {
  Clock::time_point wake = now_ + std::chrono::milliseconds(10);
  for (const Stream& stream : streams_) {
    if (stream.is_open_loop()) wake = std::min(wake, stream.next_due);
  }
  return std::max(wake, now_);
}

void Replay::wait_and_read() {
  std::array<epoll_event, 64> ready;
  const auto wait = std::chrono::duration_cast<nanoseconds>(wake_at() - Clock::now());
  const timespec timeout{0, std::max<long>(wait.count(), 0)};
  const int count = ::epoll_pwait2(epoll_, ready.data(), static_cast<int>(ready.size()), &timeout, nullptr);
  for (int i = 0; i < count; ++i) {
    on_readable(*static_cast<Connection*>(ready[static_cast<std::size_t>(i)].data.ptr));
  }
}

bool Replay::is_over() const {
  if (std::ranges::all_of(streams_, &Stream::is_over)) return in_flight_ == 0;
  return now_ >= started_ + options_.warm + options_.measured;
}

void Replay::run() {
  std::jthread dropper;
  if (!options_.dropped.empty()) dropper = std::jthread(drop_repeatedly, options_.dropped);
  started_ = now_ = Clock::now();
  for (Stream& stream : streams_) stream.next_due = now_;
  while (!is_over()) {
    if (!measuring_ && now_ >= started_ + options_.warm) {
      measuring_ = true;
      fmt::print("warm\n");
      std::fflush(stdout);
    }
    for (Stream& stream : streams_) send_due(stream);
    wait_and_read();
    now_ = Clock::now();
  }
}

void Replay::print() const {
  for (const Stream& stream : streams_) {
    for (const auto& [kind, times] : stream.seen) {
      fmt::print("{} {} requests {} p50 {:.0f} p99 {:.0f} p999 {:.0f} max {:.0f}\n", stream.name, kind,
                 times.total(), times.quantile_us(0.5), times.quantile_us(0.99), times.quantile_us(0.999),
                 times.most_us());
    }
  }
}

Stream parse_stream(std::string_view text) {
  Stream stream;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) die(fmt::format("not a stream: {}", part));
    const std::string_view name = part.substr(0, equals);
    const std::string_view value = part.substr(equals + 1);
    if (name == "name")
      stream.name = value;
    else if (name == "first")
      stream.first = number<std::size_t>(value);
    else if (name == "count")
      stream.count = number<std::size_t>(value);
    else if (name == "connections")
      stream.connections = number<std::size_t>(value);
    else if (name == "zipf")
      stream.zipf = number<double>(value);
    else if (name == "rate")
      stream.rate = number<double>(value);
    else if (name == "drift")
      stream.drift = number<double>(value);
    else if (name == "order" && value == "once")
      stream.once = true;
    else
      die(fmt::format("unknown: {}", part));
  }
  return stream;
}

Clock::duration seconds(std::string_view text) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(number<double>(text)));
}

void set_sizes(Options& options, std::string_view text) {
  const std::size_t dash = std::min(text.find('-'), text.size() - 1);
  options.smallest = number<double>(text.substr(0, dash)) * 1024;
  options.largest = number<double>(text.substr(dash + 1)) * 1024;
}

}  // namespace

int main(int count, char** words) {
  if (count < 4) die("usage: bench_replay PORT SECONDS [OPTION…] STREAM…");
  Options options;
  PageCache pages;
  std::vector<Stream> streams;
  options.port = number<std::uint16_t>(words[1]);
  options.measured = seconds(words[2]);
  for (int i = 3; i < count; ++i) {
    const std::string_view word = words[i];
    if (!word.starts_with("--")) {
      streams.push_back(parse_stream(word));
      continue;
    }
    if (++i == count) die(fmt::format("{} needs a value", word));
    if (word == "--warm")
      options.warm = seconds(words[i]);
    else if (word == "--sizes")
      set_sizes(options, words[i]);
    else if (word == "--paths")
      pages.read_paths(words[i]);
    else if (word == "--page-cache")
      pages.limit(number<std::size_t>(words[i]) << 20);
    else if (word == "--drop")
      options.dropped = words[i];
    else
      die(fmt::format("unknown option {}", word));
  }
  Replay replay(std::move(options), std::move(pages), std::move(streams));
  replay.run();
  replay.print();
}
