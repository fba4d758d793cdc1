// Internal. The edge-triggered event loop: one per thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "core/fd.h"
#include "core/id.h"
#include "core/mailbox.h"
#include "core/timer_wheel.h"

namespace ws::core {

// Why an id is being looked at; several reasons can come together.
enum Wake : std::uint32_t {
  kReadable = 1,  // bytes, a connection to accept, or end of file
  kWritable = 2,  // the socket takes bytes again
  kHangup = 4,    // the peer stopped sending (RDHUP, HUP or ERR): read to end of file, then close.
                  // Or sent urgent data (PRI). Either way a short read has not read everything
  kResume = 8,    // it asked for another turn with make_ready()
  kTimer = 16,    // its TimerNode fired
  kFlush = 32,    // end of turn after mark_dirty()
  kReap = 64,     // end of turn after retire(): close the descriptor, free the slot
};

// Runs turns (described in reactor.cc) and tells one owner about each id through one function. It
// knows descriptors, ids and time; what an id stands for is the owner's business: a stale one is
// ignored there. thread: all but post() and stop() belong to the thread that calls run().
class Reactor {
 public:
  using Dispatch = void (*)(void* owner, Id id, std::uint32_t wake);

  // errors: std::system_error when the process has no descriptors, or the kernel no watches, left.
  Reactor(void* owner, Dispatch dispatch);
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  // The one epoll_ctl of a descriptor's life (IN|PRI|OUT|RDHUP|ET); closing the descriptor removes
  // it. false: errno says why: EPERM for what epoll cannot watch, such as a file; else the kernel
  // has no memory or watch left.
  [[nodiscard]] bool add(int fd, Id id);
  // A listening descriptor that other reactors watch too: one waiter is woken per connection
  // (IN|ET|EXCLUSIVE).
  [[nodiscard]] bool add_shared(int fd, Id id);

  // make_ready: another look (kResume) in the next turn, for work a budget cut short, of which no
  // edge will remind us. mark_dirty and retire: kFlush and kReap at the end of this turn; asked for
  // in that step or later, at the end of the next. While any list has ids the reactor does not
  // sleep. Callers keep an id in each list at most once.
  void make_ready(Id id) { ready_.push_back(id); }
  void mark_dirty(Id id) { dirty_.push_back(id); }
  void retire(Id id) { retired_.push_back(id); }

  TimerWheel& timers() { return timers_; }
  // Time at the start of this turn; before run(), of construction.
  std::uint64_t now_ms() const { return now_ms_; }
  // Counts turns; tells "already counted in this turn" for per-turn budgets.
  std::uint64_t turn() const { return turn_; }

  // thread: any. false: after close_mailbox(), and the task was destroyed unrun.
  bool post(Task task) { return mailbox_.post(std::move(task)); }
  void run();  // until stop()
  // When run() will not be called again: nobody is to wait for a task that came too late.
  void close_mailbox() { mailbox_.close(); }
  // One turn at a time that the caller chooses, without waiting and without looking at descriptors.
  // Instead of run(), for programs without sockets.
  void turn_at(std::uint64_t now_ms);
  // Whether such a turn would have something to do.
  bool has_work();
  void stop();  // thread: any
  bool in_thread() const {
    return thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }

 private:
  void run_turn();
  void work();
  int sleep_ms();
  void set_alarm(std::uint64_t at_ms);
  void dispatch_running(std::uint32_t wake);

  void* owner_;
  Dispatch dispatch_;
  Fd epoll_fd_;
  Fd alarm_fd_;                                  // a timerfd
  std::uint64_t alarm_ms_ = TimerWheel::kNever;  // what it is set to
  std::uint64_t now_ms_;
  TimerWheel timers_;
  std::uint64_t turn_ = 0;
  std::uint64_t timers_from_ms_ = 0;  // not before then, as events are unseen; 0: none are
  std::vector<Id> ready_, dirty_, retired_;
  std::vector<Id> running_;  // the list being walked, swapped with one of the above
  std::atomic<std::thread::id> thread_;
  bool stopping_ = false;
  Mailbox mailbox_;  // last, so destroyed first: what unrun tasks own may still use the rest
};

}  // namespace ws::core
