#include "ws/proto/permessage_deflate.h"
#include "tests/support/bytes.h"
#include "ws/proto/http_parser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace ws::proto {
namespace {

using test::bytes_of;

constexpr DeflateOptions kOnOptions{.mode = DeflateMode::kOn};
constexpr DeflateOptions kTakeoverOptions{.mode = DeflateMode::kTakeover};

DeflateOptions with_window(DeflateMode mode, unsigned bits) {
  return {.mode = mode, .window_bits = bits};
}

// What stands between the semicolons: the name, then the parameters in any order.
struct Parsed {
  std::string name;
  std::multiset<std::string> parameters;
  bool has(const std::string& parameter) const { return parameters.count(parameter) == 1; }
  bool names(const std::string& parameter) const { return has(parameter) || value(parameter) != 0; }
  unsigned value(const std::string& parameter) const {  // 0: none
    for (const std::string& each : parameters) {
      if (each.starts_with(parameter + "=")) {
        return static_cast<unsigned>(std::stoul(each.substr(parameter.size() + 1)));
      }
    }
    return 0;
  }
};

Parsed parse(std::string_view extension) {
  Parsed out;
  for (bool first = true;; first = false) {
    const std::size_t end = extension.find(';');
    const std::string part(trim_blanks(extension.substr(0, end)));
    if (first) {
      out.name = part;
    } else {
      out.parameters.insert(part);
    }
    if (end == std::string_view::npos) return out;
    extension.remove_prefix(end + 1);
  }
}

// The head of a request with these Sec-WebSocket-Extensions, parsed.
class Offered {
 public:
  explicit Offered(const std::vector<std::string>& lines) : parser_(RequestParser::Config{}) {
    std::string request =
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    for (const std::string& line : lines) request += "Sec-WebSocket-Extensions: " + line + "\r\n";
    EXPECT_EQ(parser_.feed(bytes_of(request + "\r\n")).state, RequestParser::State::kComplete);
  }
  std::optional<DeflateAgreement> accept(const DeflateOptions& options) const {
    return accept_deflate(parser_.head(), options);
  }

