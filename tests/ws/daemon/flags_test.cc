// The command line and the settings file.
#include "ws/daemon/flags.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/test_certs.h"

namespace ws::daemon {
namespace {

using Arguments = std::vector<std::string>;

Settings settings_of(const Arguments& arguments) {
  auto settings = read_settings(arguments);
  if (!settings) {
    ADD_FAILURE() << settings.error().message();
    return {};
  }
  return *settings;
}

// "no error" when there is none. Always one line.
std::string error_of(const Arguments& arguments) {
  const auto settings = read_settings(arguments);
  if (settings) return "no error";
  EXPECT_EQ(settings.error().message().find('\n'), std::string::npos) << settings.error().message();
  return settings.error().message();
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// --- defaults ---

// "Without flags: ws://127.0.0.1:8888 and wss://127.0.0.1:8889, every path echoes".
TEST(DaemonFlags, AreAllOptional) {
  const Settings settings = settings_of({});
  EXPECT_EQ(settings.server.listen, (Arguments{"ws://127.0.0.1:8888", "wss://127.0.0.1:8889"}));
  EXPECT_EQ(settings.echo_paths, Arguments{"/*"});
  EXPECT_EQ(settings.action, Settings::Action::kServe);
  EXPECT_EQ(settings.log_level, core::LogLevel::kInfo);
  EXPECT_EQ(settings.log_format, core::LogFormat::kText);
  EXPECT_TRUE(settings.server.origins.empty());
  EXPECT_TRUE(settings.server.tls.certificates.empty());
  EXPECT_EQ(settings.server.tls.client_certificates, ClientCertificates::kOff);
  EXPECT_EQ(settings.server.threads, 0U) << "one per core";
  const Limits& limits = settings.server.limits;
  EXPECT_EQ(limits.message_bytes, 16U * 1024 * 1024);
  EXPECT_EQ(limits.connections, 10'000U);
  EXPECT_EQ(limits.connections_per_ip, 0U);
}

// --- each flag ---

TEST(DaemonFlags, ListenMayBeRepeatedAndReplacesTheDefault) {
  EXPECT_EQ(settings_of({"--listen", "ws://[::1]:0", "--listen", "wss://*:443", "--listen",
                         "ws+unix:/run/wsd.sock", "--listen", "wss+unix:/run/wsds.sock"})
                .server.listen,
            (Arguments{"ws://[::1]:0", "wss://*:443", "ws+unix:/run/wsd.sock",
                       "wss+unix:/run/wsds.sock"}));
}

TEST(DaemonFlags, CertificatesComeInPairs) {
  const Settings settings =
      settings_of({"--cert", "a.pem", "--key", "a.key", "--cert", "b.pem", "--key", "b.key"});
  const auto& pairs = settings.server.tls.certificates;
  ASSERT_EQ(pairs.size(), 2U);
  EXPECT_EQ(pairs[0].cert_file, "a.pem");
  EXPECT_EQ(pairs[0].key_file, "a.key");
  EXPECT_EQ(pairs[1].cert_file, "b.pem");
  EXPECT_EQ(pairs[1].key_file, "b.key");
  for (const Arguments& half : {Arguments{"--cert", "a.pem"}, Arguments{"--key", "a.key"},
                                Arguments{"--cert", "a", "--cert", "b", "--key", "c"}}) {
    const std::string error = error_of(half);
    EXPECT_TRUE(has(error, "--cert") && has(error, "--key")) << error;
  }
}

TEST(DaemonFlags, ClientCertificatesNeedTheirAuthorities) {
  for (const auto& [word, mode] : {std::pair{"optional", ClientCertificates::kOptional},
                                   std::pair{"required", ClientCertificates::kRequired}}) {
    const Settings settings = settings_of({"--client-cert", word, "--client-ca", "ca.pem"});
    EXPECT_EQ(settings.server.tls.client_certificates, mode);
    EXPECT_EQ(settings.server.tls.client_ca_file, "ca.pem");
    EXPECT_TRUE(has(error_of({"--client-cert", word}), "--client-ca"));
  }
  EXPECT_EQ(settings_of({"--client-cert", "off"}).server.tls.client_certificates,
            ClientCertificates::kOff);
  EXPECT_TRUE(has(error_of({"--client-cert", "maybe"}), "optional"));
  EXPECT_TRUE(has(error_of({"--client-ca", "ca.pem"}), "--client-cert"))
      << "an authority that nobody asks would be a surprise";
}

TEST(DaemonFlags, RouteMayBeRepeatedAndReplacesTheDefault) {
  EXPECT_EQ(settings_of({"--route", "/a=echo", "--route", "/b/*=echo"}).echo_paths,
            (Arguments{"/a", "/b/*"}));
  for (const char* bad : {"/a", "a=echo", "=echo", "/a=", "/a=chat", "/*/b=echo", "/a?b=echo",
                          "/a b=echo", "/:=echo", ""}) {
    const std::string error = error_of({"--route", bad});
    EXPECT_TRUE(has(error, "--route")) << bad << ": " << error;
  }
  EXPECT_TRUE(has(error_of({"--route", "/a=chat"}), "echo")) << "the cure is named";
}

TEST(DaemonFlags, OriginMayBeRepeated) {
  EXPECT_EQ(settings_of({"--origin", "https://a.example", "--origin", "http://b.example:81",
                         "--origin", "null", "--origin", "*"})
                .server.origins,
            (Arguments{"https://a.example", "http://b.example:81", "null", "*"}));
  for (const char* bad : {"a.example", "https://", "https://a.example/", "ftp://a.example", ""}) {
    const std::string error = error_of({"--origin", bad});
    EXPECT_TRUE(has(error, "--origin") && has(error, "https://")) << bad << ": " << error;
  }
}

TEST(DaemonFlags, NumbersAreNumbers) {
  const Settings settings =
      settings_of({"--threads", "4", "--max-connections", "123", "--max-per-ip", "5"});
  EXPECT_EQ(settings.server.threads, 4U);
  EXPECT_EQ(settings.server.limits.connections, 123U);
  EXPECT_EQ(settings.server.limits.connections_per_ip, 5U);
  for (const char* flag : {"--threads", "--max-connections", "--max-per-ip"}) {
    for (const char* bad :
         {"", "x", "-1", "+1", "1x", " 1", "1.5", "0x10", "99999999999999999999"}) {
      const std::string error = error_of({flag, bad});
      EXPECT_TRUE(has(error, flag)) << flag << " " << bad << ": " << error;
    }
  }
  EXPECT_TRUE(has(error_of({"--threads", "0"}), "--threads"));
  EXPECT_TRUE(has(error_of({"--threads", "257"}), "--threads")) << "more than a server can have";
  EXPECT_TRUE(has(error_of({"--max-connections", "0"}), "--max-connections"));
  EXPECT_EQ(settings_of({"--max-per-ip", "0"}).server.limits.connections_per_ip, 0U);
}

TEST(DaemonFlags, MaxMessageIsASize) {
  EXPECT_EQ(settings_of({"--max-message", "64k"}).server.limits.message_bytes, 65'536U);
  EXPECT_EQ(settings_of({"--max-message", "1"}).server.limits.message_bytes, 1U);
  EXPECT_EQ(settings_of({"--max-message", "1GiB"}).server.limits.message_bytes, 1U << 30);
  for (const char* bad : {"0", "-1", "", "x", "2GiB", "16 MiB", "1.5m"}) {
    const std::string error = error_of({"--max-message", bad});
    EXPECT_TRUE(has(error, "--max-message")) << bad << ": " << error;
  }
}

TEST(DaemonFlags, LogLevelAndFormatAreWords) {
  using core::LogLevel;
  for (const auto& [word, level] :
       {std::pair{"error", LogLevel::kError}, std::pair{"warn", LogLevel::kWarn},
        std::pair{"info", LogLevel::kInfo}, std::pair{"debug", LogLevel::kDebug},
        std::pair{"off", LogLevel::kOff}}) {
    EXPECT_EQ(settings_of({"--log-level", word}).log_level, level) << word;
  }
  EXPECT_EQ(settings_of({"--log-format", "json"}).log_format, core::LogFormat::kJson);
  EXPECT_EQ(settings_of({"--log-format", "text"}).log_format, core::LogFormat::kText);
  const std::string level = error_of({"--log-level", "loud"});
  EXPECT_TRUE(has(level, "--log-level") && has(level, "loud") && has(level, "debug")) << level;
  const std::string format = error_of({"--log-format", "xml"});
  EXPECT_TRUE(has(format, "--log-format") && has(format, "xml") && has(format, "json")) << format;
}

TEST(DaemonFlags, SomeOnlySayWhatToDo) {
  using Action = Settings::Action;
  EXPECT_EQ(settings_of({"--test-config"}).action, Action::kTestConfig);
  EXPECT_EQ(settings_of({"--version"}).action, Action::kVersion);
  EXPECT_EQ(settings_of({"--help"}).action, Action::kHelp);
  for (const char* flag : {"--test-config", "--version", "--help"}) {
    const std::string error = error_of({std::string(flag) + "=yes"});
    EXPECT_TRUE(has(error, flag)) << error;
  }
}

// --- the forms of a flag ---

TEST(DaemonFlags, AValueMayFollowAnEqualsSign) {
  EXPECT_EQ(settings_of({"--threads=3"}).server.threads, 3U);
  EXPECT_EQ(settings_of({"--listen=ws://127.0.0.1:0"}).server.listen,
            Arguments{"ws://127.0.0.1:0"});
  EXPECT_EQ(settings_of({"--route=/a=b=echo"}).echo_paths, Arguments{"/a=b"});
  EXPECT_TRUE(has(error_of({"--threads="}), "--threads"));
}

TEST(DaemonFlags, TheLastOfAnUnrepeatableFlagCounts) {
  EXPECT_EQ(settings_of({"--threads", "3", "--threads", "4"}).server.threads, 4U);
}

TEST(DaemonFlags, AMissingValueIsNamed) {
  for (const char* flag : {"--listen", "--threads", "--config", "--log-level"}) {
    const std::string error = error_of({flag});
    EXPECT_TRUE(has(error, flag)) << error;
  }
}

// "A wrong flag names itself, the reason and the nearest right one."
TEST(DaemonFlags, AnUnknownFlagSuggestsTheNearest) {
  for (const auto& [wrong, nearest] :
       {std::pair{"--treads", "--threads"}, std::pair{"--lisen", "--listen"},
        std::pair{"--max-mesage", "--max-message"}, std::pair{"--log-levels", "--log-level"},
        std::pair{"--origins", "--origin"}, std::pair{"--verson", "--version"},
        std::pair{"--maxperip", "--max-per-ip"}}) {
    for (const Arguments& arguments :
         {Arguments{wrong}, Arguments{wrong, "x"}, Arguments{std::string(wrong) + "=x"}}) {
      const std::string error = error_of(arguments);
      EXPECT_TRUE(has(error, wrong)) << error;
      EXPECT_TRUE(has(error, nearest)) << error;
    }
  }
}

TEST(DaemonFlags, WordsThatAreNoFlagAreRefused) {
  for (const char* word : {"ws://127.0.0.1:0", "-v", "-", "listen", ""}) {
    const std::string error = error_of({word});
    EXPECT_TRUE(has(error, word)) << error;
    EXPECT_TRUE(has(error, "--")) << error << ": no cure";
  }
  EXPECT_NE(error_of({"--"}), "no error");
}

TEST(DaemonFlags, ABadUrlIsNamedWithTheForms) {
  for (const char* bad :
       {"http://127.0.0.1:80", "ws://", "127.0.0.1:80", "ws://127.0.0.1:65536", "ws://::1:80",
        "ws://127.0.0.1:80/path", "ws://example.com:80", "ws+unix:"}) {
    const std::string error = error_of({"--listen", bad});
    EXPECT_TRUE(has(error, "--listen")) << error;
    EXPECT_TRUE(has(error, bad)) << error;
  }
}

// --- the settings file ---

class DaemonSettingsFile : public testing::Test {
 protected:
  std::string file(std::string_view content) { return directory_.write("wsd.conf", content); }

  test::TestCerts directory_;
};

TEST_F(DaemonSettingsFile, HoldsWhatFlagsHold) {
  const Settings settings = settings_of({"--config", file("# wsd\n"
                                                          "\n"
                                                          "listen = ws://127.0.0.1:0\n"
                                                          "  listen=wss://127.0.0.1:0  \n"
                                                          "\tthreads\t=\t2\t\r\n"
                                                          "   # an indented comment\n"
                                                          "route = /a=b=echo\n"
                                                          "cert = a b.pem\n"
                                                          "key = a.key\n"
                                                          "origin = https://a.example\n"
                                                          "max-message = 1MiB\n"
                                                          "max-connections = 10\n"
                                                          "max-per-ip = 3\n"
                                                          "client-cert = optional\n"
                                                          "client-ca = ca.pem\n"
                                                          "log-level = warn\n"
                                                          "log-format = json")});
  EXPECT_EQ(settings.server.listen, (Arguments{"ws://127.0.0.1:0", "wss://127.0.0.1:0"}));
  EXPECT_EQ(settings.server.threads, 2U);
  EXPECT_EQ(settings.echo_paths, Arguments{"/a=b"});
  ASSERT_EQ(settings.server.tls.certificates.size(), 1U);
  EXPECT_EQ(settings.server.tls.certificates[0].cert_file, "a b.pem");
  EXPECT_EQ(settings.server.origins, Arguments{"https://a.example"});
  EXPECT_EQ(settings.server.limits.message_bytes, 1U << 20);
  EXPECT_EQ(settings.server.limits.connections, 10U);
  EXPECT_EQ(settings.server.limits.connections_per_ip, 3U);
  EXPECT_EQ(settings.server.tls.client_certificates, ClientCertificates::kOptional);
  EXPECT_EQ(settings.log_level, core::LogLevel::kWarn);
  EXPECT_EQ(settings.log_format, core::LogFormat::kJson);
}

TEST_F(DaemonSettingsFile, MayBeEmpty) {
  EXPECT_EQ(settings_of({"--config", file("")}).server.listen, settings_of({}).server.listen);
}

// "flags win over it", wherever --config stands; what may be repeated is replaced as a whole.
TEST_F(DaemonSettingsFile, YieldsToTheCommandLine) {
  const std::string path =
      file("threads = 2\nlisten = ws://127.0.0.1:1\nlisten = ws://127.0.0.1:2\nlog-level = warn\n");
  for (const Arguments& arguments :
       {Arguments{"--config", path, "--threads", "5", "--listen", "ws://127.0.0.1:3"},
        Arguments{"--threads=5", "--listen=ws://127.0.0.1:3", "--config=" + path}}) {
    const Settings settings = settings_of(arguments);
    EXPECT_EQ(settings.server.threads, 5U);
    EXPECT_EQ(settings.server.listen, Arguments{"ws://127.0.0.1:3"});
    EXPECT_EQ(settings.log_level, core::LogLevel::kWarn) << "what no flag says stays";
  }
}

TEST_F(DaemonSettingsFile, ErrorsNameFileAndLine) {
  struct {
    std::string line;
    std::string reason;
  } const kBad[] = {
      {"treads = 2", "threads"},
      {"threads = many", "many"},
      {"listen = http://a", "http://a"},
      {"threads", "threads"},
      {"version = yes", "version"},
      {"config = other.conf", "config"},
      {"= 2", "setting"},
      {"--threads = 2", "threads"},
      {"test-config", "test-config"},
      {"max-message = 16 MiB", "16 MiB"},
  };
  for (const auto& each : kBad) {
    const std::string path = file("# one\n\n" + each.line + "\nthreads = 1\n");
    const std::string error = error_of({"--config", path});
    EXPECT_TRUE(has(error, path + ":3")) << each.line << ": " << error;
    EXPECT_TRUE(has(error, each.reason)) << each.line << ": " << error;
  }
}

TEST_F(DaemonSettingsFile, ThatCannotBeReadIsNamed) {
  const std::string missing = directory_.path("missing.conf");
  const std::string error = error_of({"--config", missing});
  EXPECT_TRUE(has(error, missing)) << error;
  EXPECT_TRUE(has(error, "No such file")) << error;
  EXPECT_NE(error_of({"--config", directory_.path(".")}), "no error") << "a directory";
}

// --- sizes and help ---

TEST(DaemonSizes, TakeUnitsOf1024) {
  struct {
    const char* text;
    std::uint64_t bytes;
  } const kSizes[] = {
      {"0", 0},
      {"64", 64},
      {"16k", 16'384},
      {"16KiB", 16'384},
      {"1m", 1'048'576},
      {"1MiB", 1'048'576},
      {"1GiB", 1'073'741'824},
      {"18446744073709551615", UINT64_MAX},
      {"18014398509481983k", UINT64_MAX - 1023},
  };
  for (const auto& each : kSizes) {
    const auto size = parse_size(each.text);
    ASSERT_TRUE(size) << each.text;
    EXPECT_EQ(size.value(), each.bytes) << each.text;
  }
}

TEST(DaemonSizes, RefuseEverythingElse) {
  for (const char* bad : {"", "k", "-1", "+1", " 1", "1 ", "1 k", "1.5k", "1kb", "1kk", "0x10",
                          "1e3", "18446744073709551616", "18014398509481984k", "17592186044416MiB",
                          "99999999999999999999GiB"}) {
    const auto size = parse_size(bad);
    EXPECT_FALSE(size) << bad;
    if (!size) {
      EXPECT_TRUE(has(size.error().message(), "64k")) << "no example: " << size.error().message();
    }
  }
}

TEST(DaemonHelp, NamesEveryFlag) {
  const std::string help = help_text();
  for (const char* flag :
       {"--config", "--listen", "--cert", "--key", "--client-cert", "--client-ca", "--route",
        "--origin", "--threads", "--max-message", "--max-connections", "--max-per-ip",
        "--log-level", "--log-format", "--test-config", "--version", "--help"}) {
    EXPECT_TRUE(has(help, std::string("\n  ") + flag + " ")) << flag;
  }
  for (const char* word : {"ws://127.0.0.1:8888", "wss://127.0.0.1:8889", "TERM", "HUP", "exit"}) {
    EXPECT_TRUE(has(help, word)) << word;
  }
  std::size_t longest = 0;
  for (std::size_t at = 0; at < help.size();) {
    const std::size_t end = help.find('\n', at);
    ASSERT_NE(end, std::string::npos) << "the last line has no end";
    longest = std::max(longest, end - at);
    at = end + 1;
  }
  EXPECT_LE(longest, 120U);
}

}  // namespace
}  // namespace ws::daemon
