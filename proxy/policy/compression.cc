#include "proxy/policy/compression.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "base/strings.h"
#include "http/cache_control.h"
#include "http/conditional.h"
#include "http/status.h"

namespace vignette::proxy {
namespace {

using http::Coding;
using http::FieldId;

constexpr std::string_view kAcceptEncoding = "Accept-Encoding";

bool matches_type(std::string_view pattern, std::string_view type) {
  const std::size_t star = pattern.find('*');
  if (star == pattern.npos) return iequals(pattern, type);
  const std::string_view begin = pattern.substr(0, star);
  const std::string_view end = pattern.substr(star + 1);
  return type.size() >= begin.size() + end.size() && iequals(type.substr(0, begin.size()), begin) &&
         iequals(type.substr(type.size() - end.size()), end);
}

bool is_listed(const conf::RouteCompress& rule, std::string_view content_type) {
  const std::string_view type = trim(content_type.substr(0, content_type.find(';')));
  if (type.empty() || iequals(type, "text/event-stream")) return false;
  return std::ranges::any_of(rule.types,
                             [&](std::string_view pattern) { return matches_type(pattern, type); });
}

// Of a complete representation (a HEAD's answer describes one), which anybody may change.
bool may_transform(const http::ResponseHead& response) {
  return response.status >= 200 && !http::never_has_body(response.status) && response.status != 205 &&
         response.status != 206 && !response.fields.has(FieldId::content_range) &&
         !http::response_directives(response.fields).no_transform;
}

// The one coding of a Content-Encoding that has one which we know.
std::optional<Coding> only_coding(const http::FieldList& response) {
  if (response.count(FieldId::content_encoding) != 1) return std::nullopt;
  const auto coding = http::parse_coding(trim(response.value(FieldId::content_encoding)));
  return coding == Coding::identity ? std::nullopt : coding;
}

Coding choose(const conf::RouteCompress& rule, const http::AcceptedCodings& accepted) {
  for (const Coding coding : accepted.list()) {
    if (std::ranges::find(rule.codings, coding) != rule.codings.end()) return coding;
  }
  return Coding::identity;
}

bool is_digest(std::string_view name) {
  return name == "content-md5" || name == "content-digest" || name == "repr-digest" || name == "digest";
}

bool needs_vary(const http::FieldList& response) {
  return !response.has_element(FieldId::vary, "*") && !response.has_element(FieldId::vary, kAcceptEncoding);
}

bool is_strong(std::string_view etag) { return !etag.empty() && !etag.starts_with("W/"); }

// The texts of one answer's new fields.
class Texts {
 public:
  explicit Texts(const http::FieldList& response) {
    std::size_t bytes = response.value(FieldId::etag).size() + kAcceptEncoding.size() + 2;
    for (const http::Field& field : response) {
      if (field.id == FieldId::vary) bytes += field.value.size() + 2;
    }
    block_ = BlockRef::allocate(bytes);
  }
  void weaken(http::FieldList& response) {
    http::Field* etag = response.find(FieldId::etag);
    if (!etag || !is_strong(etag->value)) return;
    put("W/");
    put(etag->value);
    etag->value = take();
  }
  void add_vary(http::FieldList& response) {
    if (!needs_vary(response)) return;
    for (const http::Field& field : response) {
      if (field.id != FieldId::vary || field.value.empty()) continue;
      put(field.value);
      put(", ");
    }
    put(kAcceptEncoding);
    response.set(FieldId::vary, take());
  }
  BlockRef block() && { return std::move(block_); }

 private:
  void put(std::string_view text) {
    std::memcpy(block_->data() + size_, text.data(), text.size());
    size_ += text.size();
  }
  std::string_view take() {
    const std::string_view text(block_->data() + begin_, size_ - begin_);
    begin_ = size_;
    return text;
  }

  BlockRef block_;
  std::size_t begin_ = 0;
  std::size_t size_ = 0;
};

bool has_room(const http::FieldList& response, std::size_t lines) {
  return response.size() + lines <= http::FieldList::kCapacity;
}

}  // namespace

CodingChange decide_coding(const conf::RouteCompress& rule, const http::FieldList& request,
                           const http::ResponseHead& response, std::optional<std::uint64_t> length) {
  CodingChange change;
  if (!rule.enabled || !may_transform(response)) return change;
  if (response.fields.has(FieldId::content_encoding)) {
    const auto coding = only_coding(response.fields);
    if (!coding) return change;
    change.varies = true;
    if (!http::accepted_codings(request).has(*coding)) change.undone = *coding;
    return change;
  }
  if (length && (*length < rule.min_size || *length == 0)) return change;
  if (!is_listed(rule, response.fields.value(FieldId::content_type))) return change;
  change.varies = true;
  change.made = choose(rule, http::accepted_codings(request));
  return change;
}

std::optional<BlockRef> apply_coding(const CodingChange& change, http::FieldList& response) {
  if (!change.varies) return BlockRef();
  if (!has_room(response, 2)) return std::nullopt;
  Texts texts(response);
  if (change.changes_body()) {
    texts.weaken(response);
    response.remove(FieldId::content_encoding);
    response.remove(FieldId::accept_ranges);
    response.remove_if([](const http::Field& field) { return is_digest(field.name); });
    if (change.made != Coding::identity) {
      response.add(FieldId::content_encoding, http::to_string(change.made));
    }
  }
  texts.add_vary(response);
  return std::move(texts).block();
}

std::optional<BlockRef> apply_to_not_modified(const http::FieldList& request, http::FieldList& response) {
  const std::string_view etag = response.value(FieldId::etag);
  const bool is_weak_here =
      is_strong(etag) &&
      !http::etag_list_matches(request, FieldId::if_none_match, etag, http::Compare::strong) &&
      http::etag_list_matches(request, FieldId::if_none_match, etag, http::Compare::weak);
  if (!is_weak_here) return BlockRef();
  if (!has_room(response, 1)) return std::nullopt;
  Texts texts(response);
  texts.weaken(response);
  texts.add_vary(response);
  return std::move(texts).block();
}

std::optional<BlockRef> add_vary(http::FieldList& response) {
  if (!needs_vary(response)) return BlockRef();
  if (!has_room(response, 1)) return std::nullopt;
  Texts texts(response);
  texts.add_vary(response);
  return std::move(texts).block();
}

}  // namespace vignette::proxy
