// Public. How a server is set up.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/limits.h"
#include "tls/options.h"
#include "ws/deflate/options.h"

namespace ws {

using tls::ClientCertificates;
using Certificate = tls::KeyPair;
using TlsOptions = tls::ServerOptions;

struct ServerOptions {
  // ws://HOST:PORT, wss://HOST:PORT (IPv6 in brackets, * for every address, port 0 for any free
  // one), ws+unix:PATH, wss+unix:PATH.
  std::vector<std::string> listen = {};
  TlsOptions tls = {};
  // Origins whose pages may connect, besides the server's own: "https://example.com", or "*" for
  // any. Requests without an Origin are no browser's and pass.
  std::vector<std::string> origins = {};
  unsigned threads = 0;  // 0: one per core
  // Off unless asked for: where a message joins a secret and what an attacker chose, its compressed
  // length tells about the secret (RFC 7692 section 8). See also SendOptions.
  DeflateOptions deflate = {};
  Limits limits = {};
};

}  // namespace ws
