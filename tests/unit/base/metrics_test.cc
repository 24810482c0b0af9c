#include "base/metrics.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <latch>
#include <string>
#include <thread>
#include <vector>

using namespace vignette;
using namespace std::chrono_literals;

namespace {

std::string rendered(const Metrics& metrics) {
  std::string out;
  metrics.render(out);
  return out;
}

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("counters sum over workers and foreign threads") {
  Metrics metrics(2);
  Counter& requests = metrics.counter("requests_total", "Requests.", {{"route", "/i/*"}});
  requests.add(0);
  requests.add(1, 10);
  requests.add(2, 100);
  requests.add(kNoWorker, 1000);
  CHECK(requests.value() == 1111);
  std::string text = rendered(metrics);
  CHECK(text.find(
            "# HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total{route=\"/i/*\"} "
            "1111\n") != std::string::npos);
}

TEST_CASE("the same name and labels are the same series, so a reload goes on counting") {
  Metrics metrics(1);
  Counter& first = metrics.counter("a_total", "A.", {{"x", "1"}});
  CHECK(&metrics.counter("a_total", "A.", {{"x", "1"}}) == &first);
  CHECK(&metrics.counter("a_total", "A.", {{"x", "2"}}) != &first);
  CHECK(&metrics.gauge("g", "G.") == &metrics.gauge("g", "G."));
}

TEST_CASE("labels and help are escaped as the text format asks") {
  Metrics metrics(1);
  metrics.gauge("g", "Line\nand \\ and \"quote\".", {{"v", "a\"b\\c\nd\xff"}}).set(-5);
  std::string text = rendered(metrics);
  CHECK(has_line(text, "# HELP g Line\\nand \\\\ and \"quote\"."));
  CHECK(has_line(text, "g{v=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\"} -5"));
}

TEST_CASE("bucket bounds are inclusive and double") {
  Histogram histogram(1);
  auto bucket_of = [](std::chrono::nanoseconds elapsed) {
    Histogram one(1);
    one.record(0, elapsed);
    auto counts = one.snapshot().counts;
    return std::find(counts.begin(), counts.end(), 1u) - counts.begin();
  };
  CHECK(bucket_of(-1s) == 0);
  CHECK(bucket_of(0ns) == 0);
  CHECK(bucket_of(100us) == 0);
  CHECK(bucket_of(100us + 1ns) == 1);
  CHECK(bucket_of(200us) == 1);
  CHECK(bucket_of(200us + 1ns) == 2);
  CHECK(bucket_of(52428800us) == 19);
  CHECK(bucket_of(52428800us + 1ns) == 20);
  CHECK(bucket_of(24h) == 20);
  CHECK(Histogram::bound_seconds(0) == 0.0001);
  CHECK(Histogram::bound_seconds(19) == 52.4288);
  CHECK(std::isinf(Histogram::bound_seconds(20)));
}

TEST_CASE("a histogram is rendered cumulatively with sum and count") {
  Metrics metrics(2);
  Histogram& times = metrics.histogram("t_seconds", "T.", {{"origin", "app"}});
  times.record(0, 50us);
  times.record(1, 150us);
  times.record(kNoWorker, 100s);
  std::string text = rendered(metrics);
  CHECK(has_line(text, "# TYPE t_seconds histogram"));
  CHECK(has_line(text, "t_seconds_bucket{origin=\"app\",le=\"0.0001\"} 1"));
  CHECK(has_line(text, "t_seconds_bucket{origin=\"app\",le=\"0.0002\"} 2"));
  CHECK(has_line(text, "t_seconds_bucket{origin=\"app\",le=\"52.4288\"} 2"));
  CHECK(has_line(text, "t_seconds_bucket{origin=\"app\",le=\"+Inf\"} 3"));
  CHECK(has_line(text, "t_seconds_sum{origin=\"app\"} 100.0002"));
  CHECK(has_line(text, "t_seconds_count{origin=\"app\"} 3"));
}

TEST_CASE("a callback is read when rendered, until its handle ends") {
  Metrics metrics(1);
  double bytes = 1.5;
  {
    auto handle = metrics.callback(MetricType::gauge, "cache_bytes", "B.", {}, [&] { return bytes; });
    CHECK(has_line(rendered(metrics), "cache_bytes 1.5"));
    bytes = INFINITY;
    CHECK(has_line(rendered(metrics), "cache_bytes +Inf"));
  }
  CHECK(rendered(metrics).find("cache_bytes") == std::string::npos);
}

TEST_CASE("of two callbacks for one series the newest shows, and the older comes back") {
  Metrics metrics(1);
  auto old = metrics.callback(MetricType::counter, "x_total", "X.", {{"a", "b"}}, [] { return 1.0; });
  {
    auto fresh = metrics.callback(MetricType::counter, "x_total", "X.", {{"a", "b"}}, [] { return 2.0; });
    std::string text = rendered(metrics);
    CHECK(has_line(text, "x_total{a=\"b\"} 2"));
    CHECK_FALSE(has_line(text, "x_total{a=\"b\"} 1"));
  }
  CHECK(has_line(rendered(metrics), "x_total{a=\"b\"} 1"));
  old = Metrics::Callback();
  CHECK(rendered(metrics).find("x_total") == std::string::npos);
}

TEST_CASE("a family takes label sets up to its limit, later ones share one") {
  Metrics metrics(1);
  auto named = [&](std::size_t i) -> Counter& {
    return metrics.counter("c_total", "C.", {{"id", std::to_string(i)}});
  };
  for (std::size_t i = 0; i < Metrics::kMaxLabelSets; ++i) named(i).add(0);
  CHECK(has_line(rendered(metrics), "vignette_metrics_label_sets_refused_total 0"));
  Counter& other = named(Metrics::kMaxLabelSets);
  CHECK(&named(Metrics::kMaxLabelSets + 1) == &other);
  CHECK(&named(0) != &other);
  other.add(0, 7);
  std::string text = rendered(metrics);
  CHECK(has_line(text, "c_total{id=\"other\"} 7"));
  CHECK(has_line(text, "c_total{id=\"999\"} 1"));
  CHECK_FALSE(has_line(text, "c_total{id=\"1000\"} 0"));
  CHECK(has_line(text, "vignette_metrics_label_sets_refused_total 2"));
}

TEST_CASE("workers record while series are made and rendered") {
  constexpr unsigned kWorkers = 3;
  Metrics metrics(kWorkers);
  Counter& counter = metrics.counter("n_total", "N.");
  Histogram& histogram = metrics.histogram("d_seconds", "D.");
  Gauge& gauge = metrics.gauge("open", "O.");
  std::latch start(kWorkers + 1);
  std::vector<std::thread> threads;
  for (unsigned worker = 0; worker < kWorkers; ++worker) {
    threads.emplace_back([&, worker] {
      start.arrive_and_wait();
      for (int i = 0; i < 5000; ++i) {
        gauge.add(1);
        counter.add(worker);
        histogram.record(worker, std::chrono::microseconds(i));
        gauge.add(-1);
      }
    });
  }
  start.arrive_and_wait();
  for (int i = 0; i < 50; ++i) {
    metrics.counter("made_total", "M.", {{"i", std::to_string(i)}}).add(kNoWorker);
    auto handle = metrics.callback(MetricType::gauge, "read", "R.", {}, [] { return 1.0; });
    CHECK(rendered(metrics).size() > 0);
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(counter.value() == kWorkers * 5000);
  CHECK(histogram.snapshot().count == kWorkers * 5000);
  CHECK(gauge.value() == 0);
}
