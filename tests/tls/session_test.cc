#include "tls/session.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>

#include <memory>
#include <random>

#include "tests/support/tls_pair.h"

namespace ws::tls {
namespace {

using test::bytes_of;
using test::default_context;
using test::kDataRecord;
using test::kTls12;
using test::kTls13;
using test::TlsPair;

std::string pattern(std::size_t length) {
  std::string text(length, '\0');
  for (std::size_t i = 0; i < length; ++i) text[i] = static_cast<char>(i * 31 + i / 251);
  return text;
}

struct Record {
  int type = 0;
  std::size_t length = 0;
};
// RFC 8446 section 5.1: type, version (2), length (2), fragment.
std::vector<Record> records_of(std::string_view ciphertext) {
  std::vector<Record> records;
  while (ciphertext.size() >= 5) {
    const auto byte = [&](std::size_t at) { return static_cast<std::uint8_t>(ciphertext[at]); };
    const std::size_t length = byte(3) * std::size_t{256} + byte(4);
    records.push_back({byte(0), length});
    EXPECT_LE(length + 5, ciphertext.size());
    ciphertext.remove_prefix(std::min(ciphertext.size(), length + 5));
  }
  EXPECT_TRUE(ciphertext.empty());
  return records;
}
// ContentType, RFC 8446 section 5.1.

class SessionTest : public testing::TestWithParam<int> {
 protected:
  int version() const { return GetParam(); }
  std::unique_ptr<TlsPair> connected() {
    auto pair =
        std::make_unique<TlsPair>(default_context(), test::TlsClientOptions{.version = version()});
    pair->run();
    EXPECT_TRUE(pair->server.established()) << pair->server.failure();
    EXPECT_TRUE(pair->client.established()) << pair->client.error();
    return pair;
  }
  // Nothing but taking what is pending may follow, and that must be harmless.
  void expect_stays_failed(TlsPair& pair) {
    EXPECT_EQ(pair.status, Status::kFailed);
    EXPECT_NE(pair.server.failure(), "");
    const std::string why = pair.server.failure();
    pair.take();
    pair.client.write("more");
    pair.feed(pair.client.take());
    pair.feed("");
    EXPECT_EQ(pair.status, Status::kFailed);
    EXPECT_EQ(pair.server.failure(), why);
    pair.server.close_notify();
    EXPECT_TRUE(pair.server.pending().empty());
    EXPECT_EQ(ERR_peek_error(), 0u);
  }
};

INSTANTIATE_TEST_SUITE_P(Tls, SessionTest, testing::Values(kTls12, kTls13),
                         [](const auto& test) { return test.param == kTls12 ? "12" : "13"; });

TEST_P(SessionTest, ShakesHandsWhole) {
  const auto pair = connected();
  EXPECT_EQ(pair->status, Status::kOk);
  EXPECT_EQ(pair->received, "");
  EXPECT_EQ(pair->server.failure(), "");
}

TEST_P(SessionTest, ShakesHandsByteByByte) {
  TlsPair pair(default_context(), {.version = version()});
  EXPECT_FALSE(pair.server.established());
  pair.run([] { return 1; });
  EXPECT_TRUE(pair.server.established());
  EXPECT_TRUE(pair.client.established());
}

TEST_P(SessionTest, ShakesHandsAtRandomSplits) {
  std::mt19937 random(7);
  for (int i = 0; i < 20; ++i) {
    TlsPair pair(default_context(), {.version = version()});
    pair.run([&] { return random() % 200; });
    EXPECT_TRUE(pair.server.established());
    EXPECT_TRUE(pair.client.established());
  }
}

TEST_P(SessionTest, ReceivesDataThatCameWithTheEndOfTheHandshake) {
  TlsPair pair(default_context(), {.version = version()});
  pair.feed(pair.client.take());
  pair.client.receive(pair.take());
  if (version() == kTls12) {  // one round trip more
    pair.feed(pair.client.take());
    pair.client.receive(pair.take());
  }
  ASSERT_TRUE(pair.client.established());
  pair.client.write("at once");
  pair.feed(pair.client.take());
  EXPECT_TRUE(pair.server.established());
  EXPECT_EQ(pair.received, "at once");
}

TEST_P(SessionTest, CarriesDataOfEverySizeBothWays) {
  const auto pair = connected();
  std::mt19937 random(11);
  for (const std::size_t size : {1u, 2u, 100u, 16383u, 16384u, 16385u, 40960u, 65536u, 1048576u}) {
    const std::string sent = pattern(size);
    pair->received.clear();
    pair->client.write(sent);
    pair->seal(sent);
    pair->run([&] { return random() % (size + 10); });
    EXPECT_EQ(pair->received == sent, true) << size;
    EXPECT_EQ(pair->client.read() == sent, true) << size;
  }
}

TEST_P(SessionTest, CarriesDataByteByByte) {
  const auto pair = connected();
  const std::string sent = pattern(20'000);
  pair->client.write(sent);
  pair->run([] { return 1; });
  EXPECT_EQ(pair->received == sent, true);
}

TEST_P(SessionTest, SealsFullRecordsOf16KiB) {
  const auto pair = connected();
  pair->seal(pattern(40 * 1024));
  const auto records = records_of(pair->take());
  ASSERT_EQ(records.size(), 3u);  // 16 + 16 + 8 KiB
  const std::size_t overhead = records[0].length - 16 * 1024;
  // RFC 8446 section 5.2 and RFC 5288: a tag of 16, and a content type or an explicit nonce of 8.
  EXPECT_LE(overhead, 24u);
  EXPECT_EQ(records[1].length, 16 * 1024 + overhead);
  EXPECT_EQ(records[2].length, 8 * 1024 + overhead);
  for (const Record& record : records) EXPECT_EQ(record.type, kDataRecord);
}

TEST_P(SessionTest, SealsNothingForNothing) {
  const auto pair = connected();
  pair->seal("");
  EXPECT_TRUE(pair->server.pending().empty());
}

TEST_P(SessionTest, KeepsTheOrderOfManySmallSeals) {
  const auto pair = connected();
  std::string sent;
  for (int i = 0; i < 1000; ++i) {
    const std::string one = std::to_string(i) + ",";
    pair->seal(one);
    sent += one;
  }
  const std::string ciphertext = pair->take();
  EXPECT_EQ(records_of(ciphertext).size(), 1000u);
  pair->client.receive(ciphertext);
  EXPECT_EQ(pair->client.read(), sent);
}

TEST_P(SessionTest, GathersSmallRecordsInOneCall) {
  const auto pair = connected();
  for (int i = 0; i < 300; ++i) pair->client.write("0123456789");
  const std::string ciphertext = pair->client.take();
  std::vector<std::uint8_t> plain(4096);
  pair->server.feed(bytes_of(ciphertext));
  const auto unsealed = pair->server.unseal(plain);
  EXPECT_EQ(unsealed.bytes, 3000u);
  EXPECT_EQ(unsealed.status, Status::kOk);
}

TEST_P(SessionTest, DecryptsManyRecordsIntoOneLargeSpan) {
  const auto pair = connected();
  const std::string sent = pattern(1 << 20);
  pair->client.write(sent);
  const std::string ciphertext = pair->client.take();
  std::vector<std::uint8_t> plain(sent.size() + 1);
  pair->server.feed(bytes_of(ciphertext));
  const auto unsealed = pair->server.unseal(plain);
  ASSERT_EQ(unsealed.bytes, sent.size());
  EXPECT_EQ(std::equal(sent.begin(), sent.end(), plain.begin(),
                       [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; }),
            true);
}

TEST_P(SessionTest, StopsAtTheEndOfTheSpanAndGoesOn) {
  const auto pair = connected();
  pair->client.write("abcdefghij");
  pair->client.write("klmno");
  const std::string ciphertext = pair->client.take();
  pair->server.feed(bytes_of(ciphertext));
  std::string got;
  for (const std::size_t expected : {4u, 4u, 4u, 3u}) {
    std::uint8_t room[4];
    const auto unsealed = pair->server.unseal(room);
    EXPECT_EQ(unsealed.bytes, expected);
    EXPECT_EQ(unsealed.status, Status::kOk);
    got.append(reinterpret_cast<const char*>(room), unsealed.bytes);
  }
  EXPECT_EQ(got, "abcdefghijklmno");
  pair->feed("");
  EXPECT_EQ(pair->received, "");
}

TEST_P(SessionTest, NeedsMoreWhenFedNothing) {
  const auto pair = connected();
  pair->feed("");
  EXPECT_EQ(pair->received, "");
  EXPECT_EQ(pair->status, Status::kOk);
  TlsPair fresh(default_context());
  fresh.feed("");
  EXPECT_EQ(fresh.status, Status::kOk);
}

TEST_P(SessionTest, ReportsCloseNotifyAfterTheDataBeforeIt) {
  const auto pair = connected();
  pair->client.write("last words");
  pair->client.close_notify();
  pair->run();
  EXPECT_EQ(pair->received, "last words");
  EXPECT_EQ(pair->status, Status::kClosed);
  EXPECT_EQ(pair->server.failure(), "");
  pair->feed("");
  EXPECT_EQ(pair->status, Status::kClosed);
}

TEST_P(SessionTest, DeliversBytesTogetherWithTheCloseThatFollows) {
  const auto pair = connected();
  pair->client.write("last words");
  pair->client.close_notify();
  const std::string ciphertext = pair->client.take();
  std::vector<std::uint8_t> plain(100);
  pair->server.feed(bytes_of(ciphertext));
  const auto unsealed = pair->server.unseal(plain);
  EXPECT_EQ(unsealed.bytes, 10u);
  EXPECT_EQ(unsealed.status, Status::kClosed);
}

// RFC 8446 section 6.1: "Any data received after a closure alert has been received MUST be
// ignored."
TEST_P(SessionTest, IgnoresWhatFollowsTheClientsCloseNotify) {
  const auto pair = connected();
  pair->client.close_notify();
  pair->feed(pair->client.take() + "trailing rubbish");
  EXPECT_EQ(pair->status, Status::kClosed);
  pair->feed("and more of it");
  EXPECT_EQ(pair->status, Status::kClosed);
}

// RFC 8446 section 6.1: closing is per direction.
TEST_P(SessionTest, StillSealsAfterTheClientsCloseNotify) {
  const auto pair = connected();
  pair->client.close_notify();
  pair->run();
  pair->seal("the answer");
  EXPECT_EQ(records_of(pair->take()).size(), 1u);
}

TEST_P(SessionTest, SendsCloseNotifyOnce) {
  const auto pair = connected();
  pair->seal("bye");
  pair->server.close_notify();
  pair->server.close_notify();
  EXPECT_EQ(pair->server.failure(), "");
  EXPECT_EQ(ERR_peek_error(), 0u);
  const std::string ciphertext = pair->take();
  EXPECT_EQ(records_of(ciphertext).size(), 2u);
  pair->client.receive(ciphertext);
  EXPECT_EQ(pair->client.read(), "bye");
  EXPECT_TRUE(pair->client.closed());
}

TEST_P(SessionTest, AnswersCloseNotifyWithItsOwn) {
  const auto pair = connected();
  pair->client.close_notify();
  pair->run();
  pair->server.close_notify();
  EXPECT_EQ(records_of(pair->take()).size(), 1u);
}

TEST_P(SessionTest, StillReceivesAfterItsOwnCloseNotify) {
  const auto pair = connected();
  pair->server.close_notify();
  pair->client.write("was under way");
  pair->feed(pair->client.take());
  EXPECT_EQ(pair->received, "was under way");
  EXPECT_EQ(pair->status, Status::kOk);
}

TEST_P(SessionTest, SendsNoCloseNotifyDuringTheHandshake) {
  TlsPair pair(default_context(), {.version = version()});
  pair.server.close_notify();
  EXPECT_TRUE(pair.server.pending().empty());
  const std::string hello = pair.client.take();
  pair.feed(hello);
  pair.take();
  pair.server.close_notify();
  EXPECT_TRUE(pair.server.pending().empty());
}

TEST_P(SessionTest, WaitsForTheRestOfATruncatedRecord) {
  const auto pair = connected();
  pair->client.write("complete");
  const std::string ciphertext = pair->client.take();
  for (std::size_t cut = 1; cut < ciphertext.size(); ++cut) {
    const auto other = connected();
    other->client.write("complete");
    const std::string same = other->client.take();
    other->feed(std::string_view(same).substr(0, cut));
    EXPECT_EQ(other->status, Status::kOk);
    EXPECT_EQ(other->received, "");
    other->feed(std::string_view(same).substr(cut));
    EXPECT_EQ(other->received, "complete");
  }
}

TEST_P(SessionTest, FailsWithAnAlertWhenPartOfTheStreamIsMissing) {
  const auto pair = connected();
  pair->client.write("first");
  pair->client.take();  // lost
  pair->client.write("second");
  pair->feed(pair->client.take());
  EXPECT_EQ(pair->received, "");
  EXPECT_EQ(pair->status, Status::kFailed);
  pair->client.receive(pair->take());
  EXPECT_EQ(pair->client.error(), "sslv3 alert bad record mac");
}

TEST_P(SessionTest, FailsWithAnAlertOnABadMac) {
  const auto pair = connected();
  pair->client.write("good");
  std::string ciphertext = pair->client.take();
  pair->client.write("bad");
  std::string tampered = pair->client.take();
  tampered.back() = static_cast<char>(tampered.back() ^ 1);
  std::vector<std::uint8_t> plain(100);
  ciphertext += tampered;
  pair->server.feed(bytes_of(ciphertext));
  const auto unsealed = pair->server.unseal(plain);
  EXPECT_EQ(unsealed.bytes, 4u);  // what came before it is good
  EXPECT_EQ(unsealed.status, Status::kFailed);
  pair->status = unsealed.status;
  EXPECT_EQ(pair->server.failure(), "decryption failed or bad record mac");
  EXPECT_FALSE(pair->server.seal(bytes_of("too late")));
  pair->client.receive(pair->take());
  EXPECT_EQ(pair->client.error(), "sslv3 alert bad record mac");
  expect_stays_failed(*pair);
}

TEST_P(SessionTest, FailsOnARecordThatIsTooLong) {
  const auto pair = connected();
  pair->feed(std::string("\x17\x03\x03\x48\x01", 5) + std::string(100, 'x'));  // 2^14 + 2049
  EXPECT_EQ(pair->status, Status::kFailed);
  EXPECT_FALSE(pair->server.pending().empty());
}

TEST(Session, FailsOnPlainHttp) {
  TlsPair pair(default_context());
  pair.feed("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(pair.status, Status::kFailed);
  EXPECT_EQ(pair.server.failure(), "http request");
}

TEST(Session, FailsOnRubbish) {
  std::mt19937 random(3);
  for (int i = 0; i < 200; ++i) {
    std::string rubbish(1 + random() % 100, '\0');
    for (char& c : rubbish) c = static_cast<char>(random());
    rubbish[0] &= 0x0F;  // no record type (they begin at 20), and no version 3 after it
    if (rubbish.size() > 1) rubbish[1] |= 0x40;
    TlsPair pair(default_context());
    pair.feed(rubbish);
    EXPECT_FALSE(pair.server.established());
    EXPECT_EQ(pair.status, rubbish.size() < 11 ? pair.status : Status::kFailed);
  }
}

// Whether that byte is part of a record's legacy_record_version, which RFC 8446 section 5.1 says
// "MUST be ignored for all purposes".
bool is_record_version(std::string_view flight, std::size_t at) {
  std::size_t begin = 0;
  for (const Record& record : records_of(flight)) {
    if (at == begin + 1 || at == begin + 2) return true;
    begin += 5 + record.length;
  }
  return false;
}

TEST_P(SessionTest, NeverConnectsAfterAFlippedBitInTheHandshake) {
  std::mt19937 random(5);
  for (int i = 0; i < 150; ++i) {
    TlsPair pair(default_context(),
                 {.version = version(), .server_name = "localhost", .alpn = {"http/1.1"}});
    bool flipped = false;
    const int flipped_flight = static_cast<int>(random() % 2);
    for (int flight = 0; flight < 2; ++flight) {
      std::string out = pair.client.take();
      if (out.empty()) break;
      const std::size_t at = random() % out.size();
      if (flight == flipped_flight && !is_record_version(out, at)) {
        out[at] = static_cast<char>(out[at] ^ (1 << random() % 8));
        flipped = true;
      }
      pair.feed(out);
      pair.client.receive(pair.take());
    }
    EXPECT_FALSE(flipped && pair.server.established() && pair.client.established());
  }
}

TEST_P(SessionTest, MayEndAtAnyPoint) {
  TlsPair fresh(default_context(), {.version = version()});
  {
    TlsPair halfway(default_context(), {.version = version()});
    const std::string hello = halfway.client.take();
    halfway.feed(std::string_view(hello).substr(0, hello.size() / 2));
  }
  {
    TlsPair greeted(default_context(), {.version = version()});
    greeted.feed(greeted.client.take());
  }
  EXPECT_EQ(ERR_peek_error(), 0u);
}

TEST_P(SessionTest, LeavesNoErrorsBehindAndIgnoresThoseOfOthers) {
  const auto pair = connected();
  pair->client.write("data");
  const std::string ciphertext = pair->client.take();
  ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);  // somebody else's
  pair->feed(ciphertext);
  EXPECT_EQ(pair->received, "data");
  EXPECT_EQ(pair->status, Status::kOk);
  ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
  pair->seal("data");
}

TEST_P(SessionTest, TellsItsVersionAndCipher) {
  const auto pair = connected();
  EXPECT_EQ(pair->server.version(), version() == kTls12 ? "TLSv1.2" : "TLSv1.3");
  EXPECT_EQ(pair->server.cipher(), pair->client.cipher());
  EXPECT_EQ(pair->server.peer_subject(), "");
}

}  // namespace
}  // namespace ws::tls
