#include "ws/out_queue.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <deque>
#include <random>
#include <string>
#include <string_view>

namespace ws {
namespace {

const char kTopicA = 'a';
const char kTopicB = 'b';

core::ConstBytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

core::SharedBytes frame(std::string_view text) {
  return core::SharedBytes(bytes_of(text));
}

// What goes out next, as far as `parts_max` parts say it.
std::string front(const OutQueue& queue, std::size_t parts_max = 256) {
  std::array<iovec, 256> parts;
  const std::size_t used = queue.front(std::span(parts).first(parts_max));
  EXPECT_LE(used, parts_max);
  std::string out;
  for (const iovec& part : std::span(parts).first(used)) {
    EXPECT_GT(part.iov_len, 0u);
    out.append(static_cast<const char*>(part.iov_base), part.iov_len);
  }
  return out;
}

std::string drained(OutQueue& queue) {
  std::string out;
  while (!queue.empty()) {
    const std::string next = front(queue, 2);
    if (next.empty()) break;
    out += next;
    queue.consume(next.size());
  }
  return out;
}

// The same queue, told in the words of out_queue.h.
class Model {
 public:
  void append(std::string_view own) { pieces_.push_back({std::string(own), nullptr, false}); }
  void push(std::string_view text, const void* topic) {
    pieces_.push_back({std::string(text), topic, false});
  }

  void consume(std::size_t count) {
    while (count > 0) {
      Piece& first = pieces_.front();
      const std::size_t taken = std::min(count, first.bytes.size());
      first.bytes.erase(0, taken);
      first.begun = true;
      count -= taken;
      if (first.bytes.empty()) pieces_.pop_front();
    }
  }

  std::size_t drop_oldest(const void* topic, std::size_t bytes) {
    std::size_t dropped = 0;
    for (auto piece = pieces_.begin(); piece != pieces_.end() && size() > bytes;) {
      const bool drops = piece->topic == topic && !piece->begun;
      piece = drops ? pieces_.erase(piece) : std::next(piece);
      if (drops) ++dropped;
    }
    return dropped;
  }

  std::string all() const {
    std::string out;
    for (const Piece& piece : pieces_) out += piece.bytes;
    return out;
  }
  std::size_t size() const { return all().size(); }

