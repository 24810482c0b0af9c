#include "proxy/process/ocsp_keeper.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "base/strings.h"
#include "conf/service_url.h"
#include "net/offload.h"
#include "proxy/node.h"
#include "proxy/origin/http_connection.h"
#include "proxy/origin/server_registry.h"

namespace vignette::proxy {
namespace {

constexpr Duration kAnswerTime = std::chrono::seconds(10);  // for connecting and the whole answer
constexpr std::size_t kMaxAnswerBytes = 64 * 1024;
constexpr Duration kShortestRest = std::chrono::minutes(1);
constexpr Duration kLongestRest = std::chrono::hours(1);

// What is known of one certificate.
struct Known {
  std::shared_ptr<const net::OcspAnswer> answer;
  TimePoint due{};
  Duration pause = kShortestRest;  // after a failure
};

std::int64_t unix_seconds(const Clock& clock) { return clock.wall().time_since_epoch().count(); }

}  // namespace

struct OcspKeeper::Shared {
  Shared(Node& shared_node, net::Worker& worker)
      : node(shared_node),
        loop(worker),
        pools(worker),
        asked(node.metrics.registry.counter("vignette_ocsp_requests_total",
                                            "OCSP responders asked about certificates of this node.")),
        failed(node.metrics.registry.counter("vignette_ocsp_requests_failed_total",
                                             "Of these, those without an answer that can be stapled.")) {}

  net::Task<Result<std::string>> fetch(const net::OcspRequest& request);
  net::Task<bool> ask(const TlsSetup::Stapled& stapled);
  void note(Known& known, const TlsSetup::Stapled& stapled,
            std::expected<net::OcspAnswer, std::string> answer);

  Node& node;
  net::Worker& loop;
  OriginPools pools;  // names; a connection is never used twice
  Counter& asked;
  Counter& failed;
  std::map<std::string, Known> book;  // by the request's bytes, which say whose certificate it is
};

OcspKeeper::OcspKeeper(Node& node, net::Worker& main_loop)
    : loop_(main_loop), shared_(std::make_shared<Shared>(node, main_loop)) {}

OcspKeeper::~OcspKeeper() { strand_.cancel(); }

void OcspKeeper::adopt(TlsSetupRef setup) {
  strand_.cancel();
  strand_ = {};
  std::map<std::string, Known> kept;
  bool is_wanted = false;
  for (const TlsSetup::Stapled& stapled : setup->staples) {
    if (!stapled.request) continue;
    is_wanted = true;
    Known known = shared_->book[stapled.request->der];
    stapled.staple->set(known.answer);
    kept.emplace(stapled.request->der, std::move(known));
  }
  shared_->book = std::move(kept);
  if (is_wanted) strand_ = loop_.spawn_named("ocsp", strand, shared_, std::move(setup));
}

net::Task<void> OcspKeeper::strand(std::shared_ptr<Shared> shared, TlsSetupRef setup) {
  for (;;) {
    TimePoint next = shared->loop.now() + kLongestRest;
    for (const TlsSetup::Stapled& stapled : setup->staples) {
      if (!stapled.request) continue;
      if (shared->book[stapled.request->der].due <= shared->loop.now()) {
        auto goes_on = co_await shared->ask(stapled);
        if (!goes_on) co_return;
      }
      next = std::min(next, shared->book[stapled.request->der].due);
    }
    auto slept = co_await net::sleep_until(next);
    if (!slept) co_return;
  }
}

// False: the strand was cancelled.
net::Task<bool> OcspKeeper::Shared::ask(const TlsSetup::Stapled& stapled) {
  asked.add(kNoWorker);
  auto bytes = co_await fetch(*stapled.request);
  std::expected<net::OcspAnswer, std::string> answer = std::unexpected(std::string());
  if (bytes) {
    auto checked = co_await net::offload(
        node.file_pool, [file = stapled.chain_file, der = std::move(*bytes), now = unix_seconds(node.clock)] {
          return net::read_ocsp_answer(file, der, now);
        });
    answer = checked ? std::move(*checked) : std::unexpected(explain(checked.error()));
  } else {
    answer = std::unexpected(fmt::format("{} ({})", explain(bytes.error()), bytes.error().where));
  }
  net::Strand& self = co_await net::this_strand();
  if (self.cancelled()) co_return false;
  note(book[stapled.request->der], stapled, std::move(answer));
  co_return true;
}

void OcspKeeper::Shared::note(Known& known, const TlsSetup::Stapled& stapled,
                              std::expected<net::OcspAnswer, std::string> answer) {
  if (!answer) {
    failed.add(kNoWorker);
    known.due = loop.now() + known.pause;
    node.log.warn("ocsp: {} says nothing of {} that could go along: {}; it is asked again in {} s",
                  stapled.request->url, stapled.chain_file, answer.error(),
                  std::chrono::ceil<std::chrono::seconds>(known.pause).count());
    known.pause = std::min(known.pause * 2, kLongestRest);
    return;
  }
  known.pause = kShortestRest;
  const std::int64_t half = (answer->next_update - answer->this_update) / 2;
  const std::chrono::seconds left(answer->this_update + half - unix_seconds(node.clock));
  known.due = loop.now() + std::max<Duration>(left, kShortestRest);
  known.answer = std::make_shared<const net::OcspAnswer>(std::move(*answer));
  stapled.staple->set(known.answer);
  node.log.info("ocsp: {} says that {} is good", stapled.request->url, stapled.chain_file);
}

// With GET, so that caches on the way may answer (RFC 6960 appendix A.1).
net::Task<Result<std::string>> OcspKeeper::Shared::fetch(const net::OcspRequest& question) {
  const auto url = conf::parse_service_url(question.url);
  if (!url || url->tls) co_return fail(Code::malformed, Blame::origin, "not the URL of a responder");
  const Endpoint endpoint(node.servers.server("ocsp", url->address.to_string()), url->address, nullptr, "",
                          Duration::zero());
  const TimePoint deadline = loop.now() + kAnswerTime;
  auto connection = co_await pools.connect(endpoint, deadline);
  if (!connection) co_return std::unexpected(connection.error());
  http::FieldList fields;
  fields.add(http::FieldId::accept, "application/ocsp-response");
  fields.add(http::FieldId::user_agent, "vignette");
  std::string path = url->target;
  if (!path.ends_with('/')) path += '/';
  path += percent_encode(base64_encode(question.der));
  OriginRequest request;
  request.path = path;
  request.host = url->host;
  request.fields = &fields;
  OriginResponse response;
  TransactProgress progress;
  auto done = co_await transact(std::move(*connection), request,
                                {.first_byte = deadline - loop.now(), .reusable = false}, response, progress);
  if (!done) co_return std::unexpected(done.error());
  if (response.head->status != 200) co_return fail(Code::unavailable, Blame::origin, "it did not answer 200");
  std::string bytes;
  while (response.body) {
    auto piece = co_await response.body->next(deadline);
    if (!piece) co_return std::unexpected(piece.error());
    bytes += piece->bytes.view();
    if (bytes.size() > kMaxAnswerBytes) co_return fail(Code::limit, Blame::origin, "the answer is too long");
    if (piece->last) break;
  }
  co_return bytes;
}

}  // namespace vignette::proxy
