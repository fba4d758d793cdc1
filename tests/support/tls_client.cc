#include "tests/support/tls_client.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <array>
#include <utility>

#include "core/check.h"

namespace ws::test {

namespace {

std::string common_name(const X509_NAME* name) {
  std::array<char, 256> text{};
  X509_NAME_get_text_by_NID(name, NID_commonName, text.data(), text.size());
  return text.data();
}

std::string contents(BIO* memory) {
  char* bytes = nullptr;
  const long length = BIO_get_mem_data(memory, &bytes);
  return std::string(bytes, static_cast<std::size_t>(length));
}

void offer_alpn(SSL* ssl, const std::vector<std::string>& protocols) {
  std::string list;
  for (const std::string& protocol : protocols) {
    list += static_cast<char>(protocol.size());
    list += protocol;
  }
  if (list.empty()) return;
  const auto* bytes = reinterpret_cast<const unsigned char*>(list.data());
  WS_CHECK(SSL_set_alpn_protos(ssl, bytes, static_cast<unsigned>(list.size())) == 0);
}

void offer_ticket(SSL* ssl, const std::string& ticket) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(ticket.data());
  SSL_SESSION* session = d2i_SSL_SESSION(nullptr, &bytes, static_cast<long>(ticket.size()));
  WS_CHECK(session != nullptr);
  WS_CHECK(SSL_set_session(ssl, session) == 1);
  SSL_SESSION_free(session);
}

}  // namespace

TlsClient::TlsClient(const TlsClientOptions& options) : ctx_(SSL_CTX_new(TLS_client_method())) {
  SSL_CTX_set_min_proto_version(ctx_, options.version != 0 ? options.version : kTls12);
  SSL_CTX_set_max_proto_version(ctx_, options.version);  // 0: the newest
  // Security level 0 lets OpenSSL 3 speak TLS 1.1 at all.
  if (options.version == kTls11) SSL_CTX_set_security_level(ctx_, 0);
  if (!options.ciphers.empty()) {
    WS_CHECK(SSL_CTX_set_cipher_list(ctx_, options.ciphers.c_str()) == 1);
  }
  if (!options.cert_file.empty()) {
    WS_CHECK(SSL_CTX_use_certificate_chain_file(ctx_, options.cert_file.c_str()) == 1);
    WS_CHECK(SSL_CTX_use_PrivateKey_file(ctx_, options.key_file.c_str(), SSL_FILETYPE_PEM) == 1);
  }
  ssl_ = SSL_new(ctx_);
  if (!options.ca_file.empty()) {
    WS_CHECK(SSL_CTX_load_verify_file(ctx_, options.ca_file.c_str()) == 1);
    SSL_set_verify(ssl_, SSL_VERIFY_PEER, nullptr);
    X509_VERIFY_PARAM* wanted = SSL_get0_param(ssl_);
    const char* name = options.verify_name.c_str();
    if (X509_VERIFY_PARAM_set1_ip_asc(wanted, name) != 1) {
      WS_CHECK(X509_VERIFY_PARAM_set1_host(wanted, name, 0) == 1);
    }
  }
  if (!options.server_name.empty()) {
    WS_CHECK(SSL_set_tlsext_host_name(ssl_, options.server_name.c_str()) == 1);
  }
  offer_alpn(ssl_, options.alpn);
  if (!options.ticket.empty()) offer_ticket(ssl_, options.ticket);
  BIO* in = BIO_new(BIO_s_mem());
  BIO_set_mem_eof_return(in, -1);  // empty means "wait", not "end"
  SSL_set_bio(ssl_, in, BIO_new(BIO_s_mem()));
  SSL_set_connect_state(ssl_);
  advance();
}

TlsClient::~TlsClient() {
  SSL_free(ssl_);
  SSL_CTX_free(ctx_);
  ERR_clear_error();
}

void TlsClient::receive(std::string_view ciphertext) {
  if (!ciphertext.empty()) {
    const int length = static_cast<int>(ciphertext.size());
    WS_CHECK(BIO_write(SSL_get_rbio(ssl_), ciphertext.data(), length) == length);
  }
  advance();
}

std::string TlsClient::take() {
  BIO* out = SSL_get_wbio(ssl_);
  std::string ciphertext = contents(out);
  BIO_reset(out);
  return ciphertext;
}

