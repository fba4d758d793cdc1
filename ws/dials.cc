#include "ws/dials.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "core/endian.h"
#include "core/thrown.h"
#include "tls/crypto.h"
#include "ws/shard.h"

namespace ws {

void tell_failure(const ConnectOptions& options, const ConnectFailure& failure) {
  if (!options.on_failure) return;
  (void)core::guarded("on_failure threw", [&] { options.on_failure(failure); });
}

namespace {

constexpr std::string_view kFull = "2 million connections of this thread wait or are open";

std::uint64_t whole_pause_ms(const Reconnect& plan, unsigned pauses) {
  const std::uint64_t doubled = std::uint64_t{plan.first_ms} << std::min(pauses, 31U);
  return std::min<std::uint64_t>(doubled, plan.max_ms);
}

bool has_lasted(const Dial& dial) {
  const unsigned before = std::max(dial.pauses, 1U) - 1;
  return dial.ended_ms - dial.opened_ms >= whole_pause_ms(dial.request.options.reconnect, before);
}

}  // namespace

Dials::~Dials() {
  dials_.for_each([this](Dial& dial, core::Id) { shard_.reactor().timers().cancel(dial.retry); });
}

void Dials::start(DialRequest request) {
  if (dials_.size() == kDialsMax) {
    return ws::tell_failure(request.options, {.reason = std::string(kFull)});
  }
  Dial& dial = dials_.emplace(std::move(request));
  dial.retry.owner = Shard::timer_id_of(dial);
  by_number_.emplace(dial.request.number, dial.id);
  if (shard_.shutting_down()) {
    dial.attempt = 1;
    dial.failure = "not tried: the client is being stopped";
    return link_ended(dial);
  }
  attempt(dial);
}

void Dials::attempt(Dial& dial) {
  WS_CHECK(dial.link == core::Id{});
  ++dial.attempt;
  dial.opened = false;
  dial.failure.clear();
  dial.status = 0;
  if (!shard_.has_room_for_link()) {
    dial.failure = kFull;
    return link_ended(dial);
  }
  const core::Id link = shard_.add_client(dial).id();
  dial.link = link;
  const proto::ConnectUrl& url = dial.request.url;
  if (shard_.connects_in_memory()) return shard_.connect_in_memory(link);
  if (!url.unix_path.empty()) {
    auto address = net::Address::from_path(url.unix_path);
    if (!address) return shard_.connect_to(link, address.error());
    return shard_.connect_to(link, std::vector<net::Address>{*address});
  }
  if (!resolver_) resolver_ = std::make_unique<net::Resolver>();
  resolver_->resolve(url.host, url.port, [&shard = shard_, link](net::Addresses addresses) {
    shard.post([&shard, link, found = std::move(addresses)]() mutable {
      shard.connect_to(link, std::move(found));
    });
  });
}

bool Dials::reconnects(const Dial& dial) const {
  return dial.request.options.reconnect.first_ms != 0 && !dial.cancelled && !shard_.shutting_down();
}

// Half of the pause is fixed, the other half random.
std::uint32_t Dials::pause_before_retry(const Dial& dial) const {
  const Reconnect& plan = dial.request.options.reconnect;
  if (!reconnects(dial) || (plan.attempts != 0 && dial.attempt >= plan.attempts)) return 0;
  const std::uint64_t whole = whole_pause_ms(plan, dial.pauses);
  std::array<std::uint8_t, 4> random;
  tls::random_bytes(random);
  const std::uint64_t part = core::load_be<std::uint32_t>(random.data()) % (whole / 2 + 1);
  return std::max(static_cast<std::uint32_t>(whole - whole / 2 + part), 1U);
}

void Dials::link_ended(Dial& dial) {
  dial.link = {};
  const bool lasted = dial.opened && has_lasted(dial);
  if (lasted) dial.attempt = dial.pauses = 0;
  const std::uint32_t pause_ms = pause_before_retry(dial);
  // A connection has its on_close, and this where it was the last attempt.
  const bool last = dial.opened && !lasted && pause_ms == 0 && reconnects(dial);
  if (last) dial.failure = "the last attempt came to a connection that ended too soon";
  if (!dial.opened || last) tell_failure(dial, pause_ms);
  if (pause_ms == 0) return give_up(dial);
  ++dial.pauses;
  core::Reactor& reactor = shard_.reactor();
  reactor.timers().arm(dial.retry, reactor.now_ms() + pause_ms);
}

void Dials::tell_failure(const Dial& dial, std::uint32_t pause_ms) {
  ws::tell_failure(dial.request.options, {.reason = dial.failure,
                                          .status = dial.status,
                                          .attempt = dial.attempt,
                                          .retry_in_ms = pause_ms});
}

void Dials::on_retry(core::Id id) {
  if (Dial* const dial = dials_.find(id)) attempt(*dial);
}

void Dials::give_up(Dial& dial) {
  shard_.reactor().timers().cancel(dial.retry);
  by_number_.erase(dial.request.number);
  dials_.erase(dial.id);
}

void Dials::cancel(DialId number) {
  const auto found = by_number_.find(number);
  if (found == by_number_.end()) return;
  Dial* const dial = dials_.find(found->second);
  WS_CHECK(dial != nullptr);  // a number lives as long as its dial
  cancel(*dial, CloseCode::kNormal, CloseCause::kLocal);
}

void Dials::cancel_all(std::uint64_t owner, CloseCode code) {
  dials_.for_each([&](Dial& dial, core::Id) {
    if (owner != 0 && dial.request.owner != owner) return;
    cancel(dial, code, CloseCause::kShutdown);
  });
}

void Dials::cancel(Dial& dial, CloseCode code, CloseCause cause) {
  const bool pausing = dial.link == core::Id{};
  dial.cancelled = true;
  // An attempt that has failed already, and is about to say so, keeps its own reason.
  if (pausing || dial.failure.empty()) {
    const bool stop = cause == CloseCause::kShutdown;
    dial.failure = stop ? "cancelled: the client is being stopped" : "cancelled by the program";
    dial.status = 0;
  }
  if (!pausing) {
    shard_.close_link(dial.link, code, cause);
    return;
  }
  tell_failure(dial, 0);
  give_up(dial);
}

void Dials::drop_all(std::uint64_t owner) {
  dials_.for_each([&](Dial& dial, core::Id) {
    if (dial.request.owner == owner) shard_.drop_link(dial.link, CloseCause::kShutdown);
  });
}

}  // namespace ws
