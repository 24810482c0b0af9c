// Pictures through the real program: sizes, colours, orientation, metadata, bad input.
#include <array>
#include <catch2/catch.hpp>
#include <filesystem>
#include <iostream>
#include <set>
#include <sstream>

#include "base/strings.h"
#include "tests/unit/imaging/png.h"
#include "tests/unit/imaging/program.h"

namespace vignette::imaging::test {
namespace {

using namespace std::string_literals;

constexpr std::array kOutputs{OutputFormat::jpeg, OutputFormat::webp, OutputFormat::png};
constexpr const char* kSecret = "SECRET-PLACE";

Pixels gradient(int width, int height, int channels = 3) {
  return draw(width, height, channels, [=](int x, int y, int c) {
    return c == 0 ? x * 255 / width : c == 1 ? y * 255 / height : c == 2 ? 255 - x * 255 / width : 255;
  });
}

std::string convert(Program& program, std::string_view source, OutputFormat output) {
  Answer answer = program.run(resize_job(0, 0, output), source);
  REQUIRE(to_string(answer.result.error) == "none");
  return std::move(answer.picture);
}

std::string le32(std::size_t value) {
  return {static_cast<char>(value), static_cast<char>(value >> 8), static_cast<char>(value >> 16),
          static_cast<char>(value >> 24)};
}

// A TIFF block with the orientation and a text that must never come out.
std::string exif(int orientation) {
  return "MM\0*\0\0\0\x08\0\x02\x01\x0e\0\x02\0\0\0\x0d\0\0\0\x26\x01\x12\0\x03\0\0\0\x01\0"s +
         static_cast<char>(orientation) + "\0\0\0\0\0\0"s + kSecret + "\0"s;
}

std::string with_metadata(const std::string& jpeg, int orientation) {
  const auto segment = [](char marker, const std::string& body) {
    const std::size_t size = body.size() + 2;
    return "\xff"s + marker + static_cast<char>(size >> 8) + static_cast<char>(size) + body;
  };
  return jpeg.substr(0, 2) + segment('\xe1', "Exif\0\0"s + exif(orientation)) +
         segment('\xe1', "http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>"s + kSecret + "</x:xmpmeta>") +
         segment('\xed',
                 "Photoshop 3.0\0"s + "8BIM\x04\x04\0\0\0\0\0\x12\x1c\x02\x50\0\x0c"s + kSecret + "\0"s) +
         segment('\xfe', kSecret) + jpeg.substr(2);
}

std::string webp_with_metadata(const std::string& webp, int width, int height) {
  const auto chunk = [](const std::string& type, std::string body) {
    const std::string head = type + le32(body.size());
    if (body.size() % 2 != 0) body += '\0';
    return head + body;
  };
  const std::string canvas = "\x0c\0\0\0"s + le32(static_cast<std::size_t>(width - 1)).substr(0, 3) +
                             le32(static_cast<std::size_t>(height - 1)).substr(0, 3);
  const std::string body = "WEBP" + chunk("VP8X", canvas) + webp.substr(12) + chunk("EXIF", exif(1)) +
                           chunk("XMP ", "<x:xmpmeta>"s + kSecret + "</x:xmpmeta>");
  return "RIFF" + le32(body.size()) + body;
}

bool leaks(const std::string& picture) {
  for (const char* mark : {kSecret, "Exif", "EXIF", "eXIf", "xmpmeta", "XMP", "Photoshop", "ICC_PROFILE",
                           "ICCP", "iCCP", "tEXt", "iTXt", "zTXt"}) {
    if (picture.contains(mark)) return true;
  }
  return false;
}

TEST_CASE("a picture comes out in the exact size and format asked for") {
  Program program;
  const Pixels original = gradient(400, 200);
  const std::string png = write_png(original);
  const std::string jpeg = convert(program, png, OutputFormat::jpeg);
  for (const std::string& source : {png, jpeg, convert(program, png, OutputFormat::webp)}) {
    for (const OutputFormat output : kOutputs) {
      const Answer answer = program.run(resize_job(100, 100, output, Fit::cover), source);
      REQUIRE(to_string(answer.result.error) == "none");
      CHECK(answer.result.width == 100);
      CHECK(answer.result.height == 100);
      const HeaderScan scan = scan_header(answer.picture, true);
      REQUIRE(scan.state == HeaderScan::State::done);
      CHECK(to_string(scan.header.format) == to_string(output));
      CHECK(scan.header.width == 100);
      CHECK(scan.header.height == 100);
      CHECK(!scan.header.progressive);
    }
  }
  const Pixels half = read_png(program.run(resize_job(200, 0, OutputFormat::png), png).picture);
  CHECK(max_difference(half, gradient(200, 100)) <= 6);
}

TEST_CASE("resizing averages light, not numbers") {
  Program program;
  const std::string stripes =
      write_png(draw(256, 256, 3, [](int x, int, int) { return x % 2 == 0 ? 255 : 0; }));
  const Pixels grey = read_png(program.run(resize_job(32, 32, OutputFormat::png), stripes).picture);
  CHECK(std::abs(grey.at(16, 16, 0) - 188) <= 2);  // half the light; half the number would be 128
}

TEST_CASE("hidden colour under transparency does not bleed, and JPEG shows white instead") {
  Program program;
  const std::string source = write_png(draw(200, 100, 4, [](int x, int, int c) {
    const bool left = x < 100;
    return c == 3 ? (left ? 255 : 0) : c == 0 ? (left ? 255 : 0) : c == 1 ? (left ? 0 : 255) : 0;
  }));
  const Pixels png = read_png(program.run(resize_job(20, 10, OutputFormat::png), source).picture);
  REQUIRE(png.channels == 4);
  CHECK(png.at(3, 5, 3) == 255);
  CHECK(png.at(17, 5, 3) == 0);
  for (int x = 0; x < 20; ++x) {
    if (png.at(x, 5, 3) > 8) CHECK(png.at(x, 5, 1) <= 8);
  }
  const std::string jpeg = program.run(resize_job(20, 10, OutputFormat::jpeg), source).picture;
  const Pixels flat = read_png(as_png(program, jpeg));
  CHECK(flat.at(17, 5, 0) > 245);
  CHECK(flat.at(17, 5, 1) > 245);
}

TEST_CASE("contain pads with white, or with nothing where alpha can say so") {
  Program program;
  const std::string opaque = write_png(gradient(100, 50));
  const Pixels white =
      read_png(program.run(resize_job(60, 60, OutputFormat::png, Fit::contain), opaque).picture);
  CHECK(white.at(30, 2, 0) == 255);
  CHECK(white.at(30, 2, 2) == 255);
  const std::string clear = write_png(gradient(100, 50, 4));
  const Pixels empty =
      read_png(program.run(resize_job(60, 60, OutputFormat::png, Fit::contain), clear).picture);
  CHECK(empty.at(30, 2, 3) == 0);
  CHECK(empty.at(30, 30, 3) == 255);
}

TEST_CASE("no metadata reaches any output, whatever the source") {
  Program program;
  const std::string png = write_png(gradient(120, 80));
  const std::string jpeg = with_metadata(convert(program, png, OutputFormat::jpeg), 1);
  const std::string webp = webp_with_metadata(convert(program, png, OutputFormat::webp), 120, 80);
  const std::string tagged = png.substr(0, 33) + png_chunk("tEXt", "Comment\0"s + kSecret) +
                             png_chunk("eXIf", exif(1)) +
                             png_chunk("iTXt", "XML:com.adobe.xmp\0\0\0\0\0"s + kSecret) + png.substr(33);
  for (const std::string& source : {jpeg, webp, tagged}) {
    REQUIRE(source.contains(kSecret));
    for (const OutputFormat output : kOutputs) {
      for (const std::uint32_t width : {0u, 50u}) {
        const Answer answer = program.run(resize_job(width, 0, output), source);
        REQUIRE(to_string(answer.result.error) == "none");
        INFO(to_string(sniff(source, true).value()) << " to " << to_string(output));
        CHECK(!leaks(answer.picture));
      }
    }
  }
}

TEST_CASE("all eight orientations come out upright") {
  Program program;
  // Red top left, green top right, blue bottom left, white bottom right; stored turned, then tagged.
  const auto corner = [](bool right, bool bottom, int c) {
    if (right && bottom) return 255;
    return c == (right ? 1 : bottom ? 2 : 0) ? 255 : 0;
  };
  for (int tag = 1; tag <= 8; ++tag) {
    const bool swapped = tag >= 5;
    const Pixels stored = draw(swapped ? 60 : 90, swapped ? 90 : 60, 3, [&](int x, int y, int c) {
      const int w = swapped ? 60 : 90;
      const int h = swapped ? 90 : 60;
      const bool r = x >= w / 2;
      const bool b = y >= h / 2;
      // Where a stored pixel is shown, by the EXIF definition of row 0 and column 0.
      const bool right = tag == 1 || tag == 4 ? r : tag == 2 || tag == 3 ? !r : tag == 5 || tag == 8 ? b : !b;
      const bool bottom = tag == 1 || tag == 2   ? b
                          : tag == 3 || tag == 4 ? !b
                          : tag == 5 || tag == 6 ? r
                                                 : !r;
      return corner(right, bottom, c);
    });
    const std::string source = with_metadata(convert(program, write_png(stored), OutputFormat::jpeg), tag);
    INFO("tag " << tag);
    const Answer answer = program.run(resize_job(30, 0, OutputFormat::png), source);
    REQUIRE(to_string(answer.result.error) == "none");
    CHECK(answer.result.info.orientation == tag);
    CHECK(answer.result.info.width == 90);
    const Pixels shown = read_png(answer.picture);
    REQUIRE(shown.width == 30);
    REQUIRE(shown.height == 20);
    for (const bool right : {false, true}) {
      for (const bool bottom : {false, true}) {
        for (int c = 0; c < 3; ++c) {
          CHECK(std::abs(shown.at(right ? 25 : 5, bottom ? 16 : 4, c) - corner(right, bottom, c)) < 40);
        }
      }
    }
  }
}

TEST_CASE("bad input is answered by its class") {
  Program program;
  const std::string png = write_png(gradient(300, 200));
  const std::string jpeg = convert(program, png, OutputFormat::jpeg);
  const auto status = [&program](const std::string& source, Job job = resize_job(10, 0, OutputFormat::jpeg)) {
    return status_for(program.run(job, source).result.error);
  };
  CHECK(status("") == 422);
  CHECK(status("<svg/>") == 415);
  CHECK(status(jpeg.substr(0, jpeg.size() / 2)) == 422);
  CHECK(status(png.substr(0, png.size() / 2)) == 422);
  CHECK(status(jpeg.substr(0, 100)) == 422);
  Job small = resize_job(10, 0, OutputFormat::jpeg);
  small.limits.max_pixels = 300 * 200 - 1;
  CHECK(status(jpeg, small) == 413);
  small.limits.max_pixels = 300 * 200;
  CHECK(status(jpeg, small) == 200);
  small.limits.max_source_bytes = jpeg.size() - 1;
  CHECK(status(jpeg, small) == 413);
  Job lied = resize_job(10, 0, OutputFormat::jpeg);
  lied.source = SourceFormat::png;  // the sniff of the node and of the worker must agree
  CHECK(status(jpeg, lied) == 415);
}

TEST_CASE("info describes the original and makes no picture") {
  Program program;
  const std::string source =
      with_metadata(convert(program, write_png(gradient(90, 60)), OutputFormat::jpeg), 6);
  Job job;
  job.kind = Job::Kind::info;
  const Answer answer = program.run(job, source);
  REQUIRE(answer.result.error == ErrorClass::none);
  CHECK(answer.result.output_bytes == 0);
  CHECK(info_json(answer.result.info, "") ==
        R"({"w":60,"h":90,"format":"jpeg","orientation":6,"frames":1,"alpha":false,"icc":false,"bytes":)" +
            std::to_string(source.size()) + "}");
}

// ---- the data set ----

Pixels read_ppm(const std::string& file) {
  std::istringstream in(file);
  std::string magic;
  int width = 0;
  int height = 0;
  int full = 0;
  in >> magic >> width >> height >> full;
  REQUIRE(magic == "P6");
  in.get();
  Pixels pixels{width, height, 3, std::vector<std::uint8_t>(static_cast<std::size_t>(width * height * 3))};
  in.read(reinterpret_cast<char*>(pixels.bytes.data()), static_cast<std::streamsize>(pixels.bytes.size()));
  REQUIRE(in);
  return pixels;
}

TEST_CASE("CMYK pictures have their reference colours") {
  const auto folder = data_folder("CMYK references");
  if (!folder) return;
  Program program;
  const std::filesystem::path colour = *folder / "colour";
  const auto decoded = [&](const char* name) { return read_png(as_png(program, read_file(colour / name))); };
  const Pixels reference = read_ppm(read_file(colour / "cmyk_t0.ppm"));
  CHECK(max_difference(decoded("cmyk_t0.jpg"), reference) <= 1);
  CHECK(max_difference(decoded("cmyk_noadobe.jpg"), reference) <= 1);
  CHECK(max_difference(decoded("cmyk_sub.jpg"), read_ppm(read_file(colour / "cmyk_sub.ppm"))) <= 1);
}

TEST_CASE("an embedded profile decides the colours") {
  const auto folder = data_folder("profiles");
  if (!folder) return;
  Program program;
  for (const char* name :
       {"red-at-12-oclock-with-color-profile.jpg", "red-at-12-oclock-with-color-profile-lossy.avif"}) {
    INFO(name);
    const Pixels wheel = read_png(as_png(program, read_file(*folder / "colour" / name)));
    const int x = wheel.width / 2;
    const int y = wheel.height / 8;
    CHECK(wheel.at(x, y, 0) > 180);
    CHECK(wheel.at(x, y, 1) < 120);
    CHECK(wheel.at(x, y, 2) < 120);
  }
  const Pixels grey = read_png(as_png(program, read_file(*folder / "colour/grayscale-icc.jpg")));
  CHECK(grey.channels == 1);
}

TEST_CASE("the eight orientation photographs show one picture") {
  const auto folder = data_folder("orientation photographs");
  if (!folder) return;
  Program program;
  const std::filesystem::path jpegs = *folder / "orientation/jpeg";
  const Pixels first = read_png(as_png(program, read_file(jpegs / "Landscape_1.jpg")));
  REQUIRE(first.width == 600);
  for (int i = 2; i <= 8; ++i) {
    INFO(i);
    const Pixels other =
        read_png(as_png(program, read_file(jpegs / ("Landscape_" + std::to_string(i) + ".jpg"))));
    CHECK(mean_difference(first, other) < 3.6);
  }
  for (const int i : {0, 1, 2, 3, 4, 5, 6, 7, 8}) {
    INFO("png " << i);
    const std::string file =
        read_file(*folder / "orientation/png" / ("orientation-" + std::to_string(i) + ".png"));
    const Answer answer = program.run(resize_job(0, 0, OutputFormat::png), file);
    CHECK(answer.result.width == (i >= 5 ? 100 : 200));
    CHECK(answer.result.info.orientation == (i == 0 ? 1 : i == 1 ? 3 : i));
  }
}

// Statuses that may come for a file; empty: any of 200, 413, 415, 422.
std::set<int> expected_of(const std::filesystem::path& path) {
  const std::string name = path.filename();
  const std::string folder = path.parent_path().filename();
  if (folder == "pillow-fuzz" || folder == "other-formats") return {415};
  for (const char* one : {"truncated.jpg", "truncated_jpeg.jpg", "BlueSquare_truncated.jpg", "truncated.png",
                          "truncated_image.png", "broken_data_stream.png", "broken.png", "corrupt-header.jpg",
                          "bogus_huffman.jpg", "zero_width.gif"}) {
    if (name == one) return {422};
  }
  for (const char* one :
       {"truncated_app14.jpg", "broken-exif-tag.jpg", "invalid-exif.jpg", "invalid_quantization.jpg",
        "icc-after-SOF.jpg", "looks-like-svg.webp", "bad_palette_index.webp", "avif32.heif",
        "colors-no-alpha.heic", "colors-with-alpha.heic"}) {
    if (name == one) return {200};
  }
  for (const char* one : {"image_invalid.jpg", "list.txt", "giant.svg", "decompression_bomb.ico"}) {
    if (name == one) return {415};
  }
  for (const char* one : {"16383x16383.png", "17000x17000.avif", "giant-image.jpg", "1024-pages.gif"}) {
    if (name == one) return {413};
  }
  return {};
}

TEST_CASE("every hostile file gets its class and none kills a worker") {
  const auto folder = data_folder("hostile files");
  if (!folder) return;
  Program program;
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(*folder / "hostile")) {
    if (!entry.is_regular_file()) continue;
    ++files;
    const Answer answer = program.run(resize_job(16, 0, OutputFormat::webp), read_file(entry.path()));
    const int status = status_for(answer.result.error);
    const std::set<int> expected = expected_of(entry.path());
    INFO(entry.path() << " " << status);
    CHECK((expected.empty() ? std::set<int>{200, 413, 415, 422} : expected).contains(status));
  }
  std::cout << "hostile files: " << files << '\n';
  CHECK(files > 80);
}

TEST_CASE("every GIF and WebP of the data set becomes every output") {
  const auto folder = data_folder("GIF and WebP files");
  if (!folder) return;
  Program program;
  for (const char* kind : {"kinds/webp", "kinds/gif"}) {
    for (const auto& entry : std::filesystem::directory_iterator(*folder / kind)) {
      for (const OutputFormat output : kOutputs) {
        INFO(entry.path());
        CHECK(to_string(program.run(resize_job(512, 0, output), read_file(entry.path())).result.error) ==
              "none");
      }
    }
  }
}

TEST_CASE("photographs of every kind open, lose their metadata and keep their looks") {
  const auto folder = data_folder("photographs");
  if (!folder) return;
  Program program;
  for (const char* name : {"photos/iphone_hdr_YES.jpg", "photos/HMD_Nokia_8.3_5G.jpg", "photos/giunchedi.jpg",
                           "kinds/heic/IMG_5195.HEIC", "photos/kodak_01.png", "colour/rgb16.png"}) {
    const std::string file = read_file(*folder / name);
    for (const OutputFormat output : kOutputs) {
      INFO(name);
      const Answer answer = program.run(resize_job(200, 0, output), file);
      REQUIRE(to_string(answer.result.error) == "none");
      CHECK(answer.result.width == 200);
      CHECK(!leaks(answer.picture));
    }
  }
  const auto small = [&](const char* name) {
    return read_png(program.run(resize_job(300, 0, OutputFormat::png), read_file(*folder / name)).picture);
  };
  const Pixels fox = small("photos/fox.jpg");
  CHECK(mean_difference(fox, small("kinds/avif/fox.profile0.8bpc.yuv420.avif")) < 4);
  CHECK(mean_difference(fox, small("kinds/avif/fox.profile2.12bpc.yuv420.avif")) < 4);
}

}  // namespace
}  // namespace vignette::imaging::test
