// A request that outlives the exchange which made it: the copy a fill works on.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"
#include "proxy/origin/origin.h"

namespace vignette::proxy {

// Range, If-* and Expect: they would make the answer partial or conditional.
bool is_left_out_of_fills(const http::Field& field);

// Not copyable, since views point into its own text.
class StoredRequest {
 public:
  // Always a GET without a body, and without what is_left_out_of_fills(). `fields` are the end-to-end fields
  // for the origin.
  StoredRequest(std::string_view host, std::string_view path, std::string_view query, bool has_query,
                const http::FieldList& fields);
  StoredRequest(const StoredRequest&) = delete;
  StoredRequest& operator=(const StoredRequest&) = delete;

  // Who is said to ask; without it, the node itself.
  void set_viewer(const Viewer& viewer) { viewer_ = viewer; }

  const http::RequestHead& head() const { return head_; }
  // A request over this text with the given end-to-end fields, which the caller keeps.
  OriginRequest request(const http::FieldList& fields) const;

 private:
  std::string_view keep(std::string_view bytes);

  std::string text_;
  http::RequestHead head_;
  std::optional<Viewer> viewer_;
};

}  // namespace vignette::proxy
