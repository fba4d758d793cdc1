// Internal. Many producers, one reactor: how other threads reach a loop.
#pragma once

#include <atomic>
#include <mutex>
#include <vector>

#include "core/fd.h"
#include "core/task.h"

namespace ws::core {

// Tasks run on the reactor's thread in the order they were posted. A producer writes the eventfd
// only when the reactor sleeps, so a busy loop costs its producers no system call.
class Mailbox {
 public:
  Mailbox();  // errors: std::system_error when no descriptor is left for the eventfd
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // thread: any. Each task is destroyed right after it ran. Tasks posted after the reactor's last
  // turn are destroyed unrun in close() or with the mailbox, in the order they were posted.
  // false: it is closed, and the task was destroyed.
  bool post(Task task);

  // thread: reactor only, all below.
  int wake_fd() const { return wake_fd_.get(); }
  // Call before blocking. false: there is mail, do not block.
  bool prepare_sleep();
  void finish_sleep() { asleep_.store(false, std::memory_order_relaxed); }
  bool empty() const { return !has_mail_.load(); }
  // Empties the eventfd after it woke the reactor.
  void acknowledge_wake();
  // Runs what was posted before the call; what those tasks post waits for the next turn, so that a
  // task posting itself again cannot hold the turn.
  void run_all();
  // After the last turn: nothing is taken in any more, and what has not run is destroyed.
  void close();

 private:
  std::mutex mutex_;
  std::vector<Task> inbox_;            // guarded by mutex_
  bool closed_ = false;                // guarded by mutex_
  std::vector<Task> running_;          // reactor only; kept for its capacity
  std::atomic<bool> has_mail_{false};  // inbox_ is not empty; read without the mutex
  std::atomic<bool> asleep_{false};
  Fd wake_fd_;
};

}  // namespace ws::core
