// RFC 6455 without a socket, a thread or a clock: a client and a server that talk through two
// buffers. For programs with an event loop, or a transport, of their own.
#include <ws/proto/client_handshake.h>
#include <ws/proto/handshake.h>
#include <ws/proto/http_parser.h>
#include <ws/proto/protocol.h>

#include <iostream>
#include <span>
#include <string>
#include <string_view>

namespace {

using ws::core::Buffer;
using ws::core::bytes_of;
using ws::proto::Event;

std::string_view text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// One end behind the handshake. What it has to say is in `out`: here the other end reads it there,
// elsewhere it would go to a socket.
struct End {
  explicit End(ws::proto::Role role)
      : config{.self = {role, &keys},
               .message_bytes_max = 1024 * 1024,
               .message_fragments_max = 1024,
               .pool = &pool},
        protocol(config) {}

  ws::proto::MaskKeys keys;  // a server never asks for one
  ws::core::BufferPool pool;
  ws::proto::ProtocolConfig config;
  ws::proto::Protocol protocol;
  Buffer out;
};

// Shakes hands: requests and answers are text, parsed as it arrives.
bool open() {
  const std::string key = ws::proto::make_key();
  const std::string request =
      ws::proto::client_request({.target = "/", .host = "example.com", .key = key});

  ws::proto::RequestParser server({});
  server.feed(bytes_of(request));
  const ws::proto::Verdict verdict = ws::proto::judge_upgrade(server.head());
  if (verdict.status != 101) return false;
  const std::string answer = ws::proto::upgrade_response(server.head(), verdict.extra_headers);

  ws::proto::ResponseParser client({});
  client.feed(bytes_of(answer));
  return static_cast<bool>(ws::proto::judge_response(client.head(), key, {}));
}

// Gives `reader` what `writer` has to say; a message is answered with `reply`, if there is one.
void carry(End& writer, End& reader, std::string_view name, std::string_view reply) {
  ws::core::Bytes received = writer.out.bytes();
  for (;;) {
    const Event event = reader.protocol.next(received, reader.out);
    if (event.kind == Event::Kind::kNone) break;
    if (event.kind == Event::Kind::kMessage) {
      std::cout << name << " received " << text_of(event.payload) << std::endl;
      if (reply.empty()) continue;
      encode_frame(reader.out, reader.config.self, event.opcode, bytes_of(reply));
    } else if (event.kind == Event::Kind::kClosed || event.kind == Event::Kind::kFailed) {
      std::cout << name << " closed with " << static_cast<int>(event.code) << std::endl;
      break;
    }
  }
  writer.out.clear();
}

}  // namespace

int main() {
  if (!open()) return 1;
  End client(ws::proto::Role::kClient);
  End server(ws::proto::Role::kServer);

  encode_frame(client.out, client.config.self, ws::proto::Opcode::kText, bytes_of("hello"));
  carry(client, server, "server", "hello yourself");
  carry(server, client, "client", "");

  client.protocol.close(client.out, ws::CloseCode::kNormal, "that was all");
  carry(client, server, "server", "");
  carry(server, client, "client", "");
}
