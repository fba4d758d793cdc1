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
  // kRefused: to be told 503, like the first few above any limit; they take no place from who comes
  // after them. kNone: nothing is remembered of it, and it is to be closed.
  enum class Place : std::uint8_t { kAdmitted, kRefused, kNone };
  static constexpr std::uint32_t kRefusedMax = 4;  // of one address at a time

  // Finds a place for one more of `key`, until it is removed.
  Place add(core::Id connection, const std::string& key, std::uint32_t max) {
    const std::lock_guard lock(mutex_);
    const auto counts = counts_.try_emplace(key).first;
    const bool admitted = counts->second.admitted < max;
    std::uint32_t& count = admitted ? counts->second.admitted : counts->second.refused;
    if (!admitted && count == kRefusedMax) return Place::kNone;
    ++count;
    entries_[connection.packed()] = {counts, admitted};
    return admitted ? Place::kAdmitted : Place::kRefused;
  }

  // Nothing happens when it has no place.
  void remove(core::Id connection) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(connection.packed());
    if (found == entries_.end()) return;
    const auto [counts, admitted] = found->second;
    entries_.erase(found);
    auto& [admitted_count, refused_count] = counts->second;
    --(admitted ? admitted_count : refused_count);
    if (admitted_count + refused_count == 0) counts_.erase(counts);
  }

 private:
  struct Counts {
    std::uint32_t admitted = 0;
    std::uint32_t refused = 0;
  };
  struct Entry {
    std::map<std::string, Counts>::iterator counts;
    bool admitted;
  };

  std::mutex mutex_;
  std::map<std::string, Counts> counts_;
  std::unordered_map<std::uint64_t, Entry> entries_;
};

}  // namespace ws
