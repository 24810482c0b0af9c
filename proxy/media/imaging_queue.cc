#include <algorithm>
#include <utility>

#include "imaging/geometry.h"
#include "imaging/memfd.h"
#include "proxy/media/imaging_core.h"

namespace vignette::proxy {
namespace {

using imaging::ErrorClass;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kHelloWait{60};  // libvips and the first workers; generous for loaded machines
constexpr std::uint64_t kInfoBytes = std::uint64_t{1} << 20;
constexpr std::size_t kMaxSuspects = 1024;
// The program's deadline is this much before the caller's, so that its answer comes first.
constexpr milliseconds kBackstop{50};

std::uint64_t cost_of(const ImageJob& job) {
  if (job.kind == imaging::Job::Kind::info) return kInfoBytes;
  const imaging::Geometry geometry = imaging::plan(job.transform, std::max(1U, job.header.shown_width()),
                                                   std::max(1U, job.header.shown_height()));
  return imaging::estimate_bytes(job.header, geometry.output_width, geometry.output_height);
}

}  // namespace

ImagingService::Core::Core(net::Worker& worker, Options chosen, Logger& logger, Metrics& metrics)
    : loop(worker),
      mailbox(worker.mailbox()),
      options(std::move(chosen)),
      log(logger),
      durations(metrics.histogram("vignette_image_job_duration_seconds", "Image jobs, waiting included.")),
      queue_length(metrics.gauge("vignette_image_jobs_waiting", "Image jobs that wait for a lane.")),
      at_work_now(metrics.gauge("vignette_image_jobs_running", "Image jobs at work.")),
      restarts(
          metrics.counter("vignette_imaging_restarts_total", "Times vignette-imaging was started again.")),
      sources(options.source_budget_bytes) {
  for (std::size_t i = 0; i < results.size(); ++i) {
    results[i] = &metrics.counter("vignette_image_jobs_total", "Image jobs by how they ended.",
                                  {{"result", imaging::to_string(static_cast<ErrorClass>(i))}});
  }
}

void ImagingService::Core::arrive(std::unique_ptr<Ticket> ticket) {
  ticket->arrived = loop.now();
  ticket->cost = cost_of(ticket->job);
  ticket->heavy = ticket->job.header.heavy();
  if (is_quarantined(ticket->job.quarantine_key)) return answer(*ticket, ErrorClass::crashed);
  if (ticket->cost > options.budget_bytes) return answer(*ticket, ErrorClass::too_large);
  if (comes_too_late(*ticket)) return answer(*ticket, ErrorClass::busy);
  waiting.push_back(std::move(ticket));
  dispatch();
  // Only the newcomer can be one too many, and then it is the last.
  if (waiting.size() > options.max_waiting) {
    std::unique_ptr<Ticket> last = std::move(waiting.back());
    waiting.pop_back();
    answer(*last, ErrorClass::busy);
  }
  show_queue();
}

// Whether it would still wait, or not be done, when its time is over: it is told now, and those before it get
// the lanes. Who finds nobody waiting is always let in, so that the usual times are learned anew.
bool ImagingService::Core::comes_too_late(const Ticket& newcomer) const {
  if (waiting.empty() || hello.lanes == 0) return false;
  const auto heavy = std::ranges::count_if(waiting, [](const auto& ticket) { return ticket->heavy; });
  const auto light = static_cast<std::ptrdiff_t>(waiting.size()) - heavy;
  Duration wait = (usual[0] * light + usual[1] * heavy) / hello.lanes;
  if (newcomer.heavy) wait = std::max<Duration>(wait, usual[1] * heavy / hello.heavy_lanes);
  return newcomer.arrived + wait + usual[newcomer.heavy ? 1 : 0] > newcomer.deadline;
}

// A moving average of how long jobs take; one that was stopped took at least as long as it had.
void ImagingService::Core::learn(const Ticket& ticket, ErrorClass error) {
  Duration& average = usual[ticket.heavy ? 1 : 0];
  const Duration took = loop.now() - ticket.started;
  if (error == ErrorClass::none || (error == ErrorClass::deadline && took > average))
    average += (took - average) / 8;
}

void ImagingService::Core::give_up(std::uint64_t id) {
  const auto queued = std::ranges::find_if(waiting, [id](const auto& ticket) { return ticket->id == id; });
  if (queued != waiting.end()) {
    const std::unique_ptr<Ticket> ticket = std::move(*queued);
    waiting.erase(queued);
    answer(*ticket, ticket->deadline <= loop.now() ? ErrorClass::deadline : ErrorClass::cancelled);
    dispatch();  // it may have kept others from their turn
    show_queue();
    return;
  }
  const auto working = at_work.find(id);
  if (working == at_work.end()) return;
  // Cancelling costs a worker, so what is about half done is finished.
  const Ticket& ticket = *working->second;
  if ((loop.now() - ticket.started) * 2 >= usual[ticket.heavy ? 1 : 0]) return;
  std::string frame;
  imaging::encode(imaging::Cancel{id}, frame);
  send(std::move(frame), UniqueFd());
}

void ImagingService::Core::dispatch() {
  if (!session) return;
  for (std::size_t i = 0; i < waiting.size() && at_work.size() < hello.lanes;) {
    const Ticket& next = *waiting[i];
    if (next.heavy && heavy_at_work >= hello.heavy_lanes) {
      ++i;
      continue;
    }
    if (used_bytes + next.cost > options.budget_bytes) return;
    std::unique_ptr<Ticket> ticket = std::move(waiting[i]);
    waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(i));
    begin(std::move(ticket));
  }
}

