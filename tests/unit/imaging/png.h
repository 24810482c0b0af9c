// A PNG writer and reader for tests: the project's own code never decodes in process.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace vignette::imaging::test {

struct Pixels {
  int width = 0;
  int height = 0;
  int channels = 0;  // 1, 2, 3 or 4, 8 bits each
  std::vector<std::uint8_t> bytes;

  int at(int x, int y, int channel) const {
    return bytes[static_cast<std::size_t>((y * width + x) * channels + channel)];
  }
};

// Grey, grey+alpha, RGB or RGBA by `channels`.
Pixels draw(int width, int height, int channels, const std::function<int(int x, int y, int channel)>& value);
std::string write_png(const Pixels& pixels);
std::string png_chunk(std::string_view type, std::string_view body);
// 8-bit, not interlaced, not paletted; fails the running test otherwise.
Pixels read_png(std::string_view file);
// Mean absolute difference over the first three channels (grey counts as three equal ones).
double mean_difference(const Pixels& a, const Pixels& b);
int max_difference(const Pixels& a, const Pixels& b);

}  // namespace vignette::imaging::test
