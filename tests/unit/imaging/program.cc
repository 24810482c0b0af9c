#include "tests/unit/imaging/program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

extern char** environ;

namespace vignette::imaging::test {
namespace {

constexpr int kProgramSocket = 3;
constexpr std::uint32_t kPatientMs = 120'000;

pid_t spawn(const std::vector<std::string>& arguments, int socket) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, socket, kProgramSocket);
  std::vector<char*> argv;
  std::string name = VIGNETTE_IMAGING_PROGRAM;
  argv.push_back(name.data());
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, name.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  REQUIRE(error == 0);
  return pid;
}

void send_frame(int socket, const std::string& frame, int fd) {
  iovec part{const_cast<char*>(frame.data()), frame.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  REQUIRE(sendmsg(socket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(frame.size()));
}

}  // namespace

Program::Program(std::vector<std::string> arguments) {
  std::array<int, 2> pair{};
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
  // Above the program's number: a dup2 onto itself would keep close-on-exec.
  const UniqueFd theirs(fcntl(pair[1], F_DUPFD_CLOEXEC, 10));
  ::close(pair[1]);
  socket_ = UniqueFd(pair[0]);
  pid_ = spawn(arguments, theirs.get());
  const Received first = next();
  REQUIRE(std::holds_alternative<Hello>(first.message));
  hello_ = std::get<Hello>(first.message);
}

Program::~Program() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

int Program::close_and_wait() {
  socket_.reset();
  int status = 0;
  REQUIRE(waitpid(pid_, &status, 0) == pid_);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

std::vector<pid_t> Program::workers() const {
  const std::string id = std::to_string(pid_);
  std::istringstream children(read_file("/proc/" + id + "/task/" + id + "/children"));
  return {std::istream_iterator<pid_t>(children), std::istream_iterator<pid_t>()};
}

std::uint64_t Program::send(Job job, std::string_view source) {
  job.id = ++last_id_;
  if (job.source == SourceFormat::unsupported) job.source = sniff(source, true).value();
  if (job.source == SourceFormat::unsupported) job.source = SourceFormat::jpeg;
  if (job.deadline_ms == 0) job.deadline_ms = kPatientMs;
  job.source_bytes = source.size();
  const std::array<std::string_view, 1> chunks{source};
  const Result<UniqueFd> memory = sealed_memfd("source", chunks);
  REQUIRE(memory);
  std::string frame;
  encode(job, frame);
  send_frame(socket_.get(), frame, memory->get());
  return job.id;
}

void Program::cancel(std::uint64_t id) {
  std::string frame;
  encode(Cancel{id}, frame);
  send_frame(socket_.get(), frame, -1);
}

Received Program::next() {
  while (true) {
    Result<std::optional<Received>> received = reader_.next();
    REQUIRE(received);
    if (*received) return std::move(**received);
    std::array<char, 4096> buffer;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(16 * sizeof(int))> control;
    iovec part{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
    REQUIRE(size > 0);
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      for (std::size_t i = 0; i < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
        reader_.feed_fd(UniqueFd(fd));
      }
    }
    reader_.feed(std::string_view(buffer.data(), static_cast<std::size_t>(size)));
  }
}

Answer Program::receive() {
  Received received = next();
  REQUIRE(std::holds_alternative<JobResult>(received.message));
  Answer answer{std::get<JobResult>(received.message), {}};
  if (answer.result.output_bytes > 0) {
    REQUIRE(check_sealed(received.fd.get(), answer.result.output_bytes));
    const Result<Mapping> picture = Mapping::map(received.fd.get(), answer.result.output_bytes);
    REQUIRE(picture);
    answer.picture = picture->view();
  }
  return answer;
}

Answer Program::run(const Job& job, std::string_view source) {
  const std::uint64_t id = send(job, source);
  Answer answer = receive();
  REQUIRE(answer.result.id == id);
  return answer;
}

Job resize_job(std::uint32_t width, std::uint32_t height, OutputFormat output, Fit fit) {
  Job job;
  job.transform.width = width;
  job.transform.height = height;
  job.transform.fit = fit;
  job.output = output;
  return job;
}

std::string as_png(Program& program, std::string_view source) {
  Answer answer = program.run(resize_job(0, 0, OutputFormat::png), source);
  REQUIRE(to_string(answer.result.error) == "none");
  return std::move(answer.picture);
}

std::optional<std::filesystem::path> data_folder(std::string_view what_is_skipped) {
  const char* set = std::getenv("VIGNETTE_DATA");
  std::filesystem::path folder =
      set != nullptr ? set : std::filesystem::path(VIGNETTE_SOURCE_DIR).parent_path() / "shared/data";
  if (std::filesystem::is_directory(folder)) return folder;
  std::cout << "skipped, no data set: " << what_is_skipped << '\n';
  return std::nullopt;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace vignette::imaging::test
