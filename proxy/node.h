// What all threads of the node share. Built by main before any worker starts and destroyed after the last
// has ended; its parts are thread-safe, each in the way its header says.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "base/bounded_pool.h"
#include "base/clock.h"
#include "base/line_sink.h"
#include "base/log.h"
#include "base/metrics.h"
#include "cache/fill_table.h"
#include "cache/insight/insight.h"
#include "cache/memory_store.h"
#include "cache/purge/purge_book.h"
#include "proxy/node_metrics.h"
#include "proxy/policy/client_limits.h"

namespace vignette::proxy {

class ImagingService;
class ServerRegistry;
class Spool;

struct Node {
  const Clock& clock;
  Logger& log;
  NodeMetrics& metrics;
  cache::Store& store;
  cache::FillTable& fills;
  TaskPool& file_pool;                     // directory reads, and reports that read much
  TaskPool& purge_pool;                    // one thread: what writes the book of purges never waits for files
  ServerRegistry& servers;                 // health and names of origin servers; survives reloads
  ImagingService* imaging;                 // null when no route serves images
  LineSink* access_log;                    // null: off
  cache::PurgeBook* purges = nullptr;      // of the store; null: nothing can be purged
  cache::Insight* insight = nullptr;       // what answers are recorded into; null: nothing is
  std::shared_ptr<Spool> spool = nullptr;  // of request bodies; null: they are streamed
  // A paced fill cuts its slowest reader, and a pulled run ends, when nothing was taken for this long.
  Duration reader_stall = std::chrono::seconds(60);
  std::atomic<bool> draining{false};
  ClientLimits clients{};
};

}  // namespace vignette::proxy
