#include "ws/conn.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/check.h"
#include "ws/link.h"
#include "ws/outgoing.h"
#include "ws/shard.h"

namespace ws {
namespace {

// A Conn is a Link; null: it is used where it may not be.
Link* usable(const Conn& conn) {
  // Handed out as Conn& and never const.
  auto& link = static_cast<Link&>(const_cast<Conn&>(conn));
  const Shard* const shard = Shard::current();
  if (shard != nullptr && shard->current_link() == &link) [[likely]]
    return &link;
  if (!core::Slab<Link>::is_live(link)) {
    WS_MISUSE("a Conn was used after its on_close; keep Conn::id() and use post()");
    return nullptr;
  }
  if (shard != &link.shard()) {
    WS_MISUSE("a Conn was used on another thread than its own; keep Conn::id() and use post()");
    return nullptr;
  }
  return &link;
}

}  // namespace

SendStatus Conn::send(const Message& message, SendOptions options) {
  Link* const link = usable(*this);
  if (link == nullptr) return SendStatus::kClosed;
  check_text(message);
  return link->send_message(opcode_of(message.type), message.bytes, options);
}

SendStatus Conn::begin(MessageType type) {
  Link* const link = usable(*this);
  if (link == nullptr || link->is_streaming()) return SendStatus::kClosed;
  return link->stream_frame({.opcode = opcode_of(type), .fin = false}, {});
}

SendStatus Conn::append(std::span<const std::uint8_t> bytes) {
  Link* const link = usable(*this);
  if (link == nullptr || !link->is_streaming()) return SendStatus::kClosed;
  return link->stream_frame({.opcode = proto::Opcode::kContinuation, .fin = false}, bytes);
}

SendStatus Conn::append(std::string_view text) {
  return append(core::bytes_of(text));
}

SendStatus Conn::end() {
  Link* const link = usable(*this);
  if (link == nullptr || !link->is_streaming()) return SendStatus::kClosed;
  return link->stream_frame({.opcode = proto::Opcode::kContinuation, .fin = true}, {});
}

SendStatus Conn::ping(std::string_view payload) {
  Link* const link = usable(*this);
  if (link == nullptr) return SendStatus::kClosed;
  return link->send_ping(core::bytes_of(payload.substr(0, proto::kControlPayloadBytesMax)));
}

void Conn::close(CloseCode code, std::string_view reason) {
  Link* const link = usable(*this);
  if (link != nullptr) link->close_with(code, reason, CloseCause::kLocal);
}

bool Conn::subscribe(std::string_view topic) {
  Link* const link = usable(*this);
  if (link == nullptr || !link->is_open()) return false;
  return link->shard().topics().subscribe(*link, link->subscriptions(), topic,
                                          link->shard().limits().subscriptions);
}

bool Conn::unsubscribe(std::string_view topic) {
  Link* const link = usable(*this);
  return link != nullptr && link->shard().topics().unsubscribe(link->subscriptions(), topic);
}

bool Conn::publish(std::string_view topic, const Message& message, SendOptions options) {
  Link* const link = usable(*this);
  if (link == nullptr) return false;
  return link->shard().publish(topic, message, options, link);
}

std::size_t Conn::queued_bytes() const {
  const Link* const link = usable(*this);
  return link == nullptr ? 0 : link->queued();
}

void Conn::pause_reading() {
  if (Link* const link = usable(*this)) link->pause_reading(true);
}

void Conn::resume_reading() {
  if (Link* const link = usable(*this)) link->pause_reading(false);
}

ConnId Conn::id() const {
  const Link* const link = usable(*this);
  return link == nullptr ? ConnId{} : link->shard().public_id(link->id());
}

std::string Conn::peer() const {
  Link* const link = usable(*this);
  return link == nullptr ? std::string() : link->socket().peer().to_string();
}

const Request& Conn::request() const {
  static const Request kNone;
  const Link* const link = usable(*this);
  const Request* const request = link == nullptr ? nullptr : link->request();
  return request == nullptr ? kNone : *request;
}

std::string_view Conn::subprotocol() const {
  const Link* const link = usable(*this);
  return link == nullptr ? std::string_view() : link->subprotocol();
}

UserData& Conn::user_data() {
  Link* const link = usable(*this);
  WS_CHECK(link != nullptr);  // Conn::data() on another thread, or after on_close
  return link->user_data();
}

std::string_view to_string(CloseCause cause) {
  switch (cause) {
    case CloseCause::kPeer:
      return "peer";
    case CloseCause::kLocal:
      return "local";
    case CloseCause::kProtocol:
      return "protocol";
    case CloseCause::kTimeout:
      return "timeout";
    case CloseCause::kSlowConsumer:
      return "slow consumer";
    case CloseCause::kTls:
      return "tls";
    case CloseCause::kShutdown:
      return "shutdown";
    case CloseCause::kHandlerThrew:
      return "handler threw";
  }
  return "";
}

}  // namespace ws
