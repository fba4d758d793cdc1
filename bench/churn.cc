#include "bench/churn.h"

#include <array>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/crowd.h"
#include "bench/frames.h"
#include "bench/process.h"

namespace ws::bench {
namespace {

// Source addresses in turns: the kernel lets a port of the same pair of addresses be used again
// only a second after its connection has ended.
constexpr std::uint64_t kAddresses = 64;

bool is_close_frame(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= 2 && bytes[0] == (kFin | kClose) && bytes.size() == 2U + bytes[1];
}

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
  std::vector<std::uint8_t> answer;
  std::uint8_t piece[4096];
  IoResult got;
  do {
    got = stream.read(piece);
    if (got.state == Io::kBlocked) throw std::runtime_error("the server does not close");
    answer.insert(answer.end(), piece, piece + got.bytes);
  } while (got.state != Io::kEnded);
  if (!url_.raw && !is_close_frame(answer)) {
    throw std::runtime_error("the server ended without a Close frame: " + stream.end_reason());
  }
  const std::uint64_t end_ns = now_ns();
  if (run_.phase() == Phase::kMeasure) latency_.add(end_ns - start_ns);
  connections_.store(connections() + 1, std::memory_order_relaxed);
}

}  // namespace ws::bench