 private:
  RequestParser parser_;
};

// What was said and what holds have to be the same; section 7.1: an absent parameter is the
// default.
void expect_consistent(const DeflateAgreement& agreement) {
  const Parsed answer = parse(agreement.answer);
  const DeflateParameters& holds = agreement.parameters;
  EXPECT_EQ(answer.name, "permessage-deflate");
  std::size_t known = 0;
  for (const char* flag : {"server_no_context_takeover", "client_no_context_takeover"}) {
    known += answer.has(flag);
  }
  for (const char* window : {"server_max_window_bits", "client_max_window_bits"}) {
    known += answer.value(window) != 0;
    EXPECT_FALSE(answer.has(window)) << "an answer needs the value";
  }
  EXPECT_EQ(known, answer.parameters.size()) << "unknown or repeated: " << agreement.answer;
  EXPECT_EQ(holds.server_no_context_takeover, answer.has("server_no_context_takeover"));
  EXPECT_EQ(holds.client_no_context_takeover, answer.has("client_no_context_takeover"));
  const unsigned server = answer.value("server_max_window_bits");
  const unsigned client = answer.value("client_max_window_bits");
  EXPECT_LE(holds.server_max_window_bits, server == 0 ? 15 : server);
  EXPECT_EQ(holds.client_max_window_bits, client == 0 ? 15 : client);
}

constexpr unsigned kAny = 0;  // the RFC and the options leave it to the server

struct OfferRow {
  DeflateOptions options;
  std::vector<std::string> lines;
  bool accepted;
  bool server_fresh;
  bool client_fresh;
  unsigned server_bits;  // said in the answer; 15 may go unsaid unless it was asked for
  unsigned client_bits;
};

void expect_row(const OfferRow& row) {
  std::string shown;
  for (const std::string& line : row.lines) shown += line + " | ";
  SCOPED_TRACE(shown + "mode " + std::to_string(static_cast<int>(row.options.mode)) + ", window " +
               std::to_string(row.options.window_bits));
  const std::optional<DeflateAgreement> got = Offered(row.lines).accept(row.options);
  ASSERT_EQ(got.has_value(), row.accepted) << (got ? got->answer : "declined");
  if (!got) return;
  SCOPED_TRACE(got->answer);
  expect_consistent(*got);
  EXPECT_EQ(got->parameters.server_no_context_takeover, row.server_fresh);
  EXPECT_EQ(got->parameters.client_no_context_takeover, row.client_fresh);
  EXPECT_LE(got->parameters.server_max_window_bits, row.options.window_bits);
  if (row.server_bits != kAny) {
    EXPECT_EQ(got->parameters.server_max_window_bits, row.server_bits);
  }
  if (row.client_bits != kAny) {
    EXPECT_EQ(got->parameters.client_max_window_bits, row.client_bits);
  }
}

const std::string kName = "permessage-deflate";

TEST(AcceptDeflate, OnAnswersWithBothFlagsAndTheServersWindow) {
  const auto row = [](DeflateOptions options, const std::string& more, unsigned server_bits) {
    expect_row({options, {kName + more}, true, true, true, server_bits, 15});
  };
  row(kOnOptions, "", 15);
  row(kOnOptions, "; server_no_context_takeover", 15);
  row(kOnOptions, "; client_no_context_takeover", 15);
  row(kOnOptions, ";client_no_context_takeover ;\tserver_no_context_takeover", 15);
  row(kOnOptions, "; client_max_window_bits", 15);
  row(kOnOptions, "; client_max_window_bits=8", 15);
  row(kOnOptions, "; client_max_window_bits=15; server_max_window_bits=15", 15);
  row(with_window(DeflateMode::kOn, 12), "", kAny);
  for (unsigned asked = 8; asked <= 15; ++asked) {
    const std::string value = std::to_string(asked);
    for (unsigned ours = 8; ours <= 15; ++ours) {
      const DeflateOptions options = with_window(DeflateMode::kOn, ours);
      row(options, "; server_max_window_bits=" + value, std::min(asked, ours));
      row(options, "; server_max_window_bits=\"" + value + "\"; client_max_window_bits=" + value,
          std::min(asked, ours));
    }
  }
}

TEST(AcceptDeflate, TakeoverEchoesWhatIsOffered) {
  for (const bool server_fresh : {false, true}) {
    for (const bool client_fresh : {false, true}) {
      const std::string flags = kName + (server_fresh ? "; server_no_context_takeover" : "") +
                                (client_fresh ? "; client_no_context_takeover" : "");
      const auto row = [&](unsigned ours, const std::string& more, unsigned server_bits,
                           unsigned client_bits) {
        expect_row({with_window(DeflateMode::kTakeover, ours),
                    {flags + more},
                    true,
                    server_fresh,
                    client_fresh,
                    server_bits,
                    client_bits});
      };
      row(15, "", 15, 15);
      row(12, "", kAny, 15);
      for (unsigned asked = 8; asked <= 15; ++asked) {
        const std::string value = std::to_string(asked);
        for (unsigned ours = 8; ours <= 15; ++ours) {
          const unsigned least = std::min(asked, ours);
          row(ours, "; server_max_window_bits=" + value, least, 15);
          row(ours, "; client_max_window_bits=" + value, kAny, client_fresh ? kAny : least);
          row(ours, "; client_max_window_bits", kAny, client_fresh ? kAny : ours);
        }
      }
    }
  }
}

// 7.1.2.1 and 7.1.1.1: a server accepts these by including them; 7.1.2.2: the client's window may
// be in the answer only if it was in the offer, and no larger.
TEST(AcceptDeflate, SaysInTheAnswerWhatAcceptsTheOffer) {
  for (const DeflateMode mode : {DeflateMode::kOn, DeflateMode::kTakeover}) {
    for (unsigned ours = 8; ours <= 15; ++ours) {
      for (unsigned asked = 8; asked <= 15; ++asked) {
        const std::string value = std::to_string(asked);
        const auto full =
            Offered({kName + "; server_no_context_takeover; server_max_window_bits=" + value +
                     "; client_max_window_bits=" + value})
                .accept(with_window(mode, ours));
        ASSERT_TRUE(full.has_value());
        const Parsed answer = parse(full->answer);
        EXPECT_TRUE(answer.has("server_no_context_takeover"));
        EXPECT_EQ(answer.value("server_max_window_bits"), std::min(asked, ours));
        EXPECT_LE(answer.value("client_max_window_bits"), std::min(asked, ours));
        if (mode == DeflateMode::kOn) {
          EXPECT_FALSE(answer.names("client_max_window_bits"));
        }
        const auto plain =
            Offered({kName + "; server_max_window_bits=" + value}).accept(with_window(mode, ours));
        ASSERT_TRUE(plain.has_value());
        EXPECT_FALSE(parse(plain->answer).names("client_max_window_bits")) << plain->answer;
      }
    }
  }
}

TEST(AcceptDeflate, OffAcceptsNothing) {
  for (const char* more : {"", "; client_max_window_bits", "; server_no_context_takeover"}) {
    expect_row({DeflateOptions{}, {kName + more}, false, false, false, kAny, kAny});
  }
}

const char* const kBadParameters[] = {
    "server_max_window_bits",
    "server_max_window_bits=7",
    "server_max_window_bits=16",
    "server_max_window_bits=0",
    "server_max_window_bits=1",
    "server_max_window_bits=08",
    "server_max_window_bits=015",
    "server_max_window_bits=+9",
    "server_max_window_bits=-9",
    "server_max_window_bits=9x",
    "server_max_window_bits=x9",
    "server_max_window_bits=0x9",
    "server_max_window_bits=9.0",
    "server_max_window_bits=90",
    "server_max_window_bits=150",
    "server_max_window_bits=4294967305",
    "server_max_window_bits=18446744073709551625",
    "server_max_window_bits=\"7\"",
    "server_max_window_bits=\"09\"",
    "server_max_window_bits=9; server_max_window_bits=9",
    "server_max_window_bits=9; server_max_window_bits=10",
    "client_max_window_bits=7",
    "client_max_window_bits=16",
    "client_max_window_bits=08",
    "client_max_window_bits=+9",
    "client_max_window_bits=true",
    "client_max_window_bits; client_max_window_bits",
    "client_max_window_bits=9; client_max_window_bits",
    "server_no_context_takeover=1",
    "server_no_context_takeover=\"true\"",
    "server_no_context_takeover; server_no_context_takeover",
    "client_no_context_takeover=0",
    "client_no_context_takeover; server_no_context_takeover; client_no_context_takeover",
    "unknown",
    "unknown=1",
    "server_max_window_bits=9; unknown",
    "max_window_bits=9",
    "server_max_window_bits_=9",
};

TEST(AcceptDeflate, DeclinesBadOffersAndTriesTheNext) {
  for (const DeflateOptions& options : {kOnOptions, kTakeoverOptions}) {
    for (const char* bad : kBadParameters) {
      const std::string offer = kName + "; " + bad;
      const std::string next = kName + "; server_max_window_bits=11; server_no_context_takeover";
      const bool on = options.mode == DeflateMode::kOn;
      expect_row({options, {offer}, false, false, false, kAny, kAny});
      expect_row({options, {offer, offer}, false, false, false, kAny, kAny});
      expect_row({options, {offer + ", " + next}, true, true, on, 11, 15});
      expect_row({options, {"x-foo, " + offer, next + "," + kName}, true, true, on, 11, 15});
    }
  }
}

TEST(AcceptDeflate, TakesTheFirstGoodOfferWhereverItStands) {
  const std::string nine = kName + "; server_max_window_bits=9";
  const std::string ten = kName + "; server_max_window_bits=10";
  const auto row = [](const std::vector<std::string>& lines, unsigned bits) {
    expect_row({kOnOptions, lines, true, true, true, bits, 15});
  };
  row({nine + ", " + ten}, 9);
  row({ten + "," + nine}, 10);
  row({ten, nine}, 10);
  row({"x-foo; a=\"b\\\"\", " + nine}, 9);
  row({"x-foo; a=\"permessage\"", ", ," + ten + ", ,"}, 10);
  row({kName + ";server_max_window_bits = 9"}, 9);
  row({kName + ", " + nine}, 15);
}

TEST(AcceptDeflate, LeavesOtherExtensionsAlone) {
  for (const std::vector<std::string>& lines :
       std::vector<std::vector<std::string>>{{},
                                             {"x-foo"},
                                             {"deflate-frame"},
                                             {"x-webkit-deflate-frame"},
                                             {"permessage-deflate2"},
                                             {"permessage"},
                                             {"x-foo; a=\"permessage-deflate\""},
                                             {"x-foo; permessage-deflate"}}) {
    for (const DeflateOptions& options : {kOnOptions, kTakeoverOptions}) {
      expect_row({options, lines, false, false, false, kAny, kAny});
    }
  }
}

TEST(OfferDeflate, AsksForWhatTheModeNeeds) {
  EXPECT_EQ(offer_deflate(DeflateOptions{}), "");
  for (unsigned bits = 8; bits <= 15; ++bits) {
    const Parsed on = parse(offer_deflate(with_window(DeflateMode::kOn, bits)));
    EXPECT_EQ(on.name, "permessage-deflate");
    EXPECT_TRUE(on.has("server_no_context_takeover"));
    EXPECT_TRUE(on.has("client_no_context_takeover"));
    EXPECT_EQ(on.value("server_max_window_bits"), bits < 15 ? bits : 0);
    const Parsed takeover = parse(offer_deflate(with_window(DeflateMode::kTakeover, bits)));
    EXPECT_EQ(takeover.name, "permessage-deflate");
    EXPECT_FALSE(takeover.names("server_no_context_takeover"));
    EXPECT_FALSE(takeover.names("client_no_context_takeover"));
    EXPECT_EQ(takeover.value("server_max_window_bits"), bits < 15 ? bits : 0);
  }
}

TEST(ReadDeflateAnswer, TakesWhatItsOfferAllows) {
  const auto on = [](const std::string& more, unsigned ours = 15) {
    return read_deflate_answer(kName + "; server_no_context_takeover" + more,
                               with_window(DeflateMode::kOn, ours));
  };
  ASSERT_TRUE(on("").has_value());
  EXPECT_TRUE(on("")->server_no_context_takeover);
  EXPECT_EQ(on("")->server_max_window_bits, 15u);
  EXPECT_EQ(on("")->client_max_window_bits, 15u);
  ASSERT_TRUE(on("; client_no_context_takeover").has_value());
  EXPECT_TRUE(on("; client_no_context_takeover")->client_no_context_takeover);
  for (unsigned said = 8; said <= 15; ++said) {
    for (unsigned ours = 8; ours <= 15; ++ours) {
      const auto got = on(";server_max_window_bits=" + std::to_string(said), ours);
      ASSERT_EQ(got.has_value(), said <= ours) << said << " for " << ours;
      if (got) {
        EXPECT_EQ(got->server_max_window_bits, said);
      }
    }
  }
  const auto plain = read_deflate_answer(kName, kTakeoverOptions);
  ASSERT_TRUE(plain.has_value());
  EXPECT_FALSE(plain->server_no_context_takeover);
  EXPECT_FALSE(plain->client_no_context_takeover);
  const auto full =
      read_deflate_answer(kName +
                              "; client_no_context_takeover; server_max_window_bits=\"9\"; "
                              "server_no_context_takeover",
                          kTakeoverOptions);
  ASSERT_TRUE(full.has_value()) << "7.1.1 lets a server say what nobody asked for";
  EXPECT_TRUE(full->server_no_context_takeover);
  EXPECT_TRUE(full->client_no_context_takeover);
  EXPECT_EQ(full->server_max_window_bits, 9u);
}

TEST(ReadDeflateAnswer, RefusesAClientsWindowItDidNotOffer) {
  for (const DeflateMode mode : {DeflateMode::kOn, DeflateMode::kTakeover}) {
    for (unsigned ours = 8; ours <= 15; ++ours) {
      const DeflateOptions options = with_window(mode, ours);
      const Parsed offer = parse(offer_deflate(options));
      const unsigned hinted = offer.value("client_max_window_bits");
      const bool offered = offer.names("client_max_window_bits");
      for (unsigned said = 8; said <= 15; ++said) {
        const auto got =
            read_deflate_answer(kName +
                                    "; server_no_context_takeover; server_max_window_bits=8; "
                                    "client_max_window_bits=" +
                                    std::to_string(said),
                                options);
        if (!offered || (hinted != 0 && said > hinted)) {
          EXPECT_FALSE(got.has_value()) << said << " for " << ours;
        } else if (said <= ours) {
          ASSERT_TRUE(got.has_value()) << said << " for " << ours;
          EXPECT_EQ(got->client_max_window_bits, said);
        }
      }
      EXPECT_FALSE(read_deflate_answer(kName + "; server_no_context_takeover; "
                                               "server_max_window_bits=8; client_max_window_bits",
                                       options)
                       .has_value())
          << "7.1.2.2: in an answer it has a value";
    }
  }
}

TEST(ReadDeflateAnswer, RefusesWhatIsNoAnswer) {
  for (const DeflateOptions& options : {kOnOptions, kTakeoverOptions}) {
    const std::string good = kName + "; server_no_context_takeover";
    ASSERT_TRUE(read_deflate_answer(good, options).has_value());
    for (const char* bad : kBadParameters) {
      EXPECT_FALSE(
          read_deflate_answer(kName + "; client_no_context_takeover; " + bad, options).has_value())
          << bad;
      if (std::string_view(bad).find("server_no_context_takeover") == std::string_view::npos) {
        EXPECT_FALSE(read_deflate_answer(good + "; " + bad, options).has_value()) << bad;
      }
    }
    for (const std::string& bad :
         {std::string("x-foo"), std::string("permessage-deflate2; server_no_context_takeover"),
          good + ", x-foo", "x-foo, " + good, good + ", " + good, good + "; ", good + ";;",
          "; " + good, good + "; =9",
          good + "; server_max_window_bits=", good + "; server_max_window_bits=\"9",
          good + "; server_max_window_bits=\"100", good + " server_max_window_bits=9"}) {
      EXPECT_FALSE(read_deflate_answer(bad, options).has_value()) << bad;
    }
  }
  EXPECT_FALSE(read_deflate_answer(kName, kOnOptions).has_value())
      << "without the server_no_context_takeover that was asked for";
  EXPECT_FALSE(read_deflate_answer(kName + "; client_no_context_takeover", kOnOptions).has_value());
  EXPECT_FALSE(
      read_deflate_answer(kName + "; server_no_context_takeover", DeflateOptions{}).has_value())
      << "nothing was offered";
}

// 7.1.2.1: by leaving the parameter out, a server claims 15 bits.
TEST(ReadDeflateAnswer, RefusesALargerWindowThanAskedForEvenUnsaid) {
  for (unsigned ours = 8; ours <= 14; ++ours) {
    EXPECT_FALSE(read_deflate_answer(kName + "; server_no_context_takeover",
                                     with_window(DeflateMode::kOn, ours))
                     .has_value())
        << ours;
    EXPECT_FALSE(read_deflate_answer(kName, with_window(DeflateMode::kTakeover, ours)).has_value())
        << ours;
  }
}

TEST(DeflateNegotiation, OurTwoRolesUnderstandEachOther) {
  for (const DeflateMode client : {DeflateMode::kOn, DeflateMode::kTakeover}) {
    for (const DeflateMode server : {DeflateMode::kOn, DeflateMode::kTakeover}) {
      for (unsigned client_bits = 8; client_bits <= 15; ++client_bits) {
        for (unsigned server_bits = 8; server_bits <= 15; ++server_bits) {
          const DeflateOptions ours = with_window(client, client_bits);
          const std::string offer = offer_deflate(ours);
          const auto agreement = Offered({offer}).accept(with_window(server, server_bits));
          ASSERT_TRUE(agreement.has_value()) << offer;
          const auto read = read_deflate_answer(agreement->answer, ours);
          ASSERT_TRUE(read.has_value()) << offer << " answered " << agreement->answer;
          const DeflateParameters& theirs = agreement->parameters;
          EXPECT_EQ(read->server_no_context_takeover, theirs.server_no_context_takeover);
          EXPECT_EQ(read->client_no_context_takeover, theirs.client_no_context_takeover);
          EXPECT_GE(read->server_max_window_bits, theirs.server_max_window_bits);
          EXPECT_LE(read->client_max_window_bits, theirs.client_max_window_bits);
        }
      }
    }
  }
}

}  // namespace
}  // namespace ws::proto
