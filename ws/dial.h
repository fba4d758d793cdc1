// Internal. What a client connects to, and how often it tries.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/id.h"
#include "core/result.h"
#include "core/timer_wheel.h"
#include "net/address.h"
#include "tls/context.h"
#include "ws/client.h"
#include "ws/handlers.h"
#include "ws/options.h"
#include "ws/proto/client_handshake.h"
#include "ws/proto/http_parser.h"
#include "ws/proto/url.h"

namespace ws {

// What all connections of a Client share. Constant.
struct ClientCommon {
  ClientOptions options;
  std::optional<tls::Context> tls;  // for wss
};

// Counts the dials of a client that are not over, for whoever waits for their end. thread: any.
class DialsLeft {
 public:
  void add(int count) {
    const std::lock_guard lock(mutex_);
    count_ += count;
    if (count_ == 0) none_.notify_all();
  }
  // false: not in time.
  bool wait_for_none(std::uint32_t ms) {
    std::unique_lock lock(mutex_);
    return none_.wait_for(lock, std::chrono::milliseconds(ms), [this] { return count_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  int count_ = 0;
};

// One of them.
class DialToken {
 public:
  DialToken() = default;
  explicit DialToken(std::shared_ptr<DialsLeft> left) : left_(std::move(left)) { left_->add(1); }
  DialToken(DialToken&&) noexcept = default;
  DialToken& operator=(DialToken&&) = delete;
  ~DialToken() {
    if (left_) left_->add(-1);
  }

 private:
  std::shared_ptr<DialsLeft> left_;
};

// errors: what cannot be asked for, found before anything is sent.
core::Result<core::Ok> check_connect(const ConnectOptions& options);

// Calls on_failure, if there is one.
void tell_failure(const ConnectOptions& options, const ConnectFailure& failure);

// One Client::connect().
struct DialRequest {
  DialId number = 0;
  std::uint64_t owner = 0;  // the client's number
  DialToken left;           // before what the program gave us, so destroyed after it
  std::shared_ptr<const ClientCommon> client;
  proto::ConnectUrl url;
  ConnectOptions options;
  Handlers handlers;
};

// The same, from its first attempt to its last.
struct Dial {
  Dial(core::Id dial_id, DialRequest dial_request)
      : id(dial_id), request(std::move(dial_request)) {}

  const core::Id id;
  DialRequest request;
  core::TimerNode retry;
  core::Id link{};       // of the current attempt; none in a pause
  unsigned attempt = 0;  // in a row, until a connection has lasted
  unsigned pauses = 0;   // likewise
  bool opened = false;   // this attempt
  std::uint64_t opened_ms = 0, ended_ms = 0;
  bool cancelled = false;  // no more attempts
  std::string failure;     // why this attempt came to nothing
  int status = 0;
};

// A client's opening: from the first address to the 101.
struct Connecting {
  explicit Connecting(const proto::ResponseParser::Config& config) : parser(config) {}

  std::vector<net::Address> addresses;
  std::size_t next_address = 0;
  std::uint64_t deadline_ms = 0;  // of all of it
  bool connected = false;
  bool request_sent = false;
  std::string key = proto::make_key();
  proto::ResponseParser parser;
};

}  // namespace ws
