#include "ws/opening.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

namespace ws {

namespace {

// RFC 9110 6.6.1: a server with a clock MUST send Date with every 4xx.
std::string date_header() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 64> text;
  const std::size_t size =
      std::strftime(text.data(), text.size(), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc);
  return {text.data(), size};
}

Judgement refusal(int status, std::string_view reason, std::string_view extra_headers = {}) {
  return {.kind = Judgement::Kind::kRefused,
          .reason = reason,
          .response = proto::refusal_response(status, reason, date_header() += extra_headers)};
}

Judgement refusal(const proto::Verdict& verdict) {
  return refusal(verdict.status, verdict.reason, verdict.extra_headers);
}

// RFC 9110 9.3.2: to HEAD "the server MUST NOT send content in the response".
void drop_body(std::string& response) {
  response.resize(response.find("\r\n\r\n") + 4);
}

// HEAD is GET without the body, and nothing that can be upgraded.
proto::Verdict judge_method_and_rest(const proto::RequestHead& head) {
  if (head.method != "HEAD") return proto::judge_upgrade(head);
  proto::RequestHead get = head;
  get.method = "GET";
  const proto::Verdict verdict = proto::judge_upgrade(get);
  return verdict.status == 400 ? verdict : proto::judge_upgrade(head);
}

}  // namespace

core::Result<core::Ok> check_origins(std::span<const std::string> origins) {
  for (const std::string& origin : origins) {
    if (!proto::valid_origin(origin)) {
      return core::Error("\"" + origin + "\" is no origin: use https://HOST[:PORT], null or *");
    }
  }
  return core::Ok{};
}

core::Result<core::Ok> add_route(Router& router, std::string_view pattern, Handlers handlers) {
  if (auto good = check_origins(handlers.origins); !good) return good;
  if (router.add(pattern, std::move(handlers))) return core::Ok{};
  return core::Error("\"" + proto::printable(pattern) +
                     "\" is no route: it begins with /, a * comes last, a : has a name, and what "
                     "is no byte of a path, such as ?, # and blanks, is percent-encoded");
}

Judgement judge_request(const proto::RequestHead& head, const Router& router,
                        std::span<const std::string> origins, bool tls) {
  const proto::Verdict verdict = judge_method_and_rest(head);
  const bool is_head = head.method == "HEAD";
  const bool malformed = verdict.status == 400 || (verdict.status == 405 && !is_head);
  Router::Match route;
  if (!malformed) route = router.find(proto::target_path(head.target));
  // What asks for an upgrade wants no page, even if it asks wrongly.
  const bool wants_page =
      (verdict.status == 426 || is_head) && !proto::list_has_token(head, "Upgrade", "websocket");
  if (route.handlers != nullptr && route.handlers->on_http && wants_page) {
    return {.kind = Judgement::Kind::kPage, .route = std::move(route)};
  }
  if (malformed || is_head) {
    Judgement answer = refusal(verdict);
    if (is_head) drop_body(answer.response);
    return answer;
  }
  if (route.handlers == nullptr) return refusal(404, "no such route");
  if (verdict.status != 101) return refusal(verdict);
  if (!route.handlers->origins.empty()) origins = route.handlers->origins;
  if (!proto::origin_allowed(head, tls, origins)) return refusal(403, "origin not allowed");
  return {.kind = Judgement::Kind::kUpgrade, .route = std::move(route)};
}

namespace {

Judgement refusal_without_request(int status) {
  switch (status) {
    case 408:
      return refusal(status, "request took too long");
    case 414:
      return refusal(status, "request target too long");
    case 431:
      return refusal(status, "request head too large");
    case 500:
      return refusal(status, "internal error");
    case 503:
      return refusal(status, "no room now, try again later", "Retry-After: 5\r\n");
    case 505:
      return refusal(status, "HTTP/1.1 only");
    default:
      return refusal(status, "malformed request");
  }
}

}  // namespace

Judgement refuse_request(int status, std::string_view method) {
  Judgement answer = refusal_without_request(status);
  if (method == "HEAD") drop_body(answer.response);
  return answer;
}

namespace {

core::Result<std::string> header_lines(std::span<const HeaderField> headers) {
  std::string lines;
  for (const HeaderField& header : headers) {
    if (auto good = proto::check_header(header); !good) return good.error();
    lines.append(header.name).append(": ").append(header.value).append("\r\n");
  }
  return lines;
}

}  // namespace

core::Result<std::string> upgrade_answer(const proto::RequestHead& head, const Accept& accept,
                                         std::string_view extensions) {
  auto lines = header_lines(accept.headers);
  if (!lines) return lines;
  const std::string chosen = accept.subprotocol.value_or("");
  if (!chosen.empty()) {
    const std::vector<std::string_view> offered = offered_subprotocols(head);
    // RFC 6455 4.2.2: "If the server does not agree to any of the client's requested subprotocols,
    // the only acceptable value is null."
    if (std::find(offered.begin(), offered.end(), chosen) == offered.end()) {
      return core::Error("the subprotocol \"" + proto::printable(chosen) + "\" was not offered");
    }
    lines->append("Sec-WebSocket-Protocol: ").append(chosen).append("\r\n");
  }
  if (!extensions.empty()) {
    lines->append("Sec-WebSocket-Extensions: ").append(extensions).append("\r\n");
  }
  return proto::upgrade_response(head, *lines);
}

core::Result<std::string> http_answer(int status, std::string_view body,
                                      std::span<const HeaderField> headers, bool head_only) {
  if (status < 200 || status > 599) {
    return core::Error(std::to_string(status) + " is no status of an answer: use 200 to 599");
  }
  auto lines = header_lines(headers);
  if (!lines) return lines;
  std::string response = proto::http_response(status, body, date_header() += *lines);
  if (head_only) drop_body(response);
  return response;
}

std::vector<std::string_view> offered_subprotocols(const proto::RequestHead& head) {
  return proto::list_elements(head, "Sec-WebSocket-Protocol");
}

std::string_view choose_subprotocol(const proto::RequestHead& head,
                                    std::span<const std::string> ours) {
  if (ours.empty()) return {};
  const std::vector<std::string_view> offered = offered_subprotocols(head);
  for (const std::string& mine : ours) {
    if (std::find(offered.begin(), offered.end(), mine) != offered.end()) return mine;
  }
  return {};
}

}  // namespace ws
