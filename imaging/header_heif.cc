// HEIF and AVIF (ISO 23008-12): ftyp and meta boxes; the size and turning of the primary item.
#include <algorithm>
#include <optional>
#include <vector>

#include "imaging/header_scanners.h"

namespace vignette::imaging {
namespace {

struct Box {
  std::string_view type;
  std::size_t body = 0;  // offsets into the file
  std::size_t end = 0;
};

// The box at `at`; nullopt when its header is cut or its size makes no sense. `end` may lie beyond the bytes.
std::optional<Box> box_at(ByteView bytes, std::size_t at, std::size_t limit) {
  if (!bytes.has(at, 8)) return std::nullopt;
  Box box{bytes.text(at + 4, 4), at + 8, 0};
  std::uint64_t size = bytes.be(at, 4);
  if (size == 1) {
    if (!bytes.has(at, 16)) return std::nullopt;
    size = std::uint64_t{bytes.be(at + 8, 4)} << 32 | bytes.be(at + 12, 4);
    box.body = at + 16;
  } else if (size == 0) {
    size = limit - at;
  }
  if (size < box.body - at || size > limit - at) return std::nullopt;
  box.end = at + static_cast<std::size_t>(size);
  return box;
}

std::vector<Box> children(ByteView bytes, std::size_t at, std::size_t end) {
  constexpr std::size_t kMaxBoxes = 1024;
  std::vector<Box> boxes;
  while (at < end && boxes.size() < kMaxBoxes) {
    const std::optional<Box> box = box_at(bytes, at, end);
    if (!box) break;
    boxes.push_back(*box);
    at = box->end;
  }
  return boxes;
}

std::optional<Box> find(const std::vector<Box>& boxes, std::string_view type) {
  const auto found = std::ranges::find(boxes, type, &Box::type);
  if (found == boxes.end()) return std::nullopt;
  return *found;
}

std::uint32_t primary_item(ByteView bytes, const std::vector<Box>& meta) {
  const std::optional<Box> box = find(meta, "pitm");
  if (!box) return 0;
  return bytes.u8(box->body) == 0 ? bytes.be(box->body + 4, 2) : bytes.be(box->body + 4, 4);
}

// Property numbers (from 1) that ipma gives to `item`.
std::vector<std::size_t> properties_of(ByteView bytes, const Box& ipma, std::uint32_t item) {
  std::vector<std::size_t> properties;
  const bool wide_items = bytes.u8(ipma.body) >= 1;
  const bool wide_indexes = (bytes.u8(ipma.body + 3) & 1) != 0;
  const std::uint32_t entries = bytes.be(ipma.body + 4, 4);
  std::size_t at = ipma.body + 8;
  for (std::uint32_t i = 0; i < entries && at < ipma.end; ++i) {
    const std::uint32_t id = bytes.be(at, wide_items ? 4 : 2);
    at += wide_items ? 4 : 2;
    const std::size_t count = bytes.u8(at++);
    for (std::size_t j = 0; j < count && at < ipma.end; ++j) {
      const std::uint32_t index = wide_indexes ? bytes.be(at, 2) & 0x7fff : bytes.u8(at) & 0x7fu;
      at += wide_indexes ? 2 : 1;
      if (id == item) properties.push_back(index);
    }
  }
  return properties;
}

void apply(ByteView bytes, const Box& property, ImageHeader& header) {
  if (property.type == "ispe") {
    header.width = std::max(header.width, bytes.be(property.body + 4, 4));
    header.height = std::max(header.height, bytes.be(property.body + 8, 4));
  } else if (property.type == "irot") {
    constexpr std::uint8_t kAsOrientation[] = {1, 8, 3, 6};
    header.orientation = kAsOrientation[bytes.u8(property.body) & 3];
  } else if (property.type == "pixi") {
    header.bit_depth = std::max(header.bit_depth, bytes.u8(property.body + 5));
    header.components = bytes.u8(property.body + 4) == 1 ? 1 : 3;
  }
}

HeaderScan read_meta(ByteView bytes, const Box& meta, ImageHeader header) {
  const std::vector<Box> boxes = children(bytes, meta.body + 4, meta.end);
  const std::optional<Box> iprp = find(boxes, "iprp");
  if (!iprp) return scan_broken();
  const std::vector<Box> tables = children(bytes, iprp->body, iprp->end);
  const std::optional<Box> ipco = find(tables, "ipco");
  const std::optional<Box> ipma = find(tables, "ipma");
  if (!ipco || !ipma) return scan_broken();
  const std::vector<Box> properties = children(bytes, ipco->body, ipco->end);
  for (const std::size_t index : properties_of(bytes, *ipma, primary_item(bytes, boxes))) {
    if (index >= 1 && index <= properties.size()) apply(bytes, properties[index - 1], header);
  }
  for (const Box& property : properties) {  // an auxiliary plane of the kind "…:aux:alpha…" or "…:auxid:1"
    if (property.type != "auxC") continue;
    const std::string_view urn =
        bytes.text(property.body + 4,
                   property.end - property.body - std::min<std::size_t>(4, property.end - property.body));
    if (urn.contains("alpha") || urn.contains("auxid:1")) header.alpha = true;
  }
  return header.width == 0 || header.height == 0 ? scan_broken() : scan_done(header);
}

}  // namespace

HeaderScan scan_heif(ByteView bytes, ImageHeader header) {
  std::size_t at = 0;
  while (true) {
    if (!bytes.has(at, 16)) return scan_needs(at + 16, header);
    const std::optional<Box> box = box_at(bytes, at, SIZE_MAX);
    if (!box) return scan_broken();
    if (box->type == "meta") {
      if (!bytes.has(box->body, box->end - box->body)) return scan_needs(box->end, header);
      return read_meta(bytes, *box, header);
    }
    if (box->end > kMaxHeaderBytes && box->type != "mdat") return scan_broken();
    at = box->end;
  }
}

}  // namespace vignette::imaging
