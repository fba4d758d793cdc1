#include "ws/topics.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "ws/link.h"
#include "ws/outgoing.h"
#include "ws/proto/encoder.h"

namespace ws {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

bool is_prefix(std::string_view pattern) {
  return pattern.ends_with('*');
}

core::SharedBytes frames_of(const Message& message, core::ConstBytes payload, std::uint8_t rsv,
                            std::size_t frame_bytes) {
  if (frame_bytes == 0 || payload.size() <= frame_bytes) {
    const proto::ServerHeader header(opcode_of(message.type), rsv, payload.size());
    return core::SharedBytes(header.bytes(), payload);
  }
  core::Buffer out;
  proto::encode_message(out, {.role = proto::Role::kServer}, opcode_of(message.type), rsv, payload,
                        frame_bytes);
  return core::SharedBytes(out.bytes());
}

}  // namespace

void TopicRules::add(std::string_view pattern, TopicOptions options) {
  std::erase_if(rules_, [&](const auto& rule) { return rule->pattern == pattern; });
  rules_.push_back(std::make_unique<TopicRule>(pattern, options));
  // Exact ones first, then longer prefixes.
  std::stable_sort(rules_.begin(), rules_.end(), [](const auto& a, const auto& b) {
    const std::pair key_a(is_prefix(a->pattern), SIZE_MAX - a->pattern.size());
    const std::pair key_b(is_prefix(b->pattern), SIZE_MAX - b->pattern.size());
    return key_a < key_b;
  });
}

TopicStats TopicRules::stats(std::string_view pattern) const {
  for (const auto& rule : rules_) {
    if (rule->pattern != pattern) continue;
    return {.subscriptions = rule->subscriptions.load(kRelaxed),
            .published = rule->published.load(kRelaxed),
            .delivered = rule->delivered.load(kRelaxed),
            .dropped = rule->dropped.load(kRelaxed),
            .closed = rule->closed.load(kRelaxed)};
  }
  return {};
}

TopicRule& TopicRules::rule_for(std::string_view topic) const {
  for (const auto& rule : rules_) {
    const std::string_view pattern = rule->pattern;
    const bool fits = is_prefix(pattern) ? topic.starts_with(pattern.substr(0, pattern.size() - 1))
                                         : topic == pattern;
    if (fits) return *rule;
  }
  WS_CHECK(false);  // "*" fits everything
}

Publication::Publication(std::string_view topic, const Message& message, SendOptions options)
    : topic_(topic),
      plain_(frames_of(message, message.bytes, 0, options.frame_bytes)),
      options_(options) {
  check_text(message);
  const std::size_t bytes = message.bytes.size();
  const bool one_frame = options.frame_bytes == 0 || bytes <= options.frame_bytes;
  if (!one_frame) payload_ = core::SharedBytes(message.bytes);
  message_ = Message(message.type, one_frame ? plain_.bytes().last(bytes) : payload_.bytes());
}

core::SharedBytes Publication::compressed(proto::PermessageDeflate& deflate) {
  if (!options_.compress || message_.bytes.size() < deflate.encode_bytes_min()) return {};
  const std::lock_guard lock(mutex_);
  Variant& variant = variants_[deflate.sending_window_bits() - deflate::kWindowBitsMin];
  if (!std::exchange(variant.made, true)) {
    core::Buffer out;
    if (deflate.compress_alone(message_.bytes, out)) {
      const auto rsv = static_cast<std::uint8_t>(proto::kDeflateBit);
      variant.frames = frames_of(message_, out.bytes(), rsv, options_.frame_bytes);
    }
  }
  return variant.frames;
}

bool Topics::subscribe(Link& link, std::vector<Subscription>& subscriptions, std::string_view name,
                       std::size_t subscriptions_max) {
  for (const Subscription& subscription : subscriptions) {
    if (subscription.topic->name == name) return true;
  }
  if (subscriptions.size() >= subscriptions_max) return false;
  auto found = topics_.find(name);
  if (found == topics_.end()) {
    auto topic = std::make_unique<Topic>();
    topic->name = name;
    topic->rule = &rules_.rule_for(name);
    const std::string_view key = topic->name;
    found = topics_.emplace(key, std::move(topic)).first;
  }
  Topic& topic = *found->second;
  topic.subscribers.push_back({&link, subscriptions.size()});
  subscriptions.push_back({&topic, topic.subscribers.size() - 1});
  topic.rule->subscriptions.fetch_add(1, kRelaxed);
  return true;
}

bool Topics::unsubscribe(std::vector<Subscription>& subscriptions, std::string_view name) {
  for (std::size_t i = 0; i < subscriptions.size(); ++i) {
    if (subscriptions[i].topic->name != name) continue;
    remove(subscriptions, i);
    return true;
  }
  return false;
}

void Topics::unsubscribe_all(std::vector<Subscription>& subscriptions) {
  while (!subscriptions.empty()) remove(subscriptions, subscriptions.size() - 1);
}

// Both lists close the gap with their last entry, whose other side is told its new place.
void Topics::remove(std::vector<Subscription>& subscriptions, std::size_t place) {
  WS_CHECK(place < subscriptions.size());
  const Subscription gone = subscriptions[place];
  Topic& topic = *gone.topic;
  WS_DCHECK(topic.subscribers[gone.place].place == place);
  topic.rule->subscriptions.fetch_sub(1, kRelaxed);
  subscriptions[place] = subscriptions.back();
  subscriptions.pop_back();
  if (place < subscriptions.size()) {
    const Subscription& moved = subscriptions[place];
    moved.topic->subscribers[moved.place].place = place;
  }
  topic.subscribers[gone.place] = topic.subscribers.back();
  topic.subscribers.pop_back();
  if (gone.place < topic.subscribers.size()) {
    const Topic::Subscriber& moved = topic.subscribers[gone.place];
    moved.link->moved_in_topic(moved.place, gone.place);
  }
  if (topic.subscribers.empty()) topics_.erase(topics_.find(topic.name));
}

void Topics::deliver(Publication& publication, const Link* except, std::uint64_t turn) {
  const auto found = topics_.find(publication.topic());
  if (found == topics_.end()) return;
  if (std::exchange(turn_, turn) != turn) several_ = std::exchange(published_, 0) > 1;
  // Where one publication comes in a turn, sending it now does without a queue and a second look at
  // each subscriber. Where several do, each subscriber gets them by one call at the end of the
  // turn.
  const bool at_once = ++published_ == 1 && !several_;
  Topic& topic = *found->second;
  WS_DCHECK(!topic.subscribers.empty());
  std::uint64_t delivered = 0;
  for (const Topic::Subscriber& subscriber : topic.subscribers) {
    if (subscriber.link == except) continue;
    if (subscriber.link->take_publication(publication, topic, at_once)) ++delivered;
  }
  topic.rule->delivered.fetch_add(delivered, kRelaxed);
}

}  // namespace ws
