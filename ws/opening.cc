#include "ws/opening.h"

#include <array>
#include <ctime>

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

OpeningAnswer refusal(int status, std::string_view reason, std::string_view extra_headers = {}) {
  return {.status = status,
          .reason = reason,
          .response = proto::refusal_response(status, reason, date_header() += extra_headers)};
}

// RFC 9110 9.3.2: to HEAD "the server MUST NOT send content in the response".
void drop_body(std::string& response) {
  response.resize(response.find("\r\n\r\n") + 4);
}

}  // namespace

OpeningAnswer answer_request(const proto::RequestHead& head, const Router& router,
                             std::span<const std::string> origins, bool tls,
                             const DeflateOptions& deflate) {
  const proto::Verdict verdict = proto::judge_upgrade(head);
  const bool malformed = verdict.status == 400 || verdict.status == 405;
  if (malformed) {
    OpeningAnswer answer = refusal(verdict.status, verdict.reason, verdict.extra_headers);
    if (head.method == "HEAD") drop_body(answer.response);
    return answer;
  }
  const Handlers* handlers = router.find(proto::target_path(head.target));
  if (handlers == nullptr) return refusal(404, "no such route");
  if (verdict.status != 101) return refusal(verdict.status, verdict.reason, verdict.extra_headers);
  // With a list of origins given, the list rules every route.
  const bool any_origin = handlers->any_origin && origins.empty();
  if (!any_origin && !proto::origin_allowed(head, tls, origins)) {
    return refusal(403, "origin not allowed");
  }
  OpeningAnswer answer{.status = 101, .reason = {}, .response = {}, .handlers = handlers};
  std::string extra_headers;
  if (const auto agreed = proto::accept_deflate(head, deflate)) {
    extra_headers = "Sec-WebSocket-Extensions: " + agreed->answer + "\r\n";
    answer.deflate = agreed->parameters;
  }
  answer.response = proto::upgrade_response(head, extra_headers);
  return answer;
}

OpeningAnswer refuse_request(int status) {
  switch (status) {
    case 408:
      return refusal(status, "request took too long");
    case 414:
      return refusal(status, "request target too long");
    case 431:
      return refusal(status, "request head too large");
    case 503:
      return refusal(status, "no room now, try again later", "Retry-After: 5\r\n");
    case 505:
      return refusal(status, "HTTP/1.1 only");
    default:
      return refusal(status, "malformed request");
  }
}

}  // namespace ws
