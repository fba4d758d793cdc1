// Internal. Topics of one shard, the rules they follow, and messages on their way to subscribers.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/shared_bytes.h"
#include "ws/message.h"
#include "ws/proto/permessage_deflate.h"
#include "ws/topic.h"

namespace ws {

class Link;

// What one pattern of Server::topic() says, and what came of it. thread: any.
struct TopicRule {
  explicit TopicRule(std::string_view rule_pattern, TopicOptions rule_options)
      : pattern(rule_pattern), options(rule_options) {}

  std::string pattern;
  TopicOptions options;
  std::atomic<std::uint64_t> subscriptions{0};
  std::atomic<std::uint64_t> published{0};
  std::atomic<std::uint64_t> delivered{0};
  std::atomic<std::uint64_t> dropped{0};
  std::atomic<std::uint64_t> closed{0};
};

// Filled before the threads start, read by all of them afterwards.
class TopicRules {
 public:
  TopicRules() { add("*", {}); }
  void add(std::string_view pattern, TopicOptions options);  // a later one replaces an equal one
  // Of the rule of exactly that pattern; zeros if there is none.
  TopicStats stats(std::string_view pattern) const;
  // The rule for a topic: an exact one, else the longest prefix.
  TopicRule& rule_for(std::string_view topic) const;

 private:
  std::vector<std::unique_ptr<TopicRule>> rules_;
};

// A message, encoded once for everybody: plain, and compressed once for each window size.
// thread: any; it is compressed by the first thread that needs it.
class Publication {
 public:
  Publication(std::string_view topic, const Message& message, SendOptions options);

  const std::string& topic() const { return topic_; }
  const Message& message() const { return message_; }  // a view into this object
  SendOptions options() const { return options_; }
  // Bytes it holds, for budgets.
  std::size_t size() const {
    return sizeof(Publication) + topic_.size() + plain_.size() + payload_.size();
  }

  const core::SharedBytes& plain() const { return plain_; }
  // For connections with that compression. Empty: not worth it, or it did not shrink; send plain().
  core::SharedBytes compressed(proto::PermessageDeflate& deflate);

 private:
  struct Variant {
    bool made = false;
    core::SharedBytes frames;
  };

  std::string topic_;
  core::SharedBytes payload_;  // where it is not the end of plain_
  core::SharedBytes plain_;
  Message message_;
  SendOptions options_;
  std::mutex mutex_;
  // By window_bits; guarded by mutex_.
  std::array<Variant, deflate::kWindowBitsMax - deflate::kWindowBitsMin + 1> variants_;
};

struct Topic;
// A link's side of a subscription.
struct Subscription {
  Topic* topic;
  std::size_t place;  // in Topic::subscribers
};

struct Topic {
  struct Subscriber {
    Link* link;
    std::size_t place;  // in the link's subscriptions
  };
  std::string name;
  TopicRule* rule;
  std::vector<Subscriber> subscribers;
};

// thread: the shard's. cost: O(1) to subscribe and unsubscribe, but for looking through the link's
// own subscriptions.
class Topics {
 public:
  explicit Topics(const TopicRules& rules) : rules_(rules) {}

  // subscriptions: the link's. false: it has subscriptions_max already.
  bool subscribe(Link& link, std::vector<Subscription>& subscriptions, std::string_view name,
                 std::size_t subscriptions_max);
  // false: it was not.
  bool unsubscribe(std::vector<Subscription>& subscriptions, std::string_view name);
  void unsubscribe_all(std::vector<Subscription>& subscriptions);

  // To all subscribers on this shard but `except`. turn: the reactor's, now.
  void deliver(Publication& publication, const Link* except, std::uint64_t turn);

 private:
  void remove(std::vector<Subscription>& subscriptions, std::size_t place);

  const TopicRules& rules_;
  std::unordered_map<std::string_view, std::unique_ptr<Topic>> topics_;  // keys: Topic::name
  std::uint64_t turn_ = 0;                                               // of the last publication
  std::uint32_t published_ = 0;                                          // in it
  bool several_ = false;  // in the turn with publications before it
};

}  // namespace ws
