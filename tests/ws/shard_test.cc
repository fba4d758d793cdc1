// What a shard keeps between the events of its links.
#include "ws/shard.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "ws/dial.h"

namespace ws::test {
namespace {

TEST(Shard, AnOutboxThatOneLargeMessageMadeLargeIsGivenBack) {
  constexpr std::size_t kBytes = 4 * 1024 * 1024;
  Common common;
  std::size_t got = 0;
  common.router.add("/", {.on_open = [](Conn& conn) {
                      conn.send(std::string(kBytes, 'x'), {.frame_bytes = 1024});
                    }});
  const auto made = Shard::make(common, 0).value();
  Shard& shard = *made;
  common.shards.push_back(&shard);
  shard.set_memory_pipes(64 * 1024);
  shard.dials().start(
      {.number = 1,
       .owner = 0,
       .left = {},
       .client = std::make_shared<ClientCommon>(),
       .url = proto::parse_connect_url("ws://test/").value(),
       .options = {},
       .handlers = {.on_message = [&](Conn&, const Message& m) { got = m.bytes.size(); }}});
  const std::uint64_t now_ms = shard.reactor().now_ms() + 1;
  shard.run_in_memory(now_ms);
  EXPECT_EQ(got, kBytes);
  EXPECT_GE(shard.outbox().capacity(), kBytes);
  for (std::uint64_t ms = 0; ms <= 3'000; ms += 100) shard.run_in_memory(now_ms + ms);
  EXPECT_LE(shard.outbox().capacity(), 4 * Shard::kOutboxBytes);
  shard.shut_down(CloseCode::kGoingAway, 0);
  shard.run_in_memory(now_ms + 10'000);
}

}  // namespace
}  // namespace ws::test
