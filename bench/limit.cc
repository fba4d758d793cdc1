// The yardstick: the smallest edge-triggered epoll program that sends back what comes in, over TCP
// or over bare OpenSSL, on one thread. What a WebSocket server takes beyond it is its own.
//
// TLS goes through a BIO over two buffers of the thread, so that a turn of a connection is one
// recv() and one send(), however many records that is; with a socket BIO each record would be two
// calls.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/args.h"
#include "bench/process.h"
#include "core/buffer.h"
#include "ws/proto/mask.h"

namespace ws::bench {
namespace {

constexpr std::string_view kUsage =
    R"(limit --listen 127.0.0.1:PORT [options]: sends back what comes in

  --listen IP:PORT   IPv4 address; port 0 picks one
  --cert FILE        TLS, with this PEM certificate
  --key FILE         and its PEM private key
  --message SIZE     what a server cannot do without, too: gathers so many bytes, unmasks them where
                     they lie, then sends; for one message in flight, without TLS. SIZE counts the
                     header: 16392 for messages of 16k, 1048590 for 1m
  --buffer SIZE      the one receive buffer, suffixes k and m (256k; over TLS 64k, as three are in
                     use there, and shall fit the second-level cache)
)";

// RFC 8446 s5.2: 2^14 of content, 256 of expansion, 5 of header. So much of a record may have come
// in an earlier turn.
constexpr std::size_t kRecordBytesMax = (1 << 14) + 256 + 5;

using Bytes = std::span<const std::uint8_t>;
using Space = std::span<std::uint8_t>;

// What OpenSSL reads from and writes to during the turn of one connection.
struct Wire {
  Bytes in;
  std::vector<std::uint8_t> out;
};

int wire_read(BIO* bio, char* into, int size) {
  Bytes& in = static_cast<Wire*>(BIO_get_data(bio))->in;
  BIO_clear_retry_flags(bio);
  if (in.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const std::size_t bytes = std::min(in.size(), static_cast<std::size_t>(size));
  std::memcpy(into, in.data(), bytes);
  in = in.subspan(bytes);
  return static_cast<int>(bytes);
}

int wire_write(BIO* bio, const char* from, int size) {
  std::vector<std::uint8_t>& out = static_cast<Wire*>(BIO_get_data(bio))->out;
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(from);  // of one type: memcpy
  out.insert(out.end(), bytes, bytes + size);
  return size;
}

long wire_control(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD* wire_method() {
  BIO_METHOD* const method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "wire");
  BIO_meth_set_read(method, wire_read);
  BIO_meth_set_write(method, wire_write);
  BIO_meth_set_ctrl(method, wire_control);
  return method;
}

// The settings of wsd, which are what a server of today would choose; one ticket, as one suffices.
SSL_CTX* tls_context(const std::string& cert, const std::string& key) {
  SSL_CTX* const context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                   SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 1);
  // Not for the memory: buffers that go from one connection to the next stay in the cache.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256");
  SSL_CTX_set1_groups_list(context, "X25519:P-256");
  if (SSL_CTX_use_certificate_chain_file(context, cert.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    throw std::runtime_error("--cert " + cert + " and --key " + key + ": cannot be loaded");
  }
  return context;
}

struct Peer {
  int fd;
  SSL* ssl;
  core::Buffer message{};            // --message: what has come of it
  std::vector<std::uint8_t> unsent;  // what the kernel refused; no reading until it is gone
  std::size_t unsent_from = 0;
};

class Server {
 public:
  // context: null for plain TCP.
  Server(int listen_fd, SSL_CTX* context, std::size_t buffer_bytes, std::size_t message_bytes)
      : listen_fd_(listen_fd),
        context_(context),
        message_bytes_(message_bytes),
        epoll_fd_(epoll_create1(EPOLL_CLOEXEC)),
        buffer_(memory_.prepare(buffer_bytes).first(buffer_bytes)),
        plain_(context == nullptr ? 0 : buffer_bytes + kRecordBytesMax) {
    watch(listen_fd_, EPOLLIN, nullptr);
  }

  [[noreturn]] void run() {
    std::vector<epoll_event> events(1024);
    while (true) {
      const int n = epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < n; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        auto* const peer = static_cast<Peer*>(event.data.ptr);
        if (peer == nullptr) {
          accept_all();
        } else if (!serve(*peer, (event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)) {
          SSL_free(peer->ssl);
          ::close(peer->fd);  // an fd is in a batch of events only once: nothing else refers to it
          delete peer;
        }
      }
    }
  }

 private:
  void watch(int fd, std::uint32_t events, Peer* peer) {
    epoll_event event{.events = events, .data = {}};
    event.data.ptr = peer;
    if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) throw std::runtime_error("epoll_ctl");
  }

  void accept_all() {
    while (true) {
      const int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
            new Peer{.fd = fd, .ssl = context_ == nullptr ? nullptr : start_tls(), .unsent = {}});
    }
  }

  SSL* start_tls() {
    SSL* const ssl = SSL_new(context_);
    BIO* const bio = BIO_new(method_);
    BIO_set_data(bio, &wire_);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_accept_state(ssl);
    return ssl;
  }

