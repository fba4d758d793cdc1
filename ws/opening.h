// Internal. The answer to an opening request: which status, which route, which origin.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ws/conn.h"
#include "ws/proto/handshake.h"
#include "ws/proto/http.h"
#include "ws/proto/permessage_deflate.h"
#include "ws/router.h"

namespace ws {

struct OpeningAnswer {
  int status = 0;                                        // 101, or why not
  std::string_view reason;                               // a constant phrase, for the log
  std::string response;                                  // the whole head, and a body unless 101
  const Handlers* handlers = nullptr;                    // of the route; set with 101
  std::optional<proto::DeflateParameters> deflate = {};  // compression, if agreed on
};

// The request itself is judged first (405, 400), then the route (404), then the upgrade (426), then
// the Origin (403).
OpeningAnswer answer_request(const proto::RequestHead& head, const Router& router,
                             std::span<const std::string> origins, bool tls,
                             const DeflateOptions& deflate);

// For 408, 414, 431, 503 and whatever else the parser or a limit says before a head is whole.
OpeningAnswer refuse_request(int status);

}  // namespace ws
