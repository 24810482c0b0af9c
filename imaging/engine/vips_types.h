// libvips handles with an owner. libvips calls are variadic C; each is wrapped where it is used.
#pragma once

#include <vips/vips.h>

#include <memory>
#include <string_view>
#include <utility>

namespace vignette::imaging {

struct UnrefImage {
  void operator()(VipsImage* image) const { g_object_unref(image); }
};
using Image = std::unique_ptr<VipsImage, UnrefImage>;

// Replaces `image` by what call(in, &out) makes of it; false: vips failed and `image` is as it was.
template <typename Call>
bool replace(Image& image, Call&& call) {
  VipsImage* out = nullptr;
  if (std::forward<Call>(call)(image.get(), &out) != 0) return false;
  image.reset(out);
  return true;
}

// Encoded bytes as libvips hands them over.
class Encoded {
 public:
  Encoded() = default;
  Encoded(void* data, std::size_t size) : data_(data), size_(size) {}
  std::string_view view() const { return {static_cast<const char*>(data_.get()), size_}; }

 private:
  struct Free {
    void operator()(void* data) const { g_free(data); }
  };
  std::unique_ptr<void, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace vignette::imaging
