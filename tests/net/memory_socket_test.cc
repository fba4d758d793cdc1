#include "net/memory_socket.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "core/reactor.h"
#include "net/socket.h"

namespace ws::net {
namespace {

using State = Transfer::State;

constexpr core::Id kOne{1, 1};
constexpr core::Id kTwo{2, 1};

// Two ends that close themselves, the second one watched as kTwo.
struct Pair {
  explicit Pair(std::size_t pipe_bytes = 8) : Pair(MemorySockets::connect(pipe_bytes)) {}
  explicit Pair(std::pair<MemorySockets::Handle, MemorySockets::Handle> ends)
      : one(ends.first), two(ends.second) {}

  void watch() {
    MemorySockets::watch(one.memory(), this, kOne);
    MemorySockets::watch(two.memory(), this, kTwo);
    while (MemorySockets::take_edge(this).wake != 0) {
    }
  }
  // "1r 2wh": who has which edges, in order.
  std::string edges() {
    std::string all;
    for (auto edge = MemorySockets::take_edge(this); edge.wake != 0;
         edge = MemorySockets::take_edge(this)) {
      if (!all.empty()) all += ' ';
      all += std::to_string(edge.id.index);
      if ((edge.wake & core::kReadable) != 0) all += 'r';
      if ((edge.wake & core::kWritable) != 0) all += 'w';
      if ((edge.wake & core::kHangup) != 0) all += 'h';
    }
    return all;
  }

