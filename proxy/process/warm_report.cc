#include "proxy/process/warm_report.h"

namespace vignette::proxy {
namespace {

constexpr WarmReply::Outcome kOutcomes[] = {WarmReply::Outcome::hit, WarmReply::Outcome::stored,
                                            WarmReply::Outcome::failed};

double number(std::uint64_t value) { return static_cast<double>(value); }

}  // namespace

void register_warm_metrics(const WarmDesk& desk, const HotKeeper* keeper, Metrics& metrics,
                           std::vector<Metrics::Callback>& callbacks) {
  using enum MetricType;
  for (const WarmReply::Outcome outcome : kOutcomes) {
    callbacks.push_back(metrics.callback(
        counter, "vignette_warm_orders_total", "URLs and keys that the node was told to have in its cache.",
        {{"outcome", to_string(outcome)}}, [&desk, outcome] { return number(desk.count(outcome)); }));
  }
  if (!keeper) return;
  const auto add = [&](MetricType type, std::string_view name, std::string_view help,
                       std::uint64_t (*read)(const HotKeeper::Progress&)) {
    callbacks.push_back(
        metrics.callback(type, name, help, {}, [keeper, read] { return number(read(keeper->progress())); }));
  };
  add(gauge, "vignette_warm_restore_pending", "Objects of the hot list that are still to be looked for.",
      [](const HotKeeper::Progress& is) {
        const bool is_on = is.phase == HotKeeper::Phase::reading;
        return is_on ? is.restore.listed - is.restore.looked_at : 0;
      });
  add(counter, "vignette_warm_restored_objects_total", "Objects read from disks into memory at the start.",
      [](const HotKeeper::Progress& is) { return is.restore.objects; });
  add(counter, "vignette_warm_restored_bytes_total", "Bytes of memory that those take.",
      [](const HotKeeper::Progress& is) { return is.restore.bytes; });
  add(counter, "vignette_warm_list_faults_total", "Hot lists that could not be read or written.",
      [](const HotKeeper::Progress& is) { return is.faults; });
}

void write_warm(JsonWriter& json, const WarmDesk& desk, const HotKeeper* keeper) {
  json.key("warm").begin_object().key("orders").begin_object();
  for (const WarmReply::Outcome outcome : kOutcomes) json.field(to_string(outcome), desk.count(outcome));
  json.end_object();
  if (keeper) {
    const HotKeeper::Progress progress = keeper->progress();
    json.key("restore").begin_object().field("phase", to_string(progress.phase));
    json.field("listed", progress.restore.listed).field("looked_at", progress.restore.looked_at);
    json.field("objects", progress.restore.objects).field("bytes", progress.restore.bytes);
    json.field("memory_full", progress.restore.is_full).field("faults", progress.faults).end_object();
  }
  json.end_object();
}

}  // namespace vignette::proxy
