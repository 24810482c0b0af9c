// What the process may use and who it is. Called by main at the start.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

namespace vignette::net {

// Raises the soft limit of open files to the hard one (and both to `wanted` when permitted). Returns the new
// soft limit.
std::uint64_t raise_file_limit(std::uint64_t wanted = 1u << 20);

// Becomes this user for good: its primary group, its supplementary groups, then the user. All threads change,
// those that run already too (setuid(3), "C library/kernel differences"). Of root's capabilities the calling
// thread and those it starts keep CAP_NET_BIND_SERVICE, so that a reload can bind ports below 1024. The error
// says what failed. Does nothing when the process already is that user.
std::expected<void, std::string> drop_user(const std::string& name);

// Why drop_user() would not know the name; nullopt: the system has such a user.
std::optional<std::string> why_no_user(const std::string& name);

// Makes a regular file or a unix socket the user's own, so that the process can open it again after
// drop_user(), or others of that user connect to it. Does nothing when the process is not root, `name` is
// empty, or the path is a link, has other names or is anything else.
std::expected<void, std::string> give_file(const std::string& path, const std::string& name);

// Signals that would end the process before it has handlers for them (SIGHUP, SIGUSR1) wait between the two.
// Of the calling thread; start_thread() masks all signals anyway.
void hold_signals();
void release_signals();

// SIGPIPE is ignored: a write to a closed pipe is an error value.
void ignore_sigpipe();

}  // namespace vignette::net
