// A worker with a cache, the real vignette-imaging program and a scripted store of originals, all on the
// test's own thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bounded_pool.h"
#include "cache/memory_store.h"
#include "imaging/url.h"
#include "proxy/media/imaging_service.h"
#include "proxy/origin/server_registry.h"
#include "proxy/worker_context.h"

namespace vignette::proxy::test {

// What the store says to one path.
struct Stored {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> fields;  // lower-case names
  std::vector<std::string> pieces;                          // of the body
  std::uint64_t claims_more = 0;  // Content-Length is this much more than the pieces have
  enum class End { complete, cut, hang } end = End::complete;
  std::optional<Error> error;  // instead of an answer

  static Stored photo(std::string bytes, std::string etag = "\"one\"");
};

class ScriptedStore final : public Origin {
 public:
  ScriptedStore() : Origin("photos", Kind::s3) {}
  net::Task<Result<OriginResponse>> fetch(WorkerContext& context, const OriginRequest& request) override;

  std::map<std::string, Stored> objects;  // by path; 404 otherwise
  int fetches = 0;
  int not_modified = 0;  // of these
};

class Scene {
 public:
  explicit Scene(ImagingService::Options options = {});
  ~Scene();

  // Runs the strand, then stops the loop. False when it did not end in time or an exception ended a strand.
  bool run(net::Task<void> (*scene)(Scene&));

  double metric(const std::string& line_start) const;  // of the rendered line that begins so; 0: none
  int jobs() const;                                    // that ended, however

  SystemClock clock;
  std::vector<std::string> log_lines;
  Logger log;
  Metrics metrics{1};
  NodeMetrics node_metrics{metrics};
  cache::MemoryStore store{{.budget_bytes = std::uint64_t{64} << 20}};
  cache::FillTable fills{store, clock};
  SteppedPool pool;
  ServerRegistry servers{metrics};
  net::Worker loop;
  ImagingService imaging;
  Node node;
  WorkerContext context;
  ScriptedStore originals;
};

ImagingService::Options program_options();

imaging::ImageRequest photo(std::string key, std::uint32_t width = 0);

struct Got {
  int status = 0;  // 0: the fill failed
  Error error;
  std::string content_type, etag, cache_control, cdn_cache_control, retry_after, body;
  bool stored = false;
  bool from_cache = false;
};
// As a request does it: through the cache, joining a fill that is under way.
net::Task<Got> get(Scene& scene, imaging::ImageRequest request, bool accepts_webp);

// A job over `source` as it is.
ImageJob job_of(const std::string& source, std::uint32_t width);

// A picture of noise, so that it does not compress to nothing.
std::string noise_png(int width, int height, int channels = 3);
// The first bytes of a PNG that claims these sides.
std::string png_claiming(std::uint32_t width, std::uint32_t height);

}  // namespace vignette::proxy::test
