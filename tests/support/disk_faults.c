// Preloaded into the node under test: a disk that fails, tears, forgets and garbles.
//
// Files of a volume ("volume", "index", "index.new") are watched from openat() to close(). Their reads,
// writes and syncs meet faults by the chances in a page that the test has mapped too and changes while the
// node runs; it counts what happened. The journal of purges is watched from open() on, and may find its file
// system full. VIGNETTE_DISK_FAULTS names the page's file; without it nothing fails.
// All calls go to the kernel directly: nothing is looked up, allocated or locked here. Thread-safe.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

// As in e2e/support/disk_faults.py.
enum Fault { kReadError, kReadGarbled, kWriteError, kWriteTorn, kWriteLost, kSyncError, kJournalFull, kFaults };
struct Page {
  _Atomic uint32_t chances[kFaults];  // in a million
  _Atomic uint32_t counts[kFaults];
  _Atomic uint64_t random;
};

enum { kFiles = 4096, kSector = 512 };
enum { kNotWatched, kOfVolume, kOfJournal };
static _Atomic unsigned char watched[kFiles];
static struct Page* page;

__attribute__((constructor)) static void map_page(void) {
  const char* path = getenv("VIGNETTE_DISK_FAULTS");
  const int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) return;
  void* mapped = mmap(NULL, sizeof(struct Page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  syscall(SYS_close, file);
  if (mapped != MAP_FAILED) page = mapped;
}

// splitmix64
static uint64_t dice(void) {
  uint64_t number = atomic_fetch_add(&page->random, 0x9E3779B97F4A7C15);
  number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9;
  number = (number ^ number >> 27) * 0x94D049BB133111EB;
  return number ^ number >> 31;
}

static int strikes(int fd, enum Fault fault) {
  const int wanted = fault == kJournalFull ? kOfJournal : kOfVolume;
  if (!page || fd < 0 || fd >= kFiles || watched[fd] != wanted) return 0;
  const uint32_t chance = page->chances[fault];
  if (chance == 0 || dice() % 1000000 >= chance) return 0;
  atomic_fetch_add(&page->counts[fault], 1);
  return 1;
}

static int fails_with_eio(void) {
  errno = EIO;
  return -1;
}

static int is_of_a_volume(const char* path) {
  return strcmp(path, "volume") == 0 || strcmp(path, "index") == 0 || strcmp(path, "index.new") == 0;
}

// The argument that open(2) takes where it makes a file.
static mode_t mode_of(int flags, va_list arguments) {
  return flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}

int openat(int directory, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  const int fd = (int)syscall(SYS_openat, directory, path, flags, mode);
  if (fd >= 0 && fd < kFiles) watched[fd] = is_of_a_volume(path) ? kOfVolume : kNotWatched;
  return fd;
}

static int is_journal(const char* path) {
  const char* name = strrchr(path, '/');
  return name && (strcmp(name, "/purges.journal") == 0 || strcmp(name, "/purges.journal.new") == 0);
}

// A volume that is opened again, past the page cache.
static unsigned char watched_as(const char* path) {
  static const char kOpen[] = "/proc/self/fd/";
  if (strncmp(path, kOpen, sizeof(kOpen) - 1) != 0) return kNotWatched;
  const int fd = atoi(path + sizeof(kOpen) - 1);
  return fd >= 0 && fd < kFiles ? watched[fd] : kNotWatched;
}

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  const int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  if (fd >= 0 && fd < kFiles) watched[fd] = is_journal(path) ? kOfJournal : watched_as(path);
  return fd;
}

int close(int fd) {
  if (fd >= 0 && fd < kFiles) watched[fd] = kNotWatched;
  return (int)syscall(SYS_close, fd);
}

static ssize_t maybe_garbled(int fd, char* bytes, ssize_t count) {
  if (count > 0 && strikes(fd, kReadGarbled)) bytes[dice() % (uint64_t)count] ^= (char)(1 << dice() % 8);
  return count;
}

ssize_t pread(int fd, void* bytes, size_t count, off_t offset) {
  if (strikes(fd, kReadError)) return fails_with_eio();
  return maybe_garbled(fd, bytes, syscall(SYS_pread64, fd, bytes, count, offset));
}

// The node reads into one piece.
ssize_t preadv2(int fd, const struct iovec* pieces, int count, off_t offset, int flags) {
  if (strikes(fd, kReadError)) return fails_with_eio();
  const ssize_t got = syscall(SYS_preadv2, fd, pieces, count, offset, 0, flags);
  return count == 1 ? maybe_garbled(fd, pieces[0].iov_base, got) : got;
}

// Half of its sectors, chosen by chance, are written, and all are said to be.
static ssize_t torn_write(int fd, const char* bytes, size_t count, off_t offset) {
  for (size_t at = 0; at < count; at += kSector) {
    const size_t sector = count - at < kSector ? count - at : kSector;
    if (dice() % 2 == 0) syscall(SYS_pwrite64, fd, bytes + at, sector, offset + (off_t)at);
  }
  return (ssize_t)count;
}

ssize_t pwrite(int fd, const void* bytes, size_t count, off_t offset) {
  if (strikes(fd, kJournalFull)) {
    errno = ENOSPC;
    return -1;
  }
  if (strikes(fd, kWriteError)) {
    syscall(SYS_pwrite64, fd, bytes, count / 2, offset);
    return fails_with_eio();
  }
  if (strikes(fd, kWriteTorn)) return torn_write(fd, bytes, count, offset);
  if (strikes(fd, kWriteLost)) return (ssize_t)count;
  return syscall(SYS_pwrite64, fd, bytes, count, offset);
}

int fdatasync(int fd) { return strikes(fd, kSyncError) ? fails_with_eio() : (int)syscall(SYS_fdatasync, fd); }

int sync_file_range(int fd, off_t offset, off_t count, unsigned flags) {
  if (strikes(fd, kSyncError)) return fails_with_eio();
  return (int)syscall(SYS_sync_file_range, fd, offset, count, flags);
}
