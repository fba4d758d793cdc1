// A client's opening: addresses, TLS, the request, the response.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/check.h"
#include "core/thrown.h"
#include "ws/link.h"
#include "ws/proto/client_handshake.h"
#include "ws/shard.h"

namespace ws {

Link::Link(core::Id id, Shard& shard, Dial& dial)
    : shard_(shard),
      transport_(net::Socket(), nullptr),
      protocol_(shard.protocol_config(proto::Role::kClient, false)),
      alive_ms_(static_cast<std::uint32_t>(shard.reactor().now_ms())),
      client_(true) {
  timer_.owner = id;
  const Limits& limits = shard.limits();
  extra().dial = &dial;
  extra().connecting = std::make_unique<Connecting>(proto::ResponseParser::Config{
      .head_bytes_max = limits.response_head_bytes, .headers_max = limits.request_headers});
  extra_->connecting->deadline_ms = shard.reactor().now_ms() + limits.handshake_ms;
  arm(limits.handshake_ms);
}

// What is left, shared out among so many attempts. Of many addresses the last get nothing rather
// than all too little: a line may take a second, and a lost SYN is sent again after one.
void Link::arm_for_connecting(std::size_t attempts) {
  constexpr std::uint64_t kAttemptMs = 2'000;
  const std::uint64_t now_ms = shard_.reactor().now_ms();
  const std::uint64_t left_ms = std::max(extra_->connecting->deadline_ms, now_ms) - now_ms;
  const std::uint64_t least_ms = std::min(kAttemptMs, left_ms / 2);
  arm(static_cast<std::uint32_t>(std::max(left_ms / attempts, least_ms)));
}

void Link::connect_to(core::Result<std::vector<net::Address>> addresses) {
  if (phase_ != Phase::kOpening) return;
  if (!addresses) return connect_failed(addresses.error().message());
  extra_->connecting->addresses = std::move(*addresses);
  try_next_address("the name has no address");
}

// The next one that can be tried; the failure is that of the last one.
void Link::try_next_address(std::string last_error) {
  WS_DCHECK(phase_ == Phase::kOpening);
  Connecting& connecting = *extra_->connecting;
  readable_ = writable_ = hangup_ = false;
  transport_ = net::Transport(net::Socket(), nullptr);  // there may be no descriptor left but its
  while (connecting.next_address < connecting.addresses.size()) {
    const net::Address& address = connecting.addresses[connecting.next_address++];
    auto socket = net::Socket::start_connect(address);
    if (!socket) {
      last_error = socket.error().message();
      continue;
    }
    const DialRequest& dial = extra_->dial->request;
    std::unique_ptr<tls::Session> session;
    if (dial.url.tls)
      session = std::make_unique<tls::Session>(*dial.client->tls,
                                               dial.url.host.empty() ? "localhost" : dial.url.host);
    transport_ = net::Transport(std::move(*socket), std::move(session));
    // One that does not answer must not use up the time of the others.
    arm_for_connecting(connecting.addresses.size() - connecting.next_address + 1);
    if (shard_.watch_socket(transport_.socket(), id())) return;
    last_error = "no memory or watch is left for another socket";
  }
  connect_failed(std::move(last_error));
}

void Link::connect_by(net::Socket socket) {
  transport_ = net::Transport(std::move(socket), nullptr);
  shard_.watch_socket(transport_.socket(), id());
}

void Link::on_connect_event() {
  Connecting& connecting = *extra_->connecting;
  if (connecting.connected) return;
  if (const int error = transport_.socket().connect_error(); error != 0) {
    const net::Address& address = connecting.addresses[connecting.next_address - 1];
    return try_next_address(net::connect_failure(address, error).message());
  }
  connecting.connected = true;
  arm_for_connecting(1);
  // Over TLS its first message waits in the session, and settle() sends it.
  send_request();
}

// As soon as there is nothing before it.
void Link::send_request() {
  Connecting& connecting = *extra_->connecting;
  if (!connecting.connected || connecting.request_sent || transport_.handshaking()) return;
  connecting.request_sent = true;
  const DialRequest& dial = extra_->dial->request;
  const std::string host = dial.url.host_header();
  std::vector<std::string> offers;
  if (!dial.handlers.on_chunk) {
    offers = offer_extensions(dial.client->options.deflate, dial.options.extensions);
  }
  const std::string request = proto::client_request({.target = dial.url.target,
                                                     .host = host,
                                                     .key = connecting.key,
                                                     .subprotocols = dial.options.subprotocols,
                                                     .extensions = offers,
                                                     .headers = dial.options.headers});
  sink().append(core::bytes_of(request));
}

void Link::take_response(core::Bytes bytes) {
  WS_DCHECK(extra_->connecting->request_sent);
  const auto step = extra_->connecting->parser.feed(bytes);
  if (step.state == proto::ResponseParser::State::kMore) return;
  if (step.state == proto::ResponseParser::State::kRefused) {
    return connect_failed(std::string(step.reason));
  }
  if (auto good = accept_response(); !good) {
    return connect_failed(good.error().message(), extra_->connecting->parser.head().status);
  }
  extra_->connecting.reset();
  extra_->dial->opened = true;
  extra_->dial->opened_ms = shard_.reactor().now_ms();
  open(extra_->dial->request.handlers);
  take_input(bytes.subspan(step.consumed));
}

// errors: what is wrong with the answer, for a person.
core::Result<core::Ok> Link::accept_response() {
  const proto::ResponseHead& head = extra_->connecting->parser.head();
  const DialRequest& dial = extra_->dial->request;
  auto answer = proto::judge_response(head, extra_->connecting->key, dial.options.subprotocols);
  if (!answer) return answer.error();
  const bool chunks = static_cast<bool>(dial.handlers.on_chunk);
  const DeflateOptions deflate = chunks ? DeflateOptions{} : dial.client->options.deflate;
  const ExtensionTypes types = chunks ? ExtensionTypes{} : ExtensionTypes(dial.options.extensions);
  auto negotiated = confirm_extensions(head, deflate, types);
  if (!negotiated) {
    return core::Error(
        "the server took an extension that was not offered, or in a way that was not");
  }
  if (dial.options.on_response) {
    try {
      const ConnectResponse response{.status = head.status, .headers = head.headers};
      if (auto good = dial.options.on_response(response); !good) return good.error();
    } catch (...) {
      return core::Error("on_response threw: " + core::thrown());
    }
  }
  const proto::ProtocolConfig& plain = shard_.protocol_config(proto::Role::kClient, chunks);
  if (negotiated->elements.empty()) {
    protocol_ = proto::Protocol(plain);
  } else {
    extra_->agreement = std::make_unique<Agreement>(plain, shard_.deflate_engine(),
                                                    std::move(*negotiated), deflate);
    protocol_ = proto::Protocol(extra_->agreement->config);
  }
  extra_->subprotocol = std::move(answer->subprotocol);
  return core::Ok{};
}

// The connection broke before the answer was there.
void Link::connect_lost() {
  const tls::Session* session = transport_.session();
  if (session == nullptr || session->failure().empty()) {
    return connect_failed("the server closed the connection before it answered");
  }
  // With an alert for the server, if it can be sent at once.
  std::string reason = "tls: " + session->failure();
  transport_.flush(shard_.scratch());
  connect_failed(std::move(reason));
}

void Link::connect_timed_out() {
  const Connecting& connecting = *extra_->connecting;
  if (connecting.next_address == 0 && !connecting.connected) {
    return connect_failed("the name was not looked up in time");
  }
  if (!connecting.connected) {
    const net::Address& address = connecting.addresses[connecting.next_address - 1];
    const std::string reason = net::connect_failure(address, ETIMEDOUT).message();
    const bool time_left = shard_.reactor().now_ms() < connecting.deadline_ms;
    return time_left ? try_next_address(reason) : connect_failed(reason);
  }
  if (transport_.handshaking()) return connect_failed("the TLS handshake took too long");
  connect_failed("the server took too long to answer");
}

void Link::connect_failed(std::string reason, int status) {
  extra_->dial->failure = std::move(reason);
  extra_->dial->status = status;
  drop(CloseCause::kPeer);
}

}  // namespace ws
