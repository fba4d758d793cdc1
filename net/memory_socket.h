// Internal. Connected sockets that are memory: for programs that run both ends of a connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <sys/uio.h>

#include "core/buffer.h"
#include "core/id.h"

namespace ws::net {

struct Transfer;

// They behave as sockets do: a write beyond what the pipe holds blocks, a FIN comes behind the last
// byte, a reset overtakes everything, and what would be an edge of epoll is told by take_edge().
// An end is named by a number, 0 is none; its Socket owns it. thread: each thread has its own.
class MemorySockets {
 public:
  using Handle = std::uint32_t;

  // Two ends of a connection, each direction of which holds so many bytes.
  static std::pair<Handle, Handle> connect(std::size_t pipe_bytes);

  // As Socket's.
  static Transfer read(Handle handle, core::Bytes first, core::Bytes second);
  static Transfer write(Handle handle, std::span<const iovec> parts);
  static void shut_down_write(Handle handle);
  static void abort_on_close(Handle handle);
  static void close(Handle handle);

  // Edges of this end come to `owner`, under that id, from here on; the first one, for writing, is
  // due.
  static void watch(Handle handle, const void* owner, core::Id id);
  struct Edge {
    core::Id id;
    std::uint32_t wake;  // core::Wake bits; 0: there is no edge
  };
  static Edge take_edge(const void* owner);
};

}  // namespace ws::net
