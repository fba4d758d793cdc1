// Public. The opening handshake of RFC 6455 section 4, client side: writing a request, judging
// the response.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "ws/proto/header.h"
#include "ws/proto/http.h"

namespace ws::proto {

// A Sec-WebSocket-Key: 16 random bytes in base64. Section 4.1: "The nonce MUST be selected randomly
// for each connection."
std::string make_key();

struct ClientRequest {
  std::string_view target;                         // ConnectUrl::target
  std::string_view host;                           // ConnectUrl::host_header()
  std::string_view key;                            // make_key()
  std::span<const std::string> subprotocols = {};  // in the order of preference
  std::span<const std::string> extensions = {};    // offers as they stand in the list
  std::span<const HeaderField> headers = {};
};

// The whole head of section 4.1's request. in: subprotocols and headers that
// check_client_request() passes.
std::string client_request(const ClientRequest& request);

// Whether a program may ask for these.
// errors: one line naming the subprotocol that is no token or repeated, or check_header()'s.
core::Result<core::Ok> check_client_request(std::span<const std::string> subprotocols,
                                            std::span<const HeaderField> headers);

// What a server agreed to.
struct ServerAnswer {
  std::string subprotocol;  // one of those offered; "" when it chose none
  // Section 4.1: "if this header field indicates the use of an extension that was not present in
  // the client's handshake [...], the client MUST _Fail the WebSocket Connection_". That is the
  // caller's to judge, who knows what each offer means. valid until: the head is.
  std::vector<ExtensionElement> extensions;
};

// The verdict on a complete response to the request with `key` and `subprotocols`.
// errors: one line for a person that says what the server did, to stand after the URL. Redirects
// are not followed: the line has the Location.
core::Result<ServerAnswer> judge_response(const ResponseHead& head, std::string_view key,
                                          std::span<const std::string> subprotocols);

}  // namespace ws::proto
