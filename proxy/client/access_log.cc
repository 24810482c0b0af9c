#include "proxy/client/access_log.h"

#include <ctime>

#include "base/json.h"
#include "proxy/policy/client_address.h"

namespace vignette::proxy {
namespace {

double milliseconds(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

void field_if(JsonWriter& json, std::string_view name, std::string_view value) {
  if (!value.empty()) json.field(name, value);
}

}  // namespace

void write_access_record(LineSink& sink, unsigned worker, const AccessRecord& record, std::string& line) {
  line.clear();
  JsonWriter json(line);
  json.begin_object();
  char time[32];
  const std::time_t seconds = std::chrono::system_clock::to_time_t(record.time);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  json.field("time", std::string_view(time, std::strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", &utc)));
  json.field("client", ip_to_string(record.client));
  json.field("country", geo::view(record.country));
  field_if(json, "tls", record.connection->tls_version);
  const http::RequestHead& request = *record.request;
  json.field("method", request.method_name);
  json.field("scheme", record.connection->scheme());
  json.field("host", request.authority);
  json.field("target", request.target);
  json.field("protocol", to_string(request.version));
  json.field("status", record.status);
  json.field("sent", record.sent);
  if (record.received) json.field("received", record.received);
  json.key("ms").fixed(milliseconds(record.duration), 3);
  field_if(json, "route", record.route);
  field_if(json, "cache", record.cache);
  field_if(json, "cache_detail", record.cache_detail);
  field_if(json, "origin", record.origin);
  if (record.trace) {
    field_if(json, "server", record.trace->server);
    json.field("attempts", static_cast<unsigned>(record.trace->attempts));
    json.field("reused", record.trace->connection_reused);
    json.key("connect_ms").fixed(milliseconds(record.trace->connect), 3);
    json.key("first_byte_ms").fixed(milliseconds(record.trace->first_byte), 3);
  }
  field_if(json, "reason", record.reason);
  field_if(json, "user_agent", request.fields.value(http::FieldId::user_agent));
  field_if(json, "referer", request.fields.value(http::FieldId::referer));
  json.end_object();
  sink.append(worker, line);
}

}  // namespace vignette::proxy
