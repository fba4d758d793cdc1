// Public. How servers and clients are set up.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/limits.h"
#include "core/result.h"
#include "tls/options.h"
#include "ws/deflate/options.h"
#include "ws/proto/extension.h"
#include "ws/request.h"

namespace ws {

using core::Error;
using core::Ok;
using core::Result;

using tls::ClientCertificates;
using Certificate = tls::KeyPair;
using TlsOptions = tls::ServerOptions;
using TlsClientOptions = tls::ClientOptions;

struct ServerOptions {
  // ws://HOST:PORT, wss://HOST:PORT (IPv6 in brackets, * for every address, port 0 for any free
  // one), ws+unix:PATH, wss+unix:PATH.
  std::vector<std::string> listen = {};
  TlsOptions tls = {};
  // Origins whose pages may connect, besides the server's own: "https://example.com", "null", or
  // "*" for any. Requests without an Origin are no browser's and pass. A route may have its own.
  std::vector<std::string> origins = {};
  unsigned threads = 0;  // 0: one per core; at most 256
  // Off unless asked for: where a message joins a secret and what an attacker chose, its compressed
  // length tells about the secret (RFC 7692 section 8). See also SendOptions.
  // Of window_bits 9 is the least in practice: zlib cannot compress with 8, and peers that are
  // built on it refuse them.
  DeflateOptions deflate = {};
  // The program's own, tried in this order where a client offers the same one several times.
  std::vector<std::shared_ptr<const ExtensionType>> extensions = {};
  Limits limits = {};
};

// For all connections of a Client.
struct ClientOptions {
  TlsClientOptions tls = {};  // for wss
  DeflateOptions deflate = {};
  Limits limits = {};  // on a server's threads the server's hold
};

// A connection that ended, or never came about, is made again after a pause: first_ms, doubled each
// time up to max_ms, of which a random half to whole is waited, so that a crowd does not come back
// at once. A connection that was open for as long as the whole of the pause before it (the first
// one: for first_ms) starts the count anew; one that ended sooner counts as an attempt that failed,
// so that a server which takes everybody and ends them at once is left alone too. Not after
// close(), Client::cancel() or stop().
struct Reconnect {
  std::uint32_t first_ms = 0;  // 0: never
  std::uint32_t max_ms = 30'000;
  unsigned attempts = 0;  // in a row; 0: without end
};

// Why there is no connection.
struct ConnectFailure {
  std::string reason;  // one line for a person
  int status = 0;      // HTTP, if the server answered with another than 101
  // In a row, connections that ended too soon among them. 0: cancelled in the pause after one that
  // did not.
  unsigned attempt = 1;
  std::uint32_t retry_in_ms = 0;  // 0: given up
};

// What the server answered: valid during the callback.
struct ConnectResponse {
  int status = 101;
  std::span<const Header> headers;
  // The first header of that name, whatever its case; "" when there is none.
  std::string_view header(std::string_view name) const;
};

// For one connection.
struct ConnectOptions {
  std::vector<std::string> subprotocols = {};  // offered, the preferred one first
  std::vector<HeaderField> headers = {};  // sent with the request: Authorization, Cookie, Origin
  std::vector<std::shared_ptr<const ExtensionType>> extensions = {};  // offered behind deflate
  Reconnect reconnect = {};
  // Looks at a good answer before on_open; an Error refuses it, as a failure.
  std::function<Result<Ok>(const ConnectResponse&)> on_response = {};
  // Each attempt that comes to nothing. The same, with retry_in_ms 0, when cancel() or stop() comes
  // while there is no connection: during an attempt, or in the pause before the next one, also
  // after an on_close; and behind the on_close of a connection that was the last of
  // Reconnect::attempts. So the end of it all is an on_close or this, with retry_in_ms 0.
  // thread: the client's; that of ~Client, when the client's server did not run yet.
  std::function<void(const ConnectFailure&)> on_failure = {};
};

}  // namespace ws
