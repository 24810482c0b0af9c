#include "proxy/media/image_origin.h"

#include <unistd.h>

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/strings.h"
#include "cache/purge/identity.h"
#include "http/conditional.h"
#include "http/date.h"
#include "imaging/info.h"
#include "proxy/media/imaging_service.h"
#include "proxy/media/original_reader.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

using http::FieldId;
using imaging::ErrorClass;
using imaging::OutputFormat;
using std::chrono::seconds;

constexpr std::size_t kPieceBytes = 256 * 1024;
constexpr seconds kPhotoLifetime = std::chrono::hours(24);
constexpr seconds kBadSourceLifetime{300};
constexpr seconds kTroubleLifetime{1};
constexpr std::string_view kTextType = "text/plain; charset=utf-8";
constexpr int kReads = 2;  // of an original that is cut short

std::string path_of(const imaging::ImageRequest& image) {
  std::string path = "/";
  path += percent_encode(image.key, kUnreservedPath);
  return path;
}

// No Vary list makes names like these, so no other object can have such a key.
std::string discriminator(const char* what, const Origin& origin) {
  return fmt::format("@{}={}", what, origin.name());
}

class TextBody final : public BodySource {
 public:
  explicit TextBody(std::string_view text) : text_(Slice::copy(text)) {}
  net::Task<Result<Piece>> next(TimePoint) override {
    co_return Piece{.bytes = std::move(text_), .last = true};
  }

 private:
  Slice text_;
};

// The picture, copied piece by piece out of the memory that the program made it in.
class PictureBody final : public BodySource {
 public:
  PictureBody(UniqueFd memory, std::uint64_t size) : memory_(std::move(memory)), size_(size) {}

  net::Task<Result<Piece>> next(TimePoint) override {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, size_ - offset_));
    BlockRef block = BlockRef::allocate(std::max<std::size_t>(size, 1));
    std::size_t done = 0;
    while (done < size) {
      const ssize_t got =
          ::pread(memory_.get(), block->data() + done, size - done, static_cast<off_t>(offset_ + done));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) co_return fail(Code::io, Blame::internal, "picture: read", got < 0 ? errno : 0);
      done += static_cast<std::size_t>(got);
    }
    offset_ += size;
    co_return Piece{.bytes = Slice(std::move(block), 0, size), .last = offset_ == size_};
  }

 private:
  UniqueFd memory_;
  std::uint64_t size_;
  std::uint64_t offset_ = 0;
};

// A response whose fields live in a block of its own.
class ResponseBuilder {
 public:
  explicit ResponseBuilder(int status) : status_(status) {}

  ResponseBuilder& add(FieldId id, std::string_view value) {
    fields_.push_back({id, text_.size(), value.size()});
    text_ += value;
    return *this;
  }
  OriginResponse make(std::unique_ptr<BodySource> body, std::optional<std::uint64_t> length) {
    OriginResponse response;
    response.head->status = status_;
    response.head_bytes = BlockRef::allocate(std::max<std::size_t>(text_.size(), 1));
    std::memcpy(response.head_bytes->data(), text_.data(), text_.size());
    for (const Part& part : fields_) {
      response.head->fields.add(part.id, {response.head_bytes->data() + part.offset, part.size});
    }
    response.body = std::move(body);
    response.content_length = length;
    response.trace.server = "imaging";
    response.trace.attempts = 1;
    return response;
  }
  OriginResponse text(std::string_view body) { return make(std::make_unique<TextBody>(body), body.size()); }

 private:
  struct Part {
    FieldId id;
    std::size_t offset;
    std::size_t size;
  };
  int status_;
  std::string text_;
  std::vector<Part> fields_;
};

std::string_view explain_failure(ErrorClass error) {
  switch (error) {
    case ErrorClass::unsupported:
      return "The original is not a picture that is supported.";
    case ErrorClass::broken:
      return "The original is damaged.";
    case ErrorClass::too_large:
      return "The original is too large.";
    case ErrorClass::deadline:
      return "The picture was not made in time.";
    case ErrorClass::busy:
    case ErrorClass::cancelled:
      return "Too many pictures are being made right now.";
    case ErrorClass::crashed:
      return "The picture could not be made.";
    default:
      return "Something went wrong on this node.";
  }
}

class ImageOrigin final : public Origin {
 public:
  ImageOrigin(std::shared_ptr<const Snapshot> snapshot, Origin& originals, const imaging::ImageRequest& image,
              bool accepts_webp)
      : Origin(originals.name(), Kind::images),
        snapshot_(std::move(snapshot)),
        originals_(originals),
        image_(image),
        accepts_webp_(accepts_webp) {}

