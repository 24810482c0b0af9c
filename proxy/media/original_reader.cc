#include "proxy/media/original_reader.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/core.h>

#include "cache/freshness.h"
#include "cache/purge/purge_book.h"
#include "cache/vary.h"
#include "imaging/memfd.h"
#include "net/worker.h"
#include "proxy/media/fill_follow.h"
#include "proxy/media/image_origin.h"
#include "proxy/media/imaging_service.h"
#include "proxy/media/large_reader.h"
#include "proxy/media/stored_lookup.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

using imaging::ErrorClass;

constexpr std::size_t kBytesATurn = std::size_t{1} << 20;  // copied, then others have a turn

std::unexpected<NoOriginal> refused(int status, std::string_view text, std::string_view retry_after = "") {
  return std::unexpected(NoOriginal{status, text, std::string(retry_after), {}});
}
std::unexpected<NoOriginal> failed(const Error& error) {
  return std::unexpected(NoOriginal{0, "", "", error});
}

std::unexpected<NoOriginal> refused(ErrorClass error) {
  switch (error) {
    case ErrorClass::unsupported:
      return refused(415, "The original is not a picture that is supported.");
    case ErrorClass::too_large:
      return refused(413, "The original is too large.");
    case ErrorClass::busy:
      return refused(503, "Too many pictures are being made right now.");
    default:
      return refused(422, "The original is damaged.");
  }
}

std::string text_of(const Hash128& hash) { return fmt::format("{:016x}{:016x}", hash.high, hash.low); }

