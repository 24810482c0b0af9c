#include "proxy/media/large_run.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "net/worker.h"
#include "proxy/media/fill_job.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

constexpr Duration kLookEvery =
    std::chrono::seconds(1);  // whether the reader of the last chunk is still there

}  // namespace

bool keeps_chunks(const cache::Store& store) { return store.max_object_bytes() >= cache::kChunkBytes; }

bool serves_ranges(const std::vector<Origin*>& origins, const http::ResponseHead& response) {
  if (std::ranges::all_of(origins, &Origin::is_store) || response.status == 206) return true;
  return response.fields.value(http::FieldId::accept_ranges) == "bytes";
}

ChunkRun::ChunkRun(WorkerContext& context, cache::ObjectRef manifest, std::uint64_t first, std::uint64_t last,
                   Pace pace)
    : context_(context),
      manifest_(std::move(manifest)),
      last_(last),
      pace_(pace),
      at_(first),
      opened_(first),
      position_(first * cache::kChunkBytes) {
  VCHECK(first <= last && last < cache::chunk_count(*manifest_->content_length()));
}

void ChunkRun::give(std::uint64_t index, cache::FillWriter writer) {
  given_index_ = index;
  given_ = std::move(writer);
}

void ChunkRun::open() {
  while (opened_ <= last_ && opened_ - at_ < kOpenAhead) open_next();
}

// Empty: it is stored, or somebody else fills it.
cache::FillWriter ChunkRun::join(std::uint64_t index) {
  if (given_index_ == index) return std::move(given_);
  std::string key_string;
  const cache::Key key = cache::chunk_key(*manifest_, index, key_string);
  const TimePoint now = context_.loop.now();
  cache::FillTable& fills = context_.node.fills;
  cache::Joined joined = fills.join_or_start(key, key_string, now, nullptr, cache::Sharing::always);
  // Of another version: to be replaced.
  if (joined.hit && !cache::is_chunk_of(*manifest_, index, *joined.hit)) {
    const cache::ObjectRef other = std::move(joined.hit);
    joined = fills.join_or_start(key, key_string, now, other.get(), cache::Sharing::always);
  }
  return std::move(joined.writer);
}

void ChunkRun::open_next() {
  Slot slot;
  slot.writer = join(opened_++);
  if (slot.writer) slot.wish = slot.writer.on_room(context_.loop, [this] { read_.notify_all(); });
  slots_.push_back(std::move(slot));
}

bool ChunkRun::has_work() const {
  return given_ ||
         std::ranges::any_of(slots_, [](const Slot& slot) { return static_cast<bool>(slot.writer); });
}

bool ChunkRun::is_read_ahead() {
  if (given_ && given_.has_readers()) return true;
  return std::ranges::any_of(slots_,
                             [](const Slot& slot) { return slot.writer && slot.writer.has_readers(); });
}

// Ok once the chunk at hand, or a later one, has a reader.
net::Task<Result<void>> ChunkRun::wait_until_read() {
  const TimePoint started = context_.loop.now();
  TimePoint last_read = started;
  while (!is_read_ahead()) {
    const TimePoint now = context_.loop.now();
    if (previous_ && previous_.has_readers()) last_read = now;
    if (now - last_read >= kUnreadGrace || now - started >= context_.node.reader_stall) {
      co_return vignette::fail(Code::cancelled, Blame::client, "large: nobody reads");
    }
    auto woken = co_await read_.wait(now + kLookEvery);
    if (!woken && woken.error().code != Code::timeout) co_return woken;
  }
  co_return Result<void>{};
}

Result<void> ChunkRun::begin(Slot& slot) {
  slot.begun = true;
  std::string fields;
  const auto verdict = slot.writer.set_head(cache::chunk_head(*manifest_, at_, fields), cache::Reason::none);
  if (verdict == cache::HeadVerdict::lost) slot.writer.reset();
  if (verdict == cache::HeadVerdict::passing && slot.writer.abandoned()) {
    return vignette::fail(Code::exhausted, Blame::internal, "large: no room for a chunk");
  }
  return {};
}

