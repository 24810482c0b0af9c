#include "http/h2/session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/check.h"

namespace vignette::http {
namespace {

constexpr std::size_t kAcks = 100;              // answers to SETTINGS and PING that may wait to be sent
constexpr std::size_t kQueuedFrames = 1024;     // frames of any kind, DATA apart, that may
constexpr std::size_t kContinuations = 8;       // behind one HEADERS (CVE-2024-27316)
constexpr std::size_t kHeadBytes = 512 * 1024;  // of an answer's head: more than any origin may send
constexpr std::size_t kMaxLines = kMaxFields + kExtraFields + 32;

struct CallbacksDeleter {
  void operator()(nghttp2_session_callbacks* callbacks) const { nghttp2_session_callbacks_del(callbacks); }
};
struct OptionDeleter {
  void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};

std::unique_ptr<nghttp2_option, OptionDeleter> make_options() {
  nghttp2_option* raw = nullptr;
  VCHECK(nghttp2_option_new(&raw) == 0);
  nghttp2_option_set_no_auto_window_update(raw, 1);
  nghttp2_option_set_no_closed_streams(raw, 1);
  nghttp2_option_set_max_outbound_ack(raw, kAcks);
  nghttp2_option_set_max_continuations(raw, kContinuations);
  nghttp2_option_set_max_send_header_block_length(raw, kHeadBytes);
  nghttp2_option_set_builtin_recv_extension_type(raw, NGHTTP2_PRIORITY_UPDATE);
  return std::unique_ptr<nghttp2_option, OptionDeleter>(raw);
}

std::string_view view(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

nghttp2_nv nv_of(std::string_view name, std::string_view value, bool indexed) {
  const unsigned flags = indexed ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX;
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          static_cast<std::uint8_t>(flags)};
}

std::string_view status_text(int status, std::array<char, 4>& text) {
  const char* end = std::to_chars(text.data(), text.data() + text.size(), status).ptr;
  return {text.data(), static_cast<std::size_t>(end - text.data())};
}

// What the session itself found wrong with the connection.
std::string_view word_for(H2Error error) {
  switch (error) {
    case H2Error::flow_control_error:
      return "h2_flow_control";
    case H2Error::stream_closed:
      return "h2_closed_stream";
    case H2Error::frame_size_error:
      return "h2_frame_size";
    case H2Error::compression_error:
      return "h2_compression";
    case H2Error::enhance_your_calm:
      return "h2_flood";
    case H2Error::internal_error:
      return "h2_internal";
    default:
      return "h2_protocol";
  }
}

}  // namespace

// nghttp2's side: C functions that find their session and stream and hand on.
struct H2Session::Callbacks {
  static H2Session& self(void* user) { return *static_cast<H2Session*>(user); }
  static H2Stream* stream_of(nghttp2_session* session, std::int32_t id) {
    return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }
  static bool is_request(const nghttp2_frame* frame) {
    return frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
  }
  static bool has_end(const nghttp2_frame* frame) {
    return (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
           (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  }

  static int on_begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if (!is_request(frame)) return 0;
    H2Stream& stream = self(user).events_.on_open(frame->hd.stream_id);
    stream.id = frame->hd.stream_id;
    nghttp2_session_set_stream_user_data(session, stream.id, &stream);
    return 0;
  }

  static int on_header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t,
                       void*) {
    H2Stream* stream = stream_of(session, frame->hd.stream_id);
    if (!stream) return 0;
    if (is_request(frame)) {
      stream->fields.add(view(name, name_size), view(value, value_size), stream->head);
      return 0;
    }
    const bool fits = stream->fields.count_trailer(view(name, name_size), view(value, value_size));
    return fits ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  // Left alone, nghttp2 would go on without that field.
  static int on_invalid_header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t*, std::size_t,
                               const std::uint8_t*, std::size_t, std::uint8_t, void*) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int on_frame_recv(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
      self(user).on_ping_answered();
      return 0;
    }
    H2Stream* stream = frame->hd.stream_id == 0 ? nullptr : stream_of(session, frame->hd.stream_id);
    if (!stream) return 0;
    if (is_request(frame)) {
      self(user).finish_head(*stream, has_end(frame));
    } else if (has_end(frame)) {
      stream->input_ended = true;
      self(user).events_.on_input_end(*stream);
    }
    return 0;
  }