  net::Task<Result<OriginResponse>> fetch(WorkerContext& context, const OriginRequest& request) override;

 private:
  net::Task<Result<OriginResponse>> attempt(WorkerContext& context, const OriginRequest& request);
  net::Task<Result<OriginResponse>> make_picture(WorkerContext& context, const OriginalReader& reader,
                                                 Original original);

  bool is_info() const { return image_.kind == imaging::RequestKind::info; }
  OutputFormat format_for(bool alpha) const {
    return imaging::choose_format(image_.transform.format, accepts_webp_, alpha);
  }
  std::string etag(std::string_view source_tag, OutputFormat format) const;
  std::optional<std::string> tag_still_named(const OriginRequest& request, std::string_view source_tag) const;
  std::string cache_control(WorkerContext& context) const;
  void note_original(const OriginalReader& reader);
  OriginResponse not_modified(WorkerContext& context, std::string_view etag) const;
  OriginResponse refusal(WorkerContext& context, int status, std::string_view text,
                         std::string_view retry_after) const;
  Result<OriginResponse> without_original(WorkerContext& context, const NoOriginal& none) const;

  std::shared_ptr<const Snapshot> snapshot_;
  Origin& originals_;
  const imaging::ImageRequest image_;
  const bool accepts_webp_;
  WallTime started_{};
  std::string original_tags_;  // for purges, with the original's name
  std::uint64_t original_sequence_ = 0;
};

// The same source, operations, format and engine give the same bytes, so the tag is a strong one.
std::string ImageOrigin::etag(std::string_view source_tag, OutputFormat format) const {
  const std::string ops = is_info() ? "info" : imaging::canonical_ops(image_.transform, format);
  const Hash128 hash = hash128(fmt::format("{}\n{}\n{}", source_tag, ops, imaging::kEngineVersion));
  return fmt::format("\"{:016x}{:016x}\"", hash.high, hash.low);
}

// The tag of what would be made, when the fill has it already. Which format it would be may depend on the
// source's transparency, which is not known yet; but the source being the same, so is that.
std::optional<std::string> ImageOrigin::tag_still_named(const OriginRequest& request,
                                                        std::string_view source_tag) const {
  if (!request.fields || !request.fields->has(FieldId::if_none_match)) return std::nullopt;
  for (const bool alpha : {false, true}) {
    std::string tag = etag(source_tag, format_for(alpha));
    if (http::etag_list_matches(*request.fields, FieldId::if_none_match, tag, http::Compare::weak))
      return tag;
  }
  return std::nullopt;
}

std::string ImageOrigin::cache_control(WorkerContext& context) const {
  seconds lifetime = kPhotoLifetime;
  if (image_.expires) {
    const seconds left = seconds(*image_.expires) - context.loop.wall().time_since_epoch();
    lifetime = std::clamp(left, seconds(0), lifetime);
  }
  return fmt::format("public, max-age={}", lifetime.count());
}

// One purge takes an original and all its pictures, also those made from it while it was under way.
void ImageOrigin::note_original(const OriginalReader& reader) {
  if (!reader.has_object()) return;
  const cache::Object& original = reader.object();
  original_tags_ = original.tags();
  if (!original_tags_.empty()) original_tags_ += ' ';
  original_tags_ += cache::original_tag(original.key_string());
  original_sequence_ = original.sequence();
}

OriginResponse ImageOrigin::not_modified(WorkerContext& context, std::string_view etag) const {
  return ResponseBuilder(304)
      .add(FieldId::etag, etag)
      .add(FieldId::cache_control, cache_control(context))
      .make(nullptr, {});
}

// Time spent on it counts as age: the lifetime begins now, or those who waited would each try again.
OriginResponse ImageOrigin::refusal(WorkerContext& context, int status, std::string_view text,
                                    std::string_view retry_after) const {
  const seconds spent = context.loop.wall() - started_ + seconds(1);
  ResponseBuilder answer(status);
  answer.add(FieldId::content_type, kTextType);
  if (status == 413 || status == 415 || status == 422) {
    answer.add(FieldId::cdn_cache_control, fmt::format("max-age={}", (kBadSourceLifetime + spent).count()));
  } else if (status >= 500) {
    answer.add(FieldId::cdn_cache_control, fmt::format("max-age={}", (kTroubleLifetime + spent).count()));
    if (status == 503) answer.add(FieldId::retry_after, retry_after.empty() ? "1" : retry_after);
  }
  return answer.text(fmt::format("{}\n", text));
}

