// Internal. A client connection over TCP or TLS that tells a clean end from a torn one.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tests/support/tls_client.h"

namespace ws::test {

// thread: one. Every wait has an end: a hung server is a failed test, not a hung one.
class Stream {
 public:
  // nullptr when nobody listens, or no TLS handshake comes about. Over TLS any certificate will do.
  static std::unique_ptr<Stream> connect(std::uint16_t port, bool tls);
  // The same in two steps; between them nothing is sent.
  static std::unique_ptr<Stream> open(std::uint16_t port, bool tls);
  bool shake_hands();  // false: no TLS handshake within 5 s
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  enum class Got : std::uint8_t {
    kData,
    kEof,        // FIN, over TLS behind a close_notify
    kTruncated,  // over TLS: FIN without a close_notify, or what is no TLS
    kReset,      // RST: what was on its way may be lost
    kTimeout,
  };
  // Appends what is there; waits for something up to `ms`.
  Got read(std::string& out, int ms);

  // Writes all, in one TCP segment or TLS record if small. Takes in what arrives meanwhile, so that
  // two full pipes never wait for each other. false: the peer is gone, or took nothing for 20 s.
  bool write(std::string_view bytes);

  void half_close();  // over TLS: close_notify, then FIN
  void fin();         // FIN alone, also over TLS
  void reset();       // RST; the stream is done with

 private:
  Stream(int fd, bool tls);
  bool wait(short events, std::chrono::steady_clock::time_point deadline);
  bool send_all(std::string_view bytes);
  void pump();  // takes in all there is, without waiting

  int fd_;
  std::unique_ptr<TlsClient> tls_;  // nullptr: plain
  std::string inbox_;
  std::optional<Got> end_;
};

}  // namespace ws::test
