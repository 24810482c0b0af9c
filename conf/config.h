// The configuration as plain values. Member initialisers are the only place a default is written; the
// schema (schema.h) reads them from here. A loaded Config is Immutable after construction and shared as
// shared_ptr<const Config>; all references between its parts have been checked by the loader.
//
// Paths are absolute or relative to the working directory: the loader has already joined relative ones
// with the folder of the file that named them.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "conf/address.h"
#include "conf/route_cache.h"
#include "conf/route_compress.h"
#include "conf/viewer_fields.h"
#include "http/url.h"

namespace vignette::conf {

using std::chrono::milliseconds;

struct Position {
  std::string file;
  std::uint32_t line = 0;  // from 1; 0 = not in a file
  std::uint32_t column = 0;
};

// Bytes that are never logged, printed or compared by accident: reveal() is the only way to them.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string bytes) : bytes_(std::move(bytes)) {}
  std::string_view reveal() const { return bytes_; }
  bool empty() const { return bytes_.empty(); }

 private:
  std::string bytes_;
};

struct ServerOptions {
  std::uint32_t workers = 0;     // 0 = "auto", one a core
  std::string user;              // empty = keep the user we were started as
  std::optional<Address> admin;  // an IP literal or a unix socket; nullopt = "off"
  std::vector<IpPrefix> trusted;
};

enum class LogLevel : std::uint8_t { debug, info, warn, error };

struct LogOptions {
  std::string access = "stdout";  // "stdout", "off" or a path
  LogLevel level = LogLevel::info;
};

// A folder for one volume of the cache's disk tier.
struct DiskOptions {
  Position where;
  std::string path;
  std::uint64_t size = 0;  // bytes
};

struct CacheOptions {
  std::string state;                    // folder of the journal of purges; empty = the first disk's, if any
  std::uint64_t memory = 256ULL << 20;  // bytes
  std::uint64_t max_object = 64ULL << 20;       // bytes, head and body; the loader keeps it <= memory
  std::vector<DiskOptions> disk;                // empty = memory only; no path twice
  std::uint64_t disk_writes_per_day = 0;        // bytes; 0 = no limit
  std::uint64_t warm_per_second = 64ULL << 20;  // bytes read into memory at a start; 0 = none
};