Result<void> write_all(int memory, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(memory, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(Code::exhausted, Blame::internal, "original: memory", errno);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

}  // namespace

OriginalReader::OriginalReader(WorkerContext& context, std::shared_ptr<const Snapshot> snapshot,
                               Origin& origin, std::string path, const imaging::Limits& limits)
    : context_(context),
      snapshot_(std::move(snapshot)),
      origin_(origin),
      path_(std::move(path)),
      limits_(limits),
      started_(context.loop.now()) {}

void OriginalReader::launch(cache::FillWriter writer) {
  auto job = std::make_unique<FillJob>();
  job->snapshot = snapshot_;
  job->origins = {&origin_};
  job->request = std::make_unique<StoredRequest>("", path_, "", false, http::FieldList());
  job->policy = cache::media_policy();
  job->stale = found_;
  job->writer = std::move(writer);
  start_fill(context_, std::move(job));
}

bool OriginalReader::use_stale() {
  if (!found_ || cache::judge(context_.node.store.purges(), *found_) == cache::Verdict::dead) return false;
  const cache::ServeDecision decision = cache::decide_serve(*found_, context_.loop.wall());
  if (decision.serve == cache::Serve::must_revalidate) return false;
  object_ = found_;
  joined_ = {};
  return true;
}

net::Task<std::expected<void, NoOriginal>> OriginalReader::open() {
  const http::FieldList no_fields{};
  key_ = original_key(origin_, path_, {}, key_string_);
  cache::VariantLookup stored = cache::try_lookup_variant(context_.node.store, no_fields, key_, key_string_);
  if (stored.lookup.outcome == cache::Lookup::Outcome::must_wait) {
    auto waited = co_await finish_lookup(context_, std::move(stored), no_fields, key_, key_string_);
    if (!waited) co_return failed(waited.error());
    stored = std::move(*waited);
  }
  if (stored.lookup.outcome == cache::Lookup::Outcome::hit) found_ = std::move(stored.lookup.object);
  const cache::Serve serve =
      found_ ? cache::decide_serve(*found_, context_.loop.wall()).serve : cache::Serve::must_revalidate;
  if (serve == cache::Serve::fresh) {
    object_ = found_;
    co_return check_status();
  }
  cache::Joined joined =
      context_.node.fills.join_or_start(key_, key_string_, context_.loop.now(), found_.get());
  if (joined.hit) {
    object_ = std::move(joined.hit);
    co_return check_status();
  }
  if (serve == cache::Serve::stale_while_revalidate) {
    object_ = found_;
    if (joined.started()) launch(std::move(joined.writer));
    co_return check_status();
  }
  auto followed = co_await follow(std::move(joined));
  if (followed && !*followed) {
    // What that fill brought is not for us: one of our own, which nobody can join.
    followed = co_await follow(context_.node.fills.start_alone(key_, key_string_, context_.loop.now()));
  }
  if (!followed) {
    const bool is_cancelled =
        followed.error().code == Code::cancelled && followed.error().blame == Blame::client;
    if (is_cancelled || !use_stale()) co_return failed(followed.error());
    co_return check_status();
  }
  if (!*followed) co_return failed({Code::unavailable, Blame::internal, Retry::no, 0, "original: refused"});
  co_return check_status();
}

// False: what this fill brings is not for this reader.
net::Task<Result<bool>> OriginalReader::follow(cache::Joined joined) {
  const bool started_here = joined.started();
  joined_ = std::move(joined);
  follower_ = context_.fills.follow(joined_.fill);
  if (started_here) launch(std::move(joined_.writer));
  const std::function<void(cache::FillWriter)> second = [this](cache::FillWriter writer) {
    launch(std::move(writer));
  };
  auto head =
      co_await wait_for_head(context_, joined_.reader, joined_.fill, follower_, started_ + kHeadWait, second);
  if (!head) co_return std::unexpected(head.error());
  if (joined_.reader.state() == cache::FillState::refused) co_return false;
  cache::ObjectRef object = joined_.reader.object();
  if (!started_here && !cache::vary_matches(*object, http::FieldList())) co_return false;
  object_ = std::move(object);
  co_return true;
}

std::expected<void, NoOriginal> OriginalReader::check_status() const {
  const int status = object_->status();
  if (status == 200) {
    if (object_->content_length().value_or(0) > limits_.max_source_bytes)
      return refused(ErrorClass::too_large);
    return {};
  }
  if (status == 404 || status == 410 || status == 403) return refused(404, "There is no such original.");
  if (status == 429 || status == 503) {
    return refused(503, "The origin asks to come back later.", object_->field("retry-after").value_or("1"));
  }
  if (status == 504) return refused(504, "The origin did not answer in time.");
  return refused(502, "The origin did not give the original.");
}

// As far as it is known before they are all here.
std::uint64_t OriginalReader::most_bytes() const {
  if (auto length = object_->content_length()) return *length;
  const cache::Body& body = object_->body();
  return body.state() == cache::Body::State::complete ? body.length() : limits_.max_source_bytes;
}

net::Task<std::expected<Original, NoOriginal>> OriginalReader::read() {
  original_.permit = context_.node.imaging->admit(most_bytes());
  if (!original_.permit) co_return refused(ErrorClass::busy);
  if (!has_strong_tag()) hash_.emplace();
  auto memory = imaging::create_memfd("original");
  if (!memory) co_return failed(memory.error());
  original_.memory = std::move(*memory);
  auto taken = co_await take_all();
  if (!taken) co_return std::unexpected(std::move(taken.error()));
  if (original_.size == 0) co_return refused(422, "The original is empty.");
  if (auto looked = look_at_header(true); !looked) co_return std::unexpected(std::move(looked.error()));
  if (auto sealed = imaging::seal(original_.memory.get()); !sealed) co_return failed(sealed.error());
  original_.permit.shrink_to(original_.size);
  original_.tag = hash_ ? text_of(hash_->value()) : std::string(object_->etag());
  co_return std::move(original_);
}

net::Task<std::expected<void, NoOriginal>> OriginalReader::take_all() {
  if (object_->flags().is_manifest) {
    joined_ = {};
    auto taken = co_await take_chunks();
    co_return taken;
  }
  if (joined_.reader) {
    auto taken = co_await take_arriving();
    co_return taken;
  }
  auto taken = co_await take_stored();
  co_return taken;
}

// Of a large original: from the store, and from the fills of those that are still to come.
net::Task<std::expected<void, NoOriginal>> OriginalReader::take_chunks() {
  auto source = std::make_shared<LargeSource>();
  source->snapshot = snapshot_;
  source->origins = {&origin_};
  source->request = std::make_shared<StoredRequest>("", path_, "", false, http::FieldList());
  source->manifest = object_;
  LargeReader reader(context_, std::move(source), {0, *object_->content_length() - 1}, nullptr);
  std::size_t copied = 0;
  while (!reader.at_end()) {
    Slice slices[kSlicesATurn];
    auto count = co_await reader.next(slices);
    if (!count) co_return failed(count.error());
    for (const Slice& slice : std::span(slices).first(*count)) {
      if (auto taken = take(slice.view()); !taken) co_return taken;
      copied += slice.size();
    }
    if (copied < kBytesATurn) continue;
    copied = 0;
    auto turn = co_await net::yield();
    if (!turn) co_return failed(turn.error());
  }
  co_return std::expected<void, NoOriginal>{};
}

net::Task<std::expected<void, NoOriginal>> OriginalReader::take_stored() {
  std::size_t copied = 0;
  for (const cache::Chunk& chunk : object_->body_chunks()) {
    if (auto taken = take(chunk.bytes.view()); !taken) co_return taken;
    copied += chunk.bytes.size();
    if (copied < kBytesATurn) continue;
    copied = 0;
    auto turn = co_await net::yield();
    if (!turn) co_return failed(turn.error());
  }
  co_return std::expected<void, NoOriginal>{};
}

net::Task<std::expected<void, NoOriginal>> OriginalReader::take_arriving() {
  std::size_t copied = 0;
  for (;;) {
    auto ready = co_await wait_for_bytes(context_, joined_.reader, follower_, 1);
    if (!ready) co_return failed(ready.error());
    if (!*ready) break;
    Slice slices[kSlicesATurn];
    const std::size_t count = joined_.reader.peek(slices);
    for (std::size_t i = 0; i < count; ++i) {
      if (auto taken = take(slices[i].view()); !taken) co_return taken;
      joined_.reader.advance(slices[i].size());
      copied += slices[i].size();
    }
    if (copied < kBytesATurn) continue;
    copied = 0;
    auto turn = co_await net::yield();
    if (!turn) co_return failed(turn.error());
  }
  joined_.reader.reset();
  co_return std::expected<void, NoOriginal>{};
}

std::expected<void, NoOriginal> OriginalReader::take(std::string_view bytes) {
  if (original_.size + bytes.size() > limits_.max_source_bytes) return refused(ErrorClass::too_large);
  if (auto written = write_all(original_.memory.get(), bytes); !written) return failed(written.error());
  original_.size += bytes.size();
  if (hash_) hash_->add(bytes);
  return look_at_header(false);
}

std::expected<void, NoOriginal> OriginalReader::look_at_header(bool complete) {
  if (scanned_ || (original_.size < scan_at_ && !complete)) return {};
  // Unmapped again before the memory is sealed.
  auto mapping = imaging::Mapping::map(original_.memory.get(),
                                       std::min<std::uint64_t>(original_.size, imaging::kMaxHeaderBytes));
  if (!mapping) return failed(mapping.error());
  const imaging::HeaderScan scan = imaging::scan_header(mapping->view(), complete);
  if (scan.state == imaging::HeaderScan::State::failed) return refused(scan.error);
  const std::uint64_t known = object_->content_length().value_or(original_.size);
  if (imaging::check_limits(scan.header, std::max(known, original_.size), limits_) != ErrorClass::none) {
    return refused(ErrorClass::too_large);
  }
  if (scan.state == imaging::HeaderScan::State::done) {
    scanned_ = true;
    original_.header = scan.header;
    return {};
  }
  if (complete || original_.size >= imaging::kMaxHeaderBytes) return refused(ErrorClass::broken);
  scan_at_ = std::max(scan.need, static_cast<std::size_t>(original_.size) + 1);
  return {};
}

}  // namespace vignette::proxy
