// Messages through the two ends of a connection, after every agreement: rows C3, C5 and C7.
#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/support/bytes.h"
#include "tests/support/corpus.h"
#include "tests/support/deflate_bits.h"
#include "ws/deflate/format.h"
#include "ws/proto/permessage_deflate.h"
#include "ws/proto/protocol.h"

namespace ws::proto {
namespace {

using deflate::InflateStatus;
using deflate::kFixed;
using test::DeflateBits;
using test::Rng;
using Payload = std::vector<std::uint8_t>;
using test::bytes_of;

constexpr std::size_t kLimit = 1 << 24;

const DeflateOptions kOn{.mode = DeflateMode::kOn};
const DeflateOptions kTakeover{.mode = DeflateMode::kTakeover};
constexpr DeflateParameters kFresh{.server_no_context_takeover = true,
                                   .client_no_context_takeover = true};

DeflateEngine& engine() {
  static const auto object = std::make_unique<DeflateEngine>();
  return *object;
}

std::string text_of(core::ConstBytes from) {
  return {from.begin(), from.end()};
}

struct Result {
  InflateStatus status;
  std::string text;
};

Result decode(PermessageDeflate& end, core::ConstBytes message, std::size_t share = kLimit + 1,
              std::size_t limit = kLimit) {
  core::Buffer out;
  end.begin_decode(message);
  InflateStatus status;
  do {
    status = end.step(out, limit, share);
  } while (status == InflateStatus::kMore);
  return {status, text_of(out.bytes())};
}

void expect_text(const Result& result, std::string_view text) {
  EXPECT_EQ(result.status, InflateStatus::kOk);
  EXPECT_TRUE(result.text == text) << result.text.substr(0, 100);
}

// Of a few sizes and kinds, many with much in common.
std::vector<std::string> messages() {
  Rng rng(5);
  std::vector<std::string> out = {"Hello", "Hello", "", std::string(70'000, 'z')};
  for (std::uint64_t i = 0; i < 12; ++i) out.push_back(test::json_event(rng, i));
  for (const std::size_t size : std::initializer_list<std::size_t>{100, 257, 600, 5'000, 40'000}) {
    out.push_back(test::prose(rng, size));
    out.push_back(test::noise(rng, size));
    out.push_back(out.back());
    out.push_back(test::access_log(rng, size));
  }
  return out;
}

struct Agreed {
  DeflateParameters parameters;
  bool fresh(Role sender) const {
    return sender == Role::kServer ? parameters.server_no_context_takeover
                                   : parameters.client_no_context_takeover;
  }
  unsigned bits(Role sender) const {
    return sender == Role::kServer ? parameters.server_max_window_bits
                                   : parameters.client_max_window_bits;
  }
};

// The 4 combinations of takeover times the windows of both directions.
std::vector<Agreed> all_agreements() {
  std::vector<Agreed> out;
  for (const bool server : {false, true}) {
    for (const bool client : {false, true}) {
      for (const unsigned server_bits : {8U, 9U, 12U, 15U}) {
        for (const unsigned client_bits : {8U, 9U, 12U, 15U}) {
          out.push_back({{server, client, server_bits, client_bits}});
        }
      }
    }
  }
  return out;
}

std::string shown(const Agreed& agreed) {
  const DeflateParameters& p = agreed.parameters;
  return std::string("server ") + (p.server_no_context_takeover ? "fresh " : "takes over ") +
         std::to_string(p.server_max_window_bits) + ", client " +
         (p.client_no_context_takeover ? "fresh " : "takes over ") +
         std::to_string(p.client_max_window_bits);
}

constexpr Role other(Role role) {
  return role == Role::kServer ? Role::kClient : Role::kServer;
}

// One message from end to end, and through a receiver made of the agreement alone.
void carry(const std::string& message, PermessageDeflate& from, PermessageDeflate& to,
           deflate::InflateContext& reference) {
  core::Buffer compressed;
  if (!from.encode(bytes_of(message), compressed)) return;  // sent as it is
  // With takeover what does not shrink is stored, since the context has it already: 5 bytes for
  // each 64 KiB begun and 1 more.
  ASSERT_LE(compressed.size(), message.size() + 5 * (message.size() / 65536 + 1) + 1);
  core::Buffer out;
  engine().inflater.start(compressed.bytes(), reference);
  ASSERT_EQ(engine().inflater.step(out, kLimit, kLimit + 1), InflateStatus::kOk);
  ASSERT_TRUE(text_of(out.bytes()) == message);
  expect_text(decode(to, compressed.bytes()), message);
}

TEST(PermessageDeflate, BothDirectionsStayWithinEveryAgreement) {
  const std::vector<std::string> all = messages();
  for (const DeflateLevel level : {DeflateLevel::kFast, DeflateLevel::kBetter}) {
    for (const Agreed& agreed : all_agreements()) {
      SCOPED_TRACE(shown(agreed));
      DeflateOptions options = kTakeover;
      options.level = level;
      PermessageDeflate server(engine(), Role::kServer, agreed.parameters, options);
      PermessageDeflate client(engine(), Role::kClient, agreed.parameters, options);
      deflate::InflateContext from_server(agreed.bits(Role::kServer), !agreed.fresh(Role::kServer));
      deflate::InflateContext from_client(agreed.bits(Role::kClient), !agreed.fresh(Role::kClient));
      for (std::size_t i = 0; i < all.size(); ++i) {
        carry(all[i], server, client, from_server);
        if (i % 3 != 0) carry(all[all.size() - 1 - i], client, server, from_client);
        if (HasFatalFailure()) return;
      }
    }
  }
}

// One sending end, its messages into a receiver that forgets: what refers back cannot be read.
TEST(PermessageDeflate, RefersToEarlierMessagesExactlyWhereItMay) {
  Rng rng(9);
  const std::string message = test::prose(rng, 2'000);
  for (const Role sender : {Role::kServer, Role::kClient}) {
    for (const Agreed& agreed : all_agreements()) {
      SCOPED_TRACE(shown(agreed));
      if (agreed.bits(sender) < 12) continue;  // the message has to fit into the window
      PermessageDeflate end(engine(), sender, agreed.parameters, kTakeover);
      core::Buffer once;
      core::Buffer again;
      ASSERT_TRUE(end.encode(bytes_of(message), once));
      ASSERT_TRUE(end.encode(bytes_of(message), again));
      deflate::InflateContext forgetful(15, false);
      core::Buffer out;
      engine().inflater.start(again.bytes(), forgetful);
      const InflateStatus status = engine().inflater.step(out, kLimit, kLimit + 1);
      if (agreed.fresh(sender)) {
        EXPECT_EQ(status, InflateStatus::kOk);
        EXPECT_TRUE(std::ranges::equal(once.bytes(), again.bytes()));
      } else {
        EXPECT_EQ(status, InflateStatus::kBadData);
        EXPECT_LT(again.size(), once.size() / 4);
      }
    }
  }
}

// A message compressed for many connections, without takeover, goes out between those of this one.
TEST(PermessageDeflate, RefersToNothingFromBeforeAMessageItDidNotMake) {
  Rng rng(10);
  const std::string own = test::prose(rng, 200);
  const std::string other_text = test::json_event(rng, 1);
  for (const Role sender : {Role::kServer, Role::kClient}) {
    for (const Agreed& agreed : all_agreements()) {
      SCOPED_TRACE(shown(agreed));
      PermessageDeflate from(engine(), sender, agreed.parameters, kTakeover);
      PermessageDeflate to(engine(), other(sender), agreed.parameters, kTakeover);
      deflate::DeflateContext many(DeflateLevel::kFast, agreed.bits(sender), false);
      for (int i = 0; i < 4; ++i) {
        core::Buffer compressed;
        ASSERT_TRUE(from.encode(bytes_of(own), compressed));
        expect_text(decode(to, compressed.bytes()), own);
        compressed.clear();
        engine().deflater.compress(bytes_of(other_text), many, compressed);
        const std::size_t held = from.held_bytes();
        from.forget_sent();
        EXPECT_EQ(from.held_bytes(), held);
        expect_text(decode(to, compressed.bytes()), other_text);
      }
    }
  }
}

// Row C7: a server receives by client_no_context_takeover, a client by server_no_context_takeover.
TEST(PermessageDeflate, ReceivesByTheFlagOfItsPeer) {
  const Payload hello = {0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00};
  const Payload again = {0xf2, 0x00, 0x11, 0x00, 0x00};
  for (const Role self : {Role::kServer, Role::kClient}) {
    for (const Agreed& agreed : all_agreements()) {
      SCOPED_TRACE(shown(agreed));
      PermessageDeflate end(engine(), self, agreed.parameters, kTakeover);
      expect_text(decode(end, hello), "Hello");
      if (agreed.fresh(other(self))) {
        EXPECT_EQ(decode(end, again).status, InflateStatus::kBadData);
      } else {
        expect_text(decode(end, again), "Hello");
        expect_text(decode(end, again), "Hello");
      }
    }
  }
}

// A match of 3 bytes.
Payload match_at(std::size_t distance) {
  unsigned symbol = deflate::kDistanceSymbols - 1;
  while (deflate::kDistances[symbol].base > distance) --symbol;
  DeflateBits bits;
  bits.header(false, kFixed).fixed_litlen(257).word(symbol, 5);
  bits.number(distance - deflate::kDistances[symbol].base, deflate::kDistances[symbol].extra_bits);
  return bits.fixed_end().end_message().bytes();
}

TEST(PermessageDeflate, ReceivesWithinTheWindowOfItsPeer) {
  Rng rng(2);
  const std::string content = test::noise(rng, 40'000);
  const Payload stored = DeflateBits().stored(false, content).end_message().bytes();
  for (const Role self : {Role::kServer, Role::kClient}) {
    for (const Agreed& agreed : all_agreements()) {
      SCOPED_TRACE(shown(agreed));
      if (agreed.fresh(other(self))) continue;
      const std::size_t window = std::size_t{1} << agreed.bits(other(self));
      PermessageDeflate end(engine(), self, agreed.parameters, kTakeover);
      expect_text(decode(end, stored), content);
      expect_text(decode(end, match_at(window)), content.substr(content.size() - window, 3));
      if (window == 32768) continue;  // no larger distance can be written
      EXPECT_EQ(decode(end, match_at(window + 1)).status, InflateStatus::kBadData);
    }
  }
}

// RFC 7692 section 7.2.3.
TEST(PermessageDeflate, DecodesTheExamplesOfTheRfc) {
  const Payload examples[] = {
      {0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00},
      {0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00},
      {0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00},
      {0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00},
  };
  const Payload again = {0xf2, 0x00, 0x11, 0x00, 0x00};
  for (const std::size_t share : {std::size_t{1}, std::size_t{2}, kLimit + 1}) {
    PermessageDeflate fresh(engine(), Role::kServer, kFresh, kOn);
    PermessageDeflate keeping(engine(), Role::kServer, DeflateParameters{}, kTakeover);
    for (const Payload& example : examples) {
      expect_text(decode(fresh, example, share), "Hello");
      EXPECT_EQ(decode(fresh, again, share).status, InflateStatus::kBadData);
      expect_text(decode(keeping, example, share), "Hello");
      expect_text(decode(keeping, again, share), "Hello");
    }
    expect_text(decode(fresh, Payload{0x00}, share), "");
    expect_text(decode(keeping, Payload{0x00}, share), "");
    expect_text(decode(keeping, again, share), "Hello");
  }
}

TEST(PermessageDeflate, TellsBadUnfinishedAndTooLargeMessagesApart) {
  PermessageDeflate end(engine(), Role::kServer, kFresh, kOn);
  EXPECT_EQ(decode(end, Payload{0x06}).status, InflateStatus::kBadData);
  EXPECT_EQ(decode(end, Payload{0xf2, 0x48, 0xcd}).status, InflateStatus::kUnfinished);
  const Payload hello = {0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00};
  EXPECT_EQ(decode(end, hello, 6, 4).status, InflateStatus::kTooBig);
  expect_text(decode(end, hello, 6, 5), "Hello");
}

TEST(PermessageDeflate, LeavesAloneWhatDoesNotShrink) {
  Rng rng(3);
  for (const Role self : {Role::kServer, Role::kClient}) {
    PermessageDeflate end(engine(), self, kFresh, kOn);
    for (const std::size_t size :
         std::initializer_list<std::size_t>{1, 2, 64, 1024, 5'000, 65'535, 65'536, 200'000}) {
      core::Buffer out;
      EXPECT_FALSE(end.encode(bytes_of(test::noise(rng, size)), out)) << size;
    }
    core::Buffer out;
    ASSERT_TRUE(end.encode(bytes_of(std::string(5'000, 'a')), out)) << "the next one is another's";
    EXPECT_LT(out.size(), 100u);
    expect_text(decode(end, out.bytes()), std::string(5'000, 'a'));
  }
}

TEST(PermessageDeflate, HoldsNothingWhereNothingIsTakenOver) {
  const std::vector<std::string> all = messages();
  for (const unsigned bits : {8U, 12U, 15U}) {
    const DeflateParameters parameters{true, true, bits, bits};
    for (const DeflateOptions& options : {kOn, kTakeover}) {
      // One for all connections: what they send and receive in turns is not mixed up.
      PermessageDeflate server(engine(), Role::kServer, parameters, options);
      PermessageDeflate client(engine(), Role::kClient, parameters, options);
      for (const std::string& message : all) {
        deflate::InflateContext reference(bits, false);
        carry(message, server, client, reference);
        carry(message, client, server, reference);
        if (HasFatalFailure()) return;
        EXPECT_EQ(server.held_bytes(), 0u);
        EXPECT_EQ(client.held_bytes(), 0u);
      }
    }
  }
}

TEST(PermessageDeflate, ReceivingHoldsNoMoreThanTheWindow) {
  Rng rng(4);
  const Payload message =
      DeflateBits().stored(false, test::noise(rng, 60'000)).end_message().bytes();
  for (const unsigned bits : {8U, 9U, 12U, 15U}) {
    const DeflateParameters parameters{.server_no_context_takeover = true,
                                       .client_max_window_bits = bits};
    PermessageDeflate end(engine(), Role::kServer, parameters, kTakeover);
    for (int i = 0; i < 3; ++i) {
      ASSERT_EQ(decode(end, message).status, InflateStatus::kOk);
      EXPECT_GT(end.held_bytes(), 0u);
      EXPECT_LE(end.held_bytes(), std::size_t{1} << bits);
    }
  }
}

TEST(PermessageDeflate, HasAThresholdForEachMode) {
  PermessageDeflate on(engine(), Role::kServer, kFresh, kOn);
  EXPECT_EQ(on.encode_bytes_min(), 1024u);
  PermessageDeflate takeover(engine(), Role::kServer, DeflateParameters{}, kTakeover);
  EXPECT_EQ(takeover.encode_bytes_min(), 64u);
  DeflateOptions own = kOn;
  own.threshold_bytes = 7;
  EXPECT_EQ(PermessageDeflate(engine(), Role::kServer, kFresh, own).encode_bytes_min(), 7u);
}

// They take time, so whoever serves many counts them, also of a message that is refused.
TEST(PermessageDeflate, BlocksThatSayNothingAreWork) {
  PermessageDeflate end(engine(), Role::kServer, kFresh, kOn);
  core::BufferPool pool;
  ProtocolConfig config{
      .self = {.role = Role::kServer}, .message_bytes_max = kLimit, .pool = &pool};
  config.add(end, kDeflateBit);
  for (const unsigned count : {9'000U, 300'000U}) {
    Protocol protocol(config);
    DeflateBits bits;
    for (unsigned i = 0; i < count; ++i) bits.stored(false, "");
    const Payload& blocks = bits.end_message().bytes();
    std::string wire = test::frame({.opcode = test::kText, .rsv = 4},
                                   {reinterpret_cast<const char*>(blocks.data()), blocks.size()});
    core::Bytes in(reinterpret_cast<std::uint8_t*>(wire.data()), wire.size());
    core::Buffer out;
    const Event event = protocol.next(in, out);
    EXPECT_EQ(event.kind, count == 9'000U ? Event::Kind::kMessage : Event::Kind::kFailed);
    EXPECT_TRUE(event.payload.empty());
    EXPECT_GE(event.decoded_bytes, 8 * blocks.size());
  }
}

}  // namespace
}  // namespace ws::proto