void ChunkRun::finish_chunk() {
  // Before the commit: who has seen the end of this chunk finds the next one open.
  if (opened_ <= last_) open_next();
  Slot& slot = slots_.front();
  if (slot.writer) {
    slot.wish.reset();
    static_cast<void>(slot.writer.commit());
    context_.node.metrics.chunks_fetched.add(context_.index);
  }
  previous_ = std::move(slot.writer);
  slots_.pop_front();
  ++at_;
}

Result<void> ChunkRun::put(Slice bytes) {
  while (!bytes.empty()) {
    if (at_ > last_) return vignette::fail(Code::limit, Blame::origin, "large: more bytes than asked for");
    Slot& slot = slots_.front();
    if (slot.writer && !slot.begun) {
      if (auto begun = begin(slot); !begun) return begun;
    }
    const std::uint64_t end = cache::chunk_range(*manifest_->content_length(), at_).last + 1;
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), end - position_));
    if (slot.writer) {
      if (auto appended = slot.writer.append(bytes.sub(0, size)); !appended) return appended;
    }
    bytes = bytes.sub(size, bytes.size() - size);
    position_ += size;
    if (slots_.size() > 1 && slots_[1].writer) slots_[1].writer.keep_waiting(context_.loop.now());
    if (position_ == end) finish_chunk();
  }
  return {};
}

net::Task<Result<void>> ChunkRun::feed(BodySource& body) {
  for (bool is_first = true; at_ <= last_ && has_work(); is_first = false) {
    const bool at_border = position_ % cache::kChunkBytes == 0;
    if (pace_ == Pace::pulled && at_border && !is_first) {
      auto read = co_await wait_until_read();
      if (!read) co_return read;
    }
    if (slots_.front().writer) {
      auto room = co_await wait_for_room(context_, slots_.front().writer);
      if (!room) co_return vignette::fail(Code::cancelled, Blame::client, "large: nobody reads");
    }
    auto piece = co_await body.next(context_.loop.now() + kBodyStall);
    if (!piece) co_return std::unexpected(piece.error());
    if (auto taken = put(std::move(piece->bytes)); !taken) co_return taken;
    if (piece->last && at_ <= last_) {
      co_return vignette::fail(Code::closed, Blame::origin, "large: the body ended early");
    }
  }
  co_return Result<void>{};
}

net::Task<Result<void>> ChunkRun::take(BodySource& body) {
  auto fed = co_await feed(body);
  // A checksum of the whole is judged at its end: what was published by then is not to be trusted.
  if (!fed && fed.error().code == Code::malformed) drop_large(context_.node.store, *manifest_);
  if (!fed) fail(fed.error());
  co_return fed;
}

void ChunkRun::fail(const Error& error) {
  if (given_) given_.fail(error);
  for (Slot& slot : slots_) {
    if (slot.writer) slot.writer.fail(error);
  }
}

namespace {

// The origin has something else under this name now.
bool says_changed(const cache::Object& manifest, const OriginResponse& response) {
  const int status = response.head->status;
  if (status == 200 || status == 404 || status == 410 || status == 412 || status == 416) return true;
  if (status != 206) return false;
  if (response.head->fields.value(http::FieldId::etag) != manifest.etag()) return true;
  const auto told = http::parse_content_range(response.head->fields.value(http::FieldId::content_range));
  return told && told->length != manifest.content_length();
}

class RangeRun {
 public:
  RangeRun(WorkerContext& context, std::unique_ptr<RangeJob> job)
      : context_(context), job_(std::move(job)), manifest_(job_->source->manifest) {}

  net::Task<void> run();

 private:
  http::ByteRange part() const;
  net::Task<Result<OriginResponse>> fetch();
  void fail(const Error& error);
  void refuse(const OriginResponse& response);

