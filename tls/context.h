// Internal. Certificates, keys and policy that many TLS sessions share.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/result.h"
#include "tls/options.h"

struct ssl_ctx_st;

namespace ws::tls {

// Immutable once made, but for the ticket keys, which rotate by themselves; sessions hold a
// reference, so replacing it never disturbs them. Copies share. thread: any.
class Context {
 public:
  // Loads and checks everything first (chain parses, key matches its certificate, not expired).
  // errors: one line naming the file and the cure.
  static core::Result<Context> make_server(const ServerOptions& options);

  // Like make_server, but keeps `previous`'s ticket keys (so resumption survives a reload) and,
  // when there are no certificate files, its self-signed certificate.
  static core::Result<Context> reload_server(const ServerOptions& options, const Context& previous);

  // What the sessions of a client share. Reads the system's authorities, which takes a while: make
  // one and keep it.
  // errors: as make_server's; also for a fingerprint that is none and for options that contradict
  // each other.
  static core::Result<Context> make_client(const ClientOptions& options);

  // SHA-256 of a server's default certificate, as AA:BB:...; for the banner.
  const std::string& fingerprint() const;
  bool self_signed() const;
  bool pinned() const;  // a client's: fingerprints stand in for verified chains

  // What Session makes its connection from. valid until: the last copy is gone.
  ssl_ctx_st* handle() const;

 private:
  struct State;
  static core::Result<Context> build(const ServerOptions& options, const State* previous);
  explicit Context(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace ws::tls
