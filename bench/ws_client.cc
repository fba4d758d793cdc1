#include "bench/ws_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>

#include "bench/args.h"

namespace ws::bench {
namespace {

constexpr int kTimeoutSeconds = 10;
constexpr std::size_t kHeadBytesMax = 8192;
constexpr long kGatherBytes = 256 * 1024;

// RFC 6455 s1.3 gives this key with its answer, so nothing has to be hashed here.
constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

constexpr std::string_view kSchemes[] = {"ws", "wss", "tcp", "tls"};

std::string tls_error() {
  const unsigned long code = ERR_get_error();
  if (code == 0) return "the connection ended";
  char text[256];
  ERR_error_string_n(code, text, sizeof text);
  return text;
}

int keep_session(SSL* ssl, SSL_SESSION* session) {
  auto* const ticket = static_cast<TlsTicket*>(SSL_get_app_data(ssl));
  if (ticket == nullptr) return 0;
  ticket->keep(session);
  return 1;  // the reference is the ticket's
}

// One context for the process, never freed: every stream needs it until the end.
SSL_CTX* tls_context() {
  static SSL_CTX* const context = [] {
    SSL_CTX* const made = SSL_CTX_new(TLS_client_method());
    if (made == nullptr) throw std::runtime_error("OpenSSL gave no TLS context: " + tls_error());
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets without MSG_NOSIGNAL
    // The same cipher from every server: left to them, some take AES-128 and others AES-256, and
    // the rows would compare that.
    SSL_CTX_set_ciphersuites(made, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set_cipher_list(made, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256");
    SSL_CTX_set_read_ahead(made, 1);  // one recv for a record's header and body
    SSL_CTX_set_verify(made, SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(made, keep_session);
    SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                               SSL_MODE_RELEASE_BUFFERS);
    return made;
  }();
  return context;
}

void bind_source(int fd, const std::string& local_ip) {
  sockaddr_in source{};
  source.sin_family = AF_INET;
  if (inet_pton(AF_INET, local_ip.c_str(), &source.sin_addr) != 1) {
    throw std::runtime_error(local_ip + ": not an IPv4 address");
  }
  // Lets connect() choose the port, so that the port range counts for each pair of addresses.
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&source), sizeof source) != 0) {
    throw std::runtime_error("bind to " + local_ip + ": " + std::strerror(errno));
  }
}

// Throws on any failure; `fd` stays the caller's.
void set_up_and_connect(int fd, const addrinfo& address, const std::string& local_ip) {
  const timeval timeout{kTimeoutSeconds, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (!local_ip.empty()) bind_source(fd, local_ip);
  if (connect(fd, address.ai_addr, address.ai_addrlen) != 0) {
    // What SO_SNDTIMEO makes of a connect() that takes too long.
    throw std::runtime_error(errno == EINPROGRESS ? "timed out" : std::strerror(errno));
  }
}

// Tries each address in turn. Throws the last one's reason.
int connected_socket(const addrinfo* address, const std::string& local_ip) {
  while (true) {
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) throw std::runtime_error(std::string("socket: ") + std::strerror(errno));
    try {
      set_up_and_connect(fd, *address, local_ip);
      return fd;
    } catch (const std::runtime_error&) {
      ::close(fd);
      address = address->ai_next;
      if (address == nullptr) throw;
    }
  }
}

bool is_address(const std::string& host) {
  in_addr address{};
  return host.find(':') != std::string::npos || inet_pton(AF_INET, host.c_str(), &address) == 1;
}

std::string authority(const Url& url) {
  const bool ipv6 = url.host.find(':') != std::string::npos;
  return (ipv6 ? '[' + url.host + ']' : url.host) + ':' + url.port;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
  return text;
}

// The value of the headers of that name (in lower case), "" without one. RFC 9110 s5.3: several are
// one list.
std::string header_value(const std::string& head, std::string_view name) {
  std::string values;
  for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
    const std::size_t end = head.find("\r\n", at);
    const std::string line = head.substr(at, end - at);
    at = end + 2;
    if (line.find(':') != name.size() || lower(line.substr(0, name.size())) != name) continue;
    const std::size_t first = line.find_first_not_of(" \t", name.size() + 1);
    if (first == std::string::npos) continue;
    if (!values.empty()) values += ", ";
    values += line.substr(first, line.find_last_not_of(" \t") + 1 - first);
  }
  return values;
}

bool has_token(const std::string& list, std::string_view token) {
  const std::string names = ',' + lower(list) + ',';
  std::string bare;
  for (const char c : names) {
    if (c != ' ' && c != '\t') bare += c;
  }
  return bare.find(',' + std::string(token) + ',') != std::string::npos;
}

