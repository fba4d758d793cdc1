// Public. Counters of a server or client.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ws/conn.h"

namespace ws {

// Since the start, over all threads; each number is exact, but they are not read at one instant.
struct Stats {
  std::uint64_t connections = 0;  // sockets now, whatever their state; without those being refused
  std::uint64_t accepted = 0;     // sockets; on a client's side, connections it tried to make
  std::uint64_t opened = 0;       // on_open
  std::array<std::uint64_t, kCloseCauses> closed{};  // on_close, by CloseCause
  std::uint64_t messages_received = 0;
  std::uint64_t messages_sent = 0;   // topics included; those a peer never took too
  std::uint64_t bytes_received = 0;  // plain bytes: what TLS adds is not counted
  std::uint64_t bytes_sent = 0;

  std::uint64_t closed_by(CloseCause cause) const {
    return closed[static_cast<std::size_t>(cause)];
  }
};

}  // namespace ws
