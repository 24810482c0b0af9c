#include "proxy/client/h2_responder.h"

#include <array>
#include <charconv>

#include "base/check.h"
#include "base/strings.h"
#include "http/hop_by_hop.h"
#include "http/status.h"
#include "net/worker.h"
#include "proxy/client/h2_connection.h"
#include "proxy/client/h2_stream.h"

namespace vignette::proxy {
namespace {

using http::FieldId;

constexpr std::size_t kOwnFields = 16;  // lines that an exchange adds, date and length

// RFC 9113 section 8.2.2; a length and a date of ours replace any other.
bool is_replaced(FieldId id) {
  return http::is_hop_by_hop(id) || id == FieldId::content_length || id == FieldId::date;
}

// Whether the next answer may well say the same: what does not would only push that out of the peer's table.
// (Those that nghttp2 itself leaves out of it are not named here.)
bool repeats(std::string_view lower_case_name) {
  switch (http::field_id(lower_case_name)) {
    case FieldId::cache_status:
    case FieldId::content_length:
    case FieldId::content_range:
    case FieldId::date:
    case FieldId::expires:
    case FieldId::last_modified:
    case FieldId::x_request_id:
      return false;
    default:
      return true;
  }
}

// The fields of an answer, from wherever they come. Names and values are views.
class AnswerFields {
 public:
  void add(std::string_view name, std::string_view value) {
    VCHECK(size_ < fields_.size());
    fields_[size_++] = {name, value, repeats(name)};
  }
  // "Name: value\r\n" lines, up to an empty one. Names become lower case in place.
  void add_lines(std::span<char> lines) {
    for (std::size_t at = 0; at < lines.size() && lines[at] != '\r';) {
      const std::size_t name = at;
      for (; lines[at] != ':'; ++at) lines[at] = to_lower(lines[at]);
      const std::size_t value = at + 1;
      while (lines[at] != '\r') ++at;
      add({lines.data() + name, value - 1 - name}, trim({lines.data() + value, at - value}));
      at += 2;
    }
  }
  std::span<const http::H2Field> view() const { return {fields_.data(), size_}; }

 private:
  std::array<http::H2Field, http::FieldList::kCapacity + kOwnFields> fields_;
  std::size_t size_ = 0;
};

}  // namespace

void H2Responder::begin(const ResponseParts& parts) {
  VCHECK(state_ == State::idle);
  state_ = State::body;
  const bool never = http::never_has_body(parts.status);
  has_length_ = parts.content_length.has_value();
  left_ = parts.content_length.value_or(0);
  has_body_ = !options_.head_only && !never && !(has_length_ && left_ == 0);

  std::string& lines = connection_.scratch();
  lines.assign(parts.extra);
  lines.append(parts.wire.view());
  AnswerFields fields;
  if (parts.wire.empty()) fields.add("date", date_for(parts, connection_.now_date()));
  fields.add_lines(std::span(lines).first(parts.extra.size()));
  fields.add_lines(std::span(lines).subspan(parts.extra.size()));
  queued_ += lines.size();
  if (parts.fields) {
    for (const http::Field& field : *parts.fields) {
      if (is_replaced(field.id)) continue;
      fields.add(field.name, field.value);
      queued_ += field.name.size() + field.value.size();
    }
  }
  std::array<char, 20> number;
  if (has_length_ && !never) {
    const char* end = std::to_chars(number.data(), number.data() + number.size(), left_).ptr;
    fields.add("content-length", {number.data(), static_cast<std::size_t>(end - number.data())});
  }
  connection_.respond(stream_, parts.status, fields.view(), !has_body_);
}

void H2Responder::append(Slice piece) {
  VCHECK(state_ == State::body);
  if (!has_body_ || piece.empty()) return;
  if (has_length_) {
    VCHECK(piece.size() <= left_);
    left_ -= piece.size();
  }
  queued_ += piece.size();
  if (stream_.closed) return;
  stream_.out.push(std::move(piece));
  connection_.resume(stream_);
}

void H2Responder::end() {
  VCHECK(state_ == State::body);
  if (has_body_ && has_length_ && left_ > 0) return abort();
  state_ = State::ended;
  stream_.out_ended = true;
  connection_.resume(stream_);
}

void H2Responder::abort() {
  state_ = State::aborted;
  connection_.reset(stream_, http::H2Error::internal_error);
}

net::Task<Result<void>> H2Responder::flush() {
  auto sent = co_await wait_while([](const H2Stream& stream) { return stream.out.bytes() >= kQueued; });
  co_return sent;
}

net::Task<Result<void>> H2Responder::finish() {
  auto sent = co_await wait_while([](const H2Stream& stream) { return !stream.answered; });
  co_return sent;
}

// A stream may have to wait for others of its connection: only what the client keeps from moving counts.
net::Task<Result<void>> H2Responder::wait_while(bool (*waits)(const H2Stream&)) {
  net::Worker& worker = co_await net::this_worker();
  while (waits(stream_)) {
    if (stream_.closed) co_return fail(Code::reset, Blame::client, "stream");
    const TimePoint began = worker.now();
    const std::uint64_t taken = stream_.taken;
    const std::uint64_t others = connection_.data_bytes();
    auto woken = co_await stream_.changed.wait(pace_.deadline(began));
    if (woken) {
      pace_.moved(worker.now() - began, static_cast<std::size_t>(stream_.taken - taken));
      continue;
    }
    if (woken.error().code != Code::timeout) co_return fail(woken.error().code, Blame::client, "stream");
    Pace together = options_.pace;
    together.moved(worker.now() - began, static_cast<std::size_t>(connection_.data_bytes() - others));
    const bool moves = together.deadline(worker.now()) > worker.now();
    if (connection_.client_holds(stream_, moves)) co_return fail(Code::timeout, Blame::client, "stream");
    pace_ = options_.pace;
  }
  co_return Result<void>{};
}

}  // namespace vignette::proxy
