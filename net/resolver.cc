#include "net/resolver.h"

#include <ares.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "base/check.h"
#include "net/op.h"
#include "net/worker.h"

namespace vignette::net {
namespace {

constexpr std::chrono::seconds kLocalTtl{60};

std::unexpected<Error> dns_error(int status) {
  const bool definite =
      status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_EBADNAME || status == ARES_ENONAME;
  const Code code = status == ARES_ENOMEM ? Code::exhausted : Code::dns;
  return fail(code, Blame::origin, ares_strerror(status), 0, definite ? Retry::no : Retry::yes);
}

bool is_localhost(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  constexpr std::string_view kName = "localhost";
  if (name.size() < kName.size()) return false;
  const std::string_view end = name.substr(name.size() - kName.size());
  const bool same = std::ranges::equal(end, kName, [](char a, char b) { return (a | 0x20) == b; });
  return same && (name.size() == kName.size() || name[name.size() - kName.size() - 1] == '.');
}

bool wanted(const IpAddress& address, AddressFamily family) {
  return family == AddressFamily::any || (family == AddressFamily::v4) == address.is_v4();
}

// What needs no question: nothing when the name is an ordinary one.
std::optional<Result<DnsAnswer>> known(std::string_view name, AddressFamily family) {
  DnsAnswer answer{{}, kLocalTtl};
  if (const auto literal = IpAddress::parse(name)) {
    if (wanted(*literal, family)) answer.addresses.push_back(*literal);
  } else if (is_localhost(name)) {
    for (const char* text : {"127.0.0.1", "::1"}) {
      const IpAddress address = *IpAddress::parse(text);
      if (wanted(address, family)) answer.addresses.push_back(address);
    }
  } else {
    return std::nullopt;
  }
  if (answer.addresses.empty()) return dns_error(ARES_ENODATA);
  return answer;
}

Result<DnsAnswer> read_answer(const ares_addrinfo& info) {
  DnsAnswer answer;
  int ttl = std::numeric_limits<int>::max();
  for (const ares_addrinfo_node* node = info.nodes; node; node = node->ai_next) {
    IpAddress address;
    if (node->ai_family == AF_INET) {
      address = IpAddress::from_v4(&reinterpret_cast<const sockaddr_in*>(node->ai_addr)->sin_addr);
    } else if (node->ai_family == AF_INET6) {
      address = IpAddress::from_v6(&reinterpret_cast<const sockaddr_in6*>(node->ai_addr)->sin6_addr);
    } else {
      continue;
    }
    ttl = std::min(ttl, node->ai_ttl);
    if (std::ranges::find(answer.addresses, address) == answer.addresses.end())
      answer.addresses.push_back(address);
  }
  for (const ares_addrinfo_cname* alias = info.cnames; alias; alias = alias->next)
    ttl = std::min(ttl, alias->ttl);
  if (answer.addresses.empty()) return dns_error(ARES_ENODATA);
  answer.ttl = std::chrono::seconds(std::max(ttl, 0));
  return answer;
}

int library_ready() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  return status;
}

}  // namespace

struct Resolver::Impl {
  struct Watch {
    Impl* owner;
    event* source;
  };

  explicit Impl(Worker& owner) : worker(owner) {}
  ~Impl() {
    if (channel) ares_destroy(channel);
    for (auto& [descriptor, source] : sockets) event_free(source);
    if (timer) event_free(timer);
  }

  void process(ares_socket_t readable, ares_socket_t writable) {
    worker.enter();
    ares_process_fd(channel, readable, writable);
    arm_timer();
    worker.drain();
  }
  void watch(ares_socket_t descriptor, bool read, bool write) {
    if (const auto old = sockets.find(descriptor); old != sockets.end()) {
      event_free(old->second);
      sockets.erase(old);
    }
    if (!read && !write) return;
    const int what = EV_PERSIST | (read ? EV_READ : 0) | (write ? EV_WRITE : 0);
    event* source = event_new(
        worker.base(), descriptor, static_cast<short>(what),
        [](evutil_socket_t fd, short happened, void* self) {
          static_cast<Impl*>(self)->process(happened & EV_READ ? fd : ARES_SOCKET_BAD,
                                            happened & EV_WRITE ? fd : ARES_SOCKET_BAD);
        },
        this);
    VCHECK(source && event_add(source, nullptr) == 0);
    sockets.emplace(descriptor, source);
  }
  void arm_timer() {
    timeval storage;
    if (const timeval* wait = ares_timeout(channel, nullptr, &storage)) {
      event_add(timer, wait);
    } else {
      event_del(timer);
    }
  }

