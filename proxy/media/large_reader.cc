#include "proxy/media/large_reader.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "proxy/media/fill_follow.h"
#include "proxy/media/stored_lookup.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

constexpr std::uint64_t kLongestRun = 1024;  // chunks that one request of a reader asks for

bool was_cancelled(const Error& error) {
  return error.code == Code::cancelled && error.blame == Blame::client;
}

// Who has read the last byte of a chunk may ask again before its fill has stored it: that one has it all.
bool is_there(WorkerContext& context, const cache::Object& manifest, std::uint64_t index,
              std::string& key_string) {
  const cache::Key key = cache::chunk_key(manifest, index, key_string);
  if (context.node.store.may_have(key, key_string)) return true;
  const cache::FillRef fill = context.node.fills.find(key, key_string);
  const cache::ObjectRef chunk = fill ? fill->object() : nullptr;
  if (!chunk || !cache::is_chunk_of(manifest, index, *chunk))
    return context.node.store.may_have(key, key_string);
  return chunk->body().length() == chunk->content_length();
}

}  // namespace

LargeReader::LargeReader(WorkerContext& context, LargeSourceRef source, http::ByteRange part,
                         std::shared_ptr<OriginTrace> trace)
    : context_(context),
      source_(std::move(source)),
      part_(part),
      trace_(std::move(trace)),
      position_(part.first) {}

std::uint64_t LargeReader::chunks() const { return last_chunk() - part_.first / cache::kChunkBytes + 1; }

std::uint64_t LargeReader::missing() const {
  std::uint64_t missing = 0;
  std::string key_string;
  const std::uint64_t first = part_.first / cache::kChunkBytes;
  const std::uint64_t end = std::min(last_chunk() + 1, first + kMostLookedFor);
  for (std::uint64_t index = first; index < end; ++index) {
    if (!is_there(context_, manifest(), index, key_string)) ++missing;
  }
  return missing + (last_chunk() + 1 - end);
}

net::Task<Result<void>> LargeReader::open() {
  auto opened = co_await open_here();
  co_return opened;
}

net::Task<Result<std::size_t>> LargeReader::next(std::span<Slice> out) {
  while (!at_end()) {
    auto opened = co_await open_here();
    if (!opened) co_return std::unexpected(opened.error());
    read_ahead();
    auto ready = co_await await_bytes();
    if (!ready) co_return std::unexpected(ready.error());
    if (!*ready) continue;
    read_ahead();
    if (const std::size_t count = take(out); count > 0) co_return count;
  }
  co_return 0;
}

// Until the chunk of position_ is stored, or its fill has a head that is ours.
net::Task<Result<void>> LargeReader::open_here() {
  for (;;) {
    if (!here_.is_open()) {
      here_.index = position_ / cache::kChunkBytes;
      auto looked = co_await look_up(here_);
      if (!looked) co_return looked;
      if (!here_.is_open() && ++failures_ < kTries) continue;
      if (!here_.is_open()) co_return fail(Code::closed, Blame::internal, "large: a chunk that changes");
    }
    if (here_.stored || here_.has_head) co_return Result<void>{};
    auto head = co_await await_head();
    if (head) continue;
    here_ = {};
    if (!may_try_again(head.error())) co_return head;
  }
}

net::Task<Result<void>> LargeReader::look_up(Place& place) {
  const cache::Key key = cache::chunk_key(manifest(), place.index, key_string_);
  cache::Lookup found = context_.node.store.try_lookup(key, key_string_);
  if (found.outcome == cache::Lookup::Outcome::must_wait) {
    auto waited = co_await await_lookup(context_, key, key_string_);
    if (!waited) co_return std::unexpected(waited.error());
    found = std::move(*waited);
  }
  if (!take_stored(place, found)) join(place, found.object.get());
  co_return Result<void>{};
}

bool LargeReader::take_stored(Place& place, cache::Lookup& found) const {
  if (!found.object || !cache::is_chunk_of(manifest(), place.index, *found.object)) return false;
  place.stored = std::move(found.object);
  return true;
}

// `other`: what the store has of another version.
void LargeReader::join(Place& place, const cache::Object* other) {
  const cache::Key key = cache::chunk_key(manifest(), place.index, key_string_);
  cache::FillTable& fills = context_.node.fills;
  const TimePoint now = context_.loop.now();
  cache::Joined joined = fills.join_or_start(key, key_string_, now, other, cache::Sharing::always);
  if (joined.hit) {
    cache::Lookup found{cache::Lookup::Outcome::hit, joined.hit};
    if (take_stored(place, found)) return;
    joined = fills.join_or_start(key, key_string_, now, found.object.get(), cache::Sharing::always);
    // Stored since: the next look finds out what it is.
    if (joined.hit) return;
  }
  attach(place, std::move(joined));
}

