#include "imaging/memfd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace vignette::imaging {
namespace {

constexpr int kAllSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

Result<void> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(Code::io, Blame::internal, "write memfd", errno);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace

Result<UniqueFd> create_memfd(const char* name) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (fd) return fd;
  const bool exhausted = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
  return fail(exhausted ? Code::exhausted : Code::io, Blame::internal, "memfd_create", errno);
}

Result<UniqueFd> sealed_memfd(const char* name, std::span<const std::string_view> chunks) {
  Result<UniqueFd> fd = create_memfd(name);
  if (!fd) return fd;
  for (const std::string_view chunk : chunks) {
    if (Result<void> written = write_all(fd->get(), chunk); !written) return std::unexpected(written.error());
  }
  if (Result<void> sealed = seal(fd->get()); !sealed) return std::unexpected(sealed.error());
  return fd;
}

Result<void> seal(int fd) {
  if (::fcntl(fd, F_ADD_SEALS, kAllSeals) == 0) return {};
  return fail(Code::io, Blame::internal, "seal memfd", errno);
}

Result<void> check_sealed(int fd, std::uint64_t bytes) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  constexpr int kNeeded = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (seals < 0 || (seals & kNeeded) != kNeeded) {
    return fail(Code::malformed, Blame::internal, "memfd is not sealed", seals < 0 ? errno : 0);
  }
  struct stat status{};
  if (::fstat(fd, &status) != 0) return fail(Code::io, Blame::internal, "fstat memfd", errno);
  if (static_cast<std::uint64_t>(status.st_size) != bytes) {
    return fail(Code::malformed, Blame::internal, "memfd size");
  }
  return {};
}

Result<Mapping> Mapping::map(int fd, std::uint64_t bytes) {
  Mapping mapping;
  if (bytes == 0) return mapping;
  void* data = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return fail(Code::io, Blame::internal, "mmap memfd", errno);
  mapping.data_ = data;
  mapping.size_ = bytes;
  return mapping;
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace vignette::imaging
