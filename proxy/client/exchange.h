// One request and its answer, whatever the protocol: route, policies, cache, origin, answer, log.
//
//   answer_now()   everything that can be decided without waiting: refusals, redirects, cache hits.
//                  A plain function: a hit passes through no coroutine and allocates nothing.
//   answer()       the rest: fills, pass-through, pages that read the disk
//   finish()       metrics and the access log line, once the answer has been sent or has failed
//
// Loop-thread only. Keeps the configuration snapshot it began with.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/arena.h"
#include "cache/cache_status.h"
#include "cache/fill_table.h"
#include "cache/freshness.h"
#include "cache/purge/purge_book.h"
#include "cache/vary.h"
#include "geo/country.h"
#include "http/message.h"
#include "http/range.h"
#include "imaging/url.h"
#include "net/task.h"
#include "proxy/client/client_facts.h"
#include "proxy/client/error_answer.h"
#include "proxy/client/request_body.h"
#include "proxy/client/responder.h"
#include "proxy/client/tunnel.h"
#include "proxy/media/fill_hub.h"
#include "proxy/media/fill_job.h"
#include "proxy/media/image_memo.h"
#include "proxy/media/large_reader.h"
#include "proxy/route/route.h"
#include "proxy/route/router.h"

namespace vignette::proxy {

struct Snapshot;
struct StoredUrl;
struct WorkerContext;

// Memory of exchanges, kept by the connection's work so that it is warm.
struct ExchangeScratch {
  std::string path;        // normalised
  std::string made;        // the origin's path or the URI, where it is no view of the request
  std::string variant;     // how the client came, and what of its fields the key has
  std::string key;         // canonical cache key
  std::string query;       // as key and origin have it, where the route selects from it
  std::string names;       // of stored fields that are edited on the way out
  std::string extra;       // header lines of this answer
  Arena texts{64 * 1024};  // values of fields added for the origin

  void clear() {
    path.clear();
    made.clear();
    variant.clear();
    key.clear();
    query.clear();
    names.clear();
    extra.clear();
    texts.reset();
  }
};

class Exchange {
 public:
  // `head` is changed on the way (fields are stripped and added for the origin); `body` is null when there
  // is none. All arguments outlive the exchange.
  Exchange(WorkerContext& context, const ClientFacts& client, http::RequestHead& head, RequestBody* body,
           Responder& responder, ExchangeScratch& scratch);
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  bool answer_now();
  net::Task<void> answer();
  void finish();

  // For who asks without a client (warm.h): what becomes of it, and in the end became.
  bool goes_by_cache() const { return plan_ == Plan::cached; }
  const cache::CacheStatus& cache_status() const { return status_; }
  std::string_view reason() const { return reason_; }

  // After a 101: the origin's end of what the connection has become, for the codec to run (tunnel.h) before
  // finish(); else null.
  std::unique_ptr<TunnelEnd> take_tunnel() { return std::move(tunnel_); }
  void note_tunnel(const TunnelOutcome& outcome);

  // The client did not take the end of its answer; before finish().
  void lose_client(const Error& error);

  // For what the codec itself refuses: the head could not be read.
  void refuse(const ErrorAnswer& answer);
  // The same where the codec gives no answer at all; before finish(). `reason` is static.
  void reject(std::string_view reason);

 private:
  enum class Plan : std::uint8_t { pass, cached, gallery, purge };

  // Deciding (exchange.cc)
  bool admit();
  bool normalise();
  bool answer_options();
  bool find_route();
  bool apply_policies();
  bool within_rate(const std::optional<conf::RateLimit>& limit, std::uint64_t scope);
  bool redirect_listener();
  void redirect(int status, std::string location);
  bool decide_origin();
  bool decide_websocket();
  bool only_reads();
  bool decide_gallery();
  bool decide_images();
  bool read_image_request();
  bool try_hit();
  bool take_found(cache::VariantLookup variant);
  void object_path(std::string_view path);
  std::string_view request_uri();
  std::string_view viewer_scheme() const;
  std::string_view viewer_origin();
  bool make_servers_key();
  const http::RequestDirectives* obeyed();
  bool may_use_cache() const;
  bool may_fill_cache() const;
  bool is_passed_by() const;
  void plan_pass();

