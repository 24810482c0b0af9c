// Worker: one event loop, one thread. Everything in it is queued and resumed by drain(), at the end of
// each callback of the loop: events, timers, cancel, notify, spawn and post only ever queue.
// A strand that has done 32 operations without suspending goes on in the next turn of the loop.
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "net/mailbox.h"
#include "net/strand.h"
#include "net/task.h"
#include "net/timer_wheel.h"

struct event;
struct event_base;

namespace vignette::net {

struct WorkerOptions {
  int index = 0;
  std::string name = "worker";
  const Clock* clock = nullptr;                   // null: the system's; otherwise it must outlive the worker
  Duration stop_grace = std::chrono::seconds(5);  // how long stop() waits for cancelled strands
  // Called in the loop when an exception ended a strand, with its name and what(). Null: only counted.
  std::function<void(const char* strand, const char* what)> on_failure = {};
};

// Thread-safe to read at any time.
struct WorkerCounters {
  std::atomic<std::uint64_t> turns{0};  // of the loop
  std::atomic<std::uint64_t> resumes{0};
  std::atomic<std::uint64_t> spawned{0};
  std::atomic<std::uint64_t> finished{0};
  std::atomic<std::uint64_t> failed{0};     // strands ended by an exception
  std::atomic<std::uint64_t> abandoned{0};  // strands still suspended when the grace time was over
  std::atomic<std::uint64_t> letters{0};    // posted functions run
  std::atomic<std::uint64_t> streams{0};    // open now
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> accept_exhausted{0};  // EMFILE and its kin
  std::atomic<std::uint64_t> unwatched{0};         // connections closed at once: the kernel refused the event
};

struct StrandInfo {
  std::uint64_t id = 0;
  const char* name = "";
  const char* waits_on = "";  // "running" when it waits for nothing
  bool cancelled = false;
  Duration age{};
  std::vector<std::string> stack;  // innermost first: "function (file:line)"
};

namespace detail {
template <class... Params>
struct SpawnTarget {
  using Function = Task<void> (*)(Params...);
};
// A reference parameter would refer to an argument of spawn(), which is gone when the strand starts.
template <class Param, class Argument>
inline constexpr bool kSafeDirect =
    !std::is_reference_v<Param> ||
    (std::is_lvalue_reference_v<Param> &&
     std::same_as<std::decay_t<Argument>, std::reference_wrapper<std::remove_reference_t<Param>>>);
// Keeps decayed copies of the arguments alive for a function that takes references.
template <class Function, class... Arguments>
Task<void> keep_arguments(Function function, Arguments... arguments) {
  co_await function(std::move(arguments)...);
}
}  // namespace detail

class Worker final : public Executor {
 public:
  explicit Worker(WorkerOptions options = {});
  ~Worker() override;  // not while run() is on; strands that never ran are destroyed
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  int index() const { return options_.index; }
  const std::string& name() const { return options_.name; }

  // Runs the loop on the calling thread until stop() has taken effect; at the end every strand is gone
  // and the mailbox is closed. Once in a worker's life.
  void run();
  // Thread-safe. Cancels all strands (also those spawned from then on), drains until none is left or the
  // grace time is over, destroys the rest, and makes run() return.
  void stop();
  bool stopping() const { return stopping_; }  // loop-thread only

  // Thread-safe; see Executor.
  void post(std::move_only_function<void()> task) override { mailbox_->post(std::move(task)); }
  // The same door for those who may outlive the worker. Thread-safe.
  const std::shared_ptr<Mailbox>& mailbox() const { return mailbox_; }

  // Starts `function(arguments…)` as a strand of its own, at the next drain. Loop-thread only, or before
  // run(). `function` is a function or a captureless lambda returning Task<void>; everything is decay-copied.
  // Pass std::ref for an object that surely outlives the strand.
  template <class Function, class... Arguments>
  StrandRef spawn(Function&& function, Arguments&&... arguments) {
    return spawn_named("strand", std::forward<Function>(function), std::forward<Arguments>(arguments)...);
  }
  // `name` must be a literal.
  template <class Function, class... Arguments>
  StrandRef spawn_named(const char* name, Function&& function, Arguments&&... arguments) {
    return spawn_pointer(name, +function, std::forward<Arguments>(arguments)...);
  }

  // Loop-thread only: the time at the start of this turn of the loop.
  TimePoint now() const { return now_; }
  WallTime wall() const { return wall_; }
  const Clock& clock() const { return *clock_; }

  // Thread-safe: how long the callbacks of one turn take, which is how late everything else is:
  // a moving average (1/16), and the worst since the last call of take_worst_lag().
  Duration loop_lag() const { return Duration(lag_.load(std::memory_order_relaxed)); }
  Duration take_worst_lag() { return Duration(worst_lag_.exchange(0, std::memory_order_relaxed)); }

  WorkerCounters& counters() { return counters_; }
  const WorkerCounters& counters() const { return counters_; }
  std::size_t strands() const { return live_; }  // loop-thread only
  std::vector<StrandInfo> dump_strands() const;  // loop-thread only
  Strand* running() const { return running_; }   // the strand being resumed, if any

