// Internal. The answer to an opening request: which status, which route, which origin.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "ws/handlers.h"
#include "ws/proto/handshake.h"
#include "ws/proto/http.h"
#include "ws/router.h"

namespace ws {

// What a whole request asks for, and whether it may have it.
struct Judgement {
  enum class Kind : std::uint8_t {
    kRefused,  // response says so
    kPage,     // for the route's on_http
    kUpgrade,  // for its on_upgrade, if it has one
  };
  Kind kind = Kind::kRefused;
  std::string_view reason = {};  // kRefused: a constant phrase, for the log
  std::string response = {};     // kRefused: the whole answer
  Router::Match route = {};      // otherwise
};

// The request itself is judged first (405, 400), then the route (404), then the upgrade (426), then
// the Origin (403). origins: those of the server, for routes without their own.
Judgement judge_request(const proto::RequestHead& head, const Router& router,
                        std::span<const std::string> origins, bool tls);

// What a program says about origins and routes. errors: one line that quotes what is none; such a
// route is not added.
core::Result<core::Ok> check_origins(std::span<const std::string> origins);
core::Result<core::Ok> add_route(Router& router, std::string_view pattern, Handlers handlers);

// For 408, 414, 431, 500, 503 and whatever else is not about the request. method: where it is
// known.
Judgement refuse_request(int status, std::string_view method = {});

// The program's answers. errors: a header that cannot be sent as it is, a status that is no
// answer's, a subprotocol that was not offered; for the log.
core::Result<std::string> upgrade_answer(const proto::RequestHead& head, const Accept& accept,
                                         std::string_view extensions);
// head_only: RFC 9110 9.3.2, to HEAD "the server MUST NOT send content in the response".
core::Result<std::string> http_answer(int status, std::string_view body,
                                      std::span<const HeaderField> headers, bool head_only);

// The first of ours that the client offers; "" when there is none.
std::string_view choose_subprotocol(const proto::RequestHead& head,
                                    std::span<const std::string> ours);
std::vector<std::string_view> offered_subprotocols(const proto::RequestHead& head);

}  // namespace ws