 private:
  struct Piece {
    std::string bytes;
    const void* topic;
    bool begun;
  };
  std::deque<Piece> pieces_;
};

TEST(OutQueue, StartsEmpty) {
  OutQueue queue;
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.size(), 0u);
  EXPECT_FALSE(queue.has_shared());
  EXPECT_EQ(front(queue), "");
  EXPECT_EQ(queue.drop_oldest(&kTopicA, 0), 0u);
}

TEST(OutQueue, KeepsOwnBytesAndFramesInOrder) {
  OutQueue queue;
  queue.own().append(bytes_of("1"));
  queue.push(frame("<2>"), &kTopicA);
  queue.push(frame("<3>"), &kTopicB);
  queue.own().append(bytes_of("45"));
  queue.own().append(bytes_of("6"));
  queue.push(frame("<7>"), &kTopicA);
  queue.own().append(bytes_of("8"));
  EXPECT_EQ(front(queue), "1<2><3>456<7>8");
  EXPECT_EQ(queue.size(), 14u);
  EXPECT_TRUE(queue.has_shared());
  EXPECT_EQ(drained(queue), "1<2><3>456<7>8");
  EXPECT_FALSE(queue.has_shared());
}

TEST(OutQueue, ContinuesWhereASocketStopped) {
  constexpr std::string_view kAll = "ab<one>c<two><three>defg<four>hi";
  for (std::size_t first = 0; first <= kAll.size(); ++first) {
    for (std::size_t second = first; second <= kAll.size(); ++second) {
      OutQueue queue;
      queue.own().append(bytes_of("ab"));
      queue.push(frame("<one>"), &kTopicA);
      queue.own().append(bytes_of("c"));
      queue.push(frame("<two>"), &kTopicA);
      queue.push(frame("<three>"), &kTopicA);
      queue.own().append(bytes_of("defg"));
      queue.push(frame("<four>"), &kTopicB);
      queue.own().append(bytes_of("hi"));
      queue.consume(first);
      ASSERT_EQ(front(queue), kAll.substr(first)) << first;
      queue.consume(second - first);
      ASSERT_EQ(front(queue), kAll.substr(second)) << first << ", " << second;
      ASSERT_EQ(queue.size(), kAll.size() - second);
      // What is added now still goes behind everything.
      queue.own().append(bytes_of("j"));
      queue.push(frame("<five>"), &kTopicA);
      ASSERT_EQ(drained(queue), std::string(kAll.substr(second)) + "j<five>");
    }
  }
}

TEST(OutQueue, DropsTheOldestOfATopicOnly) {
  OutQueue queue;
  queue.push(frame("<a1>"), &kTopicA);
  queue.push(frame("<b1>"), &kTopicB);
  queue.own().append(bytes_of("own"));
  queue.push(frame("<a2>"), &kTopicA);
  queue.push(frame("<a3>"), &kTopicA);
  EXPECT_EQ(queue.drop_oldest(&kTopicA, 19), 0u) << "so many may wait";
  EXPECT_EQ(queue.drop_oldest(&kTopicA, 18), 1u);
  EXPECT_EQ(front(queue), "<b1>own<a2><a3>");
  EXPECT_EQ(queue.drop_oldest(&kTopicA, 0), 2u) << "not what is of another, or nobody's";
  EXPECT_EQ(drained(queue), "<b1>own");
}

// A frame that has begun to go out has to go out whole (RFC 6455 5.4: frames do not interleave).
TEST(OutQueue, NeverDropsWhatHasBegun) {
  for (std::size_t sent = 1; sent < 7; ++sent) {
    OutQueue queue;
    queue.own().append(bytes_of("ab"));
    queue.push(frame("<one>"), &kTopicA);
    queue.push(frame("<two>"), &kTopicA);
    queue.own().append(bytes_of("c"));
    queue.consume(sent);
    const bool begun = sent > 2;
    EXPECT_EQ(queue.drop_oldest(&kTopicA, 0), begun ? 1u : 2u) << sent;
    EXPECT_EQ(drained(queue), std::string("ab<one>").substr(sent, begun ? 7 : 2 - sent) + "c");
  }
}

TEST(OutQueue, IsUsableAfterEverythingWasDropped) {
  OutQueue queue;
  for (int i = 0; i < 200; ++i) queue.push(frame("<dropped>"), &kTopicA);
  EXPECT_EQ(queue.drop_oldest(&kTopicA, 0), 200u);
  EXPECT_TRUE(queue.empty());
  queue.own().append(bytes_of("x"));
  queue.push(frame("<y>"), &kTopicA);
  EXPECT_EQ(drained(queue), "x<y>");
}

TEST(OutQueue, TakesAnotherOneBehindIt) {
  for (const std::size_t sent : {0u, 2u, 4u, 7u}) {
    OutQueue queue;
    queue.own().append(bytes_of("ab"));
    queue.push(frame("<1>"), &kTopicA);
    queue.own().append(bytes_of("cd"));
    queue.consume(sent);
    const void* const where = queue.own().data();
    OutQueue later;
    later.own().append(bytes_of("ef"));
    later.push(frame("<2>"), &kTopicA);
    later.push(frame("<3>"), &kTopicB);
    later.own().append(bytes_of("gh"));
    queue.append(later);
    EXPECT_EQ(queue.own().data(), where);
    EXPECT_TRUE(later.empty());
    EXPECT_EQ(later.own().capacity(), 0u);
    queue.own().append(bytes_of("ij"));
    EXPECT_EQ(front(queue), std::string("ab<1>cdef<2><3>ghij").substr(sent));
    EXPECT_EQ(queue.drop_oldest(&kTopicA, 0), sent > 2 ? 1u : 2u);
    EXPECT_EQ(drained(queue),
              std::string(sent > 2 ? "ab<1>cdef<3>ghij" : "abcdef<3>ghij").substr(sent));
    queue.append(later);
    EXPECT_TRUE(queue.empty());
  }
}

TEST(OutQueue, FollowsTheModelThroughRandomDays) {
  std::mt19937 random(7692);
  const auto below = [&](std::size_t bound) {
    return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random);
  };
  for (int day = 0; day < 20; ++day) {
    OutQueue queue;
    Model model;
    // Some days more comes in than goes out, on others the queue runs empty all the time.
    const std::size_t greed = 1 + below(300);
    std::size_t number = 0;
    for (int step = 0; step < 500; ++step) {
      const std::string text(1 + below(9), static_cast<char>('0' + number++ % 75));
      const void* const topic = below(2) == 0 ? &kTopicA : &kTopicB;
      switch (below(8)) {
        case 0:
        case 1:
          queue.own().append(bytes_of(text));
          model.append(text);
          break;
        case 2:
        case 3:
        case 4:
          queue.push(frame(text), topic);
          model.push(text, topic);
          break;
        case 5:
        case 6: {
          const std::string out = front(queue, 2 + below(40));
          ASSERT_EQ(out, model.all().substr(0, out.size()));
          ASSERT_EQ(out.empty(), model.size() == 0);
          const std::size_t taken = std::min(out.size(), below(greed + 1));
          queue.consume(taken);
          model.consume(taken);
          break;
        }
        default: {
          const std::size_t most = below(2) == 0 ? 0 : below(model.size() + 2);
          ASSERT_EQ(queue.drop_oldest(topic, most), model.drop_oldest(topic, most));
        }
      }
      ASSERT_EQ(queue.size(), model.size());
      ASSERT_EQ(queue.empty(), model.size() == 0);
    }
    ASSERT_EQ(drained(queue), model.all());
  }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// A peer that always has a little waiting must not cost more every day.
TEST(OutQueue, StaysSmallThoughItNeverRunsEmpty) {
  OutQueue queue;
  const auto pass = [&](int messages) {
    for (int i = 0; i < messages; ++i) {
      queue.push(frame("<published>"), &kTopicA);
      queue.own().append(bytes_of("sent"));
      if (queue.size() > 100) queue.consume(15);
    }
  };
  pass(10'000);
  const std::size_t before = mallinfo2().uordblks;
  pass(200'000);
  EXPECT_LT(mallinfo2().uordblks, before + 16'384);
  EXPECT_FALSE(queue.empty());
}
#endif

// CPU seconds of `drops` messages more than may wait, where `waiting` do.
double seconds_of_drops(int waiting, int drops) {
  OutQueue queue;
  queue.push(frame("<begun>"), &kTopicA);
  queue.consume(1);
  for (int i = 0; i < waiting; ++i) queue.push(frame("<waits>"), &kTopicA);
  const std::size_t most = queue.size();
  const std::clock_t start = std::clock();
  for (int i = 0; i < drops; ++i) {
    queue.push(frame("<newer>"), &kTopicA);
    EXPECT_EQ(queue.drop_oldest(&kTopicA, most), 1u);
  }
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  EXPECT_EQ(queue.size(), most);
  EXPECT_EQ(front(queue, 2), "begun>");
  return seconds;
}

// Dropping has to cost what is dropped, not what waits: with 1,000 slow subscribers that is the
// price of each message. A walk through all of them would take about a thousand times as long.
TEST(OutQueue, DropsTheOldestWithoutWalkingThroughTheRest) {
  constexpr int kDrops = 10'000;
  const double few = seconds_of_drops(10, kDrops);
  EXPECT_LT(seconds_of_drops(20'000, kDrops), 20 * few + 0.02);
}

}  // namespace
}  // namespace ws
