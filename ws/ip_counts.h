// Internal. Connections per client address, over all threads of a server.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>

#include "core/id.h"

namespace ws {

// thread: any. Used at accept and at the end of a connection, and only when there is a limit: the
// connection itself has no place for what most servers do not count.
class IpCounts {
 public:
  // Counts one more of `key`, until it is removed. returns: whether that is one above `max`.
  bool add(core::Id connection, const std::string& key, std::uint32_t max) {
    const std::lock_guard lock(mutex_);
    const auto entry = counts_.try_emplace(key, 0).first;
    entries_[connection.packed()] = entry;
    return ++entry->second > max;
  }

  // Nothing happens when it is not there.
  void remove(core::Id connection) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(connection.packed());
    if (found == entries_.end()) return;
    const auto entry = found->second;
    entries_.erase(found);
    if (--entry->second == 0) counts_.erase(entry);
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::uint32_t> counts_;
  std::unordered_map<std::uint64_t, std::map<std::string, std::uint32_t>::iterator> entries_;
};

}  // namespace ws
