#include "imaging/header.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <iostream>
#include <map>
#include <set>

#include "imaging/info.h"
#include "imaging/webp_container.h"
#include "tests/unit/imaging/png.h"
#include "tests/unit/imaging/program.h"

namespace vignette::imaging {
namespace {

using namespace std::string_literals;
using test::png_chunk;

std::string be16(int value) { return {static_cast<char>(value >> 8), static_cast<char>(value)}; }

std::string segment(char marker, const std::string& body) {
  return "\xff"s + marker + be16(static_cast<int>(body.size()) + 2) + body;
}

// SOI, an Exif block with this orientation, SOFn and the start of the scan.
std::string jpeg(char frame_marker, int width, int height, int orientation, char luma_sampling = 0x22) {
  const std::string exif = "Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"s +
                           static_cast<char>(orientation) + "\0\0\0\0\0\0"s;
  const std::string frame =
      "\x08"s + be16(height) + be16(width) + "\x03\x01"s + luma_sampling + "\0\x02\x11\x01\x03\x11\x01"s;
  return "\xff\xd8"s + segment('\xe1', exif) + segment(frame_marker, frame) + "\xff\xda\0\x08"s;
}

std::string gif(int flags, int frames) {
  std::string file = "GIF89a\x40\0\x30\0\0\0\0"s;
  for (int i = 0; i < frames; ++i) {
    file += "\x21\xf9\x04\x01\0\0\0\0"s + ","s + "\0\0\0\0\x40\0\x30\0"s + static_cast<char>(flags) +
            "\x02\x02\x4c\x01\0"s;
  }
  return file + ";";
}

TEST_CASE("the first bytes alone tell the kind, and every prefix of them only asks for more") {
  const std::map<std::string, SourceFormat> rows = {
      {"\xff\xd8\xff\xe0"s, SourceFormat::jpeg},
      {"\x89PNG\r\n\x1a\n"s, SourceFormat::png},
      {"GIF89a"s, SourceFormat::gif},
      {"GIF87a"s, SourceFormat::gif},
      {"RIFF\x10\0\0\0WEBP"s, SourceFormat::webp},
      {"\0\0\0\x1c"
       "ftypavif\0\0\0\0"s,
       SourceFormat::avif},
      {"\0\0\0\x1c"
       "ftypheic\0\0\0\0"s,
       SourceFormat::heic},
      {"\0\0\0\x18"
       "ftypmif1\0\0\0\0mif1avif"s,
       SourceFormat::avif},
      {"\0\0\0\x18"
       "ftypmif1\0\0\0\0mif1heic"s,
       SourceFormat::heic},
  };
  for (const auto& [bytes, format] : rows) {
    CHECK(sniff(bytes, false) == format);
    for (std::size_t size = 0; size < std::min<std::size_t>(bytes.size(), 3); ++size) {
      CHECK(sniff(bytes.substr(0, size), false) == std::nullopt);
      CHECK(sniff(bytes.substr(0, size), true) == SourceFormat::unsupported);
    }
  }
}

TEST_CASE("what is not exactly one of ours is unsupported") {
  for (const std::string& bytes :
       {"<svg xmlns='http://www.w3.org/2000/svg'/>"s, "<!doctype html><title>x</title>"s,
        "%PDF-1.7 xxxxxxxxx"s, "II*\0\x08\0\0\0\0\0\0\0\0"s, "MM\0*\0\0\0\x08\0\0\0\0"s, "BM000000000000000"s,
        "8BPS\0\x01\0\0\0\0\0\0"s, "\0\0\x01\0\x01\0\x10\x10\0\0\x01\0"s,
        "\xff\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"s, "PK\x03\x04\x14\0\0\0\0\0\0\0"s,
        "\0\0\0\x1c"
        "ftypisom\0\0\0\0"s,
        "\0\0\0\x1c"
        "ftypavis\0\0\0\0"s,
        "RIFF\x10\0\0\0WAVEfmt "s, "\x89PNG\n\x1a\n\0\0\0\0\0"s, "GIF88a\0\0\0\0\0\0"s,
        "plain text, of some length"s}) {
    INFO(bytes);
    CHECK(sniff(bytes, false) == SourceFormat::unsupported);
    CHECK(status_for(scan_header(bytes, true).error) == 415);
  }
  CHECK(status_for(scan_header("", true).error) == 422);
}

TEST_CASE("f=auto takes WebP when it is accepted, else what keeps transparency") {
  CHECK(choose_format(std::nullopt, true, false) == OutputFormat::webp);
  CHECK(choose_format(std::nullopt, false, false) == OutputFormat::jpeg);
  CHECK(choose_format(std::nullopt, false, true) == OutputFormat::png);
  CHECK(choose_format(OutputFormat::jpeg, true, true) == OutputFormat::jpeg);
}

TEST_CASE("a JPEG header gives size, turning and coding") {
  const HeaderScan baseline = scan_header(jpeg('\xc0', 4000, 3000, 6), false);
  REQUIRE(baseline.state == HeaderScan::State::done);
  CHECK(baseline.header.width == 4000);
  CHECK(baseline.header.height == 3000);
  CHECK(baseline.header.orientation == 6);
  CHECK(baseline.header.shown_width() == 3000);
  CHECK(baseline.header.subsampled);
  CHECK(!baseline.header.heavy());
  const HeaderScan progressive = scan_header(jpeg('\xc2', 4000, 3000, 9, 0x11), false);
  CHECK(progressive.header.progressive);
  CHECK(progressive.header.heavy());
  CHECK(progressive.header.orientation == 1);
  CHECK(!progressive.header.subsampled);
  CHECK(scan_header(jpeg('\xc0', 0, 10, 1), true).error == ErrorClass::broken);
  CHECK(scan_header(jpeg('\xc0', 10, 0, 1), true).error == ErrorClass::broken);
}

TEST_CASE("a header scan of any prefix asks for more or gives the final answer") {
  const std::string still = test::write_png(test::draw(40, 30, 4, [](int x, int, int) { return x; }));
  for (const std::string& file : {jpeg('\xc0', 640, 480, 3), gif(0x40, 2), still}) {
    const HeaderScan whole = scan_header(file, true);
    REQUIRE(whole.state == HeaderScan::State::done);
    for (std::size_t size = 0; size <= file.size(); ++size) {
      const HeaderScan scan = scan_header(std::string_view(file).substr(0, size), false);
      REQUIRE(scan.state != HeaderScan::State::failed);
      if (scan.state == HeaderScan::State::need_more) {
        CHECK(scan.need > size);
      } else {
        CHECK(scan.header.width == whole.header.width);
        CHECK(scan.header.orientation == whole.header.orientation);
      }
    }
  }
}

TEST_CASE("a PNG bomb is refused from its first 33 bytes") {
  const std::string sides = "\0\0\x3f\xff\0\0\x3f\xff\x01\x03\0\0\0"s;
  const std::string bomb = "\x89PNG\r\n\x1a\n"s + png_chunk("IHDR", sides);
  const HeaderScan scan = scan_header(bomb, false);
  CHECK(scan.state == HeaderScan::State::need_more);
  CHECK(check_limits(scan.header, bomb.size(), Limits{}) == ErrorClass::too_large);
}

TEST_CASE("limits hold at the limit and not one beyond") {
  Limits limits;
  limits.max_pixels = 1200;
  limits.max_side = 40;
  limits.max_source_bytes = 99;
  ImageHeader header;
  header.width = 40;
  header.height = 30;
  CHECK(check_limits(header, 99, limits) == ErrorClass::none);
  CHECK(check_limits(header, 100, limits) == ErrorClass::too_large);
  header.height = 31;
  CHECK(check_limits(header, 99, limits) == ErrorClass::too_large);
  header.width = 41;
  header.height = 1;
  CHECK(check_limits(header, 99, limits) == ErrorClass::too_large);
}

TEST_CASE("memory is estimated by what the decoder must hold") {
  ImageHeader header;
  header.format = SourceFormat::jpeg;
  header.width = 4000;
  header.height = 3000;
  constexpr std::uint64_t kOut = 512 * 384 * 8;
  CHECK(estimate_bytes(header, 512, 384) == 4000 * 192 + kOut * 4);
  header.progressive = true;
  CHECK(estimate_bytes(header, 512, 384) == 12'000'000 * 6 + kOut);
  header.subsampled = true;
  CHECK(estimate_bytes(header, 512, 384) == 12'000'000 * 3 + kOut);
  header.format = SourceFormat::avif;
  CHECK(estimate_bytes(header, 512, 384) == 12'000'000 * 8 + kOut);
  header.format = SourceFormat::webp;
  CHECK(estimate_bytes(header, 512, 384) == 12'000'000 * 4 + kOut);
}

TEST_CASE("a WebP file is reduced to its picture, and damaged ones are refused") {
  const auto chunk = [](const std::string& type, const std::string& body) {
    return type + static_cast<char>(body.size()) + "\0\0\0"s + body + (body.size() % 2 == 0 ? ""s : "\0"s);
  };
  const auto riff = [](const std::string& body) {
    return "RIFF"s + static_cast<char>(body.size() + 4) + "\0\0\0WEBP"s + body;
  };
  const std::string extended = chunk("VP8X", "\x0c\0\0\0\x3f\0\0\x2f\0\0"s);
  const std::string alpha = chunk("VP8X", "\x1c\0\0\0\x3f\0\0\x2f\0\0"s);
  const std::string picture = chunk("VP8 ", "pixels!");
  const std::string junk = chunk("EXIF", "MM\0*secret"s) + chunk("XMP ", "secret");
  const auto reduced = [](std::string file) {
    file.resize(keep_only_picture(file));
    return file;
  };
  CHECK(reduced(riff(extended + picture + junk)) == riff(picture));
  CHECK(reduced(riff(chunk("ICCP", "secret") + picture)) == riff(picture));
  std::string kept = riff(alpha + chunk("ALPH", "a") + picture);
  kept[20] = 0x10;
  CHECK(reduced(riff(alpha + chunk("ALPH", "a") + picture + junk)) == kept);
  CHECK(reduced(riff(picture)) == riff(picture));
  CHECK(reduced(riff(junk)).empty());
  CHECK(reduced("RIFF").empty());
  for (std::size_t size = 21; size < riff(picture).size(); ++size) {
    CHECK(reduced(riff(picture).substr(0, size)).empty());
  }
}

TEST_CASE("info is JSON with the etag escaped") {
  ImageInfo info;
  info.format = SourceFormat::jpeg;
  info.width = 4;
  info.height = 3;
  info.source_bytes = 99;
  CHECK(
      info_json(info, "W/\"a\"") ==
      R"({"w":4,"h":3,"format":"jpeg","orientation":1,"frames":1,"alpha":false,"icc":false,"bytes":99,"etag":"W/\"a\""})");
}

TEST_CASE("every file of the data set scans to its class without a crash") {
  const auto folder = test::data_folder("header scans over the data set");
  if (!folder) return;
  const std::map<std::string, std::set<int>> exact = {{"16383x16383.png", {413}},
                                                      {"17000x17000.avif", {413}},
                                                      {"giant-image.jpg", {413}},
                                                      {"giant.svg", {415}},
                                                      {"decompression_bomb.gif", {413, 422}},
                                                      {"decompression_bomb.ico", {415}},
                                                      {"zero_width.gif", {422}},
                                                      {"broken.png", {422}},
                                                      {"image_invalid.jpg", {415}},
                                                      {"list.txt", {415}}};
  int files = 0;
  for (const char* part : {"hostile", "photos", "kinds", "orientation", "colour"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(*folder / part)) {
      if (!entry.is_regular_file()) continue;
      ++files;
      const std::string file = test::read_file(entry.path());
      const std::string name = entry.path().filename();
      const HeaderScan scan = scan_header(file, true);
      ErrorClass error = scan.error;
      if (scan.state == HeaderScan::State::done) error = check_limits(scan.header, file.size(), Limits{});
      INFO(entry.path());
      CHECK(scan.state != HeaderScan::State::need_more);
      if (exact.contains(name)) CHECK(exact.at(name).contains(status_for(error)));
      const std::string path = entry.path();
      if (path.contains("pillow-fuzz") || path.contains("other-formats")) CHECK(status_for(error) == 415);
      if (path.contains("photos/") || path.contains("orientation/")) CHECK(error == ErrorClass::none);
      for (std::size_t size = 0; size < std::min<std::size_t>(file.size(), 300); size += 7) {
        scan_header(std::string_view(file).substr(0, size), size % 2 == 0);
      }
    }
  }
  std::cout << "header scans: " << files << " files\n";
  CHECK(files > 300);
}

}  // namespace
}  // namespace vignette::imaging
