// The rows of the file's top level; origins, sites and images have files of their own.
#include "conf/schema.h"

#include <algorithm>

#include "conf/loader.h"
#include "conf/option_types.h"

namespace vignette::conf {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::uint64_t kKiB = 1ULL << 10;
constexpr std::uint64_t kMiB = 1ULL << 20;
constexpr std::uint64_t kTiB = 1ULL << 40;
constexpr milliseconds kTick{10};

std::vector<Option> server_options() {
  using S = ServerOptions;
  auto admin = maybe(listen_address(), "\"off\"");
  admin.range += ", or \"off\"";
  admin.parse = [inner = admin.parse](Context& context,
                                      const Node& node) -> std::optional<std::optional<Address>> {
    if (node.is(Node::Kind::string) && node.text == "off") return std::optional<Address>();
    return inner(context, node);
  };
  return {
      value("workers", &S::workers, auto_or(integer(1, 1024)), Reload::restart,
            "Worker threads, each with its own event loop. `\"auto\"` is one a core."),
      value("user", &S::user, text(), Reload::restart,
            "The user to become after the ports are bound, when started as root. Without it the node "
            "keeps the user it was started as. Reloads read the configuration and the files that it names "
            "as this user, so make them readable to it (group, mode 0640); the start, and `vignette check` "
            "run as root, warn of those that are not. A private key that root alone may read is kept by "
            "reloads as long as it stays the same file; when it changes, a reload is refused, and only "
            "a restart applies it. Ports below 1024 can still be bound: `CAP_NET_BIND_SERVICE` is kept."),
      value("admin", &S::admin, admin, Reload::restart,
            "Where the control API and `/metrics` listen. Whoever reaches it controls the node: keep it on "
            "loopback or a unix socket."),
      value(
          "trusted", &S::trusted, list_of(network(), "list of networks"), Reload::live,
          "Hops in front of us whose `X-Forwarded-*` and `Forwarded` fields are believed, and whose PROXY "
          "headers where a listener has `proxy_protocol`. The client's address is the last one in the chain "
          "that is not in this list."),
  };
}

std::vector<Option> log_options() {
  using L = LogOptions;
  auto access = path_to_be();
  access.name = "path or word";
  access.range = "\"stdout\", \"off\" or a path";
  access.parse = [path = access.parse](Context& context, const Node& node) -> std::optional<std::string> {
    const bool word = node.is(Node::Kind::string) && (node.text == "stdout" || node.text == "off");
    return word ? std::optional(node.text) : path(context, node);
  };
  return {
      value("access", &L::access, access, Reload::restart,
            "Where the access log goes: one JSON object a line. A file is opened again on SIGUSR1."),
      value("level", &L::level,
            choice<LogLevel>({{"debug", LogLevel::debug},
                              {"info", LogLevel::info},
                              {"warn", LogLevel::warn},
                              {"error", LogLevel::error}}),
            Reload::live, "The least severe message that the error log (stderr) gets."),
  };
}

Option disks() {
  using D = DiskOptions;
  Option option = tables(
      "disk", &CacheOptions::disk,
      {required(value("path", &D::path, path_to_be(), Reload::restart,
                      "The folder for the volume's files. It is made when only its last part is missing; one "
                      "process at a time uses it.")),
       required(value("size", &D::size, size(128 * kMiB, 256 * kTiB), Reload::restart,
                      "Bytes reserved on the disk, all of them at the start. A later start with another size "
                      "grows the volume or cuts its end off."))},
      "A disk behind the memory tier. Keys are spread over several by their sizes; one that fails or is "
      "missing is left out and tried again every 30 seconds. Objects of up to 4 MiB go there; larger ones go "
      "in chunks.");
  option.find_restarts = [](const void* running, const void* next, const std::string& path,
                            std::vector<std::string>& names) {
    const auto same = [](const D& a, const D& b) { return a.path == b.path && a.size == b.size; };
    if (!std::ranges::equal(static_cast<const CacheOptions*>(running)->disk,
                            static_cast<const CacheOptions*>(next)->disk, same)) {
      names.push_back(path + "disk");
    }
  };
  return option;
}

std::vector<Option> cache_options() {
  using C = CacheOptions;
  return {
      value("memory", &C::memory, size(kMiB, 16 * kTiB), Reload::restart,
            "Budget of the memory tier: bodies, heads, index and open fills. The process needs a fixed part "
            "on top."),
      value("max_object", &C::max_object, size(kKiB, 16 * kTiB), Reload::restart,
            "Responses larger than this are not stored in one piece: those of origins that do ranges and "
            "have a "
            "strong ETag are stored in chunks of 1 MiB whatever their size, others pass through. Never more "
            "than "
            "`cache.memory`: a larger default is lowered to it, a larger value in the file is an error."),
      value("state", &C::state, path_to_be(), Reload::restart,
            "The folder for the journal of purges, so that they outlive the process. Without it and with "
            "disks, the first disk's. A journal that is lost costs what is stored: nothing older than a new "
            "one "
            "is served. One that comes back does not know what was purged while it was away: with disks that "
            "may "
            "be unmounted keep it on another file system. While it cannot be read, purges are refused."),
      disks(),
      value("disk_writes_per_day", &C::disk_writes_per_day, size(0, 256 * kTiB), Reload::restart,
            "Bytes a day that may be written to all disks together, so that flash lasts; `0` is no limit. An "
            "hour's share may be saved up, and half of it is kept for originals. Objects beyond it stay in "
            "memory."),
      value(
          "warm_per_second", &C::warm_per_second, size(0, 16 * kTiB), Reload::restart,
          "At a start, bytes a second of the objects that were hottest in memory when the node last saved "
          "their keys (each minute, and when it is stopped) that are read from the disks into memory again. "
          "`0` leaves memory to fill by requests."),
  };
}

std::vector<Option> limit_options() {
  using L = LimitOptions;
  constexpr std::uint32_t kMost = 100'000'000;
  return {
      value("request_line", &L::request_line, size(kKiB, 64 * kKiB), Reload::live,
            "Longest request line of a client; a longer one is answered 414."),
      value("header", &L::header, size(kKiB, 256 * kKiB), Reload::live,
            "All header fields of a request together; more is answered 431."),
      value("header_fields", &L::header_fields, integer(8, 100), Reload::live,
            "Number of header fields of a request; more is answered 431."),
      value("body", &L::body, size(0, kTiB), Reload::live,
            "Longest request body; a longer one is answered 413. A route's `max_body` overrides it."),
      value("connections", &L::connections, integer(0, kMost), Reload::live,
            "Client connections open at once; more are closed when they come "
            "(`vignette_connections_refused_total`). `0` is no limit but that of open files."),
      value(
          "connections_per_client", &L::connections_per_client, integer(0, kMost), Reload::live,
          "The same for one client: an IPv4 address or an IPv6 network of 64 bits, as the connection or its "
          "PROXY header says. Networks in `server.trusted` have no such limit: they speak for others. `0` is "
          "no limit. Those that were open before there was one do not count."),
      value(
          "handshakes", &L::handshakes, integer(0, kMost), Reload::live,
          "TLS handshakes under way at once; connections that would begin another one are closed. `0` is no "
          "limit."),
      maybe_table(
          "rate_limit", &L::rate_limit, rate_limit_options(),
          "How many requests one client may make, whatever their route; a route's own `rate_limit` "
          "holds beside it. More are answered 429 with `Retry-After`. A client is what it is for "
          "`connections_per_client`, found through trusted hops. Without this table there is no limit."),
  };
}

std::vector<Option> spool_options() {
  using S = SpoolOptions;
  return {
      value("path", &S::path, directory_path(), Reload::restart,
            "Folder of the files that request bodies wait in. They have no names, so nothing is left behind, "
            "and are read by nobody else. Not on a file system in memory. Where no file can be made or "
            "written, the log says so, and bodies are streamed."),
      value("size", &S::size, size(0, kTiB), Reload::restart,
            "Bytes that all bodies may take on disk. What finds no room is streamed."),
      value("memory", &S::memory, size(kMiB, kTiB), Reload::restart,
            "Bytes that all bodies may take in memory, 256 KiB each at most; then they go to disk earlier."),
  };
}

std::vector<Option> timeout_options() {
  using T = TimeoutOptions;
  return {
      value("handshake", &T::handshake, duration(kTick, minutes(10)), Reload::live,
            "Time for a client's whole TLS handshake; after it the connection is closed."),
      value("header", &T::header, duration(kTick, minutes(10)), Reload::live,
            "Time for a whole request head, from its first byte; after it 408."),
      value("body_stall", &T::body_stall, duration(kTick, hours(1)), Reload::live,
            "Longest time without a byte of a request body that is being read; after it 408."),
      value("send_stall", &T::send_stall, duration(kTick, hours(1)), Reload::live,
            "Longest time in which a client takes no byte of its response; after it the connection is "
            "closed."),
      value("min_rate", &T::min_rate, size(0, 1024 * kMiB), Reload::live,
            "Bytes a second that a client must send of its body, and take of its response, on the average of "
            "`body_stall` and `send_stall`: one that trickles bytes to keep a connection busy is treated as "
            "one that stalls. Time that the node or an origin needs does not count. `0` is no minimum."),
      value("keep_alive", &T::keep_alive, duration(kTick, hours(1)), Reload::live,
            "How long a client's connection may be idle between requests."),
      value("tunnel", &T::tunnel, duration(kTick, hours(24)), Reload::live,
            "How long a WebSocket connection may be open without a byte either way, pings included."),
      value("drain", &T::drain, duration(milliseconds(0), hours(1)), Reload::live,
            "After SIGTERM, how long requests in flight may take to end, and WebSocket connections to be "
            "closed by "
            "their two sides."),
  };
}

Option redirect_https() {
  Option option{.key = "redirect",
                .type = "string",
                .range = "\"https\" or \"https:PORT\"",
                .doc =
                    "Answer every request with a redirect to the same URL over https (301; 308 when not "
                    "GET or HEAD), on port 443 or the one named. Not together with `tls`."};
  option.read = [](Context& context, const Node& node, void* owner) {
    auto& port = static_cast<Listener*>(owner)->redirect_https_port;
    if (node.is(Node::Kind::string) && node.text == "https") {
      port = 443;
      return;
    }
    const bool named = node.is(Node::Kind::string) && node.text.starts_with("https:");
    const auto parsed = named ? parse_address("localhost:" + node.text.substr(6)) : std::nullopt;
    if (parsed && parsed->port != 0) {
      port = parsed->port;
    } else {
      refuse(context, node, "\"https\" or \"https:PORT\" such as \"https:8443\"");
    }
  };
  return option;
}

// Ours, and what AWS calls policies of the same versions.
Type<TlsPolicy> tls_policy() {
  using enum TlsPolicy;
  auto type = choice<TlsPolicy>({{"intermediate", intermediate},
                                 {"modern", modern},
                                 {"ELBSecurityPolicy-TLS13-1-2-2021-06", intermediate},
                                 {"ELBSecurityPolicy-TLS13-1-2-Res-2021-06", intermediate},
                                 {"ELBSecurityPolicy-FS-1-2-Res-2020-10", intermediate},
                                 {"ELBSecurityPolicy-TLS13-1-3-2021-06", modern},
                                 {"TLSv1.2_2021", intermediate},
                                 {"TLSv1.2_2025", intermediate},
                                 {"TLSv1.3_2025", modern}});
  return type;
}

std::vector<Option> mtls_options() {
  using M = MutualTls;
  return {
      value("verify", &M::verify,
            choice<VerifyClients>({{"required", VerifyClients::required},
                                   {"optional", VerifyClients::optional},
                                   {"off", VerifyClients::off}}),
            Reload::live,
            "`\"required\"` ends the handshake of a client without a certificate, `\"optional\"` lets it in; "
            "both "
            "end it when there is one that is not good. `\"off\"` asks for none."),
      required(
          value("ca", &M::ca, file_path(), Reload::live,
                "PEM file of the authorities whose certificates clients may show. Their names are sent to "
                "clients.")),
      value(
          "crl", &M::crl, file_path(), Reload::live,
          "PEM file of revoked certificates, with a list of each authority in a client's chain. One that is "
          "missing or has expired lets nobody in."),
  };
}

Option proxy_protocol() {
  Option option{.key = "proxy_protocol",
                .type = "boolean or list of networks",
                .fallback = "false",
                .doc =
                    "Each connection begins with a PROXY header, version 1 or 2, before TLS: a load balancer "
                    "in front says whose connection it passes on. It is believed of these networks; `true` "
                    "is those of `server.trusted`. Connections from elsewhere, and those without a header or "
                    "with a bad one, are closed (`vignette_connections_refused_total`)."};
  option.read = [](Context& context, const Node& node, void* owner) {
    auto& listener = *static_cast<Listener*>(owner);
    if (node.is(Node::Kind::boolean)) {
      listener.proxy_protocol = node.boolean;
    } else if (node.is(Node::Kind::array)) {
      auto networks = list_of(network(), "list of networks", 1).parse(context, node);
      if (!networks || networks->empty()) return;
      listener.proxy_protocol = true;
      listener.proxy_from = std::move(*networks);
    } else {
      refuse(context, node, "true, false or a list of networks");
    }
  };
  return option;
}

std::vector<Option> listener_options() {
  return {
      required(value("address", &Listener::address, listen_address(), Reload::live,
                     "Where clients connect. Port 0 lets the kernel choose; `[::]` takes IPv6 only.")),
      value("tls", &Listener::tls, boolean(), Reload::live,
            "Speak TLS 1.2 or 1.3 with the certificates of this file, chosen by server name. Without it, "
            "plain HTTP."),
      value("http2", &Listener::http2, maybe(boolean()), Reload::live,
            "Speak HTTP/2 beside HTTP/1.1; without this key, on listeners with `tls`. With `tls` clients "
            "choose "
            "it in the handshake (ALPN `h2`); without, those that begin with its preface get it (prior "
            "knowledge; "
            "there is no upgrade)."),
      value(
          "tls_policy", &Listener::tls_policy, tls_policy(), Reload::live,
          "`\"intermediate\"` speaks TLS 1.2 and 1.3, `\"modern\"` 1.3 only. Both have forward secrecy and "
          "authenticated encryption only: X25519 or P-256; AES-128-GCM, ChaCha20-Poly1305 (first for clients "
          "that "
          "want it first) and AES-256-GCM. The other names are those of AWS's policies for load balancers "
          "and "
          "CloudFront with the same lowest version; ciphers of theirs that have neither are left out. Needs "
          "`tls`."),
      value("default_certificate", &Listener::default_certificate, text("host name"), Reload::live,
            "A name that a `[[certificate]]` covers: its certificate is shown to clients that name no "
            "server, or "
            "one that no certificate covers. Without it, the first `[[certificate]]`. Needs `tls`."),
      maybe_table(
          "mtls", &Listener::mtls, mtls_options(),
          "Clients show certificates (mutual TLS). Servers are told by `X-Client-Cert-Verify` (`SUCCESS`, or "
          "`NONE` when there is none), `X-Client-Cert-Subject` (RFC 4514) and `X-Client-Cert-Fingerprint` "
          "(SHA-256 in hexadecimal); fields called `X-Client-Cert-*` never pass from any client, on any "
          "listener. An answer to a client with a certificate is stored as one to a request with "
          "`Authorization`: only when it says that it may be. The files are looked at as those of "
          "certificates are (`tls.poll`); a change also ends the resumption of sessions that began "
          "before. Needs `tls`."),
      redirect_https(),
      proxy_protocol(),
  };
}

std::vector<Option> tls_options() {
  using T = TlsOptions;
  return {
      value(
          "ticket_keys", &T::ticket_keys, list_of(path_to_be(), "list of paths"), Reload::live,
          "Files with the keys of session tickets, so that a session that one node began resumes at any of a "
          "fleet. Each is 80 random bytes (AES-256; `openssl rand 80`) or 48 (AES-128), as nginx's "
          "`ssl_session_ticket_key` takes them. The first encrypts, all decrypt: to rotate, put a new file "
          "in "
          "front on each node after it was put behind on each. Whoever has a key can read what was sent in "
          "sessions resumed with it. Without this the node makes keys of its own."),
      value(
          "ticket_rotation", &T::ticket_rotation, duration(seconds(1), hours(7 * 24)), Reload::live,
          "After this time the node's own key for session tickets is replaced. Tickets of the key before are "
          "accepted, and replaced. A ticket is good for 4 hours, and for no longer than this."),
      value(
          "poll", &T::poll, duration(milliseconds(0), hours(24)), Reload::live,
          "How often the files of certificates and keys are looked at. When one has changed, all are read "
          "again "
          "and replace those in use at once, for new connections; files that do not work change nothing, and "
          "the log says why. `0s` is never: SIGHUP and `POST /v1/certificates/reload` do the same."),
  };
}

std::vector<Option> certificate_options() {
  using C = Certificate;
  auto ocsp = file_path();
  ocsp.name = "path or word";
  ocsp.range = "\"fetch\" or a path";
  ocsp.parse = [path = ocsp.parse](Context& context, const Node& node) -> std::optional<std::string> {
    const bool word = node.is(Node::Kind::string) && node.text == Certificate::kFetchOcsp;
    return word ? std::optional(node.text) : path(context, node);
  };
  return {
      required(value("chain", &C::chain, path_to_be(), Reload::live,
                     "PEM file: the certificate, then its intermediates.")),
      required(value("key", &C::key, path_to_be(), Reload::live, "PEM file: its private key.")),
      value("self_signed", &C::self_signed, list_of(text(), "list of strings"), Reload::live,
            "For trying things out: when neither file exists they are made at start, self-signed for these "
            "names and addresses. Browsers will warn."),
      value("ocsp", &C::ocsp, ocsp, Reload::live,
            "What the issuer says of this certificate (OCSP), sent along to clients that want it (stapling): "
            "a file "
            "with a DER answer, read again when it changes, or `\"fetch\"` to ask the responder that the "
            "certificate "
            "names, in the background and again half-way to the end of each answer. Only an answer that says "
            "\"good\", is signed by the issuer and is of this time goes along; what is wrong with another is "
            "in "
            "the log. The chain must hold the issuer's certificate."),
  };
}

Option include_option() {
  // Taken out of the tree before the tree is read; the row is here for the reference.
  Option option{.key = "include",
                .type = "path or list of paths",
                .range = "* and ? match within a name",
                .doc =
                    "Files whose content is added to this one, at top level. Relative paths inside them "
                    "are relative to them. A key that two files set is an error; lists of tables "
                    "(`[[site]]`, `[[listener]]`, `[[certificate]]`) are joined, this file's first."};
  option.read = [](Context&, const Node&, void*) {};
  return option;
}

std::vector<Option> build_schema() {
  using C = Config;
  return {
      include_option(),
      table("server", &C::server, server_options(), "The process."),
      table("log", &C::log, log_options(), "Logs."),
      table("cache", &C::cache, cache_options(), "The cache, shared by all workers."),
      table("limits", &C::limits, limit_options(), "What one client may send."),
      table("spool", &C::spool, spool_options(),
            "Where request bodies wait until they are whole, on routes with `uploads = \"spool\"`."),
      table("timeouts", &C::timeouts, timeout_options(), "How long one client may take."),
      table("tls", &C::tls, tls_options(), "What all listeners with `tls` share."),
      tables("listener", &C::listeners, listener_options(), "An address where clients connect."),
      tables(
          "certificate", &C::certificates, certificate_options(),
          "A certificate for the listeners with `tls`, for the names in it, exact or with one label as `*`. "
          "Several may cover a name, such as one with an ECDSA key and one with RSA: a client is shown the "
          "one "
          "that it can check, ECDSA first, and of one kind the first in the file. The first of all is shown "
          "to "
          "clients that name no server, or an unknown one; see `default_certificate` of a listener."),
      [] {
        Option option{.key = "origin",
                      .shape = Option::Shape::map,
                      .type = "tables by name",
                      .doc =
                          "Something we fetch from. Its kind is what it has: `servers`, `s3` or "
                          "`directory`."};
        option.children = origin_options();
        option.read = [rows = option.children](Context& context, const Node& node, void* owner) {
          if (!expect_table(context, node)) return;
          for (const Member& member : node.members) {
            Origin& origin = static_cast<Config*>(owner)->origins.emplace_back();
            origin.name = member.key;
            origin.where = member.at;
            if (expect_table(context, member.value)) read_members(context, member.value, rows, &origin);
          }
        };
        return option;
      }(),
      tables("site", &C::sites, site_options(), "A set of host names and what is served under them."),
      table("images", &C::images, image_options(), "Resized photos; see the `images` key of a route."),
      table("geo", &C::geo, geo_options(), "Where clients are."),
  };
}

}  // namespace

