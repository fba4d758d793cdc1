#include "tls/crypto.h"

#include <gtest/gtest.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <random>
#include <set>

#include "tests/support/bytes.h"

namespace ws::tls {
namespace {

using test::bytes_of;

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

// RFC 3174 section 7.3 and FIPS 180-2 appendix A.
TEST(Sha1, MatchesThePublishedVectors) {
  EXPECT_EQ(hex(sha1("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hex(sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(hex(sha1("")), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(hex(sha1(std::string(1'000'000, 'a'))), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

// RFC 6455 section 1.3, the worked example of the opening handshake.
TEST(Sha1, WithBase64GivesTheAcceptKeyOfTheRfc) {
  const auto digest = sha1("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
  EXPECT_EQ(base64_encode(digest), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

struct Vector {
  std::string_view plain, encoded;
};
// RFC 4648 section 10.
constexpr Vector kVectors[] = {{"", ""},
                               {"f", "Zg=="},
                               {"fo", "Zm8="},
                               {"foo", "Zm9v"},
                               {"foob", "Zm9vYg=="},
                               {"fooba", "Zm9vYmE="},
                               {"foobar", "Zm9vYmFy"}};

TEST(Base64, EncodesTheVectorsOfTheRfc) {
  for (const auto& [plain, encoded] : kVectors) EXPECT_EQ(base64_encode(bytes_of(plain)), encoded);
}

TEST(Base64, DecodesTheVectorsOfTheRfc) {
  for (const auto& [plain, encoded] : kVectors) EXPECT_EQ(base64_decode(encoded), plain);
}

TEST(Base64, UsesTheStandardAlphabet) {
  const std::uint8_t bytes[] = {0xFB, 0xFF, 0xBF};
  EXPECT_EQ(base64_encode(bytes), "+/+/");
  EXPECT_EQ(base64_decode("+/+/"), "\xFB\xFF\xBF");
  EXPECT_FALSE(base64_decode("-_-_"));  // section 5's alphabet
}

TEST(Base64, RoundTripsEveryLength) {
  std::mt19937 random(1);
  for (std::size_t length = 0; length < 200; ++length) {
    std::string plain(length, '\0');
    for (char& c : plain) c = static_cast<char>(random());
    EXPECT_EQ(base64_decode(base64_encode(bytes_of(plain))), plain);
  }
}

TEST(Base64, RejectsIncompleteGroups) {
  for (const char* text : {"Z", "Zg", "Zg=", "Zm9vY", "Zm9vYg", "Zm9vYg="}) {
    EXPECT_FALSE(base64_decode(text)) << text;
  }
}

TEST(Base64, RejectsUnusedBitsThatAreNotZero) {
  // "Zg==" is the one encoding of "f"; h, i, ... / differ from g in the four unused bits only.
  for (const char* text : {"Zh==", "Zi==", "Zv==", "Zm9=", "Zm+=", "Zm9vYh=="}) {
    EXPECT_FALSE(base64_decode(text)) << text;
  }
}

TEST(Base64, RejectsMisplacedPadding) {
  for (const char* text :
       {"====", "Z===", "=Zg=", "Zg=a", "Z=g=", "Zg==Zg==", "Zg==Zm9v", "Zm9v===="}) {
    EXPECT_FALSE(base64_decode(text)) << text;
  }
}

TEST(Base64, RejectsWhiteSpaceAnywhere) {
  for (const char* text : {" Zg=", "Zg=\n", "Zm9v\n", "\nZm9", "Zm 9vYg=", "Zm9v    ", "    ",
                           "\n\n\n\n", "    Zm9v", "Zg==\r\n\r\n"}) {
    EXPECT_FALSE(base64_decode(text)) << text;
  }
}

TEST(Base64, RejectsEveryByteOutsideTheAlphabet) {
  const std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    for (std::size_t at = 0; at < 4; ++at) {
      std::string text = "AAAA";
      text[at] = c;
      const bool padded = c == '=' && at == 3;  // "AAA=" is good: two zero bytes
      const bool in_alphabet = alphabet.find(c) != std::string_view::npos;
      EXPECT_EQ(base64_decode(text).has_value(), in_alphabet || padded) << byte << " at " << at;
    }
  }
}

TEST(RandomBytes, FillsTheWholeSpanAndOnlyThat) {
  std::array<std::uint8_t, 66> bytes{};
  random_bytes(std::span(bytes).subspan(1, 64));
  EXPECT_EQ(bytes.front(), 0);
  EXPECT_EQ(bytes.back(), 0);
  // 64 random bytes with fewer than 16 different values have a chance below 2^-100.
  EXPECT_GT(std::set<std::uint8_t>(bytes.begin() + 1, bytes.end() - 1).size(), 16u);
}

TEST(RandomBytes, NeverRepeats) {
  std::set<std::array<std::uint8_t, 16>> seen;
  for (int i = 0; i < 1000; ++i) {
    std::array<std::uint8_t, 16> bytes{};
    random_bytes(bytes);
    EXPECT_TRUE(seen.insert(bytes).second);
  }
}

TEST(Library, TellsTheVersionOfOpenSslInUse) {
  EXPECT_TRUE(library_version().starts_with("OpenSSL "));
}

TEST(Library, AllocatesByAnnouncementBefore3021) {
  const std::array version{OPENSSL_version_major(), OPENSSL_version_minor(),
                           OPENSSL_version_patch()};
  EXPECT_EQ(allocates_by_announcement(), version < (std::array{3u, 0u, 21u}));
}

TEST(RandomBytes, AcceptsAnEmptySpan) {
  random_bytes({});
}

}  // namespace
}  // namespace ws::tls
