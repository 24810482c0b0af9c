#include "proxy/process/sitemap.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/strings.h"

namespace vignette::proxy {
namespace {

using Failure = std::unexpected<std::string>;

constexpr std::string_view kGzip = "\x1f\x8b";
constexpr int kGzipWindow = 15 + 16;  // zlib's word for "the largest window, gzip's format"
constexpr std::size_t kInflateStep = 1 << 20;

struct Inflating {
  z_stream stream{};
  bool is_ready = inflateInit2(&stream, kGzipWindow) == Z_OK;
  Inflating() = default;
  ~Inflating() { inflateEnd(&stream); }
  Inflating(const Inflating&) = delete;
  Inflating& operator=(const Inflating&) = delete;
};

std::expected<std::string, std::string> unpack(std::string_view packed) {
  Inflating gzip;
  if (!gzip.is_ready) return Failure("no memory to unpack the sitemap");
  // zlib's interface is older than const.
  gzip.stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  gzip.stream.avail_in = static_cast<uInt>(packed.size());
  std::string text;
  for (;;) {
    const std::size_t begun = text.size();
    text.resize(begun + kInflateStep);
    gzip.stream.next_out = reinterpret_cast<Bytef*>(text.data() + begun);
    gzip.stream.avail_out = static_cast<uInt>(kInflateStep);
    const int result = inflate(&gzip.stream, Z_NO_FLUSH);
    text.resize(text.size() - gzip.stream.avail_out);
    if (text.size() > kMaxSitemapBytes) return Failure("the sitemap is longer than 50 MiB");
    if (result == Z_STREAM_END) return text;
    if (result != Z_OK) return Failure("the gzipped sitemap is damaged or cut short");
  }
}

void append_utf8(std::uint64_t point, std::string& out) {
  const auto put = [&out](std::uint64_t byte) { out += static_cast<char>(byte); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0 | point >> 6);
    put(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    put(0xE0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3F));
    put(0x80 | (point & 0x3F));
  } else {
    put(0xF0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3F));
    put(0x80 | (point >> 6 & 0x3F));
    put(0x80 | (point & 0x3F));
  }
}

// What stands between `&` and `;`. False: none of XML's own.
bool append_entity(std::string_view name, std::string& out) {
  constexpr std::array<std::pair<std::string_view, char>, 5> kNamed = {
      {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}}};
  for (const auto& [known, character] : kNamed) {
    if (name != known) continue;
    out += character;
    return true;
  }
  if (!name.starts_with('#')) return false;
  const auto point = name.starts_with("#x") ? parse_hex_u64(name.substr(2)) : parse_u64(name.substr(1));
  if (!point || *point == 0 || *point > 0x10FFFF) return false;
  append_utf8(*point, out);
  return true;
}

bool append_text(std::string_view text, std::string& out) {
  for (;;) {
    const std::size_t mark = text.find('&');
    out += text.substr(0, mark);
    if (mark == text.npos) return true;
    const std::size_t end = text.find(';', mark);
    if (end == text.npos || !append_entity(text.substr(mark + 1, end - mark - 1), out)) return false;
    text.remove_prefix(end + 1);
  }
}

std::string_view trim_space(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// Walks over the markup, keeping the names of the open elements, and takes the text of url/loc and
// sitemap/loc: others, as those of images, are called loc as well.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  std::expected<Sitemap, std::string> read() {
    while (!rest_.empty()) {
      const std::size_t mark = std::min(rest_.find('<'), rest_.size());
      if (is_location() && !append_text(rest_.substr(0, mark), location_)) return broken();
      rest_.remove_prefix(mark);
      if (!rest_.empty() && !take_markup()) return broken();
    }
    if (!has_root_ || !open_.empty()) return broken();
    return std::move(found_);
  }

 private:
  static Failure broken() { return Failure("this is no sitemap, or it is damaged"); }

  bool take_markup() {
    if (rest_.starts_with("<!--")) return skip_past("-->", 4);
    if (rest_.starts_with("<?")) return skip_past("?>", 2);
    if (rest_.starts_with("<![CDATA[")) return take_cdata();
    if (rest_.starts_with("<!"))
      return rest_.substr(0, rest_.find('>')).find('[') == rest_.npos && skip_past(">", 2);
    return take_tag();
  }

  bool skip_past(std::string_view end, std::size_t from) {
    const std::size_t at = rest_.find(end, from);
    if (at == rest_.npos) return false;
    rest_.remove_prefix(at + end.size());
    return true;
  }

  bool take_cdata() {
    constexpr std::size_t kOpening = 9;
    const std::string_view data = rest_.substr(kOpening, rest_.find("]]>", kOpening) - kOpening);
    if (is_location()) location_ += data;
    return skip_past("]]>", kOpening);
  }

  // The end of a tag; `>` may stand inside of a value.
  static std::size_t end_of_tag(std::string_view tag) {
    char quote = 0;
    for (std::size_t i = 1; i < tag.size(); ++i) {
      const char c = tag[i];
      if (quote) {
        if (c == quote) quote = 0;
      } else if (c == '"' || c == '\'') {
        quote = c;
      } else if (c == '>') {
        return i;
      }
    }
    return tag.npos;
  }

  bool take_tag() {
    const std::size_t end = end_of_tag(rest_);
    if (end == rest_.npos) return false;
    std::string_view tag = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    const bool is_closing = tag.starts_with('/');
    const bool is_empty = tag.ends_with('/');
    if (is_closing) tag.remove_prefix(1);
    std::string_view name = tag.substr(0, tag.find_first_of(" \t\r\n/"));
    if (const std::size_t colon = name.find(':'); colon != name.npos) name.remove_prefix(colon + 1);
    if (name.empty()) return false;
    if (is_closing) return close(name);
    return open(name) && (!is_empty || close(name));
  }

  bool open(std::string_view name) {
    if (open_.empty()) {
      if (has_root_ || (name != "urlset" && name != "sitemapindex")) return false;
      has_root_ = true;
    }
    if (open_.size() == kMaxSitemapDepth) return false;
    open_.push_back(name);
    location_.clear();
    return true;
  }

  bool close(std::string_view name) {
    if (open_.empty() || open_.back() != name) return false;
    if (is_location()) {
      auto& list = open_[1] == "url" ? found_.pages : found_.sitemaps;
      if (const std::string_view location = trim_space(location_); !location.empty()) {
        list.emplace_back(location);
      }
    }
    open_.pop_back();
    return true;
  }

  bool is_location() const {
    return open_.size() == 3 && open_[2] == "loc" && (open_[1] == "url" || open_[1] == "sitemap");
  }

  std::string_view rest_;
  std::vector<std::string_view> open_;
  std::string location_;
  bool has_root_ = false;
  Sitemap found_;
};

}  // namespace

std::expected<Sitemap, std::string> read_sitemap(std::string_view bytes) {
  if (bytes.size() > kMaxSitemapBytes) return Failure("the sitemap is longer than 50 MiB");
  std::string unpacked;
  if (bytes.starts_with(kGzip)) {
    auto text = unpack(bytes);
    if (!text) return Failure(text.error());
    unpacked = std::move(*text);
    bytes = unpacked;
  }
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  return Reader(bytes).read();
}

}  // namespace vignette::proxy
