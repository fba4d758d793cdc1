// Public. Every maximum that a program can set: no queue, buffer, header block or message of a peer
// is without one.
#pragma once

#include <cstdint>

namespace ws {

// The most that message_bytes and queue_max_bytes may be, and that a message to be sent may have,
// counted with the headers of all its frames but one.
inline constexpr std::uint64_t kMessageBytesMost = 1024 * 1024 * 1024;

// Sizes in bytes, times in milliseconds, rates per second. Lengths a peer announces are compared
// with these as 64-bit numbers before any arithmetic, cast or allocation. listen() and connect()
// refuse 0 where nobody would be served with it, and say so.
struct Limits {
  // The opening handshake.
  std::uint32_t request_head_bytes = 8 * 1024;
  std::uint32_t request_target_bytes = 8 * 1024;
  std::uint32_t request_headers = 100;            // of an answer to a client as well
  std::uint32_t response_head_bytes = 16 * 1024;  // of it
  std::uint32_t handshake_ms = 10'000;            // absolute, from accept or connect, TLS included

  // Messages.
  std::uint64_t message_bytes = 16 * 1024 * 1024;  // at most 1 GiB
  // Empty ones counted. They are gathered in one buffer, so each costs its bytes and no object; the
  // Autobahn suite sends 65,536 (4 MiB in pieces of 64 bytes).
  std::uint32_t message_fragments = 131'072;
  std::uint32_t assembly_ms = 30'000;              // longer only while bytes flow at the rate below
  std::uint32_t assembly_bytes_per_s = 16 * 1024;  // 0: a message may take for ever

  // Output a peer does not take. At the high mark, which is no more than the maximum, a server
  // stops reading from it.
  std::uint32_t queue_high_bytes = 256 * 1024;
  // Plus one message: beyond it, close 1013. At most 1 GiB.
  std::uint32_t queue_max_bytes = 16 * 1024 * 1024;

  // Topics.
  std::uint32_t subscriptions = 1'024;                   // of one connection
  std::uint32_t publish_queue_bytes = 64 * 1024 * 1024;  // that wait for another thread

  // Silence and closing.
  std::uint32_t ping_after_ms = 30'000;  // 0: a ping every pong_wait_ms; UINT32_MAX: no keep-alive
  std::uint32_t pong_wait_ms = 20'000;   // for any byte after the ping; 0: next to no time
  // Both again and again while the peer takes what it is owed at assembly_bytes_per_s.
  std::uint32_t close_ms = 5'000;        // for the peer's Close, or to take any output; 0: no wait
  std::uint32_t linger_ms = 2'000;       // for the peer's FIN after ours; 0: it may see a reset
  std::uint32_t drain_ms = 10'000;       // for everybody, at shutdown; 0: nobody is waited for

  // Sharing one thread fairly, per turn of its loop.
  std::uint32_t accepts_per_turn = 64;
  std::uint32_t tls_handshakes_per_turn = 8;
  std::uint32_t link_bytes_per_turn = 256 * 1024;
  std::uint32_t link_messages_per_turn = 1'024;

  // Connections, over all threads.
  // Of a server, which accepts no more; those of its Clients count, but are not refused. listen()
  // lowers it, and logs that, to RLIMIT_NOFILE less 64, and per thread 3 and 2 for each listener.
  std::uint32_t connections = 10'000;
  std::uint32_t connections_per_ip = 0;  // 0: no limit
};

}  // namespace ws