  // A stream that is refused for it may get what was on its way.
  static int on_invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int error, void* user) {
    H2Session& session = self(user);
    if (frame->hd.stream_id != 0) session.guard_.on_closed(frame->hd.stream_id, true);
    if (error == NGHTTP2_ERR_REFUSED_STREAM && !session.guard_.count_idle(session.now_)) {
      session.terminate(H2Error::enhance_your_calm, "h2_idle_frames");
    }
    return 0;
  }

  static int on_data_chunk(nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t* bytes,
                           std::size_t size, void* user) {
    if (H2Stream* stream = stream_of(session, id)) {
      self(user).events_.on_data(*stream, view(bytes, size));
    } else {
      nghttp2_session_consume(session, id, size);
    }
    return 0;
  }

  static int on_frame_send(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
      self(user).on_reset_sent(frame->hd.stream_id, static_cast<H2Error>(frame->rst_stream.error_code));
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
      self(user).on_goaway_sent(static_cast<H2Error>(frame->goaway.error_code));
    } else if (has_end(frame)) {
      if (H2Stream* stream = stream_of(session, frame->hd.stream_id)) {
        stream->answered = true;
        self(user).events_.on_taken(*stream, 0);
      }
    }
    return 0;
  }

  // An answer whose head cannot be sent must not leave its client waiting.
  static int on_frame_not_send(nghttp2_session* session, const nghttp2_frame* frame, int, void*) {
    if (frame->hd.type == NGHTTP2_HEADERS && stream_of(session, frame->hd.stream_id)) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
    }
    return 0;
  }

  static int on_stream_close(nghttp2_session* session, std::int32_t id, std::uint32_t error, void* user) {
    self(user).guard_.on_closed(id, false);
    if (H2Stream* stream = stream_of(session, id)) {
      nghttp2_session_set_stream_user_data(session, id, nullptr);
      self(user).events_.on_closed(*stream, static_cast<H2Error>(error));
    }
    return 0;
  }

  static ssize_t read_body(nghttp2_session* session, std::int32_t id, std::uint8_t*, std::size_t most,
                           std::uint32_t* flags, nghttp2_data_source*, void*) {
    H2Stream* stream = stream_of(session, id);
    if (!stream) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    const std::size_t size = std::min(most, stream->out.bytes());
    if (size == 0 && !stream->out_ended) {
      stream->deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (stream->out_ended && size == stream->out.bytes()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(size);
  }

  static int send_data(nghttp2_session* raw, nghttp2_frame* frame, const std::uint8_t* header,
                       std::size_t length, nghttp2_data_source*, void* user) {
    constexpr std::size_t kFrameHeader = 9;
    H2Session& session = self(user);
    H2Stream* stream = stream_of(raw, frame->hd.stream_id);
    if (!stream) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (session.drained_ >= session.drain_limit_)
      return NGHTTP2_ERR_WOULDBLOCK;  // asked again by the next drain()
    session.out_->text(view(header, kFrameHeader));
    session.drained_ += kFrameHeader + length;
    for (std::size_t left = length; left > 0;) {
      Slice piece = stream->out.pop(left);
      VCHECK(!piece.empty());
      left -= piece.size();
      session.out_->slice(std::move(piece));
    }
    if (length > 0) session.events_.on_taken(*stream, length);
    return 0;
  }

  static nghttp2_session* make(H2Session& session) {
    nghttp2_session_callbacks* raw = nullptr;
    VCHECK(nghttp2_session_callbacks_new(&raw) == 0);
    const std::unique_ptr<nghttp2_session_callbacks, CallbacksDeleter> callbacks(raw);
    nghttp2_session_callbacks_set_on_begin_headers_callback(raw, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(raw, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(raw, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(raw, on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(raw, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(raw, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_send_callback(raw, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(raw, on_frame_not_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(raw, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(raw, send_data);
    nghttp2_session* made = nullptr;
    VCHECK(nghttp2_session_server_new2(&made, raw, &session, make_options().get()) == 0);
    return made;
  }
};

void H2Session::Deleter::operator()(nghttp2_session* session) const { nghttp2_session_del(session); }

H2Session::H2Session(H2Events& events, const Options& options)
    : events_(events), session_(Callbacks::make(*this)) {
  const std::array<nghttp2_settings_entry, 4> settings = {{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options.header_bytes},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  }};
  VCHECK(nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, settings.data(), settings.size()) == 0);
  VCHECK(nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, 0,
                                               options.connection_window) == 0);
}

H2Session::~H2Session() = default;

bool H2Session::is_open(std::int32_t stream) const {
  return nghttp2_session_get_stream_user_data(session_.get(), stream) != nullptr;
}

void H2Session::terminate(H2Error error, std::string_view reason) {
  if (failure_.empty()) failure_ = reason;
  static_cast<void>(nghttp2_session_terminate_session(session_.get(), static_cast<std::uint32_t>(error)));
}

void H2Session::feed(std::span<const char> bytes, TimePoint now) {
  now_ = now;
  while (!bytes.empty() && failure_.empty()) {
    const H2FrameGuard::Step step = guard_.next(bytes, *this, now);
    if (step.error != H2Error::no_error) return terminate(step.error, step.reason);
    const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
    const ssize_t taken = nghttp2_session_mem_recv(session_.get(), data, step.bytes);
    if (taken == NGHTTP2_ERR_FLOODED || taken == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS) {
      return terminate(H2Error::enhance_your_calm, "h2_flood");
    }
    if (taken < 0) return terminate(H2Error::protocol_error, "h2_protocol");
    if (nghttp2_session_get_outbound_queue_size(session_.get()) > kQueuedFrames) {
      return terminate(H2Error::enhance_your_calm, "h2_flood");
    }
    bytes = bytes.subspan(step.bytes);
  }
}

void H2Session::finish_head(H2Stream& stream, bool ended) {
  stream.input_ended = ended;
  stream.refusal = stream.fields.finish(stream.head, !ended);
  if (is_malformed(stream.refusal)) return reset(stream, H2Error::protocol_error);
  events_.on_request(stream);
}

// Errors that the client provoked count as its own resets do: each costs us as much.
void H2Session::on_reset_sent(std::int32_t stream, H2Error error) {
  guard_.on_closed(stream, true);
  const bool is_theirs = error == H2Error::protocol_error || error == H2Error::stream_closed ||
                         error == H2Error::flow_control_error || error == H2Error::frame_size_error;
  if (is_theirs && !guard_.count_reset(now_)) terminate(H2Error::enhance_your_calm, "h2_resets");
}

void H2Session::on_goaway_sent(H2Error error) {
  if (failure_.empty() && error != H2Error::no_error) failure_ = word_for(error);
}

void H2Session::on_ping_answered() {
  if (shutdown_ == Shutdown::announced) shut_down();
}

std::size_t H2Session::drain(H2Output& out, std::size_t limit) {
  out_ = &out;
  drained_ = 0;
  drain_limit_ = limit;
  while (drained_ < limit && wants_write()) {
    const std::uint8_t* frames = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_.get(), &frames);
    if (size < 0 && failure_.empty()) failure_ = "h2_internal";
    if (size <= 0) break;
    drained_ += static_cast<std::size_t>(size);
    out.text(view(frames, static_cast<std::size_t>(size)));
  }
  out_ = nullptr;
  return drained_;
}

bool H2Session::wants_write() const { return nghttp2_session_want_write(session_.get()) != 0; }

bool H2Session::finished() const {
  return !wants_write() && (nghttp2_session_want_read(session_.get()) == 0 || !failure_.empty());
}

void H2Session::respond(H2Stream& stream, int status, std::span<const H2Field> fields, bool bodiless) {
  std::array<nghttp2_nv, kMaxLines> lines;
  std::array<char, 4> text;
  std::size_t count = 0;
  lines[count++] = nv_of(":status", status_text(status, text), true);
  VCHECK(fields.size() < lines.size());
  for (const H2Field& field : fields) lines[count++] = nv_of(field.name, field.value, field.indexed);
  nghttp2_data_provider body{};
  body.read_callback = Callbacks::read_body;
  // Fails when the stream was reset meanwhile: on_closed() says so.
  static_cast<void>(
      nghttp2_submit_response(session_.get(), stream.id, lines.data(), count, bodiless ? nullptr : &body));
}

void H2Session::respond_interim(H2Stream& stream, int status) {
  std::array<char, 4> text;
  const nghttp2_nv line = nv_of(":status", status_text(status, text), true);
  static_cast<void>(
      nghttp2_submit_headers(session_.get(), NGHTTP2_FLAG_NONE, stream.id, nullptr, &line, 1, nullptr));
}

void H2Session::resume(H2Stream& stream) {
  if (!std::exchange(stream.deferred, false)) return;
  static_cast<void>(nghttp2_session_resume_data(session_.get(), stream.id));
}

void H2Session::reset(H2Stream& stream, H2Error error) {
  static_cast<void>(nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, stream.id,
                                              static_cast<std::uint32_t>(error)));
}

void H2Session::consume(const H2Stream& stream, std::size_t bytes) {
  if (bytes > 0) static_cast<void>(nghttp2_session_consume(session_.get(), stream.id, bytes));
}

void H2Session::abandon(H2Stream& stream) {
  static_cast<void>(nghttp2_session_set_stream_user_data(session_.get(), stream.id, nullptr));
}

bool H2Session::has_stream_window(const H2Stream& stream) const {
  return nghttp2_session_get_stream_remote_window_size(session_.get(), stream.id) > 0;
}

bool H2Session::has_connection_window() const {
  return nghttp2_session_get_remote_window_size(session_.get()) > 0;
}

bool H2Session::may_client_send(const H2Stream& stream) const {
  return nghttp2_session_get_local_window_size(session_.get()) > 0 &&
         nghttp2_session_get_stream_local_window_size(session_.get(), stream.id) > 0;
}

void H2Session::announce_shutdown() {
  if (std::exchange(shutdown_, Shutdown::announced) != Shutdown::none) return;
  static_cast<void>(nghttp2_submit_shutdown_notice(session_.get()));
  static_cast<void>(nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, nullptr));
}

void H2Session::shut_down() {
  if (std::exchange(shutdown_, Shutdown::done) == Shutdown::done) return;
  static_cast<void>(nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE,
                                          nghttp2_session_get_last_proc_stream_id(session_.get()),
                                          NGHTTP2_NO_ERROR, nullptr, 0));
}

}  // namespace vignette::http
