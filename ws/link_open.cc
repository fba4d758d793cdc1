// A server's opening: the request, the program's say, the answer.
#include <utility>

#include "core/check.h"
#include "core/log.h"
#include "core/thrown.h"
#include "ws/link.h"
#include "ws/shard.h"

namespace ws {

void Link::take_request(core::Bytes bytes) {
  WS_DCHECK(opening_->parser);
  const auto step = opening_->parser->feed(bytes);
  if (step.state == proto::RequestParser::State::kMore) return;
  if (step.state == proto::RequestParser::State::kRefused)
    return refuse(refuse_request(step.status));
  if (turned_away_ || shard_.shutting_down()) {
    return refuse(refuse_request(503, opening_->parser->head().method));
  }
  const Common& common = shard_.common();
  Judgement judged = judge_request(opening_->parser->head(), common.router, common.origins,
                                   transport_.session() != nullptr);
  opening_->route = std::move(judged.route);
  switch (judged.kind) {
    case Judgement::Kind::kRefused:
      return refuse(std::move(judged));
    case Judgement::Kind::kPage:
      return serve_page();
    case Judgement::Kind::kUpgrade:
      break;
  }
  ask_program();
  // Frames may follow the request in the same segment.
  const core::Bytes rest = bytes.subspan(step.consumed);
  if (!held_back_) return take_input(rest);
  undecoded_ = !rest.empty();
  if (undecoded_) extra().backlog.append(rest);
}

void Link::serve_page() {
  describe_request();
  const Handlers& handlers = *opening_->route.handlers;
  Response page;
  if (!core::guarded("handler threw", [&] { page = handlers.on_http(opening_->request); })) {
    return refuse(refuse_request(500, opening_->request.method));
  }
  answer_http(page.status, page.body, page.headers);
}

void Link::ask_program() {
  const Handlers& handlers = *opening_->route.handlers;
  if (!handlers.on_upgrade) return accept({});
  describe_request();
  Upgrade decision;
  if (!core::guarded("handler threw", [&] { decision = handlers.on_upgrade(opening_->request); })) {
    return refuse(refuse_request(500));
  }
  decide(std::move(decision));
}

void Link::decide(Upgrade decision) {
  if (auto* yes = std::get_if<Accept>(&decision)) return accept(std::move(*yes));
  if (auto* no = std::get_if<Reject>(&decision)) {
    return answer_http(no->status, no->body, no->headers);
  }
  held_back_ = true;
}

void Link::answer(Upgrade decision) {
  const bool asked = phase_ == Phase::kOpening && !client_ && held_back_;
  if (!asked) return;
  WS_DCHECK(shard_.current_link() == nullptr);
  shard_.set_current_link(this);
  held_back_ = false;
  decide(std::move(decision));
  make_ready();
  settle();
  shard_.set_current_link(nullptr);
}

void Link::accept(Accept answer) {
  const Handlers& handlers = *opening_->route.handlers;
  const Common& common = shard_.common();
  const proto::RequestHead& head = opening_->parser->head();
  if (!answer.subprotocol) {
    answer.subprotocol.emplace(choose_subprotocol(head, handlers.subprotocols));
  }
  const bool chunks = static_cast<bool>(handlers.on_chunk);
  Negotiated negotiated;
  if (!chunks) negotiated = accept_extensions(head, common.deflate, common.extensions);
  auto response = upgrade_answer(head, answer, negotiated.answer);
  if (!response) return refuse_answer(response.error());
  sink().append(core::bytes_of(*response));
  if (!negotiated.elements.empty()) {
    // A copy first: extra() may not be there yet, and only some need it.
    std::unique_ptr<Agreement> own;
    protocol_ =
        proto::Protocol(shard_.agreements().config_for(std::move(negotiated), common.deflate, own));
    if (own) extra().agreement = std::move(own);
  } else if (chunks) {
    protocol_ = proto::Protocol(shard_.protocol_config(proto::Role::kServer, true));
  }
  if (!answer.subprotocol->empty()) extra().subprotocol = std::move(*answer.subprotocol);
  if (answer.data) extra().data = std::move(answer.data);
  settle_request(handlers.keep_request);
  open(handlers);
}

// From here on the request is of interest only to the program.
void Link::settle_request(bool keep) {
  WS_DCHECK(!held_back_);
  if (!keep) return opening_.reset();
  if (opening_->request.method.empty()) describe_request();
  opening_->bytes = opening_->parser->take_bytes();
  opening_->parser.reset();
  opening_->route = {};
}

void Link::describe_request() {
  const proto::RequestHead& head = opening_->parser->head();
  struct Request& request = opening_->request;
  request.method = head.method;
  request.target = head.target;
  request.path = proto::target_path(head.target);
  const std::size_t question = head.target.find('?');
  if (question != std::string_view::npos) request.query = head.target.substr(question + 1);
  request.headers = head.headers;
  request.params = std::move(opening_->route.params);
  request.subprotocols = offered_subprotocols(head);
  request.peer = transport_.socket().peer().to_string();
  if (const tls::Session* session = transport_.session()) {
    request.tls = {.version = session->version(),
                   .cipher = session->cipher(),
                   .client_subject = session->peer_subject()};
  }
  request.id = shard_.public_id(id());
}

void Link::answer_http(int status, std::string_view body, std::span<const HeaderField> headers) {
  const std::string_view method = opening_->parser->head().method;
  auto response = http_answer(status, body, headers, method == "HEAD");
  if (!response) return refuse_answer(response.error());
  sink().append(core::bytes_of(*response));
  finish(CloseCode::kAbnormal, {}, CloseCause::kLocal);
}

// What the program said cannot be sent.
void Link::refuse_answer(const core::Error& why) {
  core::log(core::LogLevel::kError, "a handler's answer is no good", {{"reason", why.message()}});
  refuse(refuse_request(500, opening_->parser->head().method));
}

void Link::refuse(Judgement answer) {
  log_event("request refused", answer.reason);
  sink().append(core::bytes_of(answer.response));
  finish(CloseCode::kAbnormal, answer.reason, CloseCause::kProtocol);
}

}  // namespace ws
