// Internal. What the connections of a run send and must get back: encoded once, never changed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ws::bench {

struct SizeShare {
  std::uint64_t bytes;
  std::uint64_t weight;  // of all messages this share has that size
};

// "64", "16k" or a mix such as "64:90,16k:9,1m:1" (size:weight).
// Exits as a wrong option does, naming --size and what is wrong.
[[nodiscard]] std::vector<SizeShare> parse_sizes(std::string_view text);

enum class Content : std::uint8_t { kRandom, kAscii, kUtf8, kJson };

struct MessagePlan {
  std::vector<SizeShare> sizes = {{64, 1}};
  std::uint64_t pipelined = 1;  // how many frames one write should be able to carry
  bool text = false;
  bool raw = false;      // no WebSocket: the peer returns the very bytes of the frames
  bool deflate = false;  // the frames are compressed, each for itself
  Content content = Content::kRandom;
};

// A ring of messages: every connection sends them in this order, from the first, again and again.
struct Traffic {
  struct Item {
    std::size_t frame_bytes;
    std::vector<std::uint8_t> reply;         // payload, not compressed
    std::vector<std::uint8_t> reply_header;  // of a reply in one frame; empty when raw
  };
  std::vector<Item> items;
  // Masked client frames, back to back. The ring is here twice, so that from any place in it one
  // write can carry a whole turn.
  std::vector<std::uint8_t> frames;
  std::size_t ring_bytes = 0;
  double mean_payload_bytes = 0;
  std::uint8_t opcode = 0;
  bool raw = false;
};

[[nodiscard]] Traffic make_traffic(const MessagePlan& plan);

}  // namespace ws::bench
