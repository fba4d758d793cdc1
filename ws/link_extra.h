// Internal. The parts of a link that most links do without.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "ws/dial.h"
#include "ws/extensions.h"
#include "ws/opening.h"
#include "ws/out_queue.h"
#include "ws/proto/http_parser.h"
#include "ws/request.h"
#include "ws/topics.h"
#include "ws/user_data.h"

namespace ws {

// A server's opening; afterwards it keeps the request, where that is wanted.
struct LinkOpening {
  std::unique_ptr<proto::RequestParser> parser;  // null: the request is kept
  std::string bytes = {};                        // what `request` views, once the parser is gone
  Request request = {};
  Router::Match route = {};
};

// For slow or busy peers, subscribers, clients.
struct LinkExtra {
  OutQueue queue;                // output the socket did not take
  std::size_t pumped_bytes = 0;  // what of it on_drain has added, or a part of that
  OutQueue held;                 // messages that wait for the end of a streamed one
  core::Buffer backlog;          // input received and not decoded when a budget ran out
  std::string close_reason;
  std::string subprotocol;
  std::unique_ptr<Agreement> agreement;  // where an extension keeps something
  std::vector<Subscription> subscriptions;
  UserData data;
  std::unique_ptr<Connecting> connecting;  // a client's opening
  Dial* dial = nullptr;
};

}  // namespace ws
