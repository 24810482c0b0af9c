#include "base/metrics.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "base/strings.h"

namespace vignette {

std::uint64_t Counter::value() const {
  std::uint64_t total = 0;
  for (unsigned i = 0; i <= workers_; ++i) total += slots_[i].value.load(std::memory_order_relaxed);
  return total;
}

void Histogram::record(unsigned worker, std::chrono::nanoseconds elapsed) {
  std::uint64_t ns = elapsed.count() > 0 ? static_cast<std::uint64_t>(elapsed.count()) : 0;
  // Bounds are inclusive: exactly 100 us belongs to the first bucket.
  std::size_t bucket = ns == 0 ? 0 : static_cast<std::size_t>(std::bit_width((ns - 1) / kFirstBoundNs));
  Slot& slot = slots_[worker < workers_ ? worker : workers_];
  slot.counts[std::min(bucket, kBuckets)].fetch_add(1, std::memory_order_relaxed);
  slot.sum_ns.fetch_add(ns, std::memory_order_relaxed);
}

Histogram::Snapshot Histogram::snapshot() const {
  Snapshot result;
  std::uint64_t sum_ns = 0;
  for (unsigned i = 0; i <= workers_; ++i) {
    sum_ns += slots_[i].sum_ns.load(std::memory_order_relaxed);
    for (std::size_t bucket = 0; bucket <= kBuckets; ++bucket) {
      std::uint64_t count = slots_[i].counts[bucket].load(std::memory_order_relaxed);
      result.counts[bucket] += count;
      result.count += count;
    }
  }
  result.sum_seconds = static_cast<double>(sum_ns) * 1e-9;
  return result;
}

double Histogram::bound_seconds(std::size_t bucket) {
  if (bucket >= kBuckets) return std::numeric_limits<double>::infinity();
  return static_cast<double>(kFirstBoundNs << bucket) / 1e9;
}

namespace {

bool is_valid_name(std::string_view name, bool colons) {
  auto good = [&](char c) { return is_alpha(c) || is_digit(c) || c == '_' || (colons && c == ':'); };
  return !name.empty() && !is_digit(name[0]) && std::all_of(name.begin(), name.end(), good);
}

std::string_view escape_of(char c, bool quotes) {
  if (c == '\\') return "\\\\";
  if (c == '\n') return "\\n";
  return c == '"' && quotes ? "\\\"" : "";
}

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (char c : text) {
    std::string_view escaped = escape_of(c, quotes);
    escaped.empty() ? out.push_back(c) : void(out.append(escaped));
  }
}

// a="x",b="y", the text between the braces; also the identity of a series in its family.
std::string label_text(Metrics::Labels labels) {
  std::string text;
  for (const Label& label : labels) {
    VCHECK(is_valid_name(label.name, false) && label.name != "le");
    if (!text.empty()) text += ',';
    text.append(label.name).append("=\"");
    append_escaped(text, to_utf8(label.value), true);
    text += '"';
  }
  return text;
}

std::string other_text(Metrics::Labels labels) {
  std::vector<Label> other(labels.begin(), labels.end());
  for (Label& label : other) label.value = "other";
  return label_text(other);
}

std::string_view type_name(MetricType type) {
  switch (type) {
    case MetricType::counter:
      return "counter";
    case MetricType::gauge:
      return "gauge";
    case MetricType::histogram:
      return "histogram";
  }
  return "untyped";
}

constexpr std::string_view kRefusedName = "vignette_metrics_label_sets_refused_total";

}  // namespace

struct Metrics::Series {
  std::string labels;
  std::unique_ptr<Counter> counter;
  std::unique_ptr<Gauge> gauge;
  std::unique_ptr<Histogram> histogram;
  // Newest last; only for series without a value of their own.
  std::vector<std::pair<std::uint64_t, std::function<double()>>> callbacks;

  void append(std::string& out, std::string_view name) const;
};

struct Metrics::Family {
  MetricType type;
  std::string help;
  std::vector<std::unique_ptr<Series>> series;
  std::map<std::string, Series*, std::less<>> by_labels;

  Series* find(std::string_view labels) const {
    auto found = by_labels.find(labels);
    return found == by_labels.end() ? nullptr : found->second;
  }
};

Metrics::Callback::Callback(Callback&& other) noexcept
    : owner_(std::exchange(other.owner_, nullptr)), id_(other.id_) {}

Metrics::Callback& Metrics::Callback::operator=(Callback&& other) noexcept {
  std::swap(owner_, other.owner_);
  std::swap(id_, other.id_);
  return *this;
}

Metrics::Callback::~Callback() {
  if (owner_ != nullptr) owner_->remove(id_);
}

Metrics::Metrics(unsigned workers) : workers_(workers) {
  refused_ = &counter(kRefusedName, "Label sets counted under \"other\" because their family was full.");
}

Metrics::~Metrics() = default;

Metrics::Family& Metrics::family(MetricType type, std::string_view name, std::string_view help) {
  auto found = families_.find(name);
  if (found == families_.end()) {
    VCHECK(is_valid_name(name, true));
    auto made = std::make_unique<Family>();
    made->type = type;
    made->help = help;
    found = families_.emplace(name, std::move(made)).first;
  }
  VCHECK(found->second->type == type);
  return *found->second;
}

