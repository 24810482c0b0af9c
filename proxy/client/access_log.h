// One JSON line per request. Loop-thread only; the sink behind it never blocks.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/line_sink.h"
#include "conf/address.h"
#include "geo/country.h"
#include "http/message.h"
#include "proxy/client/client_facts.h"
#include "proxy/origin/origin.h"

namespace vignette::proxy {

// Views need to live during the call only.
struct AccessRecord {
  WallTime time{};
  conf::IpBytes client{};
  geo::Country country = geo::kUnknown;
  const ClientFacts* connection = nullptr;
  const http::RequestHead* request = nullptr;
  std::string_view route;
  int status = 0;                 // 0: no answer could be sent
  std::uint64_t sent = 0;         // bytes
  std::uint64_t received = 0;     // of body
  Duration duration{};            // from the head's arrival to the last byte handed to the kernel
  std::string_view cache;         // outcome
  std::string_view cache_detail;  // why it was not stored
  std::string_view origin;
  const OriginTrace* trace = nullptr;  // null: no origin was asked
  std::string_view reason;             // of a refusal or failure
};

// `line` is scratch, overwritten.
void write_access_record(LineSink& sink, unsigned worker, const AccessRecord& record, std::string& line);

}  // namespace vignette::proxy