// How many requests one client may make: `burst` at once, and then `requests` each `per`.
struct RateLimit {
  std::uint32_t requests = 1;
  milliseconds per{1'000};
  std::uint32_t burst = 0;  // 0 = as many as `requests`
};

// What one client may ask of us.
struct LimitOptions {
  std::uint64_t request_line = 8ULL << 10;  // bytes; over it 414
  std::uint64_t header = 32ULL << 10;       // bytes; over it 431
  std::uint32_t header_fields = 100;        // over it 431
  std::uint64_t body = 16ULL << 20;         // bytes; over it 413; a route's max_body overrides it
  // Over these a connection is closed; 0 = no limit.
  std::uint32_t connections = 0;             // open at once, of all clients
  std::uint32_t connections_per_client = 0;  // of one client, but for trusted hops
  std::uint32_t handshakes = 16'384;         // of TLS, under way at once
  std::optional<RateLimit> rate_limit;       // over it 429; nullopt = none
};

// Where request bodies wait until they are whole.
struct SpoolOptions {
  std::string path = "/var/tmp";        // folder of unlinked files
  std::uint64_t size = 1ULL << 30;      // bytes on disk, of all bodies
  std::uint64_t memory = 256ULL << 20;  // bytes in memory, of all bodies
};

struct TimeoutOptions {
  milliseconds handshake{10'000};   // TLS of a client's connection
  milliseconds header{10'000};      // for a whole request head; 408
  milliseconds body_stall{30'000};  // no byte of a request body
  milliseconds send_stall{60'000};  // no byte of a response taken
  std::uint64_t min_rate = 500;     // bytes/s of a body or a response, after a stall's worth; 0: none
  milliseconds keep_alive{75'000};  // idle between requests
  milliseconds tunnel{300'000};     // a WebSocket connection on which nothing moves
  milliseconds drain{30'000};       // after SIGTERM, for requests in flight
};

enum class TlsPolicy : std::uint8_t { intermediate, modern };

enum class VerifyClients : std::uint8_t { off, optional, required };

struct MutualTls {
  VerifyClients verify = VerifyClients::required;
  std::string ca;   // PEM: who may have signed clients' certificates
  std::string crl;  // PEM; empty = none is revoked
  bool operator==(const MutualTls&) const = default;
};

struct Listener {
  Position where;
  Address address;  // an IP literal or a unix socket
  bool tls = false;
  std::optional<bool> http2;  // nullopt: where TLS lets clients choose it
  bool speaks_http2() const { return http2.value_or(tls); }
  TlsPolicy tls_policy = TlsPolicy::intermediate;
  std::string default_certificate;  // a name that a certificate covers; empty = the first certificate's
  std::optional<MutualTls> mtls;    // nullopt = clients are not asked for certificates
  // Every request is answered 301 (308 when not GET or HEAD) to https on this port; 443 is left out of
  // the URL. nullopt = requests are served.
  std::optional<std::uint16_t> redirect_https_port;
  // Each connection begins with a PROXY header, and comes from one of these networks; resolved by the loader.
  bool proxy_protocol = false;
  std::vector<IpPrefix> proxy_from;  // empty without proxy_protocol
};

// What all listeners with TLS share.
struct TlsOptions {
  std::vector<std::string> ticket_keys;        // files; the first encrypts; empty = random keys
  milliseconds ticket_rotation{6 * 3600'000};  // of random keys
  milliseconds poll{10'000};                   // how often files are looked at for changes; 0 = never
};

struct Certificate {
  Position where;
  std::string chain;  // PEM, leaf first
  std::string key;    // PEM
  // Not empty: when neither file exists, both are made at start, self-signed for these names.
  std::vector<std::string> self_signed;
  // The issuer's word that it is not revoked, sent along (OCSP stapling): a file of it, or "fetch" to ask the
  // responder that the certificate names. Empty = none is sent.
  std::string ocsp;
  static constexpr std::string_view kFetchOcsp = "fetch";
};

struct OriginServer {
  Position where;
  Address address;
  std::uint32_t weight = 1;
  bool backup = false;
};

enum class Balance : std::uint8_t { round_robin };  // smooth, weighted

struct HealthOptions {
  std::string path = "/";
  milliseconds interval{5'000};
  milliseconds timeout{2'000};
  std::uint32_t fall = 3;
  std::uint32_t rise = 2;
};

struct OriginTlsOptions {
  bool verify = true;
  std::string sni;  // empty = the server's own name; also the name that is verified
  std::string ca;   // PEM file; empty = the system's store
};

// Where the keys that sign come from.
enum class S3Credentials : std::uint8_t {
  automatic,  // the file when one is named, else the environment, else the container; resolved by the loader
  keys,       // from the file or the environment, read once a (re)load
  container,  // the endpoint that ECS or EKS tells the process of, asked again before they expire
  instance,   // EC2's metadata service (IMDSv2), asked again before they expire
};

enum class S3Checksums : std::uint8_t {
  all,      // the x-amz-checksum-* that the store sends; without one, an ETag that is an MD5
  headers,  // the x-amz-checksum-* only
  off,
};

struct S3Options {
  std::string bucket;
  std::string region = "us-east-1";
  std::string endpoint;    // "http[s]://host[:port]"; empty = the region's own, over TLS
  bool dualstack = false;  // the region's own endpoint over IPv4 and IPv6; not with `endpoint`
  bool path_style = false;
  bool requester_pays = false;
  std::string version_query;  // the query parameter by which clients name a version; empty = none
  S3Checksums checksums = S3Checksums::all;
  std::string sse_customer_key_file;  // empty = none
  S3Credentials credentials = S3Credentials::automatic;
  std::string access_key_env = "AWS_ACCESS_KEY_ID";
  std::string secret_key_env = "AWS_SECRET_ACCESS_KEY";
  std::string session_token_env = "AWS_SESSION_TOKEN";  // may be unset
  std::string credentials_file;                         // AWS's format; empty = the three variables above
  std::string profile = "default";                      // of credentials_file
  std::string metadata_endpoint;  // "http://host[:port]"; empty = the environment's, else 169.254.169.254
  // Resolved by the loader from the file or the environment; a reload reads them again.
  std::string access_key;  // of S3Credentials::keys, as the two below
  Secret secret_key;
  Secret session_token;              // empty = none
  Secret sse_customer_key;           // 32 bytes; empty = none
  std::string container_url;         // of S3Credentials::container: http[s]://host[:port]/path
  std::string container_token_file;  // what is sent as Authorization, read each time; empty = container_token
  Secret container_token;            // empty = none
};

struct OriginTimeouts {
  milliseconds connect{2'000};      // TCP and TLS together
  milliseconds first_byte{35'000};  // from the request sent to the response head; s3: kS3FirstByte
  milliseconds keep_alive{60'000};  // idle pooled connections are closed at the latest after this
  static constexpr milliseconds kS3FirstByte{5'000};
};

// How an origin is told of the client at the start of a connection.
enum class ProxyProtocol : std::uint8_t { off, v1, v2 };

enum class OriginKind : std::uint8_t { servers, s3, directory };

struct Origin {
  Position where;
  std::string name;
  OriginKind kind = OriginKind::servers;
  std::vector<OriginServer> servers;  // kind servers: at least one, at least one not backup
  Balance balance = Balance::round_robin;
  std::optional<HealthOptions> health;                // kind servers; nullopt = passive only, up at start
  std::optional<OriginTlsOptions> tls;                // kind servers; nullopt = plain
  ProxyProtocol proxy_protocol = ProxyProtocol::off;  // kind servers
  S3Options s3;                                       // kind s3
  std::string directory;                              // kind directory
  OriginTimeouts timeouts;                            // resolved for the kind
};

using CountryCode = std::array<char, 2>;  // ISO 3166-1 alpha-2, upper case; "ZZ" = unknown

struct RouteGeo {
  std::vector<CountryCode> allow_countries;  // empty = all but the denied
  std::vector<CountryCode> deny_countries;
  ViewerFields headers;  // what of the viewer the origin is told
};

struct RouteHeaders {
  std::vector<std::pair<std::string, std::string>> set;  // response fields, replacing those of that name
  std::vector<std::string> remove;                       // response fields; done before `set`
};

// A redirect target, cut at its variables: concatenate text, or the request's value, in order.
struct RedirectPart {
  enum class Kind : std::uint8_t {
    text,
    scheme,       // $scheme: http or https, as the client asked
    host,         // $host: without port
    request_uri,  // $request_uri: path and query as the client sent them
    rest,         // $rest: what the route's * matched, then ? and the query if there is one
  };
  Kind kind = Kind::text;
  std::string text;
};

struct Redirect {
  std::string to;
  std::uint16_t status = 301;       // 301, 302, 303, 307 or 308
  std::vector<RedirectPart> parts;  // `to`, parsed
};

// What becomes of a request body that a server is to get.
enum class Uploads : std::uint8_t {
  spool,   // it waits in memory, then on disk, until all of it is here
  stream,  // each piece goes on as it comes
};

enum class RouteKind : std::uint8_t { origin, images, redirect, gallery };

struct Route {
  Position where;
  std::string path;                  // without the final *; in its site's normal form
  bool prefix = false;               // the path ended in *
  std::vector<std::string> methods;  // empty = any
  RouteKind kind = RouteKind::origin;
  // Names. kind origin: primary, then failover. kind images, gallery: exactly one. kind redirect: none.
  std::vector<std::string> origins;
  bool strip_prefix = false;  // resolved: false for servers, true for s3 and directory
  RouteCache cache;           // resolved
  RouteCompress compress;     // resolved
  RouteGeo geo;
  std::vector<IpPrefix> allow;  // empty = all but the denied; deny is asked first
  std::vector<IpPrefix> deny;
  std::optional<RateLimit> rate_limit;  // over it 429; nullopt = none but LimitOptions::rate_limit
  std::vector<IpPrefix> purge_from;     // empty = PURGE is a method like any other
  RouteHeaders headers;
  bool websocket = false;      // kind origin, all of servers
  std::uint64_t max_body = 0;  // bytes; resolved from LimitOptions::body
  Uploads uploads = Uploads::spool;
  Redirect redirect;  // kind redirect
};

struct Site {
  Position where;
  std::vector<std::string> hosts;  // lower case: "a.example", "*.example", "*"
  bool merge_slashes = false;
  http::EncodedSlash encoded_slash = http::EncodedSlash::keep;
  std::vector<Route> routes;  // first match in order wins

  http::PathRules path_rules() const { return {merge_slashes, encoded_slash}; }
};

enum class UnsignedImages : std::uint8_t { off, presets, on };

struct ImageKey {
  std::string id;
  Secret secret;  // at least 16 bytes
};

struct ImageOptions {
  UnsignedImages unsigned_access = UnsignedImages::off;
  std::vector<ImageKey> keys;
  std::vector<std::pair<std::string, std::string>> presets;  // name, operations; sorted by name
  std::vector<std::uint32_t> ladder;                         // pixels, ascending; empty = exact widths
  std::uint64_t max_pixels = 100'000'000;                    // of the original; over it 413
  std::uint64_t max_source = 64ULL << 20;                    // bytes of the original; over it 413
  milliseconds deadline{10'000};                             // per job; the worker is killed after it
  std::uint32_t workers = 0;                                 // 0 = "auto", one a core
};

// MaxMind databases; empty = there is none.
struct GeoOptions {
  std::string country;
  std::string city;  // says the country too, where `country` is empty
  std::string asn;
  milliseconds poll{10'000};  // how often the files are looked at for changes; 0 = never
};

struct Config {
  std::vector<std::string> files;  // every file read, the main one first
  ServerOptions server;
  LogOptions log;
  CacheOptions cache;
  LimitOptions limits;
  SpoolOptions spool;
  TimeoutOptions timeouts;
  GeoOptions geo;
  ImageOptions images;
  TlsOptions tls;
  std::vector<Listener> listeners;
  std::vector<Certificate> certificates;
  std::vector<Origin> origins;  // sorted by name
  std::vector<Site> sites;

  const Origin* find_origin(std::string_view name) const;  // nullptr when there is none
};

// The words the file uses, for logs and status; static strings.
std::string_view to_string(LogLevel);
std::string_view to_string(OriginKind);
std::string_view to_string(CacheMode);
std::string_view to_string(RouteKind);
std::string_view to_string(UnsignedImages);

}  // namespace vignette::conf
