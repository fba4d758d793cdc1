// Internal. Seeded data to compress: JSON events, prose, log lines, noise.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace ws::test {

// splitmix64: the same numbers everywhere for the same seed.
class Rng {
 public:
  explicit Rng(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }
  std::size_t between(std::size_t low, std::size_t high) { return low + below(high - low + 1); }
  bool chance(unsigned percent) { return below(100) < percent; }
  template <class T, std::size_t n>
  const T& pick(const std::array<T, n>& from) {
    return from[below(n)];
  }

 private:
  std::uint64_t state_;
};

inline constexpr auto kWords = std::to_array<std::string_view>(
    {"the",     "of",      "and",     "to",     "a",        "in",     "that",    "is",
     "was",     "he",      "for",     "it",     "with",     "as",     "his",     "on",
     "be",      "at",      "by",      "had",    "not",      "are",    "but",     "from",
     "or",      "have",    "an",      "they",   "which",    "one",    "you",     "were",
     "her",     "all",     "she",     "there",  "would",    "their",  "we",      "him",
     "been",    "has",     "when",    "who",    "will",     "more",   "no",      "if",
     "out",     "so",      "said",    "what",   "up",       "its",    "about",   "into",
     "than",    "them",    "can",     "only",   "other",    "new",    "some",    "could",
     "time",    "these",   "two",     "may",    "then",     "do",     "first",   "any",
     "my",      "now",     "such",    "like",   "our",      "over",   "man",     "me",
     "even",    "most",    "made",    "after",  "also",     "did",    "many",    "before",
     "must",    "through", "years",   "where",  "much",     "your",   "way",     "well",
     "down",    "should",  "because", "each",   "just",     "those",  "people",  "mister",
     "how",     "too",     "little",  "state",  "good",     "very",   "make",    "world",
     "still",   "own",     "see",     "men",    "work",     "long",   "get",     "here",
     "between", "both",    "life",    "being",  "under",    "never",  "day",     "same",
     "another", "know",    "while",   "last",   "might",    "us",     "great",   "old",
     "year",    "off",     "come",    "since",  "against",  "go",     "came",    "right",
     "used",    "take",    "three",   "states", "himself",  "few",    "house",   "use",
     "during",  "without", "again",   "place",  "american", "around", "however", "home",
     "small",   "found",   "thought", "went",   "say",      "part",   "once",    "general",
     "high",    "upon",    "school",  "every",  "public",   "number", "system",  "water"});

inline constexpr auto kNames = std::to_array<std::string_view>(
    {"alice",  "bob",   "carol", "dave",    "eve",    "frank",  "grace",
     "heidi",  "ivan",  "judy",  "mallory", "niaj",   "olivia", "peggy",
     "rupert", "sybil", "trent", "victor",  "walter", "wendy"});

// Text of random parts. One call after the other, never operands of one `+`, whose order of
// evaluation is up to the compiler.
class Text {
 public:
  explicit Text(Rng& rng) : rng_(rng) {}
  Text& add(std::string_view part) {
    text_ += part;
    return *this;
  }
  Text& number(std::size_t low, std::size_t high) {
    return add(std::to_string(rng_.between(low, high)));
  }
  template <std::size_t n>
  Text& one_of(const std::array<std::string_view, n>& from) {
    return add(rng_.pick(from));
  }
  Text& either(unsigned percent, std::string_view first, std::string_view second) {
    return add(rng_.chance(percent) ? first : second);
  }
  Text& words(std::size_t count) {
    for (; count > 0; --count) one_of(kWords).add(count > 1 ? " " : "");
    return *this;
  }
  std::size_t size() const { return text_.size(); }
  std::string take() { return std::move(text_); }

 private:
  Rng& rng_;
  std::string text_;
};

