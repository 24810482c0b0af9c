// Names to addresses, by c-ares in the worker's loop. One for each worker; no cache: callers keep the answer
// for its time to live. Loop-thread only.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "net/address.h"
#include "net/task.h"

namespace vignette::net {

class Worker;

struct ResolverOptions {
  std::string servers = {};                 // "127.0.0.1:5353,…"; empty: the system's (/etc/resolv.conf)
  std::chrono::milliseconds timeout{2000};  // of the first try
  int tries = 3;
  // /etc/hosts is asked before DNS. c-ares 1.18 reads it in the loop for each question, in some 20 us.
  bool hosts_file = true;
};

enum class AddressFamily : std::uint8_t { any, v4, v6 };

struct DnsAnswer {
  std::vector<IpAddress> addresses;  // at least one, in the order of the answer, no duplicates
  std::chrono::seconds ttl{};        // the smallest; 60 s for literals, localhost and the hosts file
};

class Resolver {
 public:
  explicit Resolver(Worker& worker, const ResolverOptions& options = {});
  ~Resolver();  // lookups under way fail with Code::dns
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // IP literals and localhost (RFC 6761) are answered without asking; then the hosts file, then DNS.
  // Code::dns: `where` says which way it failed, retry = yes when asking again may help (no answer,
  // SERVFAIL). Code::timeout at the deadline; Code::cancelled.
  Task<Result<DnsAnswer>> resolve(std::string name, AddressFamily family, TimePoint deadline);

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace vignette::net