  // Calls `handler` in the loop whenever the process gets the signal. Loop-thread only, or before run();
  // for one worker in the process.
  void on_unix_signal(int number, std::move_only_function<void()> handler);

  // --- for the files of this folder ---
  event_base* base() const { return base_; }
  // First thing in each libevent callback.
  void enter() {
    if (!turn_begun_) begin_turn();
  }
  // Last thing in each libevent callback. The only place that resumes.
  void drain();
  void make_ready(Strand& strand);
  void make_ready_next_turn(Strand& strand);
  void arm(Strand& strand, TimePoint deadline);

 private:
  friend class Strand;
  struct UnixSignal;

  template <class... Params, class... Arguments>
  StrandRef spawn_pointer(const char* name, Task<void> (*function)(Params...), Arguments&&... arguments) {
    static_assert(sizeof...(Params) == sizeof...(Arguments), "a spawned function gets all its arguments");
#ifdef VIGNETTE_MUTATION_REFERENCE_SPAWN
    constexpr bool kDirect = true;
#else
    constexpr bool kDirect = (detail::kSafeDirect<Params, Arguments> && ...);
#endif
    if constexpr (kDirect) {
      return adopt(name, function(std::forward<Arguments>(arguments)...));
    } else {
      return adopt(name, detail::keep_arguments<Task<void> (*)(Params...), std::decay_t<Arguments>...>(
                             function, std::forward<Arguments>(arguments)...));
    }
  }
  StrandRef adopt(const char* name, Task<void> root);
  void begin_turn();
  void end_turn();
  void expire_timers();
  void arm_wheel();
  void finish(Strand& strand);
  void cancel_all();
  void abandon_all();
  void read_mailbox();
  void next_turn();
  void ask_next_turn();
  void wheel_turned();
  void queue(Strand& strand);
  void report(Strand& strand);

  WorkerOptions options_;
  SystemClock system_clock_;
  const Clock* clock_;
  event_base* base_ = nullptr;
  event* mail_event_ = nullptr;
  event* wheel_event_ = nullptr;
  event* turn_event_ = nullptr;
  std::shared_ptr<Mailbox> mailbox_;
  std::vector<Mailbox::Letter> letters_;
  TimerWheel wheel_;
  TimePoint wheel_armed_ = kNoDeadline;

  std::deque<Strand> slab_;
  Strand* free_ = nullptr;
  Strand* strands_ = nullptr;
  std::size_t live_ = 0;
  std::uint64_t generations_ = 0;
  Strand* ready_head_ = nullptr;
  Strand** ready_tail_ = &ready_head_;
  Strand* later_head_ = nullptr;
  Strand** later_tail_ = &later_head_;
  Strand* running_ = nullptr;

  TimePoint now_;
  WallTime wall_;
  TimePoint wall_read_;
  TimePoint grace_end_ = kNoDeadline;
  bool turn_begun_ = false;
  bool stopping_ = false;
  std::atomic<bool> stop_asked_{false};
  std::atomic<std::int64_t> lag_{0};
  std::atomic<std::int64_t> worst_lag_{0};
  WorkerCounters counters_;
  std::vector<std::unique_ptr<UnixSignal>> unix_signals_;
};

namespace detail {
// Answers from the frame's own strand; never suspends.
class ThisStrand final : public Op {
 public:
  bool await_ready() const { return true; }
  Strand& await_resume() const { return *strand_; }
  const char* waits_on() const override { return ""; }
  void fail(Code) override {}
};
class ThisWorker final : public Op {
 public:
  bool await_ready() const { return true; }
  Worker& await_resume() const { return worker(); }
  const char* waits_on() const override { return ""; }
  void fail(Code) override {}
};
class Sleep final : public Op {
 public:
  explicit Sleep(TimePoint until) : Op(until) {}
  explicit Sleep(Duration span) : span_(span), relative_(true) {}
  bool await_ready();
  Result<void> await_resume() const;
  const char* waits_on() const override { return "sleep"; }
  void fail(Code code) override;
  void expire() override;

 private:
  Duration span_{};
  bool relative_ = false;
  bool cancelled_ = false;
};
class Yield final : public Op {
 public:
  bool await_ready();
  Result<void> await_resume() const;
  const char* waits_on() const override { return "yield"; }
  void fail(Code) override {}
};
}  // namespace detail

// `Worker& w = co_await this_worker();`  `Strand& s = co_await this_strand();`
inline detail::ThisWorker this_worker() { return {}; }
inline detail::ThisStrand this_strand() { return {}; }

// Result<void>: ok when the time has come (up to a tick of 10 ms late, never early), or Code::cancelled.
inline detail::Sleep sleep_until(TimePoint time) { return detail::Sleep(time); }
inline detail::Sleep sleep_for(Duration span) { return detail::Sleep(span); }
// Lets everything else that is ready run: the strand goes on in the next turn of the loop. Result<void>.
inline detail::Yield yield() { return {}; }

}  // namespace vignette::net
