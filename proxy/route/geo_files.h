// The geo databases of a configuration, and who is told when one of them is damaged.
#pragma once

#include "conf/config.h"
#include "geo/databases.h"

namespace vignette::proxy {

struct Node;

geo::Paths geo_paths(const conf::GeoOptions& options);

// Counts, and writes a line at most once a minute and file. Needs the node now, and its metrics, log and
// clock for as long as a database lives.
geo::BadRecordReports bad_record_reports(Node& node);

}  // namespace vignette::proxy
