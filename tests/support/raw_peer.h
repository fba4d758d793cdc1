// Internal. A client that reads and writes only when told to: for what Stream is too polite for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/fd.h"
#include "tests/conformance/runner.h"
#include "tests/support/tls_client.h"

namespace ws::test {

struct TcpOptions {
  int receive_buffer_bytes = 0;         // 0: the kernel's choice
  const char* source_ip = "127.0.0.1";  // any of 127.0.0.0/8
};

// Connected, blocking; empty when refused.
core::Fd connect_tcp(std::uint16_t port, const TcpOptions& options = {});
core::Fd connect_unix(const std::string& path);

// thread: one. Every wait has an end.
class RawPeer {
 public:
  // Throws when there is no connection or no TLS handshake, which fails the test.
  RawPeer(core::Fd fd, bool tls);

  // Sends the request and reads its 101; throws when none comes.
  void upgrade();

  // What push() sends next; over TLS it is sealed here, into records of up to 16 KiB.
  void queue(std::string_view plain);
  // What is queued, as it will go over the wire.
  std::string take_queued();
  // Sends what is queued until all is gone, or the kernel has taken nothing for `stuck_ms`. Never
  // reads. Returns how much it took.
  std::size_t push(int stuck_ms);
  // Bytes that are to go over the wire as they are. false: the peer is gone.
  bool send_raw(std::string_view bytes);
  bool all_sent() const { return out_.empty(); }

  // Sends what is queued and reads until there are `bytes` of plaintext more, or the end; the end
  // is told by what read() says afterwards.
  std::string exchange(std::size_t bytes, int ms = 30'000);
  // What has come, or comes within `ms`; "" at the end or when nothing does.
  std::string read(int ms);
  // Whether the server has ended the connection: FIN or RST.
  bool ended() const { return ended_; }

  void half_close();  // FIN alone
  void reset();       // RST
  int fd() const { return fd_.get(); }

 private:
  bool wait(short events, int ms);
  bool receive();  // takes in what is there; false: nothing was
  std::size_t send_some();

  core::Fd fd_;
  std::unique_ptr<TlsClient> tls_;
  std::string out_;
  std::string in_;
  bool ended_ = false;
};

// Cuts the first whole frame off what a server sent; nullopt: there is none.
std::optional<ServerFrame> take_frame(std::string& bytes);
// A frame as a server writes it.
std::string server_frame(Op opcode, std::string_view payload);
std::string server_close(int code);  // without a reason

}  // namespace ws::test
