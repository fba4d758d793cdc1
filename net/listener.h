// Internal. A listening socket whose accept loop survives running out of descriptors.
#pragma once

#include <cstdint>

#include "core/fd.h"
#include "core/result.h"
#include "net/address.h"
#include "net/socket.h"

namespace ws::net {

// thread: one, after it is made.
class Listener {
 public:
  // Binds and listens (backlog 4096, cut to the system's by the kernel). TCP: fails when anybody,
  // also another wsd, listens there already, yet allows share() afterwards; "*" is one socket for
  // IPv6 and IPv4, or for IPv4 alone where the kernel has no IPv6. Unix: a stale socket file
  // (connect is refused) is replaced, a live one is "in use", any other file is left alone; the
  // file gets mode 0600 and is removed by remove_path().
  // errors: one line naming the address and the cure.
  static core::Result<Listener> open(const Address& address);

  // A listener of the same address for another thread: with TCP a socket of its own in the same
  // SO_REUSEPORT group, so that the kernel spreads connections; with a Unix socket the same socket
  // again. Under the same user id as open(): the kernel lets only one user into a group.
  core::Result<Listener> share() const;

  struct Accepted {
    enum class State : std::uint8_t {
      kOk,       // socket is set, non-blocking, TCP_NODELAY on
      kNone,     // no connection waits
      kRefused,  // out of descriptors: one waiting connection was closed through the spare
                 // descriptor; go on
      kBackOff,  // out of descriptors or memory, and nothing could be done: try again after
                 // kBackOffMs
    } state = State::kNone;
    Socket socket{};
    Address peer{};
  };
  static constexpr std::uint32_t kBackOffMs = 100;
  // Takes one connection. Connections that died while waiting (ECONNABORTED and the like) are
  // passed over.
  Accepted accept();

  int fd() const { return fd_.get(); }
  const Address& address() const { return address_; }  // with the real port
  void close() { fd_.reset(); }
  // Removes the file of a Unix socket if it is still ours. Before close(): the open socket keeps
  // the kernel from giving our inode number to a successor's file.
  void remove_path();

 private:
  Listener(core::Fd fd, const Address& address);
  Accepted refuse_one();

  core::Fd fd_;
  core::Fd spare_;  // given up for a moment to accept and close one connection (EMFILE)
  Address address_;
  std::uint64_t file_device_ = 0;  // which file is ours; Unix sockets only
  std::uint64_t file_inode_ = 0;
};

}  // namespace ws::net