// One event of some 100 to 400 bytes as a server would push it: few shapes, many values.
inline std::string json_event(Rng& rng, std::uint64_t sequence) {
  static constexpr std::array<std::string_view, 3> kSymbols = {"BTC-EUR", "ETH-EUR", "SOL-USD"};
  Text text(rng);
  text.add("{\"seq\":").add(std::to_string(sequence));
  text.add(",\"ts\":").add(std::to_string(1767225600000 + sequence * 137 + rng.below(137)));
  switch (rng.below(4)) {
    case 0:
      text.add(",\"type\":\"trade\",\"symbol\":\"").one_of(kSymbols);
      text.add("\",\"price\":").number(100, 99999).add(".").number(10, 99);
      text.add(",\"quantity\":").number(1, 900).add(",\"side\":\"").either(50, "buy", "sell");
      text.add("\",\"maker\":").either(50, "true", "false").add(",\"order\":\"");
      return text.number(10000000, 99999999).add("-").number(1000, 9999).add("\"}").take();
    case 1:
      text.add(",\"type\":\"message\",\"room\":\"room-").number(1, 40);
      text.add("\",\"from\":{\"id\":").number(1000, 99999).add(",\"name\":\"").one_of(kNames);
      text.add("\",\"avatar\":\"https://cdn.example.com/a/").number(1000, 99999);
      text.add(".png\"},\"text\":\"").words(rng.between(3, 24));
      return text.add("\",\"edited\":false}").take();
    case 2:
      text.add(",\"type\":\"position\",\"vehicle\":").number(1, 500);
      text.add(",\"lat\":52.").number(100000, 999999).add(",\"lon\":13.").number(100000, 999999);
      text.add(",\"speed\":").number(0, 130).add(",\"heading\":").number(0, 359);
      return text.add(",\"driver\":\"").one_of(kNames).add("\"}").take();
    default:
      text.add(",\"type\":\"presence\",\"users\":[");
      for (std::size_t left = rng.between(2, 5); left > 0; --left) {
        text.add("{\"id\":").number(1000, 99999).add(",\"name\":\"").one_of(kNames);
        text.add("\",\"state\":\"").either(60, "online", "away").add(left > 1 ? "\"}," : "\"}");
      }
      return text.add("]}").take();
  }
}

// Sentences of common English words, the commonest most often.
inline std::string prose(Rng& rng, std::size_t bytes) {
  std::string text;
  for (std::size_t left = 0; text.size() < bytes;) {
    const bool first = left == 0;
    if (first) left = rng.between(4, 22);
    std::string word(kWords[std::min(rng.below(kWords.size()), rng.below(kWords.size()))]);
    if (first) word[0] = static_cast<char>(word[0] - 'a' + 'A');
    text += word;
    --left;
    text += left == 0 ? (rng.chance(15) ? ".\n" : ". ") : rng.chance(8) ? ", " : " ";
  }
  text.resize(bytes);
  return text;
}

// Lines of a web server's access log.
inline std::string access_log(Rng& rng, std::size_t bytes) {
  const auto two = [](std::size_t n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  Text text(rng);
  for (std::size_t second = 0; text.size() < bytes; second += rng.below(3)) {
    text.number(1, 223).add(".").number(0, 255).add(".12.").number(1, 254);
    text.add(" - - [21/Mar/2026:").add(two(second / 3600 % 24)).add(":");
    text.add(two(second / 60 % 60)).add(":").add(two(second % 60)).add(" +0000] \"");
    text.either(80, "GET", "POST").add(" /").words(1).add("/").words(1);
    if (rng.chance(40)) text.add("?id=").number(1, 99999);
    text.add(" HTTP/1.1\" ").either(85, "200", "404").add(" ").number(120, 60000);
    text.add(" \"https://www.example.com/").words(1);
    text.add("\" \"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/").number(110, 140);
    text.add(".0.0.0 Safari/537.36\"\n");
  }
  std::string log = text.take();
  log.resize(bytes);
  return log;
}

inline std::string noise(Rng& rng, std::size_t bytes) {
  std::string data(bytes, '\0');
  for (char& c : data) c = static_cast<char>(rng.next());
  return data;
}

}  // namespace ws::test