void TlsClient::advance() {
  std::array<char, 16 * 1024> room;
  while (!failed() && !closed_) {
    ERR_clear_error();
    const int result = SSL_read(ssl_, room.data(), room.size());
    if (result > 0) {
      plain_.append(room.data(), static_cast<std::size_t>(result));
      continue;
    }
    note_error(result);
    break;
  }
  ERR_clear_error();
}

void TlsClient::note_error(int result) {
  const int error = SSL_get_error(ssl_, result);
  if (error == SSL_ERROR_ZERO_RETURN) closed_ = true;
  if (error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL) {
    const char* reason = ERR_reason_error_string(ERR_peek_error());
    error_ = reason == nullptr ? "unknown" : reason;
  }
}

bool TlsClient::flush(int fd) {
  const std::string out = take();
  for (std::size_t sent = 0; sent < out.size();) {
    const auto count = ::send(fd, out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) return false;
    sent += static_cast<std::size_t>(count);
  }
  return true;
}

bool TlsClient::fill(int fd) {
  std::array<char, 64 * 1024> room;
  const auto count = ::recv(fd, room.data(), room.size(), 0);
  if (count <= 0) return false;
  receive({room.data(), static_cast<std::size_t>(count)});
  return true;
}

bool TlsClient::handshake(int fd) {
  while (!established()) {
    if (!flush(fd) || failed() || !fill(fd)) return false;
  }
  return flush(fd);
}

bool TlsClient::send(int fd, std::string_view plain) {
  write(plain);
  return !failed() && flush(fd);
}

std::string TlsClient::receive_from(int fd) {
  while (plain_.empty() && !failed() && !closed_) {
    if (!fill(fd)) break;
  }
  flush(fd);  // answers to KeyUpdates; a server that left is told by the next read
  return read();
}

bool TlsClient::established() const {
  return SSL_is_init_finished(ssl_) == 1;
}

void TlsClient::write(std::string_view plain) {
  ERR_clear_error();
  const int result = SSL_write(ssl_, plain.data(), static_cast<int>(plain.size()));
  if (result <= 0) note_error(result);
  ERR_clear_error();
}

std::string TlsClient::read() {
  return std::exchange(plain_, {});
}

void TlsClient::close_notify() {
  SSL_shutdown(ssl_);
  ERR_clear_error();
}

std::string TlsClient::version() const {
  return SSL_get_version(ssl_);
}

std::string TlsClient::cipher() const {
  return SSL_get_cipher_name(ssl_);
}

std::string TlsClient::alpn() const {
  const unsigned char* name = nullptr;
  unsigned length = 0;
  SSL_get0_alpn_selected(ssl_, &name, &length);
  return std::string(reinterpret_cast<const char*>(name), length);
}

bool TlsClient::resumed() const {
  return SSL_session_reused(ssl_) == 1;
}

std::string TlsClient::server_common_name() const {
  const X509* certificate = SSL_get0_peer_certificate(ssl_);
  return certificate == nullptr ? "" : common_name(X509_get_subject_name(certificate));
}

std::string TlsClient::server_certificate() const {
  BIO* text = BIO_new(BIO_s_mem());
  WS_CHECK(PEM_write_bio_X509(text, SSL_get0_peer_certificate(ssl_)) == 1);
  std::string pem = contents(text);
  BIO_free(text);
  return pem;
}

std::vector<std::string> TlsClient::requested_cas() const {
  std::vector<std::string> names;
  const STACK_OF(X509_NAME)* list = SSL_get0_peer_CA_list(ssl_);
  for (int i = 0; i < sk_X509_NAME_num(list); ++i) {
    names.push_back(common_name(sk_X509_NAME_value(list, i)));
  }
  return names;
}

std::string TlsClient::ticket() const {
  SSL_SESSION* session = SSL_get1_session(ssl_);
  std::string der;
  if (session != nullptr && SSL_SESSION_is_resumable(session) == 1) {
    der.resize(static_cast<std::size_t>(i2d_SSL_SESSION(session, nullptr)));
    auto* bytes = reinterpret_cast<unsigned char*>(der.data());
    i2d_SSL_SESSION(session, &bytes);
  }
  SSL_SESSION_free(session);
  return der;
}

}  // namespace ws::test
