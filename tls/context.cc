#include "tls/context.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <string_view>

#include "core/check.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/endian.h"
#include "tls/certificate.h"
#include "tls/tickets.h"

namespace ws::tls {

// Not in the anonymous namespace: g++ warns of State, which has them, in a unit of several files.
struct CtxFree {
  void operator()(SSL_CTX* ctx) const { SSL_CTX_free(ctx); }
};
using CtxPtr = std::unique_ptr<SSL_CTX, CtxFree>;

namespace {

std::string lower_case(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

}  // namespace

struct Context::State {
  std::shared_ptr<TicketKeys> tickets;             // before contexts, which use them
  std::shared_ptr<const Certificate> self_signed;  // null with certificate files
  std::string fingerprint;
  std::vector<CtxPtr> contexts;  // one per certificate, the default first
  // "example.com" or "*.example.com", in lower case -> one of contexts.
  std::map<std::string, SSL_CTX*> by_name;
  std::vector<std::string> pins;  // a client's; as fingerprint() writes them

  core::Result<core::Ok> add(const Certificate& certificate, const std::string& called,
                             const ServerOptions& options, std::span<const X509Ptr> client_cas);

  // The context of the first certificate for that name (in lower case), or null.
  SSL_CTX* find(const std::string& name) const;
  static int choose_certificate(SSL* ssl, int* alert, void* state);
  static int acknowledge_name(SSL* ssl, int* alert, void* state);
  static int check_pins(X509_STORE_CTX* shown, void* state);
};

namespace {

constexpr std::string_view kHttp11 = "http/1.1";

// RFC 7301 section 3.2: "In the event that the server supports no protocols that the client
// advertises, then the server SHALL respond with a fatal "no_application_protocol" alert."
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_bytes,
                    const unsigned char* offers, unsigned int offers_bytes, void*) {
  std::span<const unsigned char> rest(offers, offers_bytes);
  while (!rest.empty()) {
    const std::size_t length = rest[0];
    rest = rest.subspan(1);
    if (length > rest.size()) break;
    if (std::equal(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(length),
                   kHttp11.begin(), kHttp11.end())) {
      *chosen = rest.data();
      *chosen_bytes = static_cast<unsigned char>(length);
      return SSL_TLSEXT_ERR_OK;
    }
    rest = rest.subspan(length);
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// The host name of the server_name extension, "" when there is none. RFC 6066 section 3: a list
// with its length in two bytes; each entry a type (0: host name), a length in two bytes, a name;
// "MUST NOT contain more than one name of the same name_type", and no other type exists. OpenSSL
// itself refuses a malformed one later.
std::string_view server_name_of(SSL* ssl) {
  constexpr std::size_t kHeadBytes = 2 + 1 + 2;
  const unsigned char* bytes = nullptr;
  std::size_t length = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &length) != 1) return {};
  if (length < kHeadBytes || bytes[2] != TLSEXT_NAMETYPE_host_name) return {};
  const std::size_t name_bytes = core::load_be<std::uint16_t>(bytes + 3);
  if (name_bytes > length - kHeadBytes) return {};
  return {reinterpret_cast<const char*>(bytes) + kHeadBytes, name_bytes};
}

// AEAD ciphers with an ephemeral key exchange only. With AES instructions AES-128-GCM is the
// fastest; without them it is slow and hard to do in constant time, ChaCha20 is neither.
bool set_ciphers(SSL_CTX* ctx) {
  const bool aes = core::cpu_features().aes;
  const char* tls13 = aes ? "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:"
                            "TLS_AES_256_GCM_SHA384"
                          : "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:"
                            "TLS_AES_256_GCM_SHA384";
  const char* tls12 = aes ? "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                            "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                            "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
                          : "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                            "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                            "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
  return SSL_CTX_set_ciphersuites(ctx, tls13) == 1 && SSL_CTX_set_cipher_list(ctx, tls12) == 1;
}

// What is the same for every certificate (SSL_set_SSL_CTX changes the certificate of a connection,
// but not the options, modes and verification it was made with) and for both roles.
bool set_policy(SSL_CTX* ctx) {
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
  // RELEASE_BUFFERS: an idle connection keeps no record buffers. NO_AUTO_CHAIN: we send the chain
  // of the file, and search no store for issuers in every handshake.
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY |
                            SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set1_groups_list(ctx, "X25519:P-256") == 1 &&
         // An Upgrade in early data could be replayed.
         SSL_CTX_set_max_early_data(ctx, 0) == 1 && set_ciphers(ctx);
}

core::Error set_up_error() {
  return core::Error("tls: OpenSSL cannot be set up (" + take_openssl_error() +
                     "); check its version and its openssl.cnf");
}

bool trust(SSL_CTX* ctx, std::span<const X509Ptr> cas) {
  X509_STORE* store = SSL_CTX_get_cert_store(ctx);
  return std::all_of(cas.begin(), cas.end(), [store](const X509Ptr& ca) {
    return X509_STORE_add_cert(store, ca.get()) == 1;
  });
}

bool set_client_certificates(SSL_CTX* ctx, ClientCertificates wanted,
                             std::span<const X509Ptr> client_cas) {
  if (wanted == ClientCertificates::kOff) return true;
  const int demand = wanted == ClientCertificates::kRequired ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | demand, nullptr);
  for (const X509Ptr& ca : client_cas) {
    // Named to the client so that it can pick the right certificate.
    if (SSL_CTX_add_client_CA(ctx, ca.get()) != 1) return false;
  }
  return trust(ctx, client_cas);
}

bool set_certificate(SSL_CTX* ctx, const Certificate& certificate) {
  if (SSL_CTX_use_certificate(ctx, certificate.chain.front().get()) != 1) return false;
  for (std::size_t i = 1; i < certificate.chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(ctx, certificate.chain[i].get()) != 1) return false;
  }
  return SSL_CTX_use_PrivateKey(ctx, certificate.key.get()) == 1;
}

