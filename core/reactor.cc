// The turn, in this order:
//
//   wait      epoll_wait for at most 256 events. It sleeps until one comes, a timerfd standing for
//             the next deadline, but not at all while the ready, dirty or retired list or the
//             mailbox has something. Only around a wait that may block does the mailbox count as
//             asleep, and only then do producers write its eventfd. The clock is read once, right
//             after the wait.
//   events    one dispatch per event, with all of its reasons together.
//   ready     kResume for each make_ready(): work that a budget cut short.
//   mailbox   tasks of other threads.
//   timers    kTimer for each node whose deadline has come. Not while waits leave events unseen,
//             for half a second at most: they may be what a deadline waits for, of many peers after
//             a stall.
//   flush     kFlush for each mark_dirty(): output that the steps above produced, sent once.
//   reap      kReap for each retire(): the only step in which owners close descriptors and free
//             slots, so an event later in the batch never meets a slot's next tenant.
//
// The ready step handles what was listed when the turn began, the last two what is listed when they
// begin. Everything else is handled in the next turn, which then does not sleep: nothing is lost,
// and no step can hold the turn by feeding itself. stop() takes effect at the end of a turn; what
// is in the lists then stays there.
#include "core/reactor.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "core/check.h"
#include "core/clock.h"

namespace ws::core {
namespace {

// 3 KiB of stack. What does not fit is first in the next turn: epoll hands out ready descriptors
// in rotation.
constexpr int kEventsPerTurn = 256;

// So long after the first of several waits that left events unseen the timers have their turn all
// the same. Time, not turns: what a turn takes is the handlers' business.
constexpr std::uint64_t kBlindMs = 500;

// The eventfd's place among the ids: generation 0 never belongs to anybody.
constexpr Id kWakeId{0, 0};
constexpr Id kAlarmId{1, 0};

std::uint32_t wake_reasons(std::uint32_t events) {
  std::uint32_t wake = 0;
  if (events & EPOLLIN) wake |= kReadable;
  if (events & EPOLLOUT) wake |= kWritable;
  // The peer's last bytes may still wait: the owner reads to end of file before it closes. And a
  // read stops short at urgent data (tcp(7)), though more is there.
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)) wake |= kHangup | kReadable;
  return wake;
}

bool watch(int epoll_fd, int fd, Id id, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = id.packed();
  if (::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0) return true;
  // EPERM: a program's own descriptor that epoll cannot watch, such as a file's. Everything else is
  // a bug: a closed descriptor, or one added twice.
  WS_CHECK(errno == ENOMEM || errno == ENOSPC || errno == EPERM);
  return false;
}

}  // namespace

Reactor::Reactor(void* owner, Dispatch dispatch)
    : owner_(owner),
      dispatch_(dispatch),
      epoll_fd_(fd_or_throw(::epoll_create1(EPOLL_CLOEXEC))),
      alarm_fd_(fd_or_throw(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC))),
      now_ms_(monotonic_ms()),
      timers_(now_ms_) {
  if (!watch(epoll_fd_.get(), mailbox_.wake_fd(), kWakeId, EPOLLIN) ||
      !watch(epoll_fd_.get(), alarm_fd_.get(), kAlarmId, EPOLLIN | EPOLLET)) {
    throw std::system_error(errno, std::generic_category());
  }
}

bool Reactor::add(int fd, Id id) {
  WS_CHECK(id.generation != kWakeId.generation);
  return watch(epoll_fd_.get(), fd, id, EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

bool Reactor::add_shared(int fd, Id id) {
  WS_CHECK(id.generation != kWakeId.generation);
  return watch(epoll_fd_.get(), fd, id, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE);
}

void Reactor::run() {
  WS_CHECK(thread_.load() == std::thread::id());  // one thread at a time, and not from a turn
  thread_.store(std::this_thread::get_id());
  now_ms_ = monotonic_ms();  // the first wait is reckoned from here, not from construction
  while (!stopping_) run_turn();
  stopping_ = false;
  thread_.store(std::thread::id());
}

void Reactor::stop() {
  post([this] { stopping_ = true; });
}

void Reactor::run_turn() {
  ++turn_;
  epoll_event events[kEventsPerTurn];
  const int timeout_ms = sleep_ms();
  const int count = ::epoll_wait(epoll_fd_.get(), events, kEventsPerTurn, timeout_ms);
  WS_CHECK(count >= 0 || errno == EINTR);  // a signal makes it a turn without events
  if (timeout_ms != 0) mailbox_.finish_sleep();
  now_ms_ = monotonic_ms();
  if (count < kEventsPerTurn) {
    timers_from_ms_ = 0;
  } else if (timers_from_ms_ == 0) {
    timers_from_ms_ = now_ms_ + kBlindMs;
  }
  running_.swap(ready_);

  for (int i = 0; i < count; ++i) {
    const Id id = Id::unpack(events[i].data.u64);
    if (id == kWakeId) {
      mailbox_.acknowledge_wake();
    } else if (id == kAlarmId) {
      alarm_ms_ = TimerWheel::kNever;  // rung; setting it anew empties it
    } else {
      dispatch_(owner_, id, wake_reasons(events[i].events));
    }
  }
  work();
}

void Reactor::turn_at(std::uint64_t now_ms) {
  ++turn_;
  now_ms_ = now_ms;
  running_.swap(ready_);
  work();
}

bool Reactor::has_work() {
  return !ready_.empty() || !dirty_.empty() || !retired_.empty() || !mailbox_.empty() ||
         timers_.next_wake_ms() <= now_ms_;
}

// The steps behind the events.
void Reactor::work() {
  dispatch_running(kResume);
  mailbox_.run_all();
  if (now_ms_ >= timers_from_ms_) {
    timers_.advance(now_ms_, [this](TimerNode& node) { dispatch_(owner_, node.owner, kTimer); });
  }
  running_.swap(dirty_);
  dispatch_running(kFlush);
  running_.swap(retired_);
  dispatch_running(kReap);
}

// The wait's timeout: none, or for ever, since what ends it in time is the alarm. A timeout for
// each wait would have the kernel set up and tear down a timer every time it sleeps.
int Reactor::sleep_ms() {
  if (!ready_.empty() || !dirty_.empty() || !retired_.empty()) return 0;
  const std::uint64_t wake_ms = timers_.next_wake_ms();
  if (wake_ms <= now_ms_) return 0;
  if (wake_ms < alarm_ms_) set_alarm(wake_ms);
  return mailbox_.prepare_sleep() ? -1 : 0;
}

// Deadlines move back far more often than forward, so most turns leave the alarm alone: ringing
// early does no harm.
void Reactor::set_alarm(std::uint64_t at_ms) {
  itimerspec alarm{};
  alarm.it_value.tv_sec = static_cast<time_t>(at_ms / 1000);
  alarm.it_value.tv_nsec = static_cast<long>(at_ms % 1000) * 1'000'000;
  WS_CHECK(::timerfd_settime(alarm_fd_.get(), TFD_TIMER_ABSTIME, &alarm, nullptr) == 0);
  alarm_ms_ = at_ms;
}

void Reactor::dispatch_running(std::uint32_t wake) {
  for (const Id id : running_) dispatch_(owner_, id, wake);
  running_.clear();
}

}  // namespace ws::core
