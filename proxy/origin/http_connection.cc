#include "proxy/origin/http_connection.h"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/strings.h"
#include "http/chunked.h"
#include "http/hop_by_hop.h"
#include "http/parser.h"
#include "http/writer.h"
#include "proxy/origin/http_body.h"

namespace vignette::proxy {
namespace {

constexpr std::size_t kHeadBlockBytes = 16 * 1024;
constexpr std::size_t kLargestRequestHead = 128 * 1024;

bool announces_empty_body(http::Method method) {  // RFC 9110 §8.6
  return method == http::Method::post || method == http::Method::put || method == http::Method::patch;
}

bool is_framing(http::FieldId id) {
  return id == http::FieldId::host || id == http::FieldId::content_length ||
         id == http::FieldId::transfer_encoding;
}

Result<std::string_view> write_head(const OriginRequest& request, bool has_body, std::span<char> into) {
  http::HeadWriter head(into, http::HeadWriter::Names::conventional);
  head.request_line(request.method_name, request.path, request.has_query, request.query);
  head.add(http::FieldId::host, request.host);
  if (request.fields) {
    for (const http::Field& field : *request.fields) {
      if (!is_framing(field.id)) head.add(field);
    }
  }
  if (has_body && request.framing == http::Framing::chunked) {
    head.add(http::FieldId::transfer_encoding, "chunked");
  } else if (has_body || announces_empty_body(request.method)) {
    head.add_number(http::FieldId::content_length, has_body ? request.content_length : 0);
  }
  if (request.upgrades_to_websocket) {
    head.add(http::FieldId::connection, "Upgrade");
    head.add(http::FieldId::upgrade, "websocket");
  }
  return head.end();
}

// Whether a 101 says that what follows is what we asked for (RFC 6455 §4.1, RFC 9110 §7.8).
bool switches_to_websocket(const http::FieldList& fields) {
  return iequals(fields.value(http::FieldId::upgrade), "websocket") &&
         fields.count(http::FieldId::upgrade) == 1 &&
         fields.has_element(http::FieldId::connection, "upgrade");
}

// The connection behind a 101. Counts as a request in flight for as long as it is open.
class OriginTunnelEnd final : public StreamEnd {
 public:
  OriginTunnelEnd(OriginConnection connection, Slice received)
      : StreamEnd(std::move(connection.stream()), std::move(received)), connection_(std::move(connection)) {}

 private:
  OriginConnection connection_;
};

iovec part_of(std::string_view bytes) { return {const_cast<char*>(bytes.data()), bytes.size()}; }

class Transaction {
 public:
  Transaction(OriginConnection connection, const OriginRequest& request, const TransactOptions& options,
              OriginResponse& response, TransactProgress& progress, net::Worker& worker)
      : connection_(std::move(connection)),
        request_(request),
        options_(options),
        response_(response),
        progress_(progress),
        worker_(worker),
        parser_(request.method, request.upgrades_to_websocket),
        sent_before_(connection_.stream().bytes_sent()) {}

  net::Task<Result<void>> run();

 private:
  // What arrived while the request was still going out.
  enum class Heard : std::uint8_t { nothing_yet, answer };

  bool has_body() const { return request_.body && request_.framing != http::Framing::none; }
  TimePoint deadline() const { return worker_.now() + options_.first_byte; }
  Result<std::string_view> make_head();
  net::Task<Result<void>> send_body();
  net::Task<Result<Heard>> send_parts(std::span<iovec> parts);
  net::Task<Result<Heard>> receive(TimePoint deadline);
  bool waits_for_body() const;
  net::Task<Result<void>> receive_body(TimePoint deadline);
  Result<Heard> parse();
  std::span<char> room();
  std::unexpected<Error> failed(Error error);
  Result<void> finish();
  Result<void> finish_upgrade();

