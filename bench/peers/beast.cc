// Peer: Boost.Beast on one thread, asynchronous, as its examples do it. Usage: PORT [CERT KEY]
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using tcp = asio::ip::tcp;
using PlainStream = beast::tcp_stream;
using TlsStream = beast::ssl_stream<beast::tcp_stream>;
using Shared = std::shared_ptr<const std::string>;

constexpr std::size_t kMessageBytesMax = 16 * 1024 * 1024;  // Beast's own limit
// Frames are made in here when they have to be copied; 4 KiB would cut large ones up.
constexpr std::size_t kWriteBufferBytes = 64 * 1024;

// Those on /subscribe: what comes in on /publish goes to all of them.
std::set<std::function<void(const Shared&)>*> subscribers;

template <class Stream>
class Session : public std::enable_shared_from_this<Session<Stream>> {
 public:
  template <class... Tls>
  explicit Session(tcp::socket&& socket, Tls&... tls) : ws_(std::move(socket), tls...) {}

  ~Session() { subscribers.erase(&queue_); }

  void start() {
    // The plain stream needs no handshake of its own.
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      ws_.next_layer().async_handshake(asio::ssl::stream_base::server,
                                       [self = this->shared_from_this()](beast::error_code error) {
                                         if (!error) self->read_request();
                                       });
    } else {
      read_request();
    }
  }

 private:
  void read_request() {
    beast::http::async_read(
        ws_.next_layer(), buffer_, request_,
        [self = this->shared_from_this()](beast::error_code error, std::size_t) {
          if (!error) self->accept();
        });
  }

  void accept() {
    ws_.set_option(websocket::stream_base::timeout::suggested(beast::role_type::server));
    websocket::permessage_deflate deflate;
    deflate.server_enable = true;  // only for clients that offer it
    ws_.set_option(deflate);
    ws_.read_message_max(kMessageBytesMax);
    ws_.write_buffer_bytes(kWriteBufferBytes);
    ws_.auto_fragment(false);  // a large message is one frame, in as few system calls as it takes
    if (request_.target() == "/subscribe") subscribers.insert(&queue_);
    ws_.async_accept(request_, [self = this->shared_from_this()](beast::error_code error) {
      if (!error) self->read();
    });
  }

  void read() {
    ws_.async_read(buffer_,
                   [self = this->shared_from_this()](beast::error_code error, std::size_t) {
                     if (!error) self->answer();
                   });
  }

  void answer() {
    if (request_.target() == "/publish") {
      const auto message =
          std::make_shared<const std::string>(beast::buffers_to_string(buffer_.data()));
      buffer_.consume(buffer_.size());
      for (auto* const queue : subscribers) (*queue)(message);
      return read();
    }
    ws_.text(ws_.got_text());
    ws_.async_write(buffer_.data(),
                    [self = this->shared_from_this()](beast::error_code error, std::size_t) {
                      if (error) return;
                      self->buffer_.consume(self->buffer_.size());
                      self->read();
                    });
  }

  void push(const Shared& message) {
    out_.push_back(message);
    if (out_.size() == 1) write_next();
  }

  void write_next() {
    ws_.binary(true);
    ws_.async_write(asio::buffer(*out_.front()),
                    [self = this->shared_from_this()](beast::error_code error, std::size_t) {
                      if (error) return;
                      self->out_.pop_front();
                      if (!self->out_.empty()) self->write_next();
                    });
  }

  websocket::stream<Stream> ws_;
  beast::http::request<beast::http::string_body> request_;
  beast::flat_buffer buffer_;
  std::deque<Shared> out_;
  std::function<void(const Shared&)> queue_ = [this](const Shared& message) { push(message); };
};

class Listener {
 public:
  Listener(asio::io_context& context, std::uint16_t port, asio::ssl::context* tls)
      : acceptor_(context, {asio::ip::make_address("127.0.0.1"), port}), tls_(tls) {
    acceptor_.listen(asio::socket_base::max_listen_connections);
    accept();
  }

 private:
  void accept() {
    acceptor_.async_accept([this](beast::error_code error, tcp::socket socket) {
      if (!error) {
        socket.set_option(tcp::no_delay(true));
        if (tls_ != nullptr) {
          std::make_shared<Session<TlsStream>>(std::move(socket), *tls_)->start();
        } else {
          std::make_shared<Session<PlainStream>>(std::move(socket))->start();
        }
      }
      accept();
    });
  }

  tcp::acceptor acceptor_;
  asio::ssl::context* tls_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 4) return std::fputs("usage: beast PORT [CERT KEY]\n", stderr), 2;
  asio::io_context context(1);  // one thread: no locks inside
  asio::ssl::context tls(asio::ssl::context::tls_server);
  if (argc == 4) {
    tls.use_certificate_chain_file(argv[2]);
    tls.use_private_key_file(argv[3], asio::ssl::context::pem);
  }
  const Listener listener(context, static_cast<std::uint16_t>(std::atoi(argv[1])),
                          argc == 4 ? &tls : nullptr);
  context.run();
}
