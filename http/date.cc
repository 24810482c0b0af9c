#include "http/date.h"

#include <array>
#include <cstring>

namespace vignette::http {
namespace {

using std::chrono::days;

constexpr std::array<std::string_view, 7> kWeekdays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 7> kLongWeekdays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                           "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// Reads a fixed layout from the front; any mismatch makes it fail for good.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  void literal(std::string_view expected) {
    if (!rest_.starts_with(expected)) return void(failed_ = true);
    rest_.remove_prefix(expected.size());
  }
  int digits(std::size_t count) {
    if (rest_.size() < count) return fail();
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (rest_[i] < '0' || rest_[i] > '9') return fail();
      value = value * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(count);
    return value;
  }
  template <std::size_t N>
  int name(const std::array<std::string_view, N>& names) {
    for (std::size_t i = 0; i < N; ++i) {
      if (!rest_.starts_with(names[i])) continue;
      rest_.remove_prefix(names[i].size());
      return static_cast<int>(i);
    }
    return fail();
  }
  bool next_is(char c) const { return rest_.starts_with(c); }
  bool complete() const { return !failed_ && rest_.empty(); }

 private:
  int fail() {
    failed_ = true;
    return 0;
  }

  std::string_view rest_;
  bool failed_ = false;
};

struct Civil {
  int year = 0;
  int month = 0;  // 0–11
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
};

void read_time(Reader& reader, Civil& civil) {
  civil.hour = reader.digits(2);
  reader.literal(":");
  civil.minute = reader.digits(2);
  reader.literal(":");
  civil.second = reader.digits(2);
}

// The day of the week is redundant and not checked against the date.
std::optional<HttpDate> to_time(const Civil& civil) {
  const std::chrono::year_month_day date{std::chrono::year(civil.year),
                                         std::chrono::month(static_cast<unsigned>(civil.month + 1)),
                                         std::chrono::day(static_cast<unsigned>(civil.day))};
  if (civil.year < 1 || !date.ok() || civil.hour > 23 || civil.minute > 59 || civil.second > 60) {
    return std::nullopt;
  }
  const int second = civil.second == 60 ? 59 : civil.second;
  return HttpDate(std::chrono::sys_days(date)) + std::chrono::hours(civil.hour) +
         std::chrono::minutes(civil.minute) + std::chrono::seconds(second);
}

std::optional<HttpDate> parse_imf(std::string_view text) {
  Reader reader(text);
  Civil civil;
  reader.name(kWeekdays);
  reader.literal(", ");
  civil.day = reader.digits(2);
  reader.literal(" ");
  civil.month = reader.name(kMonths);
  reader.literal(" ");
  civil.year = reader.digits(4);
  reader.literal(" ");
  read_time(reader, civil);
  reader.literal(" GMT");
  return reader.complete() ? to_time(civil) : std::nullopt;
}

std::optional<Civil> parse_rfc850(std::string_view text) {
  Reader reader(text);
  Civil civil;
  reader.name(kLongWeekdays);
  reader.literal(", ");
  civil.day = reader.digits(2);
  reader.literal("-");
  civil.month = reader.name(kMonths);
  reader.literal("-");
  civil.year = reader.digits(2);
  reader.literal(" ");
  read_time(reader, civil);
  reader.literal(" GMT");
  if (!reader.complete()) return std::nullopt;
  return civil;
}

std::optional<HttpDate> parse_asctime(std::string_view text) {
  Reader reader(text);
  Civil civil;
  reader.name(kWeekdays);
  reader.literal(" ");
  civil.month = reader.name(kMonths);
  reader.literal(" ");
  if (reader.next_is(' ')) {
    reader.literal(" ");
    civil.day = reader.digits(1);
  } else {
    civil.day = reader.digits(2);
  }
  reader.literal(" ");
  read_time(reader, civil);
  reader.literal(" ");
  civil.year = reader.digits(4);
  return reader.complete() ? to_time(civil) : std::nullopt;
}

std::optional<HttpDate> place_century(Civil civil, int latest_year) {
  civil.year += latest_year - latest_year % 100;
  if (civil.year > latest_year) civil.year -= 100;
  return to_time(civil);
}

int year_of(HttpDate time) {
  return static_cast<int>(std::chrono::year_month_day(std::chrono::floor<days>(time)).year());
}

std::optional<HttpDate> parse(std::string_view text, int latest_year) {
  if (text.size() < 4) return std::nullopt;
  if (text[3] == ',') return parse_imf(text);
  if (text[3] == ' ') return parse_asctime(text);
  const std::optional<Civil> civil = parse_rfc850(text);
  return civil ? place_century(*civil, latest_year) : std::nullopt;
}

void put_digits(char* out, int value, int count) {
  for (int i = count - 1; i >= 0; --i, value /= 10) out[i] = static_cast<char>('0' + value % 10);
}

}  // namespace

std::optional<HttpDate> parse_date(std::string_view text, HttpDate now) {
  return parse(text, year_of(now) + 50);
}

std::optional<HttpDate> parse_date(std::string_view text) { return parse(text, 2069); }

void format_date(HttpDate time, std::span<char, kDateBytes> out) {
  const auto day = std::chrono::floor<days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  char* p = out.data();
  std::memcpy(p, "Sun, 00 Jan 0000 00:00:00 GMT", kDateBytes);
  std::memcpy(p, kWeekdays[std::chrono::weekday(day).c_encoding()].data(), 3);
  put_digits(p + 5, static_cast<int>(static_cast<unsigned>(date.day())), 2);
  std::memcpy(p + 8, kMonths[static_cast<unsigned>(date.month()) - 1].data(), 3);
  put_digits(p + 12, static_cast<int>(date.year()), 4);
  put_digits(p + 17, static_cast<int>(clock.hours().count()), 2);
  put_digits(p + 20, static_cast<int>(clock.minutes().count()), 2);
  put_digits(p + 23, static_cast<int>(clock.seconds().count()), 2);
}

std::string format_date(HttpDate time) {
  std::string out(kDateBytes, '\0');
  format_date(time, std::span<char, kDateBytes>(out.data(), kDateBytes));
  return out;
}

}  // namespace vignette::http