  WorkerContext& context_;
  std::unique_ptr<RangeJob> job_;
  const cache::ObjectRef manifest_;
};

http::ByteRange RangeRun::part() const {
  const std::uint64_t size = *manifest_->content_length();
  return {cache::chunk_range(size, job_->first).first, cache::chunk_range(size, job_->last).last};
}

net::Task<Result<OriginResponse>> RangeRun::fetch() {
  const std::string range = "bytes=" + std::to_string(part().first) + "-" + std::to_string(part().last);
  const StoredRequest& request = *job_->source->request;
  http::FieldList fields = request.head().fields;
  fields.add(http::FieldId::range, range);
  fields.add(http::FieldId::if_match, manifest_->etag());
  OriginRequest asked = request.request(fields);
  asked.viewer = nullptr;  // whoever came first: the pieces are for everybody
  auto response = co_await fetch_with_failover(context_, job_->source->origins, asked);
  if (response && job_->trace) *job_->trace = response->trace;
  co_return response;
}

void RangeRun::fail(const Error& error) {
  context_.node.metrics.fills_failed.add(context_.index);
  job_->writer.fail(error);
}

void RangeRun::refuse(const OriginResponse& response) {
  if (!says_changed(*manifest_, response)) {
    return fail({Code::unavailable, Blame::origin, Retry::yes, 0, "large: no such range was given"});
  }
  context_.node.metrics.large_changed.add(context_.index);
  drop_large(context_.node.store, *manifest_);
  fail({Code::closed, Blame::origin, Retry::no, 0, "large: the object has changed"});
}

net::Task<void> RangeRun::run() {
  context_.node.metrics.fills_started.add(context_.index);
  auto response = co_await fetch();
  if (!response) {
    fail(response.error());
    co_return;
  }
  const std::uint64_t length = response->content_length.value_or(0);
  const bool is_whole = cache::brings_whole(*manifest_, *response->head, length);
  const bool is_part = cache::brings_part(*manifest_, part(), *response->head);
  if (!response->body || (!is_whole && !is_part)) {
    refuse(*response);
    co_return;
  }
  ChunkRun run(context_, manifest_, is_whole ? 0 : job_->first, job_->last, ChunkRun::Pace::pulled);
  run.give(job_->first, std::move(job_->writer));
  run.open();
  auto taken = co_await run.take(*response->body);
  if (!taken && taken.error().blame != Blame::client) context_.node.metrics.fills_failed.add(context_.index);
}

net::Task<void> range_strand(WorkerContext& context, std::unique_ptr<RangeJob> job) {
  RangeRun run(context, std::move(job));
  co_await run.run();
}

}  // namespace

void start_range_run(WorkerContext& context, std::unique_ptr<RangeJob> job) {
  context.loop.spawn_named("large", range_strand, std::ref(context), std::move(job));
}

bool is_current(const cache::Store& store, const cache::Object& manifest) {
  const cache::ObjectRef now = store.peek(manifest.key(), manifest.key_string());
  if (!now) return store.may_have(manifest.key(), manifest.key_string());
  return now->etag() == manifest.etag() && now->content_length() == manifest.content_length();
}

void drop_large(cache::Store& store, const cache::Object& manifest) {
  if (is_current(store, manifest)) store.erase(manifest.key(), manifest.key_string());
  const std::uint64_t count =
      std::min<std::uint64_t>(cache::chunk_count(*manifest.content_length()), kDroppedAtOnce);
  std::string key_string;
  for (std::uint64_t index = 0; index < count; ++index) {
    const cache::Key key = cache::chunk_key(manifest, index, key_string);
    const cache::ObjectRef chunk = store.peek(key, key_string);
    if (chunk && cache::is_chunk_of(manifest, index, *chunk)) store.erase(key, key_string);
  }
}

}  // namespace vignette::proxy
