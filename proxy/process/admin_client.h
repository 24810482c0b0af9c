// The command line's side of the admin API: one blocking request, and the summary it makes of the answer.
#pragma once

#include <chrono>
#include <expected>
#include <string>
#include <string_view>

namespace vignette::proxy {

inline constexpr std::chrono::seconds kAdminPatience{5};

// The body of a 200 answer. `address` is "127.0.0.1:9180" or "unix:/path"; waits at most `patience` for each
// step. The error is a sentence for the operator.
std::expected<std::string, std::string> admin_get(const std::string& address, std::string_view path,
                                                  std::chrono::seconds patience = kAdminPatience);

// The same for a POST of JSON; of any other answer than a 200 the error has the sentence in it.
std::expected<std::string, std::string> admin_post(const std::string& address, std::string_view path,
                                                   std::string_view body,
                                                   std::chrono::seconds patience = kAdminPatience);

// /v1/status in lines for a person; the text itself when it is not what it should be.
std::string status_summary(const std::string& json);
// The same for what /v1/purge answered.
std::string purge_summary(const std::string& json);

}  // namespace vignette::proxy