  Worker& worker;
  ares_channel channel = nullptr;
  event* timer = nullptr;
  std::unordered_map<ares_socket_t, event*> sockets;
};

namespace {

class ResolveOp;
// Between c-ares, which always calls back once, and an operation that may have gone.
struct Query {
  ResolveOp* waiting;
};

class ResolveOp final : public Op {
 public:
  ResolveOp(Resolver::Impl& resolver, const std::string& name, AddressFamily family, TimePoint deadline)
      : Op(deadline), resolver_(resolver), name_(name), family_(family) {}
  ~ResolveOp() {
    if (query_) query_->waiting = nullptr;
  }
  bool await_ready() {
    if (!strand_cancelled()) {
      asking_ = true;
      ask();
      asking_ = false;
      if (query_) return false;
    }
    return done_at_once();
  }
  Result<DnsAnswer> await_resume() { return std::move(result_); }
  const char* waits_on() const override { return "dns"; }
  void fail(Code code) override {
    query_->waiting = nullptr;
    query_ = nullptr;
    result_ = vignette::fail(code, code == Code::timeout ? Blame::origin : Blame::internal, "dns");
    complete();
  }

 private:
  void ask() {
    query_ = new Query{this};
    ares_addrinfo_hints hints{};
    hints.ai_family = family_ == AddressFamily::any  ? AF_UNSPEC
                      : family_ == AddressFamily::v4 ? AF_INET
                                                     : AF_INET6;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = ARES_AI_NOSORT;
    ares_getaddrinfo(resolver_.channel, name_.c_str(), nullptr, &hints, answered, query_);
    resolver_.arm_timer();
  }
  static void answered(void* argument, int status, int, ares_addrinfo* info) {
    const std::unique_ptr<Query> query(static_cast<Query*>(argument));
    const std::unique_ptr<ares_addrinfo, decltype(&ares_freeaddrinfo)> owned(info, ares_freeaddrinfo);
    ResolveOp* op = query->waiting;
    if (!op) return;
    op->query_ = nullptr;
    op->result_ = status == ARES_SUCCESS && info ? read_answer(*info) : dns_error(status);
    if (!op->asking_) op->complete();
  }

  Resolver::Impl& resolver_;
  const std::string& name_;
  AddressFamily family_;
  Query* query_ = nullptr;
  bool asking_ = false;  // c-ares may answer inside the question
  Result<DnsAnswer> result_ = vignette::fail(Code::cancelled, Blame::internal, "dns");
};

}  // namespace

Resolver::Resolver(Worker& worker, const ResolverOptions& options) : impl_(std::make_unique<Impl>(worker)) {
  VCHECK(library_ready() == ARES_SUCCESS);
  ares_options settings{};
  settings.timeout = static_cast<int>(options.timeout.count());
  settings.tries = options.tries;
  std::string lookups = options.hosts_file ? "fb" : "b";
  settings.lookups = lookups.data();
  settings.sock_state_cb_data = impl_.get();
  settings.sock_state_cb = [](void* self, ares_socket_t descriptor, int readable, int writable) {
    static_cast<Impl*>(self)->watch(descriptor, readable != 0, writable != 0);
  };
  const int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
  VCHECK(ares_init_options(&impl_->channel, &settings, mask) == ARES_SUCCESS);
  if (!options.servers.empty()) {
    VCHECK(ares_set_servers_ports_csv(impl_->channel, options.servers.c_str()) == ARES_SUCCESS);
  }
  impl_->timer = event_new(
      worker.base(), -1, 0,
      [](evutil_socket_t, short, void* self) {
        static_cast<Impl*>(self)->process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
      },
      impl_.get());
  VCHECK(impl_->timer);
}

Resolver::~Resolver() = default;

Task<Result<DnsAnswer>> Resolver::resolve(std::string name, AddressFamily family, TimePoint deadline) {
  if (auto answer = known(name, family)) co_return std::move(*answer);
  auto answer = co_await ResolveOp(*impl_, name, family, deadline);
  co_return answer;
}

}  // namespace vignette::net
