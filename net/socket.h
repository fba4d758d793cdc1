// Internal. A connected, or connecting, non-blocking socket.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "core/buffer.h"
#include "core/fd.h"
#include "core/result.h"
#include "net/address.h"
#include "net/memory_socket.h"

namespace ws::net {

// What a read or a write came to.
struct Transfer {
  std::size_t bytes = 0;
  enum class State : std::uint8_t {
    kOk,       // bytes moved; there may be more. A read may have filled less than it was given.
    kBlocked,  // EAGAIN (bytes may still be > 0 for a write that took a part): wait for the edge
    kEnd,      // read only: the peer's FIN
    kFailed,   // reset or another error: the connection is gone. After a failed write there may
               // still be something to read: what the peer sent before it went.
  } state = State::kOk;
};

// A descriptor, or an end of a connection in memory (memory_socket.h). thread: one.
class Socket {
 public:
  static constexpr std::size_t kPartsMax = 1024;  // IOV_MAX: sendmsg(2) takes no more

  Socket() = default;
  explicit Socket(core::Fd fd) : fd_(std::move(fd)) {}
  explicit Socket(MemorySockets::Handle memory) : memory_(memory) {}
  Socket(Socket&& other) noexcept
      : fd_(std::move(other.fd_)), memory_(std::exchange(other.memory_, 0)) {}
  Socket& operator=(Socket&& other) noexcept;
  ~Socket() { close(); }

  // Begins a connection; TCP_NODELAY is on where there is TCP. It is made or has failed when the
  // socket becomes writable or hangs up: then ask connect_error().
  // errors: connect_failure() of an attempt that failed at once.
  static core::Result<Socket> start_connect(const Address& address);
  // The errno of an attempt that failed, 0 of one that succeeded. The kernel tells it once.
  int connect_error() const;

  int fd() const { return fd_.get(); }
  MemorySockets::Handle memory() const { return memory_; }  // 0: it is a descriptor
  // One recv(2). EINTR is retried. in: at least one byte of room.
  Transfer read(core::Bytes into);
  // One recvmsg(2) that fills `first`, then `second`. in: at least one byte of room in all.
  Transfer read(core::Bytes first, core::Bytes second);
  // One sendmsg(2) with MSG_NOSIGNAL (send(2) for a single part). A short write is kBlocked.
  // in: 1 to kPartsMax parts.  push: kWithFin when shut_down_write() follows at once, so that the
  // last bytes and the FIN are one packet and wake the peer once.
  enum class Push : std::uint8_t { kNow, kWithFin };
  Transfer write(std::span<const iovec> parts, Push push = Push::kNow);
  void shut_down_write();  // FIN
  // Bytes written that the peer's kernel has not taken yet; over a Unix socket, memory of ours that
  // the peer has not. cost: a system call.
  std::size_t in_flight() const;
  // Before close(): bytes in flight have a minute from here on, as nobody watches them any more.
  void limit_last_bytes();
  // Makes close() send RST at once and forget unsent bytes.
  void abort_on_close();
  Address peer() const;  // empty when the peer is already gone
  void close();

 private:
  core::Fd fd_;
  MemorySockets::Handle memory_ = 0;
};

// One line naming the address and the cure. in: the errno of an attempt to connect.
core::Error connect_failure(const Address& address, int why);

}  // namespace ws::net