  // returns: false = the connection is over.
  bool serve(Peer& peer, bool hangup) {
    if (!flush(peer)) return false;
    while (peer.unsent.empty()) {
      const Space room = message_bytes_ == 0 ? buffer_ : room_for_message(peer);
      const ssize_t got = recv(peer.fd, room.data(), room.size(), 0);
      if (got <= 0) return got < 0 && errno == EAGAIN;
      const Space in = room.first(static_cast<std::size_t>(got));
      const bool open = message_bytes_ > 0    ? echo_message(peer, in)
                        : peer.ssl == nullptr ? send_or_keep(peer, in)
                                              : echo_tls(peer, in);
      if (!open) return false;
      // A short read has emptied the socket, as has one message in flight, and an edge will tell of
      // more.
      const bool emptied = in.size() < room.size() || message_bytes_ > 0;
      if (emptied && !hangup) break;
    }
    return true;
  }

  Space room_for_message(Peer& peer) const {
    const std::size_t wanted = message_bytes_ - peer.message.size();
    return peer.message.prepare(wanted).first(wanted);
  }

  bool echo_message(Peer& peer, Space piece) const {
    // A key of zeroes takes as long as any, and the peer knows its bytes again.
    proto::apply_mask(piece, {});
    peer.message.commit(piece.size());
    if (peer.message.size() < message_bytes_) return true;
    const bool open = send_or_keep(peer, peer.message.bytes());
    peer.message.clear();
    return open;
  }

  bool echo_tls(Peer& peer, Bytes in) {
    wire_.in = in;
    wire_.out.clear();
    // It nearly never has one, and clearing walks all of its entries regardless.
    if (ERR_peek_error() != 0) ERR_clear_error();
    // OpenSSL gives a record at a time; gathered, they go out in full records again.
    int plain = 0, n = 0;
    do {
      n = SSL_read(peer.ssl, plain_.data() + plain, static_cast<int>(plain_.size()) - plain);
      if (n > 0) plain += n;
    } while (n > 0);
    const bool open = SSL_get_error(peer.ssl, n) == SSL_ERROR_WANT_READ;
    // Writing cannot fail: `out` grows.
    if (plain > 0) SSL_write(peer.ssl, plain_.data(), plain);
    return send_or_keep(peer, wire_.out) && open;
  }

  static bool send_or_keep(Peer& peer, Bytes bytes) {
    if (bytes.empty()) return true;
    const ssize_t sent = send(peer.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    peer.unsent_from = 0;
    peer.unsent.assign(bytes.begin() + std::max<ssize_t>(sent, 0), bytes.end());
    return true;
  }

  static bool flush(Peer& peer) {
    if (peer.unsent.empty()) return true;
    const std::size_t left = peer.unsent.size() - peer.unsent_from;
    const ssize_t sent = send(peer.fd, peer.unsent.data() + peer.unsent_from, left, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    peer.unsent_from += static_cast<std::size_t>(sent);
    if (peer.unsent_from == peer.unsent.size()) peer.unsent.clear();
    return true;
  }

  int listen_fd_;
  SSL_CTX* context_;
  std::size_t message_bytes_;  // 0: what comes is sent back as it comes
  BIO_METHOD* method_ = wire_method();
  Wire wire_;
  int epoll_fd_;
  core::Buffer memory_;  // which begins where the kernel copies fast, as the engine's does
  Space buffer_;
  std::vector<std::uint8_t> plain_;
};

int open_listener(const std::string& where) {
  const std::size_t colon = std::min(where.rfind(':'), where.size());
  sockaddr_in address{};
  address.sin_family = AF_INET;
  const char* const end = where.data() + where.size();
  const char* const digits = std::min(where.data() + colon + 1, end);
  std::uint16_t port = 0;
  const auto parsed = std::from_chars(digits, end, port);
  if (parsed.ec != std::errc() || parsed.ptr != end ||
      inet_pton(AF_INET, where.substr(0, colon).c_str(), &address.sin_addr) != 1) {
    usage_error("--listen " + where + ": must be IP:PORT, the port at most 65535");
  }
  address.sin_port = htons(port);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  socklen_t bytes = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(fd, generic, bytes) != 0 || listen(fd, SOMAXCONN) != 0) {
    throw std::runtime_error("--listen " + where + ": " + std::strerror(errno));
  }
  getsockname(fd, generic, &bytes);
  std::printf("listening on %s:%d\n", where.substr(0, colon).c_str(), ntohs(address.sin_port));
  std::fflush(stdout);
  return fd;
}

}  // namespace
}  // namespace ws::bench

int main(int argc, char** argv) {
  try {
    ws::bench::Args args(argc, argv, ws::bench::kUsage);
    const std::string listen = args.text("--listen", "127.0.0.1:0");
    const std::string cert = args.text("--cert", "");
    const std::string key = args.text("--key", "");
    const std::uint64_t buffer_bytes = args.size("--buffer", cert.empty() ? 256 * 1024 : 64 * 1024);
    const std::uint64_t message_bytes = args.size("--message", 0);
    args.finish();
    if (cert.empty() != key.empty()) ws::bench::usage_error("--cert and --key go together");
    if (buffer_bytes == 0) ws::bench::usage_error("--buffer starts at 1");
    if (message_bytes > 0 && !cert.empty()) ws::bench::usage_error("--message: not with --cert");
    ws::bench::raise_descriptor_limit(0);
    SSL_CTX* const context = cert.empty() ? nullptr : ws::bench::tls_context(cert, key);
    ws::bench::Server(ws::bench::open_listener(listen), context, buffer_bytes, message_bytes).run();
  } catch (const std::exception& error) {
    ws::bench::die(error.what());
  }
}
