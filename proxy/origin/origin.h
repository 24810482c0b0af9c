// What an exchange or a fill fetches from: app servers, an object store or a directory.
//
// A fetch is one request and the head of its answer; the body is pulled piece by piece afterwards, so an
// origin never runs ahead of whoever reads it. Loop-thread only: each call runs on the caller's worker.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "conf/address.h"
#include "http/message.h"
#include "net/frame_pool.h"
#include "net/task.h"
#include "proxy/origin/tunnel_end.h"

namespace vignette::proxy {

class Origin;
struct WorkerContext;

// One piece of a body. `last` may come with bytes or alone (empty).
struct Piece {
  Slice bytes;
  bool last = false;
};

// A body that is pulled. After an error or the last piece it must not be called again. Dropping a source
// before its last piece abandons the body: the connection behind it is closed, not pooled.
class BodySource {
 public:
  virtual ~BodySource() = default;
  // The next piece, never empty unless last. `deadline` bounds this wait, not the whole body.
  // Errors: closed/reset/timeout with the blame of whoever sends; malformed framing.
  virtual net::Task<Result<Piece>> next(TimePoint deadline) = 0;
  // Makes next() begin again with the first piece, also after an error of whoever took the pieces. False:
  // they are gone, and nothing has changed.
  virtual bool rewind() { return false; }
};

// The client on whose behalf a request is made, and the address of ours that it came to.
struct Viewer {
  conf::IpBytes address{};
  std::uint16_t port = 0;  // 0: not known
  conf::IpBytes local{};
  std::uint16_t local_port = 0;
};

// A request as an origin sees it. All views are the caller's and live until fetch() has returned its
// head; `body` lives until then too and is pulled once, and again after it was rewound.
struct OriginRequest {
  http::Method method = http::Method::get;
  std::string_view method_name = "GET";
  std::string_view path;   // normalised and percent-encoded, begins with '/', prefix already stripped
  std::string_view query;  // without '?'
  bool has_query = false;
  std::string_view host;                        // what the client asked for, host[:port], lower case
  const http::FieldList* fields = nullptr;      // end-to-end fields only; no Host, no framing
  BodySource* body = nullptr;                   // null: no body
  http::Framing framing = http::Framing::none;  // of `body`: length or chunked
  std::uint64_t content_length = 0;             // when framing is length
  bool idempotent = true;                       // may be repeated after a failure (RFC 9110 §9.2.2)
  const Viewer* viewer = nullptr;               // null: the node asks for itself
  bool upgrades_to_websocket = false;           // a GET; the answer may be 101 and a tunnel (RFC 6455 §4)
};

// What the access log and metrics say about a fetch.
struct OriginTrace {
  std::string_view server;  // address label; static for the snapshot's life
  std::uint8_t attempts = 0;
  bool connection_reused = false;
  Duration connect{};     // of the last attempt; 0 when reused
  Duration first_byte{};  // from the start of fetch to the final response head
};

// Apart from the response, which is handed up through several frames: a list of fields has over 5 KiB.
struct OriginHead : http::ResponseHead, net::Pooled {};

struct OriginResponse {
  // Views into head_bytes; hop-by-hop fields already removed. Null only after being moved from.
  std::unique_ptr<OriginHead> head = std::make_unique_for_overwrite<OriginHead>();
  BlockRef head_bytes;
  BlockRef made_bytes;                          // of fields that were made on the way
  std::unique_ptr<BodySource> body;             // null: no body (HEAD, 204, 304, length 0)
  std::optional<std::uint64_t> content_length;  // of the body when known
  std::unique_ptr<TunnelEnd> tunnel;            // after a 101, what follows it; else null
  OriginTrace trace;
  // For purges. Of what the answer was made from (a picture's original): its tags, and the sequence of purges
  // when it was fetched; 0: of nothing stored.
  std::string tags;
  std::uint64_t sequence = 0;
  const Origin* origin = nullptr;  // who answered; set by fetch_with_failover()
};

// Immutable after construction; one object per origin and snapshot. Its run-time state (health, idle
// connections) lives elsewhere and survives a reload.
class Origin {
 public:
  enum class Kind : std::uint8_t { servers, s3, directory, images };

  Origin(std::string name, Kind kind) : name_(std::move(name)), kind_(kind) {}
  virtual ~Origin() = default;
  const std::string& name() const { return name_; }
  Kind kind() const { return kind_; }
  // Of objects that have names: an object store or a directory.
  bool is_store() const { return kind_ == Kind::s3 || kind_ == Kind::directory; }

  // The final response head (1xx are consumed). Any status is a success; an Error means that no usable
  // answer came: refused, reset, timeout (by the origin's own time-outs), tls, malformed, unavailable (no
  // server is up), exhausted. Retries on other servers happen inside; failover to other origins does not.
  virtual net::Task<Result<OriginResponse>> fetch(WorkerContext& context, const OriginRequest& request) = 0;

  // For stores of objects: the part of a client's query that names the object beside the path (such as a
  // version), a view into `query`; empty when no part does. It belongs to the object's key, and fetch() finds
  // it again in a request that has nothing but it as its query. Thread-safe, allocates nothing.
  virtual std::string_view object_query(std::string_view query) const {
    static_cast<void>(query);
    return {};
  }

 private:
  std::string name_;
  Kind kind_;
};

}  // namespace vignette::proxy