core::Error certificate_error(const std::string& called) {
  return core::Error("tls: " + called + ": OpenSSL refuses this certificate (" +
                     take_openssl_error() + "); use P-256, or RSA of at least 2048 bits");
}

core::Result<core::Ok> check(const ClientOptions& options) {
  const std::string& ca = options.ca_file;
  if (!ca.empty() && !options.pinned_sha256.empty()) {
    return core::Error("tls: " + ca +
                       ": authorities are not asked where fingerprints are pinned; give a CA file "
                       "or fingerprints");
  }
  if (!ca.empty() && !options.verify) {
    return core::Error("tls: " + ca +
                       ": authorities are not asked where verification is off; leave one of them "
                       "out");
  }
  const auto& [cert_file, key_file] = options.certificate;
  if (!cert_file.empty() && key_file.empty()) {
    return core::Error("tls: " + cert_file +
                       ": the client certificate comes without a key; pass the PEM file of its "
                       "private key too");
  }
  if (cert_file.empty() && !key_file.empty()) {
    return core::Error("tls: " + key_file +
                       ": the private key comes without a client certificate; pass the PEM file "
                       "of its certificate too");
  }
  return core::Ok{};
}

bool set_client_policy(SSL_CTX* ctx) {
  if (!set_policy(ctx)) return false;
  SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);  // sessions are not kept, so none is resumed
  constexpr unsigned char kOffer[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  static_assert(sizeof kOffer == 1 + kHttp11.size());
  return SSL_CTX_set_alpn_protos(ctx, kOffer, sizeof kOffer) == 0;  // 0 is success here
}

// RFC 6066 section 3: "A server that implements this extension MUST NOT accept the request to
// resume the session if the server_name extension contains a different name." OpenSSL resumes only
// within a session id context, so each name is one of its own.
bool bind_tickets_to(const std::string& name, SSL* ssl) {
  std::array<std::uint8_t, 32> digest{};
  static_assert(digest.size() <= SSL_MAX_SID_CTX_LENGTH);
  return EVP_Digest(name.data(), name.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1 &&
         SSL_set_session_id_context(ssl, digest.data(), digest.size()) == 1;
}

}  // namespace

SSL_CTX* Context::State::find(const std::string& name) const {
  auto found = by_name.find(name);
  const std::size_t dot = name.find('.');
  if (found == by_name.end() && dot != std::string::npos && dot > 0) {
    // RFC 6125 section 6.4.3: a wildcard stands for the whole left-most label, and that one only.
    found = by_name.find("*" + name.substr(dot));
  }
  return found == by_name.end() ? nullptr : found->second;
}

