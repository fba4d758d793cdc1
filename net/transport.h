// Internal. A socket with or without TLS: plain bytes in, plain bytes out.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "core/buffer.h"
#include "core/buffer_pool.h"
#include "net/socket.h"
#include "tls/session.h"

namespace ws::net {

// Memory that all transports of one thread take turns to use, so that an idle one holds none.
struct Scratch {
  // Of one recv. More would be copied more: what comes of a large message with its header goes
  // from here to the memory the rest is received in.
  static constexpr std::size_t kReceiveBytes = 64 * 1024;
  // What is received, and one record of 16 KiB that waited in the session for its last byte.
  static constexpr std::size_t kPlainBytes = kReceiveBytes + 16 * 1024;

  // What is in them holds until the next read of this thread. errors: std::bad_alloc, at the first.
  core::Bytes receive() { return receive_.prepare(kReceiveBytes).first(kReceiveBytes); }
  core::Bytes plain() { return plain_.prepare(kPlainBytes).first(kPlainBytes); }

  core::BufferPool pool;

 private:
  core::Buffer receive_;
  core::Buffer plain_;
};

// TLS is one branch per read and per write, none per byte or message. thread: one.
class Transport {
 public:
  Transport(Socket socket, std::unique_ptr<tls::Session> session)
      : socket_(std::move(socket)), session_(std::move(session)) {}

  enum class State : std::uint8_t {
    kOk,
    kDrained,  // a short read: nothing more until the next edge, unless it is the peer's FIN
    kBlocked,  // EAGAIN: nothing more until the next edge
    kEnd,      // the peer's FIN or close_notify: nothing more ever
    kFailed,   // reset, or a TLS failure (tls_failure() says which)
  };

  struct Input {
    std::size_t direct = 0;  // bytes placed in the caller's own memory
    core::Bytes
        bytes;  // what came after them: in scratch, valid until the next read on this thread
    State state = State::kOk;
  };
  // One recv. direct: filled first; may be empty. Bytes can come with any state: use them first.
  Input read(core::Bytes direct, Scratch& scratch);

  // One recv whose bytes are thrown away, undeciphered: for a connection that is being closed.
  struct Discarded {
    std::size_t bytes = 0;
    State state = State::kOk;
  };
  Discarded discard(Scratch& scratch);

  struct Output {
    std::size_t bytes = 0;  // taken: on the wire, or sealed behind what is
    std::size_t sent = 0;   // went to the socket, of TLS as sealed: the peer's progress
    bool failed = false;
  };
  // Takes as much of `parts` as the socket does; of TLS at most 64 KiB is sealed ahead of it. A
  // short count means blocked: the rest is the caller's until the socket is writable.
  using Push = Socket::Push;
  Output write(std::span<const iovec> parts, Scratch& scratch, Push push = Push::kNow);
  // Sends what the session has ready: handshake answers, sealed records.
  Output flush(Scratch& scratch, Push push = Push::kNow);
  // Sealed bytes that wait for the socket.
  std::size_t pending() const { return session_ ? session_->pending().size() : 0; }

  bool handshaking() const { return session_ && !session_->established(); }
  const tls::Session* session() const { return session_.get(); }

  // Ends our direction: close_notify, then FIN unless that is left to the peer for now. Only when
  // nothing is pending. kBlocked: a part of close_notify is; flush it, then call this again.
  enum class Fin : std::uint8_t { kSend, kLater };
  enum class Ended : std::uint8_t { kYes, kBlocked, kFailed };
  [[nodiscard]] Ended finish(Scratch& scratch, Fin fin = Fin::kSend);
  Socket& socket() { return socket_; }

 private:
  Input read_sealed(core::Bytes direct, Scratch& scratch);
  Output write_sealed(std::span<const iovec> parts, Scratch& scratch, Push push);

  Socket socket_;
  std::unique_ptr<tls::Session> session_;
};

}  // namespace ws::net