void LargeReader::attach(Place& place, cache::Joined joined) {
  ++fetched_;
  place.fill = std::move(joined.fill);
  place.reader = std::move(joined.reader);
  place.follower = context_.fills.follow(place.fill);
  if (joined.writer) launch(place.index, last_missing(place.index), std::move(joined.writer));
}

// A fill that nobody can join: the store has no room for it, so that it is passed on to this reader, or a
// chunk of another version is still arriving under the key.
void LargeReader::start_alone() {
  const std::uint64_t index = here_.index;
  const cache::Key key = cache::chunk_key(manifest(), index, key_string_);
  cache::Joined alone = context_.node.fills.start_alone(key, key_string_, context_.loop.now());
  here_ = {};
  here_.index = index;
  here_.is_alone = true;
  here_.fill = std::move(alone.fill);
  here_.reader = std::move(alone.reader);
  here_.follower = context_.fills.follow(here_.fill);
  launch(index, index, std::move(alone.writer));
}

void LargeReader::launch(std::uint64_t first, std::uint64_t last, cache::FillWriter writer) {
  auto job = std::make_unique<RangeJob>();
  job->source = source_;
  job->first = first;
  job->last = last;
  job->writer = std::move(writer);
  job->trace = trace_;
  start_range_run(context_, std::move(job));
}

// The end of the gap that begins with `first`, as far as this reader needs it.
std::uint64_t LargeReader::last_missing(std::uint64_t first) const {
  const std::uint64_t end = std::min(last_chunk(), first + kLongestRun - 1);
  std::string key_string;
  std::uint64_t last = first;
  for (; last < end; ++last) {
    if (is_there(context_, manifest(), last + 1, key_string)) break;
  }
  return last;
}

net::Task<Result<void>> LargeReader::await_head() {
  const std::function<void(cache::FillWriter)> second = [this](cache::FillWriter writer) {
    launch(here_.index, here_.index, std::move(writer));
  };
  auto head = co_await wait_for_head(context_, here_.reader, here_.fill, here_.follower,
                                     context_.loop.now() + kHeadWait, second);
  if (!head) co_return head;
  const cache::ObjectRef object = here_.reader.object();
  const bool is_refused = here_.reader.state() == cache::FillState::refused;
  if (is_refused || !object || !cache::is_chunk_of(manifest(), here_.index, *object)) {
    if (here_.is_alone) co_return fail(Code::closed, Blame::origin, "large: a chunk of another version");
    start_alone();
    co_return Result<void>{};
  }
  here_.has_head = true;
  here_.reader.advance(position_ - here_.index * cache::kChunkBytes);
  co_return Result<void>{};
}

// False: the fill broke off, and this place is to be opened again.
net::Task<Result<bool>> LargeReader::await_bytes() {
  if (here_.stored) co_return true;
  auto ready = co_await wait_for_bytes(context_, here_.reader, here_.follower, 1);
  if (ready && *ready) co_return true;
  const Error error =
      ready ? Error{Code::closed, Blame::origin, Retry::no, 0, "large: a short chunk"} : ready.error();
  here_ = {};
  if (!may_try_again(error)) co_return std::unexpected(error);
  co_return false;
}

bool LargeReader::may_try_again(const Error& error) {
  return !was_cancelled(error) && error.code != Code::timeout && ++failures_ < kTries &&
         is_current(context_.node.store, manifest());
}

// Never waits: a slower tier is asked when it is the chunk's turn.
void LargeReader::read_ahead() {
  if (here_.index >= last_chunk() || ahead_.is_open() || !here_.is_complete()) return;
  ahead_.index = here_.index + 1;
  const cache::Key key = cache::chunk_key(manifest(), ahead_.index, key_string_);
  cache::Lookup found = context_.node.store.try_lookup(key, key_string_);
  if (found.outcome == cache::Lookup::Outcome::must_wait || take_stored(ahead_, found)) return;
  join(ahead_, found.object.get());
}

std::size_t LargeReader::take(std::span<Slice> out) {
  const std::uint64_t start = here_.index * cache::kChunkBytes;
  std::size_t count =
      here_.stored ? here_.stored->body().read(position_ - start, out) : here_.reader.peek(out);
  std::uint64_t left = part_.last + 1 - position_;
  std::uint64_t taken = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (left == 0) {
      count = i;
      break;
    }
    const std::uint64_t size = std::min<std::uint64_t>(left, out[i].size());
    if (size < out[i].size()) out[i] = out[i].sub(0, static_cast<std::size_t>(size));
    left -= size;
    taken += size;
  }
  if (taken == 0) return 0;  // cut since it was looked at
  if (!here_.stored) here_.reader.advance(taken);
  position_ += taken;
  failures_ = 0;
  if (at_end() || position_ / cache::kChunkBytes != here_.index) here_ = std::exchange(ahead_, {});
  return count;
}

}  // namespace vignette::proxy
