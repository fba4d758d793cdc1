// permessage-deflate with context takeover, and none at all, on a real wsd: rows C3, C4, C5, C7.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/conformance/deflate_frames.h"
#include "tests/conformance/runner.h"
#include "tests/support/corpus.h"
#include "tests/support/stream.h"
#include "tests/support/wsd_process.h"
#include "ws/deflate/deflate.h"

namespace ws::test {
namespace {

constexpr char kServerFresh[] = "; server_no_context_takeover";
constexpr char kClientFresh[] = "; client_no_context_takeover";
constexpr char kClientWindow[] = "; client_max_window_bits";
constexpr char kServerWindow[] = "; server_max_window_bits";

class CompressingWsd {
 public:
  explicit CompressingWsd(const char* mode)
      : process_({"--deflate", mode, "--listen", "ws://127.0.0.1:0", "--listen",
                  "wss://127.0.0.1:0", "--threads", "1"}) {
    EXPECT_TRUE(process_.wait_listening(2)) << process_.output();
  }
  std::unique_ptr<Stream> connect(bool tls = false) {
    return Stream::connect(process_.port(tls ? "wss://" : "ws://"), tls);
  }
  // A script that begins with the request, over ws and over wss. Returns what is wrong.
  std::string play(const Script& script) {
    for (const bool tls : {false, true}) {
      const std::unique_ptr<Stream> stream = connect(tls);
      if (stream == nullptr) return "no connection";
      const std::string wrong = Client(*stream).play(script);
      if (!wrong.empty()) return (tls ? "wss: " : "ws: ") + wrong;
    }
    return "";
  }
  // The answer to an offer; "": none.
  std::string answer_to(const std::string& offer) {
    const std::unique_ptr<Stream> stream = connect();
    if (stream == nullptr) return "no connection";
    Answer answer;
    EXPECT_TRUE(stream->write(Request().with("Sec-WebSocket-Extensions: " + offer).str()));
    EXPECT_EQ(Client(*stream).read_answer(answer, 5'000), "");
    EXPECT_EQ(answer.status, 101);
    return answer.header("Sec-WebSocket-Extensions").value_or("");
  }

 private:
  WsdProcess process_;
};

// A client's side that takes its context over.
class Sender {
 public:
  explicit Sender(unsigned window_bits) : context_(deflate::Level::kBetter, window_bits, true) {}
  std::string stream(std::string_view message) {
    core::Buffer out;
    deflater_.compress({reinterpret_cast<const std::uint8_t*>(message.data()), message.size()},
                       context_, out);
    return {reinterpret_cast<const char*>(out.data()), out.size()};
  }

 private:
  deflate::Deflater deflater_;
  deflate::DeflateContext context_;
};

std::vector<std::string> events(std::size_t count) {
  Rng rng(11);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(json_event(rng, i));
  return out;
}

std::string noise_of(std::size_t bytes) {
  Rng rng(bytes);
  return noise(rng, bytes);
}

class Takeover : public testing::Test {
 protected:
  CompressingWsd wsd_{"takeover"};
};

// RFC 7692 section 7.2.3.2 "Sharing LZ77 Sliding Window".
TEST_F(Takeover, TheSecondHelloRefersToTheFirst) {
  EXPECT_EQ(wsd_.play(offers(kOffer, kOffer)
                          .sends(packed_text(kHelloStream))
                          .gets_text("Hello")
                          .sends(packed_text(kHelloAgainStream))
                          .gets_text("Hello")
                          .sends(packed_first(kText, kHelloAgainStream.substr(0, 1)) + ping() +
                                 last(kHelloAgainStream.substr(1)))
                          .gets_pong()
                          .gets_text("Hello")
                          .bye()),
            "");
}

TEST_F(Takeover, ParametersAreAnsweredAsTheyAreOffered) {
  const std::string offers_[] = {
      kOffer,
      std::string(kOffer) + kServerFresh,
      std::string(kOffer) + kClientFresh,
      std::string(kOffer) + kServerFresh + kClientFresh,
  };
  for (const std::string& offer : offers_) {
    EXPECT_EQ(wsd_.play(offers(offer, offer).bye()), "") << offer;
  }
  for (unsigned bits = 8; bits <= 15; ++bits) {
    const std::string offer = kOffer + (kServerWindow + ("=" + std::to_string(bits)));
    EXPECT_EQ(wsd_.play(offers(offer, offer).bye()), "") << offer;
  }
}

// Messages of 100 to 400 bytes with much in common: each stays whole only if both sides keep, or
// forget, the same. The runner inflates with a window no larger than agreed and, where the server
// promised to forget, with none.
TEST_F(Takeover, BothSidesKeepOrForgetWhatWasAgreed) {
  const std::vector<std::string> messages = events(60);
  for (const bool server_fresh : {false, true}) {
    for (const bool client_fresh : {false, true}) {
      for (const unsigned bits : {8U, 9U, 12U, 15U}) {
        const std::string agreed = kOffer + std::string(server_fresh ? kServerFresh : "") +
                                   (client_fresh ? kClientFresh : "") + kServerWindow + "=" +
                                   std::to_string(bits);
        Sender sender(15);
        Script script = offers(agreed, agreed);
        for (const std::string& message : messages) {
          script.sends(packed_text(client_fresh ? deflated(message) : sender.stream(message)))
              .gets_any(kText, message);
        }
        EXPECT_EQ(wsd_.play(script.bye()), "") << agreed;
      }
    }
  }
}

// Row C7: what the server receives follows client_no_context_takeover alone.
TEST_F(Takeover, ClientNoContextTakeoverForgetsEarlierMessages) {
  for (const std::string more : {"", kServerFresh}) {
    const std::string agreed = std::string(kOffer) + kClientFresh + more;
    EXPECT_EQ(wsd_.play(offers(agreed, agreed)
                            .sends(packed_text(kHelloStream))
                            .gets_text("Hello")
                            .sends(packed_text(kHelloStream))
                            .gets_text("Hello")
                            .sends(packed_text(kHelloAgainStream))
                            .fails(1007)),
              "");
  }
}

TEST_F(Takeover, ServerNoContextTakeoverLeavesTheClientsContext) {
  const std::string agreed = std::string(kOffer) + kServerFresh;
  EXPECT_EQ(wsd_.play(offers(agreed, agreed)
                          .sends(packed_text(kHelloStream))
                          .gets_text("Hello")
                          .sends(packed_text(kHelloAgainStream))
                          .gets_text("Hello")
                          .bye()),
            "");
}

// Without takeover noise has nothing to refer to, not even itself.
TEST_F(Takeover, EchoesAreCompressedWhereTheyShrink) {
  const std::string message = noise_of(500);
  EXPECT_EQ(wsd_.play(offers(kOffer, kOffer)
                          .sends(binary(message))
                          .gets_any(kBinary, message)
                          .sends(binary(repeat("pattern ", 200)))
                          .gets_packed(kBinary, repeat("pattern ", 200))
                          .sends(binary(repeat("pattern ", 200)))
                          .gets_packed(kBinary, repeat("pattern ", 200))
                          .bye()),
            "");
  const std::string agreed = std::string(kOffer) + kServerFresh;
  EXPECT_EQ(wsd_.play(offers(agreed, agreed)
                          .sends(binary(message) + binary(message))
                          .gets_binary(message)
                          .gets_binary(message)
                          .bye()),
            "");
}

TEST_F(Takeover, MessagesOf64BytesAndMoreAreCompressed) {
  EXPECT_EQ(wsd_.play(offers(kOffer, kOffer)
                          .sends(text(repeat("a", 63)) + text(repeat("b", 64)))
                          .gets_text(repeat("a", 63))
                          .gets_packed(kText, repeat("b", 64))
                          .sends(text(""))
                          .gets_text("")
                          .bye()),
            "");
}

TEST_F(Takeover, PlainMessagesAreNoPartOfTheClientsContext) {
  EXPECT_EQ(wsd_.play(offers(kOffer, kOffer)
                          .sends(packed_text(kHelloStream) + text("in between"))
                          .gets_text("Hello")
                          .gets_text("in between")
                          .sends(packed_text(kHelloAgainStream))
                          .gets_text("Hello")
                          .bye()),
            "");
}

// Row C4. 7.1.2.2: the client promised to stay within the window that was agreed on.
TEST_F(Takeover, DistancesBeyondTheClientsWindowAre1007) {
  const std::string content = noise_of(32768);
  for (const unsigned bits : {8U, 9U, 11U, 14U}) {
    const std::string agreed = kOffer + (kClientWindow + ("=" + std::to_string(bits)));
    const std::size_t window = std::size_t{1} << bits;
    const std::string reached = content.substr(content.size() - window, 3);
    // Inside one message, and from one into the next.
    EXPECT_EQ(wsd_.play(offers(agreed, agreed)
                            .sends(packed(kBinary, text_and_match(content, window)))
                            .gets_any(kBinary, content + reached)
                            .bye()),
              "")
        << agreed;
    EXPECT_EQ(wsd_.play(offers(agreed, agreed)
                            .sends(packed(kBinary, text_and_match(content, window + 1)))
                            .fails(1007)),
              "")
        << agreed;
    EXPECT_EQ(
        wsd_.play(offers(agreed, agreed)
                      .sends(packed(kBinary,
                                    bytes_of(DeflateBits().stored(false, content).end_message())))
                      .gets_any(kBinary, content)
                      .sends(packed(kBinary, match_at(window)))
                      .gets_binary(reached)
                      .sends(packed(kBinary, match_at(window + 1)))
                      .fails(1007)),
        "")
        << agreed;
  }
}

// 7.1.2.2: only a client that offered the parameter understands it in an answer.
TEST_F(Takeover, TheClientsWindowIsLeftAloneUnlessOffered) {
  for (const char* more : {"", kServerFresh, kClientFresh, "; server_max_window_bits=9"}) {
    EXPECT_EQ(wsd_.answer_to(std::string(kOffer) + more).find("client_max_window_bits"),
              std::string::npos)
        << more;
  }
  const std::string content = noise_of(32768);
  EXPECT_EQ(wsd_.play(offers(kOffer, kOffer)
                          .sends(packed(kBinary, deflated(content)))
                          .gets_any(kBinary, content)
                          .sends(packed(kBinary, match_at(32768)))
                          .gets_binary(content.substr(0, 3))
                          .bye()),
            "");
}

TEST_F(Takeover, BadOffersAreDeclined) {
  for (const char* bad :
       {"; server_max_window_bits", "; server_max_window_bits=7", "; client_max_window_bits=16",
        "; client_max_window_bits=08", "; server_no_context_takeover=1", "; x-foo",
        "; client_max_window_bits; client_max_window_bits=9"}) {
    const std::string offer = std::string(kOffer) + bad;
    EXPECT_EQ(wsd_.play(offers(offer, "").sends(packed_text(kHelloStream)).fails(1002)), "") << bad;
    EXPECT_EQ(
        wsd_.play(
            offers(offer + ", " + kOffer + kServerFresh, std::string(kOffer) + kServerFresh).bye()),
        "")
        << bad;
  }
}

// Row C3: 7.2.3.4 ends a block, not the context.
TEST_F(Takeover, AFinalBlockKeepsTheContext) {
  using namespace std::string_literals;
  for (const std::string& final :
       {"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"s, "\xf3\x48\xcd\xc9\xc9\x07\x00"s}) {
    EXPECT_EQ(wsd_.play(offers(kOffer, kOffer)
                            .sends(packed_text(final))
                            .gets_text("Hello")
                            .sends(packed_text(kHelloAgainStream) + packed_text(final))
                            .gets_text("Hello")
                            .gets_text("Hello")
                            .sends(packed_text(kHelloAgainStream))
                            .gets_text("Hello")
                            .bye()),
              "");
  }
}

// Row C1, a message and a context larger than anything.
TEST_F(Takeover, TheLimitHoldsForEachMessage) {
  Sender sender(15);
  const std::string most(kLimits.message_bytes, 'm');
  Script script = offers(kOffer, kOffer);
  for (int i = 0; i < 2; ++i) {
    script.sends(packed(kBinary, sender.stream(most))).gets_packed(kBinary, most);
  }
  EXPECT_EQ(wsd_.play(script.sends(packed(kBinary, sender.stream(most + "m"))).fails(1009)), "");
}

TEST_F(Takeover, ContextsOfConnectionsAreTheirOwn) {
  const std::unique_ptr<Stream> one = wsd_.connect();
  const std::unique_ptr<Stream> two = wsd_.connect();
  ASSERT_TRUE(one != nullptr && two != nullptr);
  Client first_client(*one);
  Client second_client(*two);
  ASSERT_EQ(first_client.play(offers(kOffer, kOffer)), "");
  ASSERT_EQ(second_client.play(offers(kOffer, kOffer)), "");
  Sender first_sender(15);
  Sender second_sender(15);
  for (const std::string& message : events(30)) {
    ASSERT_EQ(
        first_client.play(
            Script().sends(packed_text(first_sender.stream(message))).gets_any(kText, message)),
        "");
    const std::string other = "other " + message;
    ASSERT_EQ(second_client.play(
                  Script().sends(packed_text(second_sender.stream(other))).gets_any(kText, other)),
              "");
  }
  const std::unique_ptr<Stream> three = wsd_.connect();
  ASSERT_NE(three, nullptr);
  EXPECT_EQ(
      Client(*three).play(offers(kOffer, kOffer).sends(packed_text(kHelloAgainStream)).fails(1007)),
      "");
  EXPECT_EQ(first_client.play(Script().bye()), "");
  EXPECT_EQ(second_client.play(Script().bye()), "");
}

TEST(DeflateOff, NothingIsAgreedOnAndNothingCompressed) {
  CompressingWsd wsd("off");
  const std::string long_text = repeat("compressible ", 20'000);
  for (const char* offer :
       {kOffer, "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits=10, permessage-deflate",
        "permessage-deflate; x-foo"}) {
    EXPECT_EQ(wsd.play(offers(offer, "").sends(text(long_text)).gets_text(long_text).bye()), "")
        << offer;
    EXPECT_EQ(wsd.play(offers(offer, "").sends(packed_text(kHelloStream)).fails(1002)), "")
        << offer;
  }
}

// `on` said aloud is what a bare wsd does.
TEST(DeflateOn, IsTheDefault) {
  CompressingWsd wsd("on");
  const std::string answer = std::string(kOffer) + kServerFresh + kClientFresh;
  const std::string message = repeat("compressible ", 20'000);
  EXPECT_EQ(wsd.play(offers(kOffer, answer).sends(text(message)).gets_packed(kText, message).bye()),
            "");
  EXPECT_EQ(wsd.play(offers("", "").sends(text(message)).gets_text(message).bye()), "");
}

}  // namespace
}  // namespace ws::test