  OriginConnection connection_;
  const OriginRequest& request_;
  const TransactOptions& options_;
  OriginResponse& response_;
  TransactProgress& progress_;
  net::Worker& worker_;
  http::ResponseParser parser_;
  const std::uint64_t sent_before_;
  BlockRef block_;         // first the request's head, then the answer's
  std::size_t begin_ = 0;  // of the head being parsed
  std::size_t end_ = 0;    // of what has been received
  bool heard_ = false;     // the final head has been parsed
  bool sent_all_ = true;
};

std::unexpected<Error> Transaction::failed(Error error) {
  net::Stream& stream = connection_.stream();
  if (error.blame == Blame::origin) {
    progress_.nothing_ran =
        !progress_.answered && (stream.bytes_sent() == sent_before_ || stream.acked_nothing());
    bool dead = error.code == Code::closed || error.code == Code::reset;
    error.retry = progress_.answered ? Retry::no : dead ? Retry::if_reused : Retry::yes;
  }
  connection_.close();
  return std::unexpected(error);
}

Result<std::string_view> Transaction::make_head() {
  for (std::size_t size = kHeadBlockBytes;; size *= 2) {
    block_ = BlockRef::allocate(size);
    auto head = write_head(request_, has_body(), {block_->data(), block_->capacity()});
    if (head || head.error().code != Code::limit || size >= kLargestRequestHead) return head;
  }
}

// Where the next bytes of a head go. The parser refuses a head before it can outgrow twice its limit.
std::span<char> Transaction::room() {
  if (end_ == block_->capacity()) {
    std::size_t kept = end_ - begin_;
    BlockRef larger = BlockRef::allocate(std::max(kept * 2, kHeadBlockBytes));
    std::memcpy(larger->data(), block_->data() + begin_, kept);
    block_ = std::move(larger);
    begin_ = 0;
    end_ = kept;
  }
  return {block_->data() + end_, block_->capacity() - end_};
}

Result<Transaction::Heard> Transaction::parse() {
  while (begin_ < end_) {
    auto parsed = parser_.parse({block_->data() + begin_, end_ - begin_}, *response_.head);
    if (parsed.refused()) {
      return failed({Code::malformed, Blame::origin, Retry::no, 0, http::to_string(parsed.refusal).data()});
    }
    if (parsed.need_more()) break;
    begin_ += parsed.consumed;
    heard_ = !response_.head->is_interim();
    if (heard_) return Heard::answer;
  }
  return Heard::nothing_yet;
}

net::Task<Result<Transaction::Heard>> Transaction::receive(TimePoint deadline) {
  auto got = co_await connection_.stream().read(room(), deadline);
  if (!got) {
    Error error = got.error();
    if (error.code == Code::timeout) error.where = "response head";
    co_return failed(error);
  }
  if (*got == 0) co_return failed({Code::closed, Blame::origin, Retry::no, 0, "response head"});
  progress_.answered = true;
  end_ += *got;
  co_return parse();
}

// Sends all parts unless the origin answers meanwhile.
net::Task<Result<Transaction::Heard>> Transaction::send_parts(std::span<iovec> parts) {
  for (;;) {
    auto wrote = co_await connection_.stream().write_unless_readable(parts, deadline());
    if (!wrote && wrote.error().code != Code::reset) co_return failed(wrote.error());
    if (wrote && *wrote == net::Wrote::all) co_return Heard::nothing_yet;
    // A server that refuses a body may answer and close at once: what it said is still to be read.
    auto heard = co_await receive(deadline());
    if (!heard || *heard == Heard::answer) co_return heard;
    if (!wrote) co_return failed(wrote.error());
  }
}

net::Task<Result<void>> Transaction::send_body() {
  const bool chunked = request_.framing == http::Framing::chunked;
  std::uint64_t left = request_.content_length;
  std::array<char, http::kChunkHeaderBytes> size_line;
  for (bool last = false; !last;) {
    progress_.body_begun = true;
    auto piece = co_await request_.body->next(net::kNoDeadline);  // it has a pace of its own
    if (!piece) {
      connection_.close();
      co_return std::unexpected(piece.error());
    }
    last = piece->last;
    std::size_t size = piece->bytes.size();
    if (!chunked && (size > left || (last && size < left))) {
      co_return failed({Code::malformed, Blame::internal, Retry::no, 0, "request body"});
    }
    left -= chunked ? 0 : size;
    std::array<iovec, 4> parts{};
    if (size != 0) parts[1] = part_of(piece->bytes.view());
    if (chunked && size != 0) {
      parts[0] = part_of({size_line.data(), http::write_chunk_header(size, size_line)});
      parts[2] = part_of(http::kChunkEnd);
    }
    if (chunked && last) parts[3] = part_of(http::kLastChunk);
    sent_all_ = false;
    auto heard = co_await send_parts(parts);
    if (!heard) co_return std::unexpected(heard.error());
    if (*heard == Heard::answer) co_return Result<void>();
    sent_all_ = last;
  }
  co_return Result<void>();
}

// A short answer is awaited whole: a server that dies between its head and its body has told nobody anything
// yet, so the request may be repeated. Larger ones are passed on as they come.
bool Transaction::waits_for_body() const {
  const http::ResponseHead& head = *response_.head;
  return request_.idempotent && head.framing == http::Framing::length &&
         head.content_length <= block_->capacity() - begin_;
}

net::Task<Result<void>> Transaction::receive_body(TimePoint deadline) {
  while (end_ - begin_ < response_.head->content_length) {
    auto got =
        co_await connection_.stream().read({block_->data() + end_, block_->capacity() - end_}, deadline);
    if (got && *got > 0) {
      end_ += *got;
      continue;
    }
    progress_.answered = false;
    Error ended{Code::closed, Blame::origin, Retry::no, 0, ""};
    Error error = got ? ended : got.error();
    error.where = "response body";
    co_return failed(error);
  }
  co_return Result<void>();
}

net::Task<Result<void>> Transaction::run() {
  auto head = make_head();
  if (!head) co_return std::unexpected(head.error());
  iovec part = part_of(*head);
  auto wrote = co_await connection_.stream().write_unless_readable({&part, 1}, deadline());
  if (!wrote) co_return failed(wrote.error());
  if (*wrote == net::Wrote::interrupted) {
    // Bytes before the request are no answer to it: a farewell of the server, or its end.
    if (connection_.stream().bytes_sent() == sent_before_) {
      co_return failed({Code::closed, Blame::origin, Retry::no, 0, "idle connection"});
    }
    sent_all_ = false;
  } else if (has_body()) {
    auto sent = co_await send_body();
    if (!sent) co_return sent;
  }
  TimePoint until = deadline();
  while (!heard_) {
    auto heard = co_await receive(until);
    if (!heard) co_return std::unexpected(heard.error());
  }
  if (waits_for_body()) {
    auto received = co_await receive_body(until);
    if (!received) co_return received;
  }
  co_return finish();
}

Result<void> Transaction::finish_upgrade() {
  http::FieldList& fields = response_.head->fields;
  if (!switches_to_websocket(fields)) {
    return failed({Code::malformed, Blame::origin, Retry::no, 0, "bad_upgrade"});
  }
  http::strip_response_fields(fields);
  response_.tunnel =
      std::make_unique<OriginTunnelEnd>(std::move(connection_), Slice(block_, begin_, end_ - begin_));
  response_.head_bytes = std::move(block_);
  return {};
}

Result<void> Transaction::finish() {
  http::ResponseHead& head = *response_.head;
  if (head.status == 101) return finish_upgrade();
  bool reusable = head.keep_alive && sent_all_ && options_.reusable;
  http::strip_response_fields(head.fields);
  response_.content_length.reset();
  bool of_body = head.framing == http::Framing::length || head.framing == http::Framing::none;
  bool known = head.has_content_length && of_body && head.status != 304 && head.status != 204;
  if (known) response_.content_length = head.content_length;
  auto body = make_body(std::move(connection_), head, {block_, begin_, end_}, reusable);
  if (!body) return std::unexpected(body.error());
  response_.body = std::move(*body);
  response_.head_bytes = std::move(block_);
  return {};
}

}  // namespace

net::Task<Result<void>> transact(OriginConnection connection, const OriginRequest& request,
                                 const TransactOptions& options, OriginResponse& response,
                                 TransactProgress& progress) {
  net::Worker& worker = co_await net::this_worker();
  Transaction transaction(std::move(connection), request, options, response, progress, worker);
  auto done = co_await transaction.run();
  co_return done;
}

}  // namespace vignette::proxy
