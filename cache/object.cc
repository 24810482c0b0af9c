#include "cache/object.h"

#include <malloc.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/strings.h"

namespace vignette::cache {
namespace {

using std::chrono::seconds;

// RFC 9111 section 4.2.3.
seconds initial_age(const ObjectHead& head) {
  const seconds apparent = head.date ? std::max(seconds(0), head.response_time - *head.date) : seconds(0);
  const seconds delay = std::max(seconds(0), head.response_time - head.request_time);
  return std::max(apparent, head.age_value + delay);
}

// Copies behind `cursor` and says where it lies now.
std::string_view put(char*& cursor, std::string_view text) {
  if (!text.empty()) std::memcpy(cursor, text.data(), text.size());
  const std::string_view placed(cursor, text.size());
  cursor += text.size();
  return placed;
}

}  // namespace

std::optional<StoredField> StoredFieldReader::next() {
  const std::size_t end = rest_.find("\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = rest_.substr(0, end);
  rest_.remove_prefix(end + 2);
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  return StoredField{line.substr(0, colon), trim(line.substr(colon + 1))};
}

Object::Object(const ObjectHead& head, const Key& key, std::string_view key_string, std::size_t inline_room)
    : status_(head.status),
      flags_(head.flags),
      key_(key),
      request_time_(head.request_time),
      response_time_(head.response_time),
      date_(head.date),
      last_modified_(head.last_modified),
      age_value_(head.age_value),
      corrected_initial_age_(initial_age(head)),
      freshness_lifetime_(head.freshness_lifetime),
      stale_while_revalidate_(head.stale_while_revalidate),
      stale_if_error_(head.stale_if_error),
      content_length_(head.content_length),
      sequence_(head.sequence),
      judged_at_(head.sequence) {
  const std::size_t text = key_string.size() + head.vary.size() + head.vary_values.size() + head.tags.size();
  head_bytes_ = static_cast<std::uint32_t>(head.fields.size() + 2);
  const BlockRef block = BlockRef::allocate_in_file(head_bytes_ + inline_room + text);
  char* cursor = block->data();
  put(cursor, head.fields);
  put(cursor, "\r\n");
  cursor += inline_room;
  key_string_ = put(cursor, key_string);
  vary_ = put(cursor, head.vary);
  vary_values_ = put(cursor, head.vary_values);
  tags_ = put(cursor, head.tags);
  wire_ = Slice(block, 0, head_bytes_ + inline_room);
  etag_ = field("etag").value_or("");
}

ObjectRef Object::complete(ObjectHead head, const Key& key, std::string_view key_string,
                           std::string_view body) {
  if (!head.flags.is_manifest) head.content_length = body.size();
  ObjectRef object = growing(head, key, key_string);
  object->body().append_copy(body);
  object->body().complete();
  return object;
}

ObjectRef Object::growing(const ObjectHead& head, const Key& key, std::string_view key_string) {
  const bool is_inline = head.content_length && *head.content_length <= kInlineBody;
  const std::size_t room = is_inline ? static_cast<std::size_t>(*head.content_length) : 0;
  ObjectRef object = ObjectRef::adopt(new Object(head, key, key_string, room));
  object->body_ = is_inline ? Body::create_inside(object->wire_.block(), object->head_bytes_, room)
                            : Body::create(head.content_length);
  return object;
}

ObjectRef Object::around(const ObjectHead& head, const Key& key, std::string_view key_string, Slice body) {
  ObjectRef object = ObjectRef::adopt(new Object(head, key, key_string, 0));
  object->body_ = Body::create(body.size());
  object->body_->append_slice(std::move(body));
  object->body_->complete();
  return object;
}

ObjectHead Object::head() const {
  ObjectHead head;
  head.status = status_;
  head.fields = fields();
  head.request_time = request_time_;
  head.response_time = response_time_;
  head.date = date_;
  head.age_value = age_value_;
  head.freshness_lifetime = freshness_lifetime_;
  head.stale_while_revalidate = stale_while_revalidate_;
  head.stale_if_error = stale_if_error_;
  head.last_modified = last_modified_;
  head.content_length = content_length_;
  head.flags = flags_;
  head.vary = vary_;
  head.vary_values = vary_values_;
  head.tags = tags_;
  head.sequence = sequence_;
  return head;
}

// A short body is copied: sharing it would keep the whole old block for its sake.
ObjectRef Object::freshened(ObjectHead head) const {
  VCHECK(body_->state() == Body::State::complete);
  head.flags.is_manifest = flags_.is_manifest;
  head.content_length = flags_.is_manifest ? content_length_ : body_->length();
  ObjectRef fresh = body_->length() <= kInlineBody ? rebuilt(head)
                                                   : ObjectRef::adopt(new Object(head, key_, key_string_, 0));
  if (body_->length() > kInlineBody) fresh->body_ = body_;
  fresh->uses_.store(uses_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  return fresh;
}

ObjectRef Object::compacted() const {
  VCHECK(body_->state() == Body::State::complete && body_->length() <= kInlineBody);
  ObjectHead same = head();
  if (!flags_.is_manifest) same.content_length = body_->length();
  return rebuilt(same);
}

ObjectRef Object::rebuilt(const ObjectHead& head) const {
  ObjectRef object = growing(head, key_, key_string_);
  for (const Chunk& chunk : body_->chunks()) object->body().append_copy(chunk.bytes.view());
  object->body().complete();
  return object;
}

std::optional<std::string_view> Object::field(std::string_view name) const {
  for (StoredFieldReader reader(fields()); auto field = reader.next();) {
    if (iequals(field->name, name)) return field->value;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> Object::content_length() const {
  if (content_length_) return content_length_;
  if (body_->state() == Body::State::complete) return body_->length();
  return std::nullopt;
}

std::size_t Object::footprint() const {
  return malloc_usable_size(const_cast<Object*>(this)) + wire_.block()->footprint() + body_->footprint();
}

std::size_t Object::reserved_in(const Budget* budget) const {
  if (!adopted_.load(std::memory_order_acquire) || reservation_.budget() != budget) return 0;
  return reservation_.bytes();
}

bool Object::adopt(Reservation&& reservation) {
  if (adopted_.exchange(true, std::memory_order_acq_rel)) return false;
  reservation_ = std::move(reservation);
  return true;
}

}  // namespace vignette::cache