// RFC 6455 s4.1, what a client has to check of the answer.  returns: what is wrong, "" if nothing.
std::string fault_of(const std::string& head) {
  if (!head.starts_with("HTTP/1.1 101 ")) return "refused: " + head.substr(0, head.find("\r\n"));
  if (lower(header_value(head, "upgrade")) != "websocket") return "no Upgrade: websocket";
  if (!has_token(header_value(head, "connection"), "upgrade")) return "no Connection: Upgrade";
  if (header_value(head, "sec-websocket-accept") != kAccept) return "wrong Sec-WebSocket-Accept";
  if (!head.ends_with("\r\n\r\n")) return "speaks before it is spoken to, so it is no echo";
  return {};
}

}  // namespace

Url parse_url(std::string_view text) {
  const auto refuse = [&](const char* why) {
    usage_error("--url " + std::string(text) + ": " + why);
  };
  const std::size_t scheme_end = text.find("://");
  const std::string_view scheme = text.substr(0, scheme_end);
  if (scheme_end == std::string_view::npos ||
      std::find(std::begin(kSchemes), std::end(kSchemes), scheme) == std::end(kSchemes)) {
    refuse("must start with ws://, wss://, tcp:// or tls://");
  }
  const std::string_view rest = text.substr(scheme_end + 3);
  const std::size_t path_at = std::min(rest.find('/'), rest.size());
  const std::string_view authority = rest.substr(0, path_at);
  const std::size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == authority.size() || colon == 0) {
    refuse("must name HOST:PORT");
  }
  const std::string_view port = authority.substr(colon + 1);
  const bool number = port.find_first_not_of("0123456789") == std::string_view::npos;
  if (number && (port.size() > 5 || std::stoul(std::string(port)) > 65535)) {
    refuse("the port is 65535 at most");  // getaddrinfo() would take it modulo 65536
  }
  std::string_view host = authority.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return {.tls = scheme == "wss" || scheme == "tls",
          .raw = scheme == "tcp" || scheme == "tls",
          .host = std::string(host),
          .port = std::string(port),
          .path = path_at == rest.size() ? "/" : std::string(rest.substr(path_at))};
}

TlsTicket::~TlsTicket() {
  SSL_SESSION_free(session_);
}

void TlsTicket::keep(SSL_SESSION* session) {
  SSL_SESSION_free(session_);
  session_ = session;
}

Stream::Stream(const Url& url, const std::string& local_ip, TlsTicket* ticket) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string name = authority(url);
  const int failed = getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &found);
  if (failed != 0) throw std::runtime_error(name + ": " + gai_strerror(failed));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> address(found, freeaddrinfo);

  try {
    fd_ = connected_socket(address.get(), local_ip);
    if (url.tls) start_tls(url.host, ticket);
  } catch (const std::runtime_error& error) {
    SSL_free(ssl_);
    if (fd_ >= 0) ::close(fd_);
    throw std::runtime_error("cannot connect to " + name + ": " + error.what());
  }
}

