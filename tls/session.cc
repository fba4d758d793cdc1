#include "tls/session.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <new>

#include "core/check.h"
#include "core/clock.h"
#include "core/copy.h"
#include "tls/certificate.h"

namespace ws::tls {

namespace {

// RFC 8446 section 5.1: "The length MUST NOT exceed 2^14 bytes."
constexpr std::size_t kRecordBytes = 16 * 1024;
// The most that sealing adds to a record: TLS 1.2 AES-GCM with a header of 5, an explicit nonce of
// 8 and a tag of 16 (TLS 1.3: header 5, content type 1, tag 16).
constexpr std::size_t kRecordOverheadBytes = 29;

// Each costs us two key schedules. An honest peer needs one per 2^24 records (RFC 8446
// section 5.5).
constexpr std::uint32_t kKeyUpdatesPerSecond = 100;

// SSL_get_error() looks at the queue, so each call must find it empty. It nearly always is, and
// asking is much cheaper than ERR_clear_error(), which walks all 16 entries regardless: a fifth of
// the time of a small record.
void clear_errors() {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

// Tells OpenSSL whose certificate the server must show.
bool name_server(SSL* ssl, std::string_view host) {
  // RFC 6066 section 3: the name is sent "without a trailing dot"; certificates have none either.
  std::string name(host.substr(0, host.size() - (host.ends_with('.') ? 1 : 0)));
  // To OpenSSL no name means no check, and a dot in front any name below.
  if (name.empty() || name.starts_with('.') || name.find('\0') != std::string::npos) return false;
  X509_VERIFY_PARAM* wanted = SSL_get0_param(ssl);
  // RFC 6066 section 3: "Literal IPv4 and IPv6 addresses are not permitted in "HostName"."
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str()) == 1) return true;
  clear_errors();
  // RFC 9110 section 4.3.4: "A reference identity of type CN-ID MUST NOT be used by clients." RFC
  // 6125 section 6.4.3: a wildcard stands for a whole label.
  X509_VERIFY_PARAM_set_hostflags(
      wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  return X509_VERIFY_PARAM_set1_host(wanted, name.c_str(), name.size()) == 1 &&
         SSL_set_tlsext_host_name(ssl, name.c_str()) == 1;
}

// The ephemeral keys of a TLS 1.3 handshake, which OpenSSL would keep as long as the session: 430
// bytes of it, and a secret nobody needs any more. EVP_PKEY_set_type() wipes and frees what a key
// holds.
void wipe_ephemeral_keys(SSL* ssl) {
  const auto wipe = [](EVP_PKEY* key) {
    EVP_PKEY_set_type(key, EVP_PKEY_X25519);
    EVP_PKEY_free(key);  // our reference
  };
  ERR_set_mark();  // SSL_get_error() and fail() are yet to see what SSL_read_ex() left
  EVP_PKEY* key = nullptr;
  if (SSL_get_tmp_key(ssl, &key) == 1) wipe(key);
  if (SSL_get_peer_tmp_key(ssl, &key) == 1) wipe(key);
  ERR_pop_to_mark();
}

}  // namespace

// The BIO is both ends of the wire: OpenSSL reads from the fed span and writes to pending_. It
// never blocks a write, so a write is never retried and no "bad write retry" can happen.
struct Session::Callbacks {
  static BIO_METHOD* method() {
    // Never freed: a session may live longer than this library's static objects.
    static BIO_METHOD* const made = [] {
      BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "ws session");
      WS_CHECK(method != nullptr);
      BIO_meth_set_create(method, [](BIO* bio) {
        BIO_set_init(bio, 1);
        return 1;
      });
      BIO_meth_set_read(method, read);
      BIO_meth_set_write(method, write);
      BIO_meth_set_ctrl(method, ctrl);
      return method;
    }();
    return made;
  }

  static int read(BIO* bio, char* into, int room) {
    auto& session = *static_cast<Session*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    // A verdict of ours, reached inside this SSL_read: OpenSSL gets nothing more.
    if (!session.failure_.empty()) return -1;
    if (session.fed_.empty()) {
      BIO_set_retry_read(bio);
      return -1;
    }
    const std::size_t count = std::min(session.fed_.size(), static_cast<std::size_t>(room));
    core::copy_large(reinterpret_cast<std::uint8_t*>(into), session.fed_.data(), count);
    session.fed_ = session.fed_.subspan(count);
    return static_cast<int>(count);
  }

