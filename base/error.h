// The one error value of the project: what went wrong, who is to blame, whether a retry may help.
// Trivially copyable, never allocates. Would-block and orderly end of file are not errors.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace vignette {

enum class Code : std::uint8_t {
  closed,       // the peer ended the stream where more bytes were required
  reset,        // RST, EPIPE, or the peer aborted
  timeout,      // a deadline passed
  refused,      // connect refused or unreachable
  cancelled,    // the strand was cancelled
  limit,        // a named limit was passed
  malformed,    // bytes that the grammar forbids
  unsupported,  // well formed, but not something we do
  tls,          // handshake, verification or record error
  dns,          // a name did not resolve
  io,           // a local system call failed; see sys_errno
  not_found,
  denied,
  exhausted,    // out of descriptors, memory budget, queue places
  unavailable,  // nobody can serve this now (no server is up, worker gone)
  internal,     // a bug or a library failure
};

enum class Blame : std::uint8_t { client, origin, internal };

enum class Retry : std::uint8_t { no, yes, if_reused };

struct Error {
  Code code = Code::internal;
  Blame blame = Blame::internal;
  Retry retry = Retry::no;
  int sys_errno = 0;       // 0 when no system call was involved
  const char* where = "";  // a string literal naming the operation; never owned
};

template <typename T>
using Result = std::expected<T, Error>;

// Names for logs, metrics and Cache-Status; static strings.
std::string_view to_string(Code code);
std::string_view to_string(Blame blame);
// What a person should read: the text of sys_errno where there is one, otherwise the code's name.
std::string explain(const Error& error);

inline std::unexpected<Error> fail(Code code, Blame blame, const char* where, int sys_errno = 0,
                                   Retry retry = Retry::no) {
  return std::unexpected(Error{code, blame, retry, sys_errno, where});
}

}  // namespace vignette