void ImagingService::Core::begin(std::unique_ptr<Ticket> ticket) {
  const TimePoint now = loop.now();
  const auto left = std::chrono::duration_cast<milliseconds>(
      std::min<Duration>(ticket->deadline - now, options.deadline) - kBackstop);
  // What cannot be done in time any more would only take a lane from what can.
  const bool hopeless = ticket->arrived < now && left < usual[ticket->heavy ? 1 : 0] / 2;
  if (left < milliseconds(1) || hopeless) return answer(*ticket, ErrorClass::deadline);
  imaging::Job job;
  job.id = ticket->id;
  job.kind = ticket->job.kind;
  job.source = ticket->job.header.format;
  job.output = ticket->job.output;
  job.transform = ticket->job.transform;
  job.limits.max_pixels = options.max_pixels;
  job.limits.max_source_bytes = options.max_source_bytes;
  job.deadline_ms = static_cast<std::uint32_t>(left.count());
  job.source_bytes = ticket->job.source_bytes;
  job.fault = ticket->job.fault;
  std::string frame;
  imaging::encode(job, frame);
  send(std::move(frame), std::move(ticket->job.source));
  ticket->started = now;
  ticket->due = now + left;
  used_bytes += ticket->cost;
  heavy_at_work += ticket->heavy ? 1 : 0;
  at_work.emplace(ticket->id, std::move(ticket));
  at_work_now.set(static_cast<std::int64_t>(at_work.size()));
}

void ImagingService::Core::send(std::string frame, UniqueFd fd) {
  if (!session) return;
  session->outbox.push_back({std::move(frame), std::move(fd)});
  session->has_output.notify_all();
}

// False: the program talks nonsense.
bool ImagingService::Core::receive(imaging::Received received) {
  if (const auto* first = std::get_if<imaging::Hello>(&received.message)) {
    if (hello.lanes != 0) return false;
    hello = *first;
    log.info("imaging: {} lanes, {} of them for heavy pictures", hello.lanes, hello.heavy_lanes);
    dispatch();
    show_queue();
    return true;
  }
  auto* result = std::get_if<imaging::JobResult>(&received.message);
  return result != nullptr && finish(*result, std::move(received.fd));
}

bool ImagingService::Core::finish(imaging::JobResult result, UniqueFd picture) {
  const auto found = at_work.find(result.id);
  if (found == at_work.end()) return false;
  const std::unique_ptr<Ticket> ticket = std::move(found->second);
  at_work.erase(found);
  release(*ticket);
  if (result.error == ErrorClass::crashed) {
    note_crash(ticket->job.quarantine_key);
    log.warn("imaging: a worker died on a {} of {} bytes", imaging::to_string(ticket->job.header.format),
             ticket->job.source_bytes);
  }
  learn(*ticket, result.error);
  if (result.error == ErrorClass::none) {
    const bool wants_picture = ticket->job.kind == imaging::Job::Kind::transform;
    const bool good =
        !wants_picture || (picture && imaging::check_sealed(picture.get(), result.output_bytes));
    if (!good) result.error = ErrorClass::internal;
  }
  answer(*ticket, result, std::move(picture));
  dispatch();
  show_queue();
  return true;
}

void ImagingService::Core::release(const Ticket& ticket) {
  used_bytes -= ticket.cost;
  heavy_at_work -= ticket.heavy ? 1 : 0;
  at_work_now.set(static_cast<std::int64_t>(at_work.size()));
}

void ImagingService::Core::answer(Ticket& ticket, ErrorClass error) {
  imaging::JobResult result;
  result.id = ticket.id;
  result.output = ticket.job.output;
  result.error = error;
  answer(ticket, result, UniqueFd());
}

void ImagingService::Core::answer(Ticket& ticket, imaging::JobResult result, UniqueFd picture) {
  results[static_cast<std::size_t>(result.error)]->add(kNoWorker);
  durations.record(kNoWorker, loop.now() - ticket.arrived);
  ticket.caller->post(
      [reply = std::move(ticket.reply), answer = ImageJobResult{result, std::move(picture)}]() mutable {
        reply->result = std::move(answer);
        reply->done.notify_all();
      });
}

void ImagingService::Core::lose_session() {
  session->over = true;
  session->stream.close();
  session->has_output.notify_all();
  session.reset();
  hello = {};
  auto lost = std::move(at_work);
  at_work.clear();
  for (auto& [id, ticket] : lost) {
    release(*ticket);
    answer(*ticket, ErrorClass::crashed);
  }
}

// --- quarantine ---

bool ImagingService::Core::is_quarantined(std::uint64_t key) {
  const auto found = suspects.find(key);
  if (found == suspects.end()) return false;
  if (found->second.until <= loop.now()) {
    suspects.erase(found);
    return false;
  }
  return found->second.crashes >= kCrashesToQuarantine;
}

void ImagingService::Core::note_crash(std::uint64_t key) {
  if (suspects.size() >= kMaxSuspects) {
    std::erase_if(suspects, [now = loop.now()](const auto& entry) { return entry.second.until <= now; });
  }
  if (suspects.size() >= kMaxSuspects && !suspects.contains(key)) return;
  Suspect& suspect = suspects[key];
  ++suspect.crashes;
  suspect.until = loop.now() + kQuarantine;
  if (suspect.crashes == kCrashesToQuarantine) {
    log.warn("imaging: a picture killed {} workers; refused for {} s", suspect.crashes, kQuarantine.count());
  }
}

bool ImagingService::Core::stuck() const {
  const TimePoint now = loop.now();
  if (hello.lanes == 0) return session->spawned + kHelloWait <= now;
  return std::ranges::any_of(at_work,
                             [now](const auto& entry) { return entry.second->due + kOverdue <= now; });
}

}  // namespace vignette::proxy
