#include "core/log.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "core/fd.h"
#include "ws/ws.h"

namespace ws::core {
namespace {

// A datagram socket keeps what each write(2) wrote apart. Every test uses event names of its own:
// the rate limits are the process's.
class Log : public testing::Test {
 protected:
  Log() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends), 0);
    read_end_ = Fd(ends[0]);
    write_end_ = Fd(ends[1]);
    set_log_fd(write_end_.get());
    set_log(LogLevel::kInfo, LogFormat::kText);
  }
  ~Log() override {
    set_log(LogLevel::kInfo, LogFormat::kText);
    set_log_fd(2);
  }

  // What one write wrote; empty when nothing more was written.
  std::string next_line() {
    char text[8192];
    const ssize_t size = ::recv(read_end_.get(), text, sizeof text, 0);
    return size < 0 ? "" : std::string(text, static_cast<std::size_t>(size));
  }
  // The same without the time, which is 24 characters and a space.
  std::string next_line_after_time() {
    const std::string line = next_line();
    return line.size() < 25 ? line : line.substr(25);
  }
  // The value of the JSON field "v".
  std::string next_json_value() {
    const std::string line = next_line();
    const std::size_t at = line.find("\"v\":");
    if (at == std::string::npos || line.substr(line.size() - 2) != "}\n") return "broken: " + line;
    return line.substr(at + 4, line.size() - 2 - (at + 4));
  }

  Fd read_end_, write_end_;
};

TEST_F(Log, WritesTimeLevelEventAndFieldsAsOneLineOfText) {
  const std::time_t before = std::time(nullptr);
  log(LogLevel::kInfo, "text line", {{"url", "ws://[::1]:8888"}, {"threads", 2u}});
  const std::string line = next_line();
  EXPECT_EQ(line.substr(25), "info  text line url=ws://[::1]:8888 threads=2\n");
  EXPECT_EQ(next_line(), "");

  // 2026-01-31T12:00:00.123Z
  std::tm utc{};
  const char* end = ::strptime(line.c_str(), "%Y-%m-%dT%H:%M:%S", &utc);
  ASSERT_NE(end, nullptr);
  EXPECT_EQ(end - line.c_str(), 19);
  EXPECT_EQ(line[19], '.');
  EXPECT_TRUE(std::all_of(line.begin() + 20, line.begin() + 23, ::isdigit)) << line;
  EXPECT_EQ(line.substr(23, 2), "Z ");
  const std::time_t written = ::timegm(&utc);
  EXPECT_GE(written, before);
  EXPECT_LE(written, std::time(nullptr));
}

TEST_F(Log, WritesTheSameAsJson) {
  set_log(LogLevel::kInfo, LogFormat::kJson);
  log(LogLevel::kWarn, "json line", {{"url", "ws://[::1]:8888"}, {"threads", 2u}});
  const std::string line = next_line();
  EXPECT_EQ(line.substr(0, 9), "{\"time\":\"");
  EXPECT_EQ(
      line.substr(9 + 24),
      "\",\"level\":\"warn\",\"event\":\"json line\",\"url\":\"ws://[::1]:8888\",\"threads\":2}\n");
}

TEST_F(Log, AlignsTheEventsBehindTheLevels) {
  set_log(LogLevel::kDebug, LogFormat::kText);
  log(LogLevel::kError, "aligned");
  log(LogLevel::kWarn, "aligned");
  log(LogLevel::kInfo, "aligned");
  log(LogLevel::kDebug, "aligned");
  EXPECT_EQ(next_line_after_time(), "error aligned\n");
  EXPECT_EQ(next_line_after_time(), "warn  aligned\n");
  EXPECT_EQ(next_line_after_time(), "info  aligned\n");
  EXPECT_EQ(next_line_after_time(), "debug aligned\n");
}

