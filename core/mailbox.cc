#include "core/mailbox.h"

#include <errno.h>
#include <sys/eventfd.h>

#include <cstdint>
#include <utility>

#include "core/check.h"

namespace ws::core {

// No wake-up is lost: the producer stores has_mail_ and then reads asleep_, the reactor stores
// asleep_ and then reads has_mail_. All four are sequentially consistent, so at least one of the
// two sees the other's store: the producer writes the eventfd, or the reactor does not block.

Mailbox::Mailbox() : wake_fd_(fd_or_throw(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC))) {}

Mailbox::~Mailbox() {
  close();
}

void Mailbox::close() {
  std::vector<Task> unrun;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    unrun.swap(inbox_);
    has_mail_.store(false);
  }
  // Unlocked: the destructor of what a task owns may post again, and is refused.
  for (Task& task : unrun) task = Task();
}

bool Mailbox::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return false;  // and the task goes with this call's end, unlocked
    inbox_.push_back(std::move(task));
    has_mail_.store(true);
  }
  // Of the producers that find the reactor asleep, one wakes it.
  if (!asleep_.load() || !asleep_.exchange(false)) return true;
  const std::uint64_t one = 1;
  // EAGAIN would mean a full counter, and a full counter is awake; nothing else can fail.
  while (::write(wake_fd_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
  return true;
}

bool Mailbox::prepare_sleep() {
  asleep_.store(true);
  if (!has_mail_.load()) return true;
  finish_sleep();
  return false;
}

void Mailbox::acknowledge_wake() {
  std::uint64_t count;
  while (::read(wake_fd_.get(), &count, sizeof count) < 0 && errno == EINTR) {
  }
}

void Mailbox::run_all() {
  if (!has_mail_.load(std::memory_order_relaxed)) return;
  WS_CHECK(running_.empty());
  {
    const std::lock_guard lock(mutex_);
    running_.swap(inbox_);
    has_mail_.store(false);
  }
  for (Task& slot : running_) {
    Task task = std::move(slot);
    task();
  }
  running_.clear();
}

}  // namespace ws::core