Stream::Stream(Stream&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      ssl_(std::exchange(other.ssl_, nullptr)),
      end_reason_(std::move(other.end_reason_)) {}

Stream::~Stream() {
  // Else OpenSSL takes the session for broken, and does not resume it.
  if (ssl_ != nullptr) SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(ssl_);
  if (fd_ >= 0) ::close(fd_);
}

void Stream::start_tls(const std::string& host, TlsTicket* ticket) {
  ssl_ = SSL_new(tls_context());
  if (ssl_ == nullptr) throw std::runtime_error("OpenSSL gave no session: " + tls_error());
  // RFC 6066 s3: "Literal IPv4 and IPv6 addresses are not permitted".
  if (!is_address(host)) SSL_set_tlsext_host_name(ssl_, host.c_str());
  SSL_set0_rbio(ssl_, BIO_new_socket(fd_, BIO_NOCLOSE));
  // Records are gathered, so that a message of several is one send(): else the server would be
  // woken by the first, and what it costs would depend on who comes first.
  BIO* const gather = BIO_new(BIO_f_buffer());
  BIO_set_write_buffer_size(gather, kGatherBytes);
  SSL_set0_wbio(ssl_, BIO_push(gather, BIO_new_socket(fd_, BIO_NOCLOSE)));
  SSL_set_app_data(ssl_, ticket);
  if (ticket != nullptr && ticket->session() != nullptr) {
    // A copy: TLS 1.3 marks a session that was offered as used up, but a server need not send a
    // ticket on every connection.
    SSL_SESSION* const copy = SSL_SESSION_dup(ticket->session());
    SSL_set_session(ssl_, copy);
    SSL_SESSION_free(copy);
  }
  ERR_clear_error();
  if (SSL_connect(ssl_) != 1) {
    throw std::runtime_error("TLS handshake failed, only AES-128-GCM being offered: " +
                             tls_error());
  }
}

std::string Stream::upgrade(const Url& url, std::string_view extensions) {
  const std::string name = authority(url) + url.path;
  std::string request =
      "GET " + url.path + " HTTP/1.1\r\nHost: " + authority(url) +
      "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " + std::string(kKey) +
      "\r\nSec-WebSocket-Version: 13\r\n";
  if (!extensions.empty()) {
    request.append("Sec-WebSocket-Extensions: ").append(extensions).append("\r\n");
  }
  request += "\r\n";
  const IoResult sent =
      write({reinterpret_cast<const std::uint8_t*>(request.data()), request.size()});
  if (sent.bytes != request.size()) throw std::runtime_error(name + ": could not send the request");

  std::string head;
  while (head.find("\r\n\r\n") == std::string::npos) {
    std::uint8_t piece[1024];
    const IoResult got = read(piece);
    if (got.state == Io::kBlocked) throw std::runtime_error(name + ": no answer to the upgrade");
    if (got.state == Io::kEnded) {
      throw std::runtime_error(name + ": ended during the upgrade: " + end_reason_);
    }
    head.append(reinterpret_cast<const char*>(piece), got.bytes);
    if (head.size() > kHeadBytesMax) throw std::runtime_error(name + ": endless answer");
  }
  if (const std::string fault = fault_of(head); !fault.empty()) {
    throw std::runtime_error(name + ": " + fault);
  }
  return header_value(head, "sec-websocket-extensions");
}

void Stream::set_nonblocking() {
  fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) | O_NONBLOCK);
}

void Stream::shut_down_write() {
  if (ssl_ != nullptr) {
    ERR_clear_error();
    SSL_shutdown(ssl_);
    (void)flush();
  }
  shutdown(fd_, SHUT_WR);
}

bool Stream::resumed() const {
  return ssl_ != nullptr && SSL_session_reused(ssl_) == 1;
}

IoResult Stream::read(std::span<std::uint8_t> into) {
  if (ssl_ == nullptr) return plain_result(recv(fd_, into.data(), into.size(), 0));
  ERR_clear_error();
  return tls_result(SSL_read(ssl_, into.data(), static_cast<int>(into.size())));
}

IoResult Stream::write(std::span<const std::uint8_t> from) {
  if (ssl_ == nullptr) return plain_result(send(fd_, from.data(), from.size(), MSG_NOSIGNAL));
  if (!flush()) return {Io::kBlocked, 0};
  IoResult written{Io::kOk, 0};
  while (written.bytes < from.size() && written.state == Io::kOk) {
    ERR_clear_error();
    const auto rest = from.subspan(written.bytes);
    const IoResult record = tls_result(SSL_write(ssl_, rest.data(), static_cast<int>(rest.size())));
    written.bytes += record.bytes;
    if (record.bytes == 0) written.state = record.state;
  }
  (void)flush();
  // What was taken counts; the next call tells of a wire that is blocked or broken.
  return written.bytes > 0 ? IoResult{Io::kOk, written.bytes} : written;
}

bool Stream::flush() {
  return ssl_ == nullptr || BIO_flush(SSL_get_wbio(ssl_)) == 1;
}

IoResult Stream::plain_result(ssize_t n) {
  if (n > 0) return {Io::kOk, static_cast<std::size_t>(n)};
  if (n < 0 && errno == EAGAIN) return {Io::kBlocked, 0};
  end_reason_ = n == 0 ? "the server closed the connection" : std::strerror(errno);
  return {Io::kEnded, 0};
}

IoResult Stream::tls_result(int n) {
  if (n > 0) return {Io::kOk, static_cast<std::size_t>(n)};
  const int os_error = errno;
  switch (SSL_get_error(ssl_, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return {Io::kBlocked, 0};
    case SSL_ERROR_ZERO_RETURN:
      end_reason_ = "the server closed the connection";
      break;
    case SSL_ERROR_SYSCALL:
      end_reason_ =
          os_error == 0 ? "the server closed without close_notify" : std::strerror(os_error);
      break;
    default:
      end_reason_ = tls_error();
  }
  return {Io::kEnded, 0};
}

}  // namespace ws::bench
