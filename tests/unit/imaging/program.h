// The real vignette-imaging program, started over a socketpair, and the data set.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imaging/memfd.h"
#include "imaging/protocol.h"

namespace vignette::imaging::test {

struct Answer {
  JobResult result;
  std::string picture;
};

class Program {
 public:
  explicit Program(std::vector<std::string> arguments = {"--lanes", "1", "--heavy-lanes", "1",
                                                         "--test-faults"});
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  const Hello& hello() const { return hello_; }
  pid_t pid() const { return pid_; }
  std::vector<pid_t> workers() const;

  // Fills in id, source format and size; returns the id.
  std::uint64_t send(Job job, std::string_view source);
  void cancel(std::uint64_t id);
  Answer receive();                                     // whichever comes next
  Answer run(const Job& job, std::string_view source);  // send and receive
  // Closes the node's end and waits: the exit status, or -signal.
  int close_and_wait();

 private:
  Received next();

  pid_t pid_ = -1;
  UniqueFd socket_;
  FrameReader reader_;
  Hello hello_;
  std::uint64_t last_id_ = 0;
};

Job resize_job(std::uint32_t width, std::uint32_t height, OutputFormat output, Fit fit = Fit::inside);

// Decoded through the program: at its own size, upright, as PNG.
std::string as_png(Program& program, std::string_view source);

// $VIGNETTE_DATA or ../shared/data; nullopt (and a line on stdout) when it is not there.
std::optional<std::filesystem::path> data_folder(std::string_view what_is_skipped);
std::string read_file(const std::filesystem::path& path);

}  // namespace vignette::imaging::test