TEST_F(Log, WritesOnlyLinesOfItsLevelAndAbove) {
  constexpr LogLevel kLevels[] = {LogLevel::kError, LogLevel::kWarn, LogLevel::kInfo,
                                  LogLevel::kDebug};
  for (const LogLevel limit : kLevels) {
    set_log(limit, LogFormat::kText);
    for (const LogLevel level : kLevels) {
      const bool expected = level <= limit;
      EXPECT_EQ(log_enabled(level), expected);
      log(level, "level " + std::to_string(static_cast<int>(level)));
      EXPECT_EQ(!next_line().empty(), expected);
    }
  }
  set_log(LogLevel::kOff, LogFormat::kText);
  for (const LogLevel level : kLevels) {
    EXPECT_FALSE(log_enabled(level));
    log(level, "off");
    EXPECT_EQ(next_line(), "");
  }
}

TEST_F(Log, QuotesTextThatWouldNotReadAsOneValue) {
  const auto text_of = [&](std::string_view value) {
    log(LogLevel::kInfo, "quoting", {{"v", value}});
    const std::string line = next_line_after_time();
    return line.substr(0, 16) == "info  quoting v=" ? line.substr(16) : line;
  };
  EXPECT_EQ(text_of("plain-/:text"), "plain-/:text\n");
  EXPECT_EQ(text_of("two words"), "\"two words\"\n");
  EXPECT_EQ(text_of("a=b"), "\"a=b\"\n");
  EXPECT_EQ(text_of("say \"hi\""), "\"say \\\"hi\\\"\"\n");
  EXPECT_EQ(text_of("back\\slash"), "\"back\\\\slash\"\n");
  EXPECT_EQ(text_of("x\r\ninfo  forged"), "\"x\\x0d\\x0ainfo  forged\"\n");
}

TEST_F(Log, EscapesEveryByteOutsidePrintableAsciiInText) {
  for (int byte = 0; byte < 256; ++byte) {
    if (byte >= 0x20 && byte <= 0x7E) continue;
    const std::string value = {'a', static_cast<char>(byte), 'b'};
    // A name for each eight bytes keeps below the rate limit.
    log(LogLevel::kInfo, "text byte " + std::to_string(byte / 8), {{"v", value}});
    char expected[16];
    std::snprintf(expected, sizeof expected, "v=a\\x%02xb\n", static_cast<unsigned>(byte));
    const std::string line = next_line();
    ASSERT_GE(line.size(), std::strlen(expected));
    EXPECT_EQ(line.substr(line.size() - std::strlen(expected)), expected);
  }
}

TEST_F(Log, WritesValidJsonForEveryByte) {
  set_log(LogLevel::kInfo, LogFormat::kJson);
  for (int byte = 0; byte < 256; ++byte) {
    const std::string value = {'a', static_cast<char>(byte), 'b'};
    log(LogLevel::kInfo, "json byte " + std::to_string(byte / 8), {{"v", value}});
    char expected[16];
    if (byte < 0x20 || byte > 0x7E) {
      std::snprintf(expected, sizeof expected, "\"a\\u%04xb\"", static_cast<unsigned>(byte));
    } else if (byte == '"' || byte == '\\') {
      std::snprintf(expected, sizeof expected, "\"a\\%cb\"", byte);
    } else {
      std::snprintf(expected, sizeof expected, "\"a%cb\"", byte);
    }
    EXPECT_EQ(next_json_value(), expected);
  }
}

TEST_F(Log, CutsAFieldAfter256BytesAndMarksTheCut) {
  const std::string whole(256, 'x');
  log(LogLevel::kInfo, "cut", {{"v", whole}});
  EXPECT_EQ(next_line_after_time(), "info  cut v=" + whole + "\n");
  log(LogLevel::kInfo, "cut", {{"v", whole + "y"}});
  EXPECT_EQ(next_line_after_time(), "info  cut v=" + whole + "...\n");
  set_log(LogLevel::kInfo, LogFormat::kJson);
  log(LogLevel::kInfo, "cut", {{"v", std::string(1'000'000, 'x')}});
  EXPECT_EQ(next_json_value(), "\"" + whole + "...\"");
  // 256 bytes of the value, not of what its escapes make of it.
  log(LogLevel::kInfo, "cut", {{"v", std::string(256, '\0')}});
  EXPECT_EQ(next_json_value().size(), 256 * 6 + 2u);
}

