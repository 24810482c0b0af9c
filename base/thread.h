// Threads as this program wants them: named in ps and gdb, with all signals left to the main thread.
#pragma once

#include <functional>
#include <string_view>
#include <thread>

namespace vignette {

// Names are cut to 15 bytes. Throws std::system_error when the system has no thread left.
std::thread start_thread(std::string_view name, std::move_only_function<void()> body);

}  // namespace vignette