Result<OriginResponse> ImageOrigin::without_original(WorkerContext& context, const NoOriginal& none) const {
  if (none.status == 0) return std::unexpected(none.error);
  return refusal(context, none.status, none.text, none.retry_after);
}

net::Task<Result<OriginResponse>> ImageOrigin::fetch(WorkerContext& context, const OriginRequest& request) {
  started_ = context.loop.wall();
  const TimePoint began = context.node.clock.now();
  for (int read = 1;; ++read) {
    auto response = co_await attempt(context, request);
    if (response) {
      response->tags = original_tags_;
      response->sequence = original_sequence_;
    }
    if (response) response->trace.first_byte = context.node.clock.now() - began;
    const bool cut = !response && response.error().code == Code::closed;
    if (!cut || read == kReads) co_return response;
  }
}

net::Task<Result<OriginResponse>> ImageOrigin::attempt(WorkerContext& context, const OriginRequest& request) {
  if (!context.node.imaging) co_return fail(Code::unavailable, Blame::internal, "imaging is off");
  OriginalReader reader(context, snapshot_, originals_, path_of(image_), context.node.imaging->limits());
  auto opened = co_await reader.open();
  note_original(reader);
  if (!opened) co_return without_original(context, opened.error());
  const bool has_strong_tag = reader.has_strong_tag();
  if (has_strong_tag) {
    if (auto tag = tag_still_named(request, reader.object().etag())) co_return not_modified(context, *tag);
  }
  auto original = co_await reader.read();
  if (!original) co_return without_original(context, original.error());
  if (!has_strong_tag) {
    if (auto tag = tag_still_named(request, original->tag)) co_return not_modified(context, *tag);
  }
  auto answer = co_await make_picture(context, reader, std::move(*original));
  co_return answer;
}

net::Task<Result<OriginResponse>> ImageOrigin::make_picture(WorkerContext& context,
                                                            const OriginalReader& reader, Original original) {
  const OutputFormat format = format_for(original.header.alpha);
  const std::string tag = etag(original.tag, format);
  ImageJob job;
  job.kind = is_info() ? imaging::Job::Kind::info : imaging::Job::Kind::transform;
  job.header = original.header;
  job.output = format;
  job.transform = image_.transform;
  job.source = std::move(original.memory);
  job.source_bytes = original.size;
  job.permit = std::move(original.permit);
  job.quarantine_key = hash64(tag);
  ImagingService& imaging = *context.node.imaging;
  auto made =
      co_await imaging.run(context.loop, std::move(job), context.loop.now() + imaging.options().deadline);
  if (!made) co_return std::unexpected(made.error());
  const imaging::JobResult& result = made->result;
  if (result.error != ErrorClass::none) {
    co_return refusal(context, imaging::status_for(result.error), explain_failure(result.error), "");
  }
  ResponseBuilder answer(200);
  answer.add(FieldId::content_type, is_info() ? "application/json" : imaging::content_type(format));
  answer.add(FieldId::etag, tag).add(FieldId::cache_control, cache_control(context));
  if (auto modified = reader.object().last_modified()) {
    answer.add(FieldId::last_modified, http::format_date(*modified));
  }
  if (is_info()) co_return answer.text(imaging::info_json(result.info, reader.object().etag()));
  co_return answer.make(std::make_unique<PictureBody>(std::move(made->picture), result.output_bytes),
                        result.output_bytes);
}

}  // namespace

cache::Key original_key(const Origin& origin, std::string_view path, std::string_view query,
                        std::string& key_string) {
  return cache::build_key({.path = path,
                           .query = query.empty() ? std::nullopt : std::optional(query),
                           .variant = discriminator("original", origin)},
                          key_string);
}

cache::Key variant_key(const Origin& origin, const imaging::ImageRequest& image, bool accepts_webp,
                       std::string& key_string) {
  std::string variant = discriminator(image.kind == imaging::RequestKind::info ? "info" : "image", origin);
  if (image.kind == imaging::RequestKind::photo) {
    const imaging::Transform& transform = image.transform;
    variant += '\n';
    if (transform.format || accepts_webp) {
      variant += imaging::canonical_ops(transform, transform.format.value_or(OutputFormat::webp));
    } else {
      variant += imaging::canonical_ops(transform) + ",f=auto";
    }
  }
  return cache::build_key({.path = path_of(image), .variant = variant}, key_string);
}

std::unique_ptr<Origin> make_image_origin(std::shared_ptr<const Snapshot> snapshot, Origin& originals,
                                          const imaging::ImageRequest& image, bool accepts_webp) {
  return std::make_unique<ImageOrigin>(std::move(snapshot), originals, image, accepts_webp);
}

}  // namespace vignette::proxy