TEST_F(Log, WritesNumbersOfEveryUnsignedType) {
  log(LogLevel::kInfo, "numbers",
      {{"a", std::uint8_t{255}}, {"b", std::uint16_t{65535}}, {"c", UINT64_MAX}, {"d", true}});
  EXPECT_EQ(next_line_after_time(), "info  numbers a=255 b=65535 c=18446744073709551615 d=1\n");
}

TEST_F(Log, LetsTenLinesOfAKindThroughAndCountsTheRest) {
  const auto count_lines = [&] {
    int count = 0;
    while (!next_line().empty()) ++count;
    return count;
  };
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 50; ++i) log(LogLevel::kError, "burst");
  const auto took = std::chrono::steady_clock::now() - start;
  const int burst = count_lines();
  EXPECT_GE(burst, 10);
  EXPECT_LE(burst, 10 + took / std::chrono::milliseconds(100) + 1);

  log(LogLevel::kError, "another kind");
  EXPECT_EQ(count_lines(), 1);

  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  log(LogLevel::kError, "burst");
  EXPECT_EQ(next_line_after_time(), "error burst suppressed=" + std::to_string(50 - burst) + "\n");
  log(LogLevel::kError, "burst");
  EXPECT_EQ(next_line_after_time(), "error burst\n");  // said once
}

TEST_F(Log, NamesTheSuppressedLinesInJsonToo) {
  set_log(LogLevel::kInfo, LogFormat::kJson);
  for (int i = 0; i < 30; ++i) log(LogLevel::kInfo, "json burst", {{"i", "x"}});
  while (!next_line().empty()) {
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  log(LogLevel::kInfo, "json burst", {{"i", "x"}});
  const std::string line = next_line();
  EXPECT_NE(line.find("\"i\":\"x\",\"suppressed\":"), std::string::npos) << line;
  EXPECT_EQ(line.substr(line.size() - 2), "}\n");
}

TEST_F(Log, KeepsLinesOfManyThreadsWhole) {
  std::vector<std::thread> threads;
  for (char letter = 'a'; letter < 'e'; ++letter) {
    threads.emplace_back([letter] {
      const std::string event(20, letter);
      for (int i = 0; i < 20; ++i) log(LogLevel::kInfo, event, {{"v", std::string(200, letter)}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  int lines = 0;
  for (std::string line = next_line_after_time(); !line.empty(); line = next_line_after_time()) {
    ++lines;
    const char letter = line[6];
    EXPECT_EQ(line.substr(0, 229),
              "info  " + std::string(20, letter) + " v=" + std::string(200, letter));
    EXPECT_EQ(line.back(), '\n');
  }
  EXPECT_GE(lines, 4 * 10);
}

// What a program sees of it: ws/ws.h alone.
TEST_F(Log, OfTheLibraryIsTheProgramsToMuteAndToMove) {
  const auto a_handler_throws = [] {
    ws::Loopback net;
    net.route("/", {.on_open = [](ws::Conn&) { throw std::runtime_error("on purpose"); }});
    EXPECT_TRUE(net.connect("ws://test/", {}, {}));
    net.run();
  };
  ws::set_log(ws::LogLevel::kOff);
  a_handler_throws();
  EXPECT_EQ(next_line(), "");
  ws::set_log(ws::LogLevel::kError);
  a_handler_throws();
  EXPECT_EQ(next_line_after_time(), "error handler threw what=\"on purpose\"\n");
  ws::set_log(ws::LogLevel::kError, ws::LogFormat::kJson);
  a_handler_throws();
  EXPECT_NE(next_line().find("\"event\":\"handler threw\""), std::string::npos);
  ws::set_log_fd(-1);
  a_handler_throws();
  EXPECT_EQ(next_line(), "");
}

}  // namespace
}  // namespace ws::core
