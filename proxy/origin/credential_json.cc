// What services answer, read.
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "http/field_list.h"
#include "proxy/origin/credential_source.h"

namespace vignette::proxy {
namespace {

// "" when it is not there, null or no string.
std::string text_of(const nlohmann::json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// The number in exactly these digits.
std::optional<int> number(std::string_view text, std::size_t at, std::size_t digits) {
  const auto value = parse_u64(text.substr(at, digits), 9999);
  if (!value || text.size() < at + digits) return std::nullopt;
  return static_cast<int>(*value);
}

bool is_zulu(std::string_view rest) {
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    while (!rest.empty() && is_digit(rest.front())) rest.remove_prefix(1);
  }
  return rest == "Z";
}

}  // namespace

std::optional<WallTime> parse_utc(std::string_view text) {
  constexpr std::string_view kForm = "....-..-..T..:..:..";
  if (text.size() <= kForm.size() || !is_zulu(text.substr(kForm.size()))) return std::nullopt;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    if (kForm[i] != '.' && text[i] != kForm[i]) return std::nullopt;
  }
  const auto year = number(text, 0, 4), month = number(text, 5, 2), day = number(text, 8, 2);
  const auto hour = number(text, 11, 2), minute = number(text, 14, 2), second = number(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date(std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day)));
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second);
}

std::expected<Credentials, std::string> parse_credentials_json(std::string_view body) {
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object()) return std::unexpected("the answer is no JSON object");
  if (json.contains("Code") && text_of(json, "Code") != "Success") {
    return std::unexpected("the answer's Code is not \"Success\"");
  }
  Credentials out{.access_key = text_of(json, "AccessKeyId"),
                  .secret_key = text_of(json, "SecretAccessKey"),
                  .session_token = text_of(json, "Token")};
  if (out.access_key.empty() || out.secret_key.empty()) {
    return std::unexpected("the answer has no AccessKeyId and SecretAccessKey");
  }
  if (!http::is_field_value(out.access_key) || !http::is_field_value(out.session_token)) {
    return std::unexpected("the answer has control characters in its key or token");
  }
  const std::string expiration = text_of(json, "Expiration");
  if (expiration.empty()) return out;
  out.expires = parse_utc(expiration);
  if (!out.expires) return std::unexpected("the answer's Expiration is no time in UTC");
  return out;
}

}  // namespace vignette::proxy
