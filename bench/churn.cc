#include "bench/churn.h"

#include <array>
#include <stdexcept>
#include <string>

#include "bench/crowd.h"
#include "bench/frames.h"
#include "bench/process.h"

namespace ws::bench {
namespace {

// Source addresses in turns: the kernel lets a port of the same pair of addresses be used again
// only a second after its connection has ended.
constexpr std::uint64_t kAddresses = 64;

}  // namespace

void ChurnWorker::work() {
  while (run_.phase() != Phase::kDrain) once();
}

void ChurnWorker::once() {
  const std::uint64_t start_ns = now_ns();
  const std::uint64_t address = opened_++ % kAddresses;
  Stream stream(url_, source_address(url_, address * kConnectionsPerAddress),
                resume_ ? &ticket_ : nullptr);
  if (stream.resumed()) resumed_.store(resumed() + 1, std::memory_order_relaxed);
  if (!url_.raw) {
    (void)stream.upgrade(url_);
    const std::array<std::uint8_t, 2> normal_closure = {1000 >> 8, 1000 & 0xFF};
    (void)stream.write(client_frame(kClose, normal_closure));
  } else {
    stream.shut_down_write();
  }
  // The server's Close, its TLS tickets, its FIN. RFC 6455 s7.1.1: "the server [...] SHOULD close
  // [TCP] first", so a WebSocket client waits.
  std::uint8_t rest[4096];
  IoResult got;
  do {
    got = stream.read(rest);
    if (got.state == Io::kBlocked) throw std::runtime_error("the server does not close");
  } while (got.state != Io::kEnded);
  const std::uint64_t end_ns = now_ns();
  if (run_.phase() == Phase::kMeasure) latency_.add(end_ns - start_ns);
  connections_.store(connections() + 1, std::memory_order_relaxed);
}

}  // namespace ws::bench
