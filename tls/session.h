// Internal. One TLS connection without a socket: ciphertext in, plaintext out, and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/buffer.h"
#include "tls/context.h"

struct ssl_st;

namespace ws::tls {

// What unseal() came to.
enum class Status : std::uint8_t {
  kOk,      // bytes were produced, or more ciphertext is needed
  kClosed,  // the peer's close_notify: no more plaintext will come
  kFailed,  // a TLS error; an alert may wait in pending(). Nothing more can be sealed or unsealed.
};

// Either side of one connection.
// thread: one. Every method that talks to OpenSSL clears its error queue first and leaves it empty.
class Session {
 public:
  // The server's side. in: of make_server or reload_server.
  explicit Session(const Context& context);
  // The client's side; its ClientHello waits in pending() at once. in: of make_client. `host` is
  // what the server's certificate must be for: a DNS name, which is also sent as SNI, or an IPv4 or
  // IPv6 address (without brackets). One that is neither fails the session.
  Session(const Context& context, std::string_view host);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Lends `ciphertext` to the session. It must stay valid, and unseal() must be called until it
  // fills less than its span, before the next feed(): then all of it has been consumed.
  void feed(std::span<const std::uint8_t> ciphertext);

  struct Unsealed {
    std::size_t bytes = 0;
    Status status = Status::kOk;
  };
  // Moves the handshake on and decrypts into `plain` (not empty) until it is full or the fed bytes
  // are used up; small records are gathered. Bytes can come with any status: use them first. Less
  // than a full span and kOk: feed more. Answers of the handshake (and KeyUpdate, alerts) are left
  // in pending(). More than 100 KeyUpdates within a second fail the session, and so does an attempt
  // to renegotiate.
  Unsealed unseal(std::span<std::uint8_t> plain);

  // Encrypts all of `plain` (as one or more records of up to 16 KiB) into pending(). Only after
  // established(). false: failed, the session is unusable.
  [[nodiscard]] bool seal(std::span<const std::uint8_t> plain);

  // Ciphertext to be sent, oldest first; consume() what the socket took. Empty, it may be given
  // memory or relieved of it.
  core::Buffer& pending() { return pending_; }

  // Appends close_notify to pending(), once, and only when the protocol allows it (handshake done,
  // no failure).
  void close_notify();

  // The handshake is done. Stays true.
  bool established() const { return established_; }
  // Facts for a log line; valid after established(). Empty peer_subject: the peer showed no
  // certificate, or it was not verified.
  std::string version() const;
  std::string cipher() const;
  std::string peer_subject() const;
  // Why it failed, for a log line; empty when it did not.
  const std::string& failure() const { return failure_; }

 private:
  struct Callbacks;           // what OpenSSL calls
  [[nodiscard]] bool open();  // makes ssl_ and joins it to our ends of the wire
  void fail();
  std::string verdict() const;  // what verification says against the peer's certificate
  void count_key_update();

  Context context_;  // its callbacks outlive ssl_
  ssl_st* ssl_ = nullptr;
  std::span<const std::uint8_t> fed_;
  core::Buffer pending_;
  std::string failure_;
  std::uint64_t key_updates_since_ms_ = 0;
  std::uint32_t key_updates_ = 0;  // in the second that began then
  bool established_ = false;
};

}  // namespace ws::tls
