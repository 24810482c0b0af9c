// Waiting for what a fill brings. Loop-thread only.
#pragma once

#include <cstdint>
#include <functional>

#include "cache/fill.h"
#include "net/task.h"
#include "proxy/media/fill_hub.h"

namespace vignette::proxy {

struct WorkerContext;

// Slices that a reader is asked for at a time.
inline constexpr std::size_t kSlicesATurn = 8;
// Longest wait for the head of a fill, whoever runs it.
inline constexpr Duration kHeadWait = std::chrono::seconds(60);
// Longest wait for the next bytes: the fill has a shorter one of its own, so this never fires first.
inline constexpr Duration kProgressWait = std::chrono::seconds(90);

// Ok: there is a head, or the fill is not for this reader (state refused). `launch` starts the second attempt
// when the first is slow; everything named must outlive the wait. Errors: the fill's own; timeout at the
// deadline; cancelled with the strand.
net::Task<Result<void>> wait_for_head(WorkerContext& context, cache::Reader& reader,
                                      const cache::FillRef& fill, FillHub::Follower& follower,
                                      TimePoint deadline,
                                      const std::function<void(cache::FillWriter)>& launch);

// Whether at least `wanted` bytes are there from the reader's position on, or all there will be; false: the
// end. Errors: closed when the fill was cut short, or this reader was cut or refused; timeout, cancelled.
net::Task<Result<bool>> wait_for_bytes(WorkerContext& context, cache::Reader& reader,
                                       FillHub::Follower& follower, std::uint64_t wanted);

}  // namespace vignette::proxy
