// Files below a directory as an origin. The kernel keeps a path inside: openat2 with RESOLVE_BENEATH and
// without symlinks, whatever the name says. All disk work runs on the node's file pool.
#pragma once

#include "base/fd.h"
#include "conf/config.h"
#include "proxy/origin/origin.h"

namespace vignette::proxy {

// Immutable after construction.
class DirectoryOrigin final : public Origin {
 public:
  explicit DirectoryOrigin(const conf::Origin& options);

  // Regular files only; directories, names that begin with a dot, symlinks and everything else: 404.
  // Validators are the file's: a strong ETag of modification time and size, Last-Modified. Methods other
  // than GET and HEAD: 405. If-None-Match and If-Modified-Since are heard: 304; If-Match: 412; a single
  // Range, with If-Range: 206, 416. Errors: exhausted (descriptors, pool), unavailable (the directory itself
  // cannot be opened), timeout, io; of the body: closed when the file has changed meanwhile.
  net::Task<Result<OriginResponse>> fetch(WorkerContext& context, const OriginRequest& request) override;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The file name below the directory that a percent-encoded URL path asks for; empty when no file can have it
// (NUL or an encoded slash, a segment that begins with a dot, an empty segment).
std::string directory_file_name(std::string_view url_path);

// By the name's extension; "application/octet-stream" for unknown ones.
std::string_view content_type_of(std::string_view name);

}  // namespace vignette::proxy
