// Internal. Connections per client address, over all threads of a server.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace ws {

// thread: any. Used at accept and at the end of a connection, and only when there is a limit.
class IpCounts {
 public:
  using Entry = std::pair<const std::string, std::uint32_t>;

  // Counts one more connection of `key`. valid: until its remove().
  Entry* add(const std::string& key, std::uint32_t max, bool& over_limit) {
    const std::lock_guard lock(mutex_);
    Entry& entry = *counts_.try_emplace(key, 0).first;
    over_limit = ++entry.second > max;
    return &entry;
  }

  void remove(Entry* entry) {
    const std::lock_guard lock(mutex_);
    if (--entry->second == 0) counts_.erase(entry->first);
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::uint32_t> counts_;
};

}  // namespace ws