// Called under the lock.
Metrics::Series& Metrics::series(MetricType type, std::string_view name, std::string_view help,
                                 Labels labels) {
  Family& home = family(type, name, help);
  std::string text = label_text(labels);
  if (Series* known = home.find(text)) return *known;
  if (home.series.size() >= kMaxLabelSets) {
    refused_->add(kNoWorker);
    text = other_text(labels);
    if (Series* known = home.find(text)) return *known;
  }
  home.series.push_back(std::make_unique<Series>());
  Series& made = *home.series.back();
  made.labels = text;
  home.by_labels.emplace(std::move(text), &made);
  return made;
}

Counter& Metrics::counter(std::string_view name, std::string_view help, Labels labels) {
  std::lock_guard lock(mutex_);
  Series& home = series(MetricType::counter, name, help, labels);
  if (!home.counter) home.counter = std::make_unique<Counter>(workers_);
  return *home.counter;
}

Gauge& Metrics::gauge(std::string_view name, std::string_view help, Labels labels) {
  std::lock_guard lock(mutex_);
  Series& home = series(MetricType::gauge, name, help, labels);
  if (!home.gauge) home.gauge = std::make_unique<Gauge>();
  return *home.gauge;
}

Histogram& Metrics::histogram(std::string_view name, std::string_view help, Labels labels) {
  std::lock_guard lock(mutex_);
  Series& home = series(MetricType::histogram, name, help, labels);
  if (!home.histogram) home.histogram = std::make_unique<Histogram>(workers_);
  return *home.histogram;
}

Metrics::Callback Metrics::callback(MetricType type, std::string_view name, std::string_view help,
                                    std::initializer_list<Label> labels, std::function<double()> read) {
  VCHECK(type != MetricType::histogram && read);
  std::lock_guard lock(mutex_);
  Series& home = series(type, name, help, Labels(labels.begin(), labels.size()));
  home.callbacks.emplace_back(next_callback_, std::move(read));
  return Callback(this, next_callback_++);
}

void Metrics::remove(std::uint64_t id) {
  std::lock_guard lock(mutex_);
  for (auto& [name, family] : families_) {
    for (auto& series : family->series) {
      if (std::erase_if(series->callbacks, [id](const auto& entry) { return entry.first == id; }) > 0) return;
    }
  }
}

namespace {

void append_number(std::string& out, double number) {
  if (std::isnan(number)) {
    out += "NaN";
  } else if (std::isinf(number)) {
    out += number > 0 ? "+Inf" : "-Inf";
  } else {
    // Plain decimals down to 0.0001, as "le" labels are usually written.
    out += fmt::format("{}", number);
  }
}

// `more` is a label of the line's own ("le"), or empty.
void append_name(std::string& out, std::string_view name, std::string_view suffix, std::string_view labels,
                 std::string_view more = {}) {
  out.append(name).append(suffix);
  if (!labels.empty() || !more.empty()) {
    out.append("{").append(labels);
    if (!labels.empty() && !more.empty()) out += ',';
    out.append(more).append("}");
  }
  out += ' ';
}

void append_count(std::string& out, std::uint64_t count) {
  append_u64(out, count);
  out += '\n';
}

void append_histogram(std::string& out, std::string_view name, std::string_view labels,
                      const Histogram::Snapshot& values) {
  std::uint64_t cumulative = 0;
  for (std::size_t bucket = 0; bucket <= Histogram::kBuckets; ++bucket) {
    cumulative += values.counts[bucket];
    std::string bound = "le=\"";
    append_number(bound, Histogram::bound_seconds(bucket));
    bound += '"';
    append_name(out, name, "_bucket", labels, bound);
    append_count(out, cumulative);
  }
  append_name(out, name, "_sum", labels);
  append_number(out, values.sum_seconds);
  out += '\n';
  append_name(out, name, "_count", labels);
  append_count(out, values.count);
}

}  // namespace

void Metrics::Series::append(std::string& out, std::string_view name) const {
  if (histogram) return append_histogram(out, name, labels, histogram->snapshot());
  if (callbacks.empty() && !counter && !gauge) return;
  append_name(out, name, "", labels);
  if (!callbacks.empty()) {
    append_number(out, callbacks.back().second());
  } else if (counter) {
    append_u64(out, counter->value());
  } else {
    out += fmt::format("{}", gauge->value());
  }
  out += '\n';
}

void Metrics::render(std::string& out) const {
  std::lock_guard lock(mutex_);
  for (const auto& [name, family] : families_) {
    std::size_t before = out.size();
    out.append("# HELP ").append(name).append(" ");
    append_escaped(out, family->help, false);
    out.append("\n# TYPE ").append(name).append(" ").append(type_name(family->type)).append("\n");
    std::size_t head_end = out.size();
    for (const auto& series : family->series) series->append(out, name);
    if (out.size() == head_end) out.resize(before);
  }
}

}  // namespace vignette
