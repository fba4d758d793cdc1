// As many bytes as asked for, no faster than the client takes them: slow_client [URL]; then connect
// to URL/MEBIBYTES. However many, little more than Limits::queue_high_bytes of them are in memory.
#include <ws/ws.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

namespace {

constexpr std::size_t kPieceBytes = 64 * 1024;

struct Download {
  std::uint64_t pieces_left = 0;
  std::size_t queued_bytes_most = 0;
};

// Until the queue has passed its high mark. When the client has taken three quarters of that,
// on_drain is called, and calls this again: the client's pace, without a timer or a thread.
void send_more(ws::Conn& conn, std::size_t high_mark) {
  static const std::vector<std::uint8_t> piece(kPieceBytes, 'x');
  auto& download = conn.data<Download>();
  while (download.pieces_left > 0 && conn.queued_bytes() <= high_mark) {
    if (conn.send(piece) >= ws::SendStatus::kDropped) return;  // it is closing
    --download.pieces_left;
    download.queued_bytes_most = std::max(download.queued_bytes_most, conn.queued_bytes());
  }
  if (download.pieces_left == 0) conn.close();  // behind all that is queued
}

}  // namespace

int main(int argc, char** argv) {
  ws::ServerOptions options{.listen = {argc > 1 ? argv[1] : "ws://127.0.0.1:8080"}};
  const std::size_t high_mark = options.limits.queue_high_bytes;
  ws::Server server(options);

  server.route("/:mebibytes",
               {.on_open =
                    [=](ws::Conn& conn) {
                      const std::string mebibytes(conn.request().param("mebibytes"));
                      conn.data<Download>().pieces_left =
                          std::strtoull(mebibytes.c_str(), nullptr, 10) * 1024 * 1024 / kPieceBytes;
                      send_more(conn, high_mark);
                    },
                .on_drain = [=](ws::Conn& conn) { send_more(conn, high_mark); },
                .on_close =
                    [](ws::Conn& conn, const ws::Close& why) {
                      const auto& download = conn.data<Download>();
                      std::cout << conn.request().path << ": " << to_string(why.cause) << ", "
                                << download.pieces_left << " pieces not sent, at most "
                                << download.queued_bytes_most << " bytes waited" << std::endl;
                    }});

  server.stop_on_signals();
  if (auto done = server.listen(); !done) return done.error().print(stderr), 1;
  std::cout << "listening on " << server.urls()[0] << std::endl;
  return server.run() ? 0 : 1;
}