  static int write(BIO* bio, const char* bytes, int count) {
    auto& session = *static_cast<Session*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    const auto size = static_cast<std::size_t>(count);
    try {
      core::copy_large(session.pending_.prepare(size).data(),
                       reinterpret_cast<const std::uint8_t*>(bytes), size);
      session.pending_.commit(size);
    } catch (const std::bad_alloc&) {
      return -1;  // an exception must not pass through C code; the session fails
    }
    return count;
  }

  static long ctrl(BIO* bio, int command, long, void*) {
    const auto& session = *static_cast<const Session*>(BIO_get_data(bio));
    switch (command) {
      case BIO_CTRL_FLUSH:
        return 1;
      case BIO_CTRL_PENDING:
        return static_cast<long>(session.fed_.size());
      default:
        return 0;  // not supported, kernel TLS among others
    }
  }

  // Called for every record and handshake message, in both directions; so it looks at two integers
  // and leaves.
  static void message(int written, int, int type, const void* content, std::size_t length, SSL* ssl,
                      void* session) {
    const auto* bytes = static_cast<const std::uint8_t*>(content);
    if (written == 0 && type == SSL3_RT_HANDSHAKE) {
      if (length > 0 && bytes[0] == SSL3_MT_KEY_UPDATE) {
        static_cast<Session*>(session)->count_key_update();
      }
    } else if (written != 0 && type == SSL3_RT_ALERT) {
      // OpenSSL refuses with a warning and carries on, as often as it is asked.
      if (length == 2 && bytes[1] == SSL_AD_NO_RENEGOTIATION) {
        static_cast<Session*>(session)->failure_ = SSL_is_server(ssl) == 1
                                                       ? "the client asked to renegotiate"
                                                       : "the server asked to renegotiate";
      }
    }
  }
};

Session::Session(const Context& context) : context_(context) {
  if (!open()) return;
  WS_CHECK(SSL_is_server(ssl_) == 1);
  SSL_set_accept_state(ssl_);
}

Session::Session(const Context& context, std::string_view host) : context_(context) {
  if (!open()) return;
  WS_CHECK(SSL_is_server(ssl_) == 0);
  if (!name_server(ssl_, host)) {
    failure_ = '"' + std::string(host) + "\" is neither a host name nor an IP address";
    clear_errors();
    return;
  }
  SSL_set_connect_state(ssl_);
  clear_errors();
  const int result = SSL_do_handshake(ssl_);
  if (SSL_get_error(ssl_, result) != SSL_ERROR_WANT_READ) fail();
}

bool Session::open() {
  clear_errors();
  ssl_ = SSL_new(context_.handle());
  BIO* bio = BIO_new(Callbacks::method());
  if (ssl_ == nullptr || bio == nullptr) {
    BIO_free(bio);
    fail();
    return false;
  }
  BIO_set_data(bio, this);
  SSL_set_bio(ssl_, bio, bio);  // takes the one reference for both directions
  SSL_set_msg_callback(ssl_, Callbacks::message);
  SSL_set_msg_callback_arg(ssl_, this);
  return true;
}

Session::~Session() {
  clear_errors();
  SSL_free(ssl_);
  clear_errors();
}

void Session::feed(std::span<const std::uint8_t> ciphertext) {
  WS_CHECK(fed_.empty());
  fed_ = ciphertext;
}