  Socket one, two;
};

Transfer write(Socket& socket, std::string_view text) {
  const iovec part{const_cast<char*>(text.data()), text.size()};
  return socket.write({&part, 1});
}

// What one read of so many bytes gives, or how it ends.
std::string read(Socket& socket, std::size_t size = 64) {
  std::string room(size, '\0');
  const Transfer got = socket.read({reinterpret_cast<std::uint8_t*>(room.data()), size});
  switch (got.state) {
    case State::kOk:
      return room.substr(0, got.bytes);
    case State::kBlocked:
      return "(blocked)";
    case State::kEnd:
      return "(end)";
    case State::kFailed:
      return "(failed)";
  }
  return "";
}

TEST(MemorySocket, CarriesBytesBothWaysInOrder) {
  Pair pair;
  EXPECT_EQ(write(pair.one, "ab").bytes, 2U);
  EXPECT_EQ(write(pair.one, "cd").bytes, 2U);
  EXPECT_EQ(write(pair.two, "xy").bytes, 2U);
  EXPECT_EQ(read(pair.two, 3), "abc");
  EXPECT_EQ(read(pair.two), "d");
  EXPECT_EQ(read(pair.two), "(blocked)");
  EXPECT_EQ(read(pair.one), "xy");
}

TEST(MemorySocket, FillsBothPlacesOfARead) {
  Pair pair;
  ASSERT_EQ(write(pair.one, "abcde").bytes, 5U);
  std::string first(2, '\0'), second(2, '\0');
  const auto bytes = [](std::string& text) {
    return core::Bytes(reinterpret_cast<std::uint8_t*>(text.data()), text.size());
  };
  const Transfer got = pair.two.read(bytes(first), bytes(second));
  EXPECT_EQ(got.bytes, 4U);
  EXPECT_EQ(first + second, "abcd");
  EXPECT_EQ(read(pair.two), "e");
}

TEST(MemorySocket, JoinsThePartsOfAWrite) {
  Pair pair;
  std::string a = "ab", b, c = "cd";
  const std::vector<iovec> parts{{a.data(), 2}, {b.data(), 0}, {c.data(), 2}};
  const Transfer sent = pair.one.write(parts);
  EXPECT_EQ(sent.bytes, 4U);
  EXPECT_EQ(sent.state, State::kOk);
  EXPECT_EQ(read(pair.two), "abcd");
}

// --- blocked writers ---

TEST(MemorySocket, AFullPipeBlocksAndItsReaderWakesTheWriter) {
  Pair pair(4);
  pair.watch();
  const Transfer sent = write(pair.one, "abcdef");
  EXPECT_EQ(sent.bytes, 4U);
  EXPECT_EQ(sent.state, State::kBlocked);
  EXPECT_EQ(write(pair.one, "ef").bytes, 0U);
  EXPECT_EQ(write(pair.one, "ef").state, State::kBlocked);
  EXPECT_EQ(pair.edges(), "2r");
  EXPECT_EQ(read(pair.two, 1), "a");
  EXPECT_EQ(pair.edges(), "1w");
  EXPECT_EQ(write(pair.one, "ef").bytes, 1U);
  EXPECT_EQ(read(pair.two), "bcde");
  EXPECT_EQ(pair.edges(), "2r 1w");
}

TEST(MemorySocket, AWriterThatFoundRoomIsNotWoken) {
  Pair pair(4);
  pair.watch();
  ASSERT_EQ(write(pair.one, "abcd").state, State::kOk);
  EXPECT_EQ(pair.edges(), "2r");
  EXPECT_EQ(read(pair.two), "abcd");
  EXPECT_EQ(pair.edges(), "");
}

TEST(MemorySocket, DirectionsFillApart) {
  Pair pair(4);
  ASSERT_EQ(write(pair.one, "abcde").state, State::kBlocked);
  EXPECT_EQ(write(pair.two, "wxyz").state, State::kOk);
}

// --- edges ---

TEST(MemorySocket, TheFirstEdgeIsForWritingAndTellsWhatCameBefore) {
  Pair pair;
  ASSERT_EQ(write(pair.one, "ab").bytes, 2U);
  MemorySockets::watch(pair.two.memory(), &pair, kTwo);
  EXPECT_EQ(pair.edges(), "2rw");
  EXPECT_EQ(pair.edges(), "") << "an edge is told once";
  MemorySockets::watch(pair.one.memory(), &pair, kOne);
  EXPECT_EQ(pair.edges(), "1w");
}

TEST(MemorySocket, EdgesThatNobodyTookComeTogether) {
  Pair pair;
  pair.watch();
  ASSERT_EQ(write(pair.one, "a").bytes, 1U);
  ASSERT_EQ(write(pair.one, "b").bytes, 1U);
  pair.one.shut_down_write();
  EXPECT_EQ(pair.edges(), "2rh");
}

TEST(MemorySocket, EdgesGoToTheirOwnerOnly) {
  Pair mine, yours;
  mine.watch();
  yours.watch();
  ASSERT_EQ(write(yours.one, "a").bytes, 1U);
  ASSERT_EQ(write(mine.one, "a").bytes, 1U);
  EXPECT_EQ(mine.edges(), "2r");
  EXPECT_EQ(yours.edges(), "2r");
}

TEST(MemorySocket, AClosedEndHasNoEdges) {
  Pair pair;
  pair.watch();
  ASSERT_EQ(write(pair.one, "a").bytes, 1U);
  pair.two.close();
  EXPECT_EQ(pair.edges(), "1rwh");
}

// --- ends ---

TEST(MemorySocket, AFinComesBehindTheLastByte) {
  Pair pair;
  pair.watch();
  ASSERT_EQ(write(pair.one, "abc").bytes, 3U);
  pair.one.shut_down_write();
  EXPECT_EQ(pair.edges(), "2rh");
  EXPECT_EQ(read(pair.two, 2), "ab");
  EXPECT_EQ(read(pair.two, 2), "c");
  EXPECT_EQ(read(pair.two), "(end)");
  EXPECT_EQ(read(pair.two), "(end)");
}

TEST(MemorySocket, AfterAFinTheOtherDirectionGoesOn) {
  Pair pair;
  pair.one.shut_down_write();
  EXPECT_EQ(read(pair.two), "(end)");
  EXPECT_EQ(write(pair.two, "late").state, State::kOk);
  EXPECT_EQ(read(pair.one), "late");
}

TEST(MemorySocket, NothingIsWrittenBehindTheOwnFin) {
  Pair pair;
  pair.one.shut_down_write();
  EXPECT_EQ(write(pair.one, "late").state, State::kFailed);  // EPIPE
  EXPECT_EQ(read(pair.two), "(end)");
}

TEST(MemorySocket, ClosingIsAFinWhenEverythingWasRead) {
  Pair pair;
  pair.watch();
  ASSERT_EQ(write(pair.one, "bye").bytes, 3U);
  pair.one.close();
  EXPECT_EQ(pair.edges(), "2rwh");
  EXPECT_EQ(read(pair.two), "bye");
  EXPECT_EQ(read(pair.two), "(end)");
  EXPECT_EQ(write(pair.two, "x").state, State::kFailed);
}

TEST(MemorySocket, ClosingWithUnreadInputResets) {
  Pair pair;
  pair.watch();
  ASSERT_EQ(write(pair.one, "lost").bytes, 4U);  // unread when one closes
  ASSERT_EQ(write(pair.two, "unread").bytes, 6U);
  EXPECT_EQ(pair.edges(), "2r 1r");
  pair.one.close();
  EXPECT_EQ(pair.edges(), "2rwh");
  EXPECT_EQ(read(pair.two), "(failed)") << "a reset overtakes what was sent before it";
  EXPECT_EQ(write(pair.two, "x").state, State::kFailed);
}

TEST(MemorySocket, AnAbortResetsAndOvertakesEverything) {
  Pair pair;
  pair.watch();
  ASSERT_EQ(write(pair.one, "lost").bytes, 4U);
  pair.one.shut_down_write();
  pair.one.abort_on_close();
  EXPECT_EQ(pair.edges(), "2rh");
  pair.one.close();
  EXPECT_EQ(pair.edges(), "2rwh");
  EXPECT_EQ(read(pair.two), "(failed)");
}

TEST(MemorySocket, AWriterThatWaitsLearnsOfTheReadersEnd) {
  Pair pair(2);
  pair.watch();
  ASSERT_EQ(write(pair.one, "abc").state, State::kBlocked);
  EXPECT_EQ(pair.edges(), "2r");
  pair.two.close();
  EXPECT_EQ(pair.edges(), "1rwh");
  EXPECT_EQ(write(pair.one, "c").state, State::kFailed);
}

TEST(MemorySocket, TheLastReadAfterThePeersCloseWakesNobody) {
  Pair pair(2);
  pair.watch();
  ASSERT_EQ(write(pair.one, "abc").state, State::kBlocked);
  pair.one.close();
  EXPECT_EQ(pair.edges(), "2rwh");
  EXPECT_EQ(read(pair.two), "ab");
  EXPECT_EQ(pair.edges(), "");
}

// --- names ---

TEST(MemorySocket, HandlesStayApartWhileOthersComeAndGo) {
  Pair kept;
  for (int round = 0; round < 100; ++round) {
    Pair other;
    ASSERT_EQ(write(other.one, "other").bytes, 5U);
    ASSERT_EQ(read(other.two), "other");
  }
  ASSERT_EQ(write(kept.one, "kept").bytes, 4U);
  EXPECT_EQ(read(kept.two), "kept");
}

TEST(MemorySocket, ThreadsDoNotShareHandles) {
  Pair here;
  here.watch();
  std::thread([] {
    Pair there;  // its handles may have the same numbers
    there.watch();
    ASSERT_EQ(write(there.one, "there").bytes, 5U);
    EXPECT_EQ(there.edges(), "2r");
    EXPECT_EQ(read(there.two), "there");
  }).join();
  EXPECT_EQ(here.edges(), "");
  EXPECT_EQ(read(here.two), "(blocked)");
}

TEST(MemorySocket, IsNoDescriptorAndHasNoAddress) {
  Pair pair;
  EXPECT_EQ(pair.one.fd(), -1);
  EXPECT_NE(pair.one.memory(), 0U);
  EXPECT_EQ(pair.one.connect_error(), 0);
  EXPECT_EQ(pair.one.peer().to_string(), Address().to_string());
  Socket moved = std::move(pair.one);
  EXPECT_EQ(write(moved, "m").bytes, 1U);
  EXPECT_EQ(read(pair.two), "m");
}

}  // namespace
}  // namespace ws::net