std::vector<Option> rate_limit_options() {
  using R = RateLimit;
  constexpr std::uint32_t kMost = 1'000'000;
  Option burst = value("burst", &R::burst, integer(1, kMost), Reload::live,
                       "How many may come at once, before `requests` and `per` hold.");
  burst.fallback = "requests";
  return {
      required(value("requests", &R::requests, integer(1, kMost), Reload::live, "How many, in each `per`.")),
      value("per", &R::per, duration(milliseconds(1), hours(1)), Reload::live, "In how long."),
      std::move(burst),
  };
}

const std::vector<Option>& schema() {
  static const std::vector<Option> rows = build_schema();
  return rows;
}

std::vector<std::string> changes_that_need_restart(const Config& running, const Config& next) {
  std::vector<std::string> names;
  for (const Option& row : schema()) {
    if (row.find_restarts) row.find_restarts(&running, &next, "", names);
  }
  return names;
}

void read_members(Context& context, const Node& node, const std::vector<Option>& options, void* owner) {
  std::vector<std::string> known;
  known.reserve(options.size());
  for (const Option& option : options) known.push_back(option.key);
  for (const Member& member : node.members) {
    const auto row = std::ranges::find(options, member.key, &Option::key);
    if (row == options.end()) {
      context.error(member.at,
                    fmt::format("unknown key \"{}\"{}", member.key, suggestion(member.key, known)));
    } else {
      row->read(context, member.value, owner);
    }
  }
  for (const Option& option : options) {
    if (option.required && !node.find(option.key)) {
      context.error(node.at, fmt::format("\"{}\" is missing here", option.key));
    }
  }
}

}  // namespace vignette::conf
