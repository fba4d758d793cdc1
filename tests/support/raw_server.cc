#include "tests/support/raw_server.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "tests/support/loopback.h"
#include "ws/proto/handshake.h"
#include "ws/proto/http.h"

namespace ws::test {
namespace {

constexpr int kPatienceMs = 20'000;

bool await_call(int fd, int ms) {
  pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&wait, 1, ms) == 1;
}

}  // namespace

RawServer::RawServer(const char* host, std::uint16_t port) {
  const net::Address address = ip(host, port);
  fd_ = core::Fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::bind(fd_.get(), address.get(), address.size()) != 0 || ::listen(fd_.get(), 16) != 0) {
    throw std::runtime_error(std::string("cannot listen on ") + host);
  }
  port_ = own_address(fd_.get()).port();
}

std::string RawServer::url(std::string_view scheme) const {
  return std::string(scheme) + "://127.0.0.1:" + std::to_string(port_) + "/";
}

RawPeer RawServer::accept() {
  if (!await_call(fd_.get(), kPatienceMs)) throw std::runtime_error("nobody connects");
  return RawPeer(core::Fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC)), false);
}

bool RawServer::is_called(int ms) {
  if (!await_call(fd_.get(), ms)) return false;
  core::Fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return true;
}

// Linux takes one connection more than the queue is long, and then drops every SYN.
void RawServer::stop_answering() {
  ::listen(fd_.get(), 0);
  queued_ = client_of(own_address(fd_.get()));
}

std::string read_head(RawPeer& peer) {
  std::string head;
  while (!head.ends_with("\r\n\r\n")) {
    const std::string more = peer.read(kPatienceMs);
    if (more.empty()) throw std::runtime_error("no whole request, but: " + head);
    head += more;
  }
  return head;
}

std::string header_of(std::string_view head, std::string_view name) {
  while (!head.empty()) {
    const std::size_t end = std::min(head.find("\r\n"), head.size() - 2);
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(end + 2);
    const std::size_t colon = line.find(": ");
    if (colon == std::string_view::npos) continue;
    if (proto::equals_ignore_case(line.substr(0, colon), name)) {
      return std::string(line.substr(colon + 2));
    }
  }
  return {};
}

std::string switching(std::string_view request, std::string_view more) {
  std::string answer =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
      "Connection: Upgrade\r\nSec-WebSocket-Accept: ";
  answer += proto::accept_key(header_of(request, "Sec-WebSocket-Key"));
  return answer.append("\r\n").append(more).append("\r\n");
}

RawPeer accept_upgrade(RawServer& server, std::string_view more, std::string_view behind) {
  RawPeer peer = server.accept();
  const std::string answer = switching(read_head(peer), more);
  peer.send_raw(answer + std::string(behind));
  return peer;
}

std::optional<ClientFrame> take_client_frame(std::string& bytes) {
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  if (bytes.size() < 2) return std::nullopt;
  ClientFrame frame{.first = at(0), .masked = (at(1) & 0x80) != 0, .key = {}, .payload = {}};
  std::uint64_t length = at(1) & 0x7f;
  const std::size_t extra = length < 126 ? 0 : length == 126 ? 2 : 8;
  const std::size_t head = 2 + extra + (frame.masked ? 4 : 0);
  if (bytes.size() < head) return std::nullopt;
  if (extra > 0) length = 0;
  for (std::size_t i = 0; i < extra; ++i) length = length << 8 | at(2 + i);
  if (bytes.size() - head < length) return std::nullopt;
  if (frame.masked) frame.key = bytes.substr(2 + extra, 4);
  frame.payload = bytes.substr(head, length);
  for (std::size_t i = 0; frame.masked && i < frame.payload.size(); ++i) {
    frame.payload[i] = static_cast<char>(frame.payload[i] ^ frame.key[i % 4]);
  }
  bytes.erase(0, head + length);
  return frame;
}

ClientFrame read_client_frame(RawPeer& peer, std::string& rest) {
  for (;;) {
    if (auto frame = take_client_frame(rest)) return *frame;
    const std::string more = peer.read(kPatienceMs);
    if (more.empty()) throw std::runtime_error("no whole frame");
    rest += more;
  }
}

}  // namespace ws::test