  // Answering from the cache (exchange_cached.cc)
  net::Task<void> answer_cached();
  net::Task<bool> answer_from_disk();
  net::Task<void> send_while_revalidating();
  net::Task<void> answer_by_fill();
  cache::Joined start_alone();
  net::Task<bool> follow_fill(cache::Joined joined);
  net::Task<void> deliver(cache::Reader& reader, FillHub::Follower& follower);
  void send_object(const cache::ObjectRef& object);
  bool begin_object(const cache::Object& object, std::string_view first_bytes);
  bool select_part(const cache::Object& object, std::optional<std::uint64_t>& length, int& status);
  void append_part(const cache::Object& object);
  void start_background_fill();
  void narrow_encodings();
  void launch(cache::FillWriter writer);
  std::unique_ptr<FillJob> make_job();
  bool may_serve_stale();
  net::Task<void> answer_failed_fill(Error error);

  // Large objects, in chunks (exchange_large.cc)
  bool wants_part() const;
  bool has_fresh_manifest() const;
  net::Task<bool> send_found_large();
  net::Task<void> send_stale();
  net::Task<bool> send_large(cache::ObjectRef manifest);
  net::Task<Result<std::string>> first_bytes(LargeSourceRef source);
  net::Task<void> send_chunks(LargeReader& reader);
  LargeSourceRef large_source(cache::ObjectRef manifest);
  void note_missing(const LargeReader& reader);
  void forget_hit();
  bool could_not_begin(const cache::Object& manifest, const Error& error);

  // Passing through (exchange_pass.cc)
  net::Task<void> pass_through();
  net::Task<void> relay(OriginResponse& response);
  OriginRequest origin_request();
  const Viewer* viewer();
  bool tell_viewer();
  bool prepare_origin_fields();
  bool is_spooled() const;
  void refuse_fetch(const Error& error);

  // Answering (exchange_answer.cc)
  void begin(int status, const http::FieldList* fields, Slice wire, std::optional<std::uint64_t> length);
  net::Task<bool> flush_or_abort();
  void break_off(std::string_view reason);
  void simple_answer(int status, std::string_view content_type, std::string_view body);
  bool refuse_for_store(int status, std::optional<std::uint64_t> length);
  void write_cache_status();
  bool needs_field_edits() const;
  void note_in_sketches();
  void edit_fields(http::FieldList& fields);
  std::optional<std::string_view> keep(std::string_view text);

  net::Task<void> answer_gallery();

  // Purging (exchange_purge.cc)
  bool is_purge() const;
  bool decide_purge();
  net::Task<void> answer_purge();
  bool may_be_stored(const StoredUrl& url);
  void add_groups(const http::ResponseHead& answer, std::vector<cache::PurgeTarget>& targets);
  net::Task<void> invalidate(const http::ResponseHead& answer);

  WorkerContext& context_;
  const ClientFacts& client_;
  http::RequestHead& head_;
  RequestBody* body_;
  Responder& responder_;
  ExchangeScratch& scratch_;
  std::shared_ptr<const Snapshot> snapshot_;
  const Site* site_ = nullptr;  // by the host; null: none
  const Route* route_ = nullptr;
  Plan plan_ = Plan::pass;

  TimePoint started_;
  Viewer viewer_;
  conf::IpBytes address_;  // of the client, through trusted hops; the peer until they have been read
  geo::Country country_ = geo::kUnknown;
  std::string_view path_;          // normalised
  std::string_view origin_path_;   // what the origin is asked for
  std::string_view object_query_;  // what of the query a store's object is named by; mostly none
  AskedImageRef asked_;            // of an images route
  const imaging::ImageRequest* image_ = nullptr;  // in asked_
  bool accepts_webp_ = false;

  std::optional<std::string_view> fill_query_;     // of routes to servers: what a fill asks for
  std::optional<http::RequestDirectives> wishes_;  // where the route obeys them, once they were read
  cache::Key key_;
  cache::ObjectRef found_;   // what the lookup brought, stale or not
  bool is_on_disk_ = false;  // nothing was found yet, but a slower tier has something
  cache::ServeDecision decision_;
  cache::CacheStatus status_;  // becomes Cache-Status
  CacheOutcome outcome_ = CacheOutcome::none;
  std::uint64_t object_bytes_ = 0;  // of the stored answer, where it is known
  http::ByteRange range_;           // with answer_is_part_
  bool answer_is_part_ = false;
  std::optional<bool> has_origin_fields_;  // once they were set: whether all of them fit

  bool upgrades_ = false;              // to websocket, if the origin will
  std::unique_ptr<TunnelEnd> tunnel_;  // after the origin's 101, until it is taken
  TunnelOutcome tunnelled_;            // zeros without one

  int answered_ = 0;         // status; 0: none
  std::string_view reason_;  // of a refusal or failure; static
  std::string_view origin_name_;
  std::shared_ptr<OriginTrace> trace_;  // null: nothing was asked on behalf of this request
};

}  // namespace vignette::proxy
