// Numbers for operators, rendered as Prometheus text (exposition format 0.0.4).
//
// A family is a name with a help line and a type; a series is one label set of it. Series are made at
// configuration time under a lock and live as long as the registry, so references to them stay good
// over a reload. Recording takes no lock and allocates nothing: each worker adds to a cache line of
// its own, rendering sums the lines.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"

namespace vignette {

inline constexpr std::size_t kCacheLineBytes = 64;

struct Label {
  std::string_view name;
  std::string_view value;  // any bytes; what is not UTF-8 is replaced
};

// The slot of threads that are not workers, and of any index the registry does not have.
inline constexpr unsigned kNoWorker = ~0u;

// Thread-safe, wait-free.
class Counter {
 public:
  explicit Counter(unsigned workers) : workers_(workers), slots_(new Slot[workers + 1]) {}
  void add(unsigned worker, std::uint64_t n = 1) {
    slots_[worker < workers_ ? worker : workers_].value.fetch_add(n, std::memory_order_relaxed);
  }
  std::uint64_t value() const;

 private:
  struct alignas(kCacheLineBytes) Slot {
    std::atomic<std::uint64_t> value{0};
  };
  unsigned workers_;
  std::unique_ptr<Slot[]> slots_;
};

// Thread-safe, wait-free.
class alignas(kCacheLineBytes) Gauge {
 public:
  void set(std::int64_t value) { value_.store(value, std::memory_order_relaxed); }
  void add(std::int64_t by) { value_.fetch_add(by, std::memory_order_relaxed); }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

// Durations in buckets of 100 us x 2^k: 0.0001 s to 52.4288 s, and one for longer. Thread-safe, wait-free.
class Histogram {
 public:
  static constexpr std::size_t kBuckets = 20;  // finite ones
  static constexpr std::uint64_t kFirstBoundNs = 100'000;

  explicit Histogram(unsigned workers) : workers_(workers), slots_(new Slot[workers + 1]) {}
  void record(unsigned worker, std::chrono::nanoseconds elapsed);

  struct Snapshot {
    std::array<std::uint64_t, kBuckets + 1> counts{};  // each bucket's own, not cumulative
    std::uint64_t count = 0;
    double sum_seconds = 0;
  };
  Snapshot snapshot() const;
  static double bound_seconds(std::size_t bucket);  // infinity for kBuckets

 private:
  struct alignas(kCacheLineBytes) Slot {
    std::array<std::atomic<std::uint64_t>, kBuckets + 1> counts{};
    std::atomic<std::uint64_t> sum_ns{0};
  };
  unsigned workers_;
  std::unique_ptr<Slot[]> slots_;
};

enum class MetricType : std::uint8_t { counter, gauge, histogram };

// Thread-safe.
class Metrics {
 public:
  // Label sets a family may have; what comes later shares one series whose label values are all
  // "other", and vignette_metrics_label_sets_refused_total counts it.
  static constexpr std::size_t kMaxLabelSets = 1000;

  using Labels = std::span<const Label>;

  // Unregisters its callback; when the destructor returns, the callback is not running and never will again.
  class Callback {
   public:
    Callback() = default;
    Callback(Callback&& other) noexcept;
    Callback& operator=(Callback&& other) noexcept;
    ~Callback();

   private:
    friend class Metrics;
    Callback(Metrics* owner, std::uint64_t id) : owner_(owner), id_(id) {}
    Metrics* owner_ = nullptr;
    std::uint64_t id_ = 0;
  };

  // `workers`: how many workers have a slot of their own.
  explicit Metrics(unsigned workers);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // The series of that name and label set, made when it does not exist. `name` and the label names are
  // the program's own and checked; one name has one type and one help. Labels keep the order of the
  // call; the same order must be used each time.
  Counter& counter(std::string_view name, std::string_view help, Labels labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, Labels labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, Labels labels = {});
  Counter& counter(std::string_view name, std::string_view help, std::initializer_list<Label> labels) {
    return counter(name, help, Labels(labels.begin(), labels.size()));
  }
  Gauge& gauge(std::string_view name, std::string_view help, std::initializer_list<Label> labels) {
    return gauge(name, help, Labels(labels.begin(), labels.size()));
  }
  Histogram& histogram(std::string_view name, std::string_view help, std::initializer_list<Label> labels) {
    return histogram(name, help, Labels(labels.begin(), labels.size()));
  }

  // A counter or gauge computed when rendered, on the rendering thread, under the registry's lock:
  // `read` must be quick, must not throw and must not call the registry. Of several callbacks with one
  // name and label set the newest is shown. The registry must outlive the handle.
  [[nodiscard]] Callback callback(MetricType type, std::string_view name, std::string_view help,
                                  std::initializer_list<Label> labels, std::function<double()> read);

  // Families sorted by name, series in order of creation. Appends to `out`. A sum may be a few additions
  // behind another one recorded at the same moment.
  void render(std::string& out) const;

 private:
  struct Series;
  struct Family;
  Series& series(MetricType type, std::string_view name, std::string_view help, Labels labels);
  Family& family(MetricType type, std::string_view name, std::string_view help);
  void remove(std::uint64_t id);

  const unsigned workers_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, std::unique_ptr<Family>, std::less<>> families_;
  std::uint64_t next_callback_ = 1;
  Counter* refused_ = nullptr;
};

}  // namespace vignette
