// One byte at a time through the framing, whole runs through the data. The phases in order:
//   size -> [extension ->] size_lf -> data -> data_cr -> data_lf -> size ... or, after size 0,
//   trailer_first -> [trailer_name -> trailer_value -> trailer_lf -> trailer_first ->] end_lf -> done
#include "http/chunked.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/strings.h"
#include "http/chars.h"

namespace vignette::http {
namespace {

// Fields that would change the framing or routing of a message whose head is long gone.
bool is_forbidden_trailer(std::string_view lower_case_name) {
  return lower_case_name == "transfer-encoding" || lower_case_name == "content-length" ||
         lower_case_name == "host";
}

Refusal fault(char c, Refusal other) {
  if (c == '\n') return Refusal::bare_lf;
  return chars::is(c, chars::kControl) && c != '\r' ? Refusal::control_character : other;
}

}  // namespace

void ChunkedDecoder::reset() { *this = ChunkedDecoder(limits_); }

ChunkedDecoder::Fed ChunkedDecoder::feed(std::span<char> input) {
  Fed fed;
  if (phase_ == Phase::done) return {State::done, Refusal::none, 0, {}};
  if (phase_ == Phase::error) return {State::error, Refusal::bad_chunk_end, 0, {}};
  while (fed.consumed < input.size()) {
    if (phase_ == Phase::data) {
      const std::size_t run =
          static_cast<std::size_t>(std::min<std::uint64_t>(chunk_left_, input.size() - fed.consumed));
      fed.payload = {input.data() + fed.consumed, run};
      fed.consumed += run;
      chunk_left_ -= run;
      body_bytes_ += run;
      if (chunk_left_ == 0) phase_ = Phase::data_cr;
      return fed;
    }
    fed.refusal = step(input[fed.consumed]);
    if (fed.refusal != Refusal::none) {
      phase_ = Phase::error;
      fed.state = State::error;
      return fed;
    }
    ++fed.consumed;
    if (phase_ == Phase::done) {
      fed.state = State::done;
      return fed;
    }
  }
  return fed;
}

ChunkedDecoder::Fed ChunkedDecoder::feed_compacting(std::span<char> input) {
  std::size_t kept = 0;
  std::size_t consumed = 0;
  Fed fed;
  do {
    fed = feed(input.subspan(consumed));
    consumed += fed.consumed;
    if (!fed.payload.empty()) std::memmove(input.data() + kept, fed.payload.data(), fed.payload.size());
    kept += fed.payload.size();
  } while (fed.state == State::need_more && consumed < input.size());
  return {fed.state, fed.refusal, consumed, {input.data(), kept}};
}

Refusal ChunkedDecoder::step(char c) {
  if (phase_ <= Phase::size_lf) return step_size(c);
  if (phase_ <= Phase::ext_after_quoted) return step_extension(c);
  if (phase_ == Phase::data_cr) {
    if (c != '\r') return fault(c, Refusal::bad_chunk_end);
    phase_ = Phase::data_lf;
    return Refusal::none;
  }
  if (phase_ == Phase::data_lf) {
    if (c != '\n') return Refusal::bad_chunk_end;
    phase_ = Phase::size_first;
    return Refusal::none;
  }
  return step_trailer(c);
}

Refusal ChunkedDecoder::step_size(char c) {
  if (phase_ == Phase::size_lf) {
    if (c != '\n') return Refusal::bare_cr;
    end_of_size_line();
    return Refusal::none;
  }
  const int digit = chars::hex_value(c);
  if (digit >= 0) {
    if (++digits_ > limits_.size_digits) return Refusal::bad_chunk_size;
    chunk_left_ = chunk_left_ << 4 | static_cast<std::uint64_t>(digit);
    phase_ = Phase::size;
    return Refusal::none;
  }
  if (phase_ == Phase::size_first) return fault(c, Refusal::bad_chunk_size);
  if (c == ';') {
    phase_ = Phase::ext_name_first;
    return count_extension_byte();
  }
  if (c == '\r') {
    phase_ = Phase::size_lf;
  } else {
    return fault(c, Refusal::bad_chunk_size);
  }
  return Refusal::none;
}

void ChunkedDecoder::end_of_size_line() {
  phase_ = chunk_left_ == 0 ? Phase::trailer_first : Phase::data;
  digits_ = 0;
  extension_bytes_ = 0;
}

Refusal ChunkedDecoder::count_extension_byte() {
  const bool fits = ++extension_bytes_ <= limits_.extension_bytes &&
                    ++message_extension_bytes_ <= limits_.message_extension_bytes;
  return fits ? Refusal::none : Refusal::chunk_extension_too_long;
}

// *( ";" SP* name [ SP* "=" SP* ( token / quoted-string ) ] ), RFC 9112 §7.1.1; of bad white space only SP.
Refusal ChunkedDecoder::step_extension(char c) {
  if (phase_ != Phase::ext_quoted && phase_ != Phase::ext_escape && c == '\r') {
    const bool complete =
        phase_ == Phase::ext_name || phase_ == Phase::ext_token || phase_ == Phase::ext_after_quoted;
    if (!complete) return Refusal::bad_chunk_extension;
    phase_ = Phase::size_lf;
    return Refusal::none;
  }
  if (const Refusal refusal = count_extension_byte(); refusal != Refusal::none) return refusal;
  const bool token = chars::is(c, chars::kToken);
  switch (phase_) {
    case Phase::ext_name_first:
      if (c == ' ') return Refusal::none;
      if (!token) return fault(c, Refusal::bad_chunk_extension);
      phase_ = Phase::ext_name;
      return Refusal::none;
    case Phase::ext_name:
      if (token) return Refusal::none;
      [[fallthrough]];
    case Phase::ext_after_name:
      if (c == ' ') {
        phase_ = Phase::ext_after_name;
      } else if (c == '=') {
        phase_ = Phase::ext_value_first;
      } else if (c == ';') {
        phase_ = Phase::ext_name_first;
      } else {
        return fault(c, Refusal::bad_chunk_extension);
      }
      return Refusal::none;
    case Phase::ext_value_first:
      if (c == ' ') return Refusal::none;
      if (c != '"' && !token) return fault(c, Refusal::bad_chunk_extension);
      phase_ = c == '"' ? Phase::ext_quoted : Phase::ext_token;
      return Refusal::none;
    case Phase::ext_quoted:
      if (chars::is(c, chars::kControl)) return fault(c, Refusal::bad_chunk_extension);
      if (c == '\\') phase_ = Phase::ext_escape;
      if (c == '"') phase_ = Phase::ext_after_quoted;
      return Refusal::none;
    case Phase::ext_escape:
      if (chars::is(c, chars::kControl)) return fault(c, Refusal::bad_chunk_extension);
      phase_ = Phase::ext_quoted;
      return Refusal::none;
    case Phase::ext_token:
      if (token) return Refusal::none;
      [[fallthrough]];
    default:  // ext_after_quoted
      if (c != ';') return fault(c, Refusal::bad_chunk_extension);
      phase_ = Phase::ext_name_first;
      return Refusal::none;
  }
}

Refusal ChunkedDecoder::end_of_trailer_name() {
  if (++trailer_fields_ > limits_.trailer_fields) return Refusal::trailers_too_large;
  const std::size_t kept = std::min(name_bytes_, name_.size());
  if (name_bytes_ <= name_.size() && is_forbidden_trailer({name_.data(), kept})) return Refusal::bad_trailer;
  name_bytes_ = 0;
  phase_ = Phase::trailer_value;
  return Refusal::none;
}

Refusal ChunkedDecoder::step_trailer(char c) {
  switch (phase_) {
    case Phase::end_lf:
      if (c != '\n') return Refusal::bare_cr;
      phase_ = Phase::done;
      return Refusal::none;
    case Phase::trailer_lf:
      if (c != '\n') return Refusal::bare_cr;
      phase_ = Phase::trailer_first;
      break;
    case Phase::trailer_first:
      if (c == '\r') {
        phase_ = Phase::end_lf;
        return Refusal::none;
      }
      if (!chars::is(c, chars::kToken)) return fault(c, Refusal::bad_trailer);
      phase_ = Phase::trailer_name;
      [[fallthrough]];
    case Phase::trailer_name:
      if (c == ':') {
        if (const Refusal refusal = end_of_trailer_name(); refusal != Refusal::none) return refusal;
        break;
      }
      if (!chars::is(c, chars::kToken)) return fault(c, Refusal::bad_trailer);
      if (name_bytes_ < name_.size()) name_[name_bytes_] = to_lower(c);
      ++name_bytes_;
      break;
    default:  // trailer_value
      if (c == '\r') {
        phase_ = Phase::trailer_lf;
      } else if (chars::is(c, chars::kControl)) {
        return fault(c, Refusal::bad_trailer);
      }
  }
  return ++trailer_bytes_ > limits_.trailer_bytes ? Refusal::trailers_too_large : Refusal::none;
}

std::size_t write_chunk_header(std::uint64_t size, std::span<char, kChunkHeaderBytes> out) {
  VCHECK(size != 0);
  std::size_t digits = 1;
  for (std::uint64_t rest = size >> 4; rest != 0; rest >>= 4) ++digits;
  for (std::size_t i = digits; i-- > 0; size >>= 4) out[i] = "0123456789abcdef"[size & 15];
  out[digits] = '\r';
  out[digits + 1] = '\n';
  return digits + 2;
}

}  // namespace vignette::http
