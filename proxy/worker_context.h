// One worker's share of the node: everything a request needs that is not locked. Loop-thread only.
#pragma once

#include <memory>

#include "base/free_list.h"
#include "base/log.h"
#include "geo/databases.h"
#include "http/date.h"
#include "net/worker.h"
#include "proxy/client/h1_work.h"
#include "proxy/media/fill_hub.h"
#include "proxy/media/image_memo.h"
#include "proxy/media/photo_lists.h"
#include "proxy/media/source_budget.h"
#include "proxy/node.h"
#include "proxy/origin/origin_pools.h"
#include "proxy/route/snapshot.h"

namespace vignette::proxy {

// Connections that wait for their next request: what a drain closes first. Loop-thread only.
class IdleConnections {
 public:
  // In the list for as long as it lives.
  class Place {
   public:
    Place(IdleConnections& list, net::Strand& strand);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

   private:
    friend class IdleConnections;
    IdleConnections& list_;
    net::Strand& strand_;
    Place* next_;
    Place* previous_ = nullptr;
  };

  // Cancels the strands that are in the list now.
  void cancel_all();

 private:
  Place* first_ = nullptr;
};

struct H2Share;

struct WorkerContext {
  WorkerContext(Node& shared, net::Worker& worker, unsigned number, std::shared_ptr<const Snapshot> first);
  ~WorkerContext();

  // "Sun, 06 Nov 1994 08:49:37 GMT" for the loop's wall clock; made once a second. The view is good as long
  // as this; what it shows is the time of the latest call by anybody, and always a whole date.
  std::string_view http_date();

  Node& node;
  net::Worker& loop;
  const unsigned index;
  std::shared_ptr<const Snapshot> snapshot;
  TlsSetupRef tls;  // the snapshot's, or a later one of the same configuration
  // Of the snapshot's configuration, or later ones of the same files; never null.
  geo::DatabasesRef databases = std::make_shared<const geo::Databases>();
  FillHub fills;
  OriginPools pools;
  FreeList<H1Work> h1_work{64};
  std::unique_ptr<H2Share> h2;
  IdleConnections idle;
  ImageMemo images;
  PhotoLists photo_lists;
  std::string log_line;  // scratch of the access log
  RateLimited failed_invalidations;
  RateLimited refused_connections;
  SourceBudget codec_room;  // of what is being compressed and undone

 private:
  WallTime date_second_{};
  char date_[29];
};

}  // namespace vignette::proxy