Session::Unsealed Session::unseal(std::span<std::uint8_t> plain) {
  WS_DCHECK(!plain.empty());
  Unsealed result;
  while (failure_.empty() && result.bytes < plain.size()) {
    const auto room = plain.subspan(result.bytes);
    std::size_t count = 0;
    clear_errors();
    // One record at most per call, straight into the caller's memory.
    const int read = SSL_read_ex(ssl_, room.data(), room.size(), &count);
    if (!established_ && SSL_is_init_finished(ssl_) == 1) {
      established_ = true;
      wipe_ephemeral_keys(ssl_);
    }
    if (read == 1) {
      result.bytes += count;
      // Without read-ahead OpenSSL has no record of its own then: asking on would only tell so.
      if (fed_.empty() && count < room.size()) break;
      continue;
    }
    const int error = SSL_get_error(ssl_, read);
    // Not SSL_pending(): it does not count records that are not decrypted yet. Wanting to read
    // means that the fed bytes are used up.
    if (error == SSL_ERROR_WANT_READ) return result;
    if (error == SSL_ERROR_ZERO_RETURN) {
      // RFC 8446 section 6.1: "Any data received after a closure alert has been received MUST be
      // ignored."
      fed_ = {};
      result.status = Status::kClosed;
      return result;
    }
    fail();
  }
  if (!failure_.empty()) {
    fed_ = {};
    result.status = Status::kFailed;
  }
  return result;
}

bool Session::seal(std::span<const std::uint8_t> plain) {
  WS_CHECK(established_ || !failure_.empty());
  if (!failure_.empty()) return false;
  // All room at once, so that the buffer does not grow record by record.
  const std::size_t records = (plain.size() + kRecordBytes - 1) / kRecordBytes;
  pending_.prepare(plain.size() + records * kRecordOverheadBytes);
  while (!plain.empty()) {
    std::size_t count = 0;
    clear_errors();
    // One record per call. It can only fail for want of memory, or when the peer sent the first
    // part of a handshake message and OpenSSL does not write before the rest has come.
    if (SSL_write_ex(ssl_, plain.data(), plain.size(), &count) != 1) {
      fail();
      return false;
    }
    plain = plain.subspan(count);
  }
  return true;
}

void Session::close_notify() {
  if (!established_ || !failure_.empty() || SSL_in_init(ssl_) != 0) return;
  if ((SSL_get_shutdown(ssl_) & SSL_SENT_SHUTDOWN) != 0) return;
  clear_errors();
  // 0 is no error: ours is sent, the peer's has not come.
  if (SSL_shutdown(ssl_) < 0) fail();
}

void Session::fail() {
  if (failure_.empty()) {
    // The newest: what it meant for TLS, above what the ciphers and encodings below had to say.
    const char* reason = ERR_reason_error_string(ERR_peek_last_error());
    failure_ = reason == nullptr ? "OpenSSL failed without a reason" : reason;
    if (const std::string verdict = this->verdict(); !verdict.empty()) failure_ += ": " + verdict;
  }
  clear_errors();
}

std::string Session::verdict() const {
  // Verification goes on when it is off; nobody wants to know.
  if (ssl_ == nullptr || SSL_get_verify_mode(ssl_) == SSL_VERIFY_NONE) return {};
  const long verdict = SSL_get_verify_result(ssl_);
  if (verdict == X509_V_OK) return {};
  const STACK_OF(X509)* shown = SSL_get_peer_cert_chain(ssl_);
  if (context_.pinned() && sk_X509_num(shown) > 0) {
    return "its fingerprint " + fingerprint(sk_X509_value(shown, 0)) + " is none of those pinned";
  }
  return X509_verify_cert_error_string(verdict);
}

void Session::count_key_update() {
  const std::uint64_t now_ms = core::monotonic_ms();
  if (now_ms >= key_updates_since_ms_ + 1000) {
    key_updates_since_ms_ = now_ms;
    key_updates_ = 0;
  }
  if (++key_updates_ > kKeyUpdatesPerSecond) failure_ = "too many KeyUpdate messages";
}

std::string Session::version() const {
  return SSL_get_version(ssl_);
}

std::string Session::cipher() const {
  return SSL_get_cipher_name(ssl_);
}

std::string Session::peer_subject() const {
  const X509* certificate = SSL_get0_peer_certificate(ssl_);
  if (certificate == nullptr || SSL_get_verify_result(ssl_) != X509_V_OK) return {};
  clear_errors();
  std::string subject;
  BIO* text = BIO_new(BIO_s_mem());
  // RFC 2253 form escapes everything that is not printable ASCII.
  if (X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0) {
    char* bytes = nullptr;
    const long length = BIO_get_mem_data(text, &bytes);
    subject.assign(bytes, static_cast<std::size_t>(length));
  }
  BIO_free(text);
  clear_errors();
  return subject;
}

}  // namespace ws::tls
