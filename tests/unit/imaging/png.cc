#include "tests/unit/imaging/png.h"

#include <zlib.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>

namespace vignette::imaging::test {
namespace {

void put32(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift & 255));
}

std::uint32_t get32(std::string_view in, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(in[at + i]);
  return value;
}

int paeth(int a, int b, int c) {
  const int p = a + b - c;
  const int pa = std::abs(p - a);
  const int pb = std::abs(p - b);
  const int pc = std::abs(p - c);
  if (pa <= pb && pa <= pc) return a;
  return pb <= pc ? b : c;
}

void unfilter(const std::vector<std::uint8_t>& raw, Pixels& out) {
  const auto stride = static_cast<std::size_t>(out.width * out.channels);
  const auto step = static_cast<std::size_t>(out.channels);
  for (std::size_t y = 0; y < static_cast<std::size_t>(out.height); ++y) {
    const std::uint8_t* line = &raw[y * (stride + 1)];
    std::uint8_t* row = &out.bytes[y * stride];
    for (std::size_t x = 0; x < stride; ++x) {
      const int left = x >= step ? row[x - step] : 0;
      const int up = y > 0 ? out.bytes[(y - 1) * stride + x] : 0;
      const int corner = y > 0 && x >= step ? out.bytes[(y - 1) * stride + x - step] : 0;
      const int guess[] = {0, left, up, (left + up) / 2, paeth(left, up, corner)};
      row[x] = static_cast<std::uint8_t>(line[1 + x] + guess[line[0]]);
    }
  }
}

}  // namespace

Pixels draw(int width, int height, int channels, const std::function<int(int, int, int)>& value) {
  Pixels pixels{width, height, channels, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) pixels.bytes.push_back(static_cast<std::uint8_t>(value(x, y, c)));
    }
  }
  return pixels;
}

std::string png_chunk(std::string_view type, std::string_view body) {
  std::string out;
  put32(out, static_cast<std::uint32_t>(body.size()));
  out.append(type).append(body);
  const auto* bytes = reinterpret_cast<const Bytef*>(out.data()) + 4;
  put32(out, static_cast<std::uint32_t>(crc32(0, bytes, static_cast<uInt>(out.size() - 4))));
  return out;
}

std::string write_png(const Pixels& pixels) {
  constexpr int kColourType[] = {0, 0, 4, 2, 6};
  std::string header;
  put32(header, static_cast<std::uint32_t>(pixels.width));
  put32(header, static_cast<std::uint32_t>(pixels.height));
  header += static_cast<char>(8);
  header += static_cast<char>(kColourType[pixels.channels]);
  header.append(3, '\0');
  std::vector<Bytef> raw;
  const auto stride = static_cast<std::ptrdiff_t>(pixels.width * pixels.channels);
  for (int y = 0; y < pixels.height; ++y) {
    raw.push_back(0);
    raw.insert(raw.end(), pixels.bytes.begin() + y * stride, pixels.bytes.begin() + (y + 1) * stride);
  }
  uLongf size = compressBound(raw.size());
  std::string packed(size, '\0');
  REQUIRE(compress(reinterpret_cast<Bytef*>(packed.data()), &size, raw.data(), raw.size()) == Z_OK);
  packed.resize(size);
  return "\x89PNG\r\n\x1a\n" + png_chunk("IHDR", header) + png_chunk("IDAT", packed) + png_chunk("IEND", "");
}

Pixels read_png(std::string_view file) {
  REQUIRE(file.starts_with("\x89PNG\r\n\x1a\n"));
  std::string packed;
  Pixels out;
  for (std::size_t at = 8; at + 12 <= file.size();) {
    const std::size_t length = get32(file, at);
    const std::string_view type = file.substr(at + 4, 4);
    if (type == "IHDR") {
      out.width = static_cast<int>(get32(file, at + 8));
      out.height = static_cast<int>(get32(file, at + 12));
      constexpr int kChannels[] = {1, 0, 3, 0, 2, 0, 4};
      REQUIRE(file[at + 16] == 8);
      REQUIRE(file[at + 20] == 0);
      out.channels = kChannels[static_cast<int>(file[at + 17])];
      REQUIRE(out.channels > 0);
    }
    if (type == "IDAT") packed.append(file.substr(at + 8, length));
    at += 12 + length;
  }
  const auto stride = static_cast<std::size_t>(out.width * out.channels);
  std::vector<std::uint8_t> raw((stride + 1) * static_cast<std::size_t>(out.height));
  uLongf size = raw.size();
  REQUIRE(uncompress(raw.data(), &size, reinterpret_cast<const Bytef*>(packed.data()), packed.size()) ==
          Z_OK);
  out.bytes.resize(stride * static_cast<std::size_t>(out.height));
  unfilter(raw, out);
  return out;
}

namespace {

template <typename Visit>
void compare(const Pixels& a, const Pixels& b, Visit&& visit) {
  REQUIRE(a.width == b.width);
  REQUIRE(a.height == b.height);
  for (int y = 0; y < a.height; ++y) {
    for (int x = 0; x < a.width; ++x) {
      for (int c = 0; c < 3; ++c) {
        visit(std::abs(a.at(x, y, a.channels >= 3 ? c : 0) - b.at(x, y, b.channels >= 3 ? c : 0)));
      }
    }
  }
}

}  // namespace

double mean_difference(const Pixels& a, const Pixels& b) {
  double sum = 0;
  compare(a, b, [&sum](int difference) { sum += difference; });
  return sum / (3.0 * a.width * a.height);
}

int max_difference(const Pixels& a, const Pixels& b) {
  int worst = 0;
  compare(a, b, [&worst](int difference) { worst = std::max(worst, difference); });
  return worst;
}

}  // namespace vignette::imaging::test
