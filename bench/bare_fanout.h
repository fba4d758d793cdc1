// Internal. The yardstick of fan-out: an epoll loop that does nothing but send() to all.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace ws::bench {

struct BareServer {
  pid_t pid;
  std::uint16_t port;
};

// In a process of its own, which ends with this one. Whoever asks for /subscribe gets `frame` for
// each `received_bytes` that come from one who asks for /publish. It knows nothing of WebSocket but
// one key's answer, and drops whom a send() does not take whole.
BareServer start_bare_server(std::size_t received_bytes, const std::string& frame);

}  // namespace ws::bench
