// Answers whose content coding changes on their way (policy/compression.h): compressed, or undone, as they
// come and as fast as they are taken. Loop-thread only.
//
// An answer without a length is flushed after each piece, so that what a slow producer has sent goes on at
// once. What is undone is cut off where it grows as only a bomb does: past kFreeBytes it may have kMostGrowth
// times the bytes that came. Work is done on the loop, 64 KiB a turn of it, a millisecond or two at the
// levels of http/content_codec.h; handing it to threads would cost the switches and save no bytes.
#pragma once

#include "conf/route_compress.h"
#include "http/message.h"
#include "proxy/origin/origin.h"

namespace vignette::proxy {

inline constexpr std::uint64_t kFreeBytes = 16ULL << 20;
inline constexpr std::uint64_t kMostGrowth = 256;
// Of memory, for what one worker compresses and undoes at a time. Past it answers keep their coding.
inline constexpr std::uint64_t kCodecRoomBytes = 256ULL << 20;

// Makes `response` what `rule` says that the client of `request` gets, head and body. The body fails with
// Blame::origin: malformed when it is not of the coding that its head says, limit when it is a bomb.
void code_response(WorkerContext& context, const conf::RouteCompress& rule, const http::RequestHead& request,
                   OriginResponse& response);

}  // namespace vignette::proxy
