// HTTP/1.1 heads: strict, incremental, in place (RFC 9112). A line is checked when it is complete and every
// byte is looked at once, however the head is cut into pieces. Any doubt about framing is a refusal; after
// a refusal the connection must be closed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "http/message.h"
#include "http/refusal.h"

namespace vignette::http {

struct Limits {
  std::size_t request_line_bytes = 8 * 1024;  // without CRLF; past it 414 (a status line: 502)
  std::size_t header_bytes = 32 * 1024;       // all field lines with their CRLFs; past it 431
  std::size_t fields = kMaxFields;            // never more than kMaxFields; past it 431
  int empty_lines = 2;                        // skipped before a request line
  int interim_responses = 8;                  // 1xx answers before the final one
  bool underscores = false;                   // keep fields with '_' in the name, instead of dropping them

  // A buffer of this size never fills up before the parser has decided.
  std::size_t head_bytes() const {
    return static_cast<std::size_t>(empty_lines) * 2 + request_line_bytes + 2 + header_bytes + 2;
  }
};

struct Parsed {
  enum class State : std::uint8_t { need_more, done, refused };
  State state = State::need_more;
  Refusal refusal = Refusal::none;
  int status = 0;            // refused: what to answer (400, 405, 414, 417, 431, 501, 505; 502 for origins)
  std::size_t consumed = 0;  // done: bytes of the head; the body starts there

  bool need_more() const { return state == State::need_more; }
  bool done() const { return state == State::done; }
  bool refused() const { return state == State::refused; }
};

// The part both parsers share: finds lines, checks characters, collects fields.
class HeadScanner {
 protected:
  enum class Line : std::uint8_t { partial, complete, broken };

  explicit HeadScanner(const Limits& limits) : limits_(limits) {}
  void rewind();
  // Whether the buffer moved since the last call; then follow() shifts each view that points into it.
  bool moved(std::span<char> buffer) const { return base_ != nullptr && base_ != buffer.data(); }
  void follow(std::span<char> buffer, std::string_view& view) const;
  void follow(std::span<char> buffer, FieldList& fields) const;
  void remember(std::span<char> buffer);
  // On complete, `line` is the next line without its CRLF; on broken, `refusal` says why.
  Line next_line(std::span<char> buffer, std::span<char>& line, Refusal& refusal);
  Refusal take_field(std::span<char> line, FieldList& fields);

  Limits limits_;
  std::size_t line_start_ = 0;    // offset of the line in progress
  std::size_t scanned_ = 0;       // bytes before it are known to hold no line end behind line_start_
  std::size_t fields_start_ = 0;  // offset of the first field line
  std::size_t field_lines_ = 0;
  const char* base_ = nullptr;
  std::size_t base_size_ = 0;
  bool first_line_done_ = false;

 private:
  Refusal check_size(std::size_t line_end) const;
};

// Loop-thread only. One parser per connection, used for one request after the other.
class RequestParser : private HeadScanner {
 public:
  explicit RequestParser(const Limits& limits = {}) : HeadScanner(limits) {}

  // `buffer` holds everything received of this head so far, from its first byte; call again with the grown
  // buffer (which may have moved) after need_more. Names, the host and nothing else are lower-cased in
  // place. Bytes after the head are not touched. `head` must be the same object until done or refused.
  // After done or refused the next call starts a new head.
  Parsed parse(std::span<char> buffer, RequestHead& head);
  // Forgets a head in progress.
  void reset();
  // Whether any byte beyond skipped empty lines has been seen of the head in progress: tells an idle
  // connection that closes from a request cut short.
  bool started() const { return started_; }

 private:
  Refusal take_line(std::span<char> line, RequestHead& head, bool& complete);
  Parsed refuse(Refusal refusal);

  bool fresh_ = true;
  bool started_ = false;
  int empty_lines_ = 0;
};

// Loop-thread only. One per origin exchange: interim answers (1xx but 101) come out one by one, parse again
// with what follows. The caller decides framing errors of the body; here all refusals are 502.
class ResponseParser : private HeadScanner {
 public:
  // `upgrade_asked`: the request was forwarded with Upgrade, so a 101 is legal (else it is refused).
  explicit ResponseParser(Method request_method, bool upgrade_asked = false, const Limits& limits = {})
      : HeadScanner(limits), method_(request_method), upgrade_asked_(upgrade_asked) {}

  // As RequestParser::parse.
  Parsed parse(std::span<char> buffer, ResponseHead& head);
  // Starts over for another request.
  void reset(Method request_method, bool upgrade_asked = false);

 private:
  Refusal take_line(std::span<char> line, ResponseHead& head, bool& complete);
  Refusal finish(ResponseHead& head);

  Method method_;
  bool upgrade_asked_;
  bool fresh_ = true;
  bool tainted_ = false;  // an interim answer announced a body: what follows is in doubt
  int interim_ = 0;
};

}  // namespace vignette::http
