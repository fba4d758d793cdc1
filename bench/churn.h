// Internal. Connections opened and closed as fast as it goes, one after the other on each thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "bench/histogram.h"
#include "bench/run.h"
#include "bench/ws_client.h"

namespace ws::bench {

// One thread: connect, TLS if the URL says so, upgrade unless it is raw, Close, and wait for the
// server's end. The time from connect to end is what the histogram has.
class ChurnWorker {
 public:
  // resume: each TLS handshake but the first offers to resume an earlier session.
  ChurnWorker(Run& run, const Url& url, bool resume, std::uint64_t index)
      : run_(run), url_(url), resume_(resume), opened_(index) {}

  void work();  // until the run drains; throws std::runtime_error

  [[nodiscard]] std::uint64_t connections() const {
    return connections_.load(std::memory_order_relaxed);
  }
  // With a resumed TLS session: a server need not.
  [[nodiscard]] std::uint64_t resumed() const { return resumed_.load(std::memory_order_relaxed); }
  // After work().
  [[nodiscard]] const Histogram& latency() const { return latency_; }

 private:
  void once();

  Run& run_;
  const Url& url_;
  const bool resume_;
  TlsTicket ticket_;
  std::uint64_t opened_;
  std::atomic<std::uint64_t> connections_ = 0;
  std::atomic<std::uint64_t> resumed_ = 0;
  Histogram latency_;
};

}  // namespace ws::bench