// Runs before anything else looks at the ClientHello; the servername callback would come after a
// TLS 1.2 session was resumed.
int Context::State::choose_certificate(SSL* ssl, int*, void* state) {
  // RFC 6066 section 3: "DNS hostnames are case-insensitive."
  const std::string name = lower_case(server_name_of(ssl));
  SSL_CTX* chosen = static_cast<const State*>(state)->find(name);
  if (chosen != nullptr) SSL_set_SSL_CTX(ssl, chosen);
  return bind_tickets_to(name, ssl) ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

// RFC 6066 section 3: a server that uses the name "SHALL include an extension of type "server_name"
// in the (extended) server hello"; OpenSSL does so on ERR_OK. An unknown name gets the default
// certificate, and the client decides.
int Context::State::acknowledge_name(SSL* ssl, int*, void* state) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  const bool known =
      name != nullptr && static_cast<const State*>(state)->find(lower_case(name)) != nullptr;
  return known ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

core::Result<core::Ok> Context::State::add(const Certificate& certificate,
                                           const std::string& called, const ServerOptions& options,
                                           std::span<const X509Ptr> client_cas) {
  ERR_clear_error();
  CtxPtr ctx(SSL_CTX_new(TLS_server_method()));
  if (!ctx || !set_policy(ctx.get()) ||
      !set_client_certificates(ctx.get(), options.client_certificates, client_cas)) {
    return set_up_error();
  }
  if (!set_certificate(ctx.get(), certificate)) return certificate_error(called);
  SSL_CTX_set_alpn_select_cb(ctx.get(), choose_protocol, nullptr);
  tickets->install(ctx.get());
  SSL_CTX_set_client_hello_cb(ctx.get(), choose_certificate, this);
  SSL_CTX_set_tlsext_servername_callback(ctx.get(), acknowledge_name);
  SSL_CTX_set_tlsext_servername_arg(ctx.get(), this);
  for (const std::string& name : dns_names(certificate.chain.front().get())) {
    by_name.emplace(lower_case(name), ctx.get());  // the first one for a name stays
  }
  contexts.push_back(std::move(ctx));
  return core::Ok{};
}

core::Result<Context> Context::build(const ServerOptions& options, const State* previous) {
  auto state = std::make_shared<State>();
  state->tickets =
      previous ? previous->tickets : std::make_shared<TicketKeys>(core::monotonic_ms());

  std::vector<X509Ptr> client_cas;
  if (options.client_certificates != ClientCertificates::kOff) {
    if (options.client_ca_file.empty()) {
      return core::Error(
          "tls: client certificates are asked for but no CA file is given; pass the "
          "PEM file of the CA that issues them");
    }
    auto loaded = load_certificates(options.client_ca_file);
    if (!loaded) return loaded.error();
    client_cas = std::move(*loaded);
  }

  for (const KeyPair& files : options.certificates) {
    auto loaded = load_certificate(files.cert_file, files.key_file);
    if (!loaded) return loaded.error();
    auto added = state->add(*loaded, files.cert_file, options, client_cas);
    if (!added) return added.error();
    if (state->fingerprint.empty()) state->fingerprint = tls::fingerprint(loaded->chain[0].get());
  }

  if (options.certificates.empty()) {
    if (previous) state->self_signed = previous->self_signed;
    if (!state->self_signed) {
      auto made = make_self_signed();
      if (!made) return made.error();
      state->self_signed = std::make_shared<Certificate>(std::move(*made));
    }
    auto added = state->add(*state->self_signed, "the self-signed one", options, client_cas);
    if (!added) return added.error();
    state->fingerprint = tls::fingerprint(state->self_signed->chain[0].get());
  }
  return Context(std::move(state));
}

// Stands in for the verification of a chain.
int Context::State::check_pins(X509_STORE_CTX* shown, void* state) {
  const std::string found = tls::fingerprint(X509_STORE_CTX_get0_cert(shown));
  const auto& pins = static_cast<const State*>(state)->pins;
  if (std::find(pins.begin(), pins.end(), found) != pins.end()) return 1;
  // OpenSSL's alert for this one is bad_certificate.
  X509_STORE_CTX_set_error(shown, X509_V_ERR_CERT_REJECTED);
  return 0;
}

core::Result<Context> Context::make_client(const ClientOptions& options) {
  if (auto good = check(options); !good) return good.error();
  auto state = std::make_shared<State>();
  for (const std::string& text : options.pinned_sha256) {
    auto pin = parse_fingerprint(text);
    if (!pin) return pin.error();
    state->pins.push_back(std::move(*pin));
  }
  std::vector<X509Ptr> cas;
  if (!options.ca_file.empty()) {
    auto loaded = load_certificates(options.ca_file);
    if (!loaded) return loaded.error();
    cas = std::move(*loaded);
  }

  ERR_clear_error();
  CtxPtr ctx(SSL_CTX_new(TLS_client_method()));
  if (!ctx || !set_client_policy(ctx.get())) return set_up_error();
  const bool pinned = !state->pins.empty();
  if (options.verify || pinned) SSL_CTX_set_verify(ctx.get(), SSL_VERIFY_PEER, nullptr);
  if (pinned) {
    SSL_CTX_set_cert_verify_callback(ctx.get(), State::check_pins, state.get());
  } else if (!cas.empty()) {
    if (!trust(ctx.get(), cas)) return set_up_error();
  } else if (options.verify && SSL_CTX_set_default_verify_paths(ctx.get()) != 1) {
    return set_up_error();
  }
  if (const KeyPair& files = options.certificate; !files.cert_file.empty()) {
    auto loaded = load_certificate(files.cert_file, files.key_file);
    if (!loaded) return loaded.error();
    ERR_clear_error();
    if (!set_certificate(ctx.get(), *loaded)) return certificate_error(files.cert_file);
  }
  state->contexts.push_back(std::move(ctx));
  return Context(std::move(state));
}

core::Result<Context> Context::make_server(const ServerOptions& options) {
  return build(options, nullptr);
}

core::Result<Context> Context::reload_server(const ServerOptions& options,
                                             const Context& previous) {
  return build(options, previous.state_.get());
}

const std::string& Context::fingerprint() const {
  return state_->fingerprint;
}
bool Context::self_signed() const {
  return state_->self_signed != nullptr;
}
bool Context::pinned() const {
  return !state_->pins.empty();
}
ssl_ctx_st* Context::handle() const {
  return state_->contexts.front().get();
}

}  // namespace ws::tls
