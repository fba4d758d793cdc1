#include "ws/daemon/flags.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>

#include "ws/opening.h"
#include "ws/proto/handshake.h"
#include "ws/proto/url.h"
#include "ws/router.h"

namespace ws::daemon {

namespace {

using core::Error;
using core::Ok;
using core::Result;

// Values while they are gathered: a certificate's two halves come in two flags.
struct Draft {
  Settings settings;
  std::vector<std::string> cert_files;
  std::vector<std::string> key_files;
};

template <class Number>
Result<Ok> set_number(Number& target, std::string_view value, std::uint64_t least,
                      std::uint64_t most) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || number < least ||
      number > most) {
    return Error("give a number from " + std::to_string(least) + " to " + std::to_string(most));
  }
  target = static_cast<Number>(number);
  return Ok{};
}

template <class Value>
Result<Ok> set_choice(Value& target, std::string_view value,
                      std::initializer_list<std::pair<std::string_view, Value>> choices) {
  std::string names;
  for (const auto& [name, choice] : choices) {
    if (value == name) {
      target = choice;
      return Ok{};
    }
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return Error("give one of " + names);
}

Result<Ok> add_listen(Draft& draft, std::string_view value) {
  if (auto url = proto::parse_listen_url(value); !url) return url.error();
  draft.settings.server.listen.emplace_back(value);
  return Ok{};
}

Result<Ok> add_route(Draft& draft, std::string_view value) {
  const std::size_t equals = value.rfind('=');
  if (equals == std::string_view::npos || !value.starts_with('/')) {
    return Error("give PATH=HANDLER, with a path that starts with /, such as /chat/*=echo");
  }
  if (value.substr(equals + 1) != "echo") {
    return Error("no handler is called that; there is: echo");
  }
  const std::string_view path = value.substr(0, equals);
  Router router;
  if (auto good = ws::add_route(router, path, {}); !good) return good.error();
  draft.settings.echo_paths.emplace_back(path);
  return Ok{};
}

Result<Ok> add_origin(Draft& draft, std::string_view value) {
  if (!proto::valid_origin(value)) {
    return Error("give https://HOST, http://HOST:PORT, null, or * for any");
  }
  draft.settings.server.origins.emplace_back(value);
  return Ok{};
}

Result<Ok> set_max_message(Draft& draft, std::string_view value) {
  constexpr std::uint64_t kMost = 1024 * 1024 * 1024;
  auto size = parse_size(value);
  if (!size) return size.error();
  if (*size < 1 || *size > kMost) return Error("give a size from 1 to 1GiB");
  draft.settings.server.limits.message_bytes = *size;
  return Ok{};
}

struct Flag {
  std::string_view name;      // as it stands in a settings file; the command line puts -- before it
  std::string_view argument;  // empty: takes none
  std::string_view help;
  Result<Ok> (*apply)(Draft&, std::string_view value);
};

constexpr std::string_view kConfigFlag = "config";

const Flag kFlags[] = {
    {kConfigFlag, "FILE",
     "read settings from FILE: lines of NAME = VALUE, # comments;\nflags win over it", nullptr},
    {"listen", "URL",
     "ws://HOST:PORT, wss://HOST:PORT, ws+unix:PATH, wss+unix:PATH; repeatable;\nport 0 picks one, "
     "* is every address (default ws://127.0.0.1:8888 and\nwss://127.0.0.1:8889)",
     add_listen},
    {"cert", "FILE",
     "PEM certificate chain for wss, with --key; repeatable, SNI chooses\n(default: a self-signed "
     "one, made in memory)",
     [](Draft& draft, std::string_view value) -> Result<Ok> {
       return draft.cert_files.emplace_back(value), Ok{};
     }},
    {"key", "FILE", "its PEM private key",
     [](Draft& draft, std::string_view value) -> Result<Ok> {
       return draft.key_files.emplace_back(value), Ok{};
     }},
    {"client-cert", "MODE", "client certificates: off, optional or required (default off)",
     [](Draft& draft, std::string_view value) {
       return set_choice(draft.settings.server.tls.client_certificates, value,
                         {{"off", ClientCertificates::kOff},
                          {"optional", ClientCertificates::kOptional},
                          {"required", ClientCertificates::kRequired}});
     }},
    {"client-ca", "FILE", "PEM certificates of the authorities that may sign them",
     [](Draft& draft, std::string_view value) -> Result<Ok> {
       return draft.settings.server.tls.client_ca_file = value, Ok{};
     }},
    {"route", "PATH=HANDLER",
     "serve PATH (/exact or /prefix*) with HANDLER: echo; repeatable\n(default /*=echo)",
     add_route},
    {"origin", "ORIGIN",
     "let pages of ORIGIN connect, besides our own: https://HOST[:PORT], null\nor *; repeatable "
     "(default for echo: any)",
     add_origin},
    {"threads", "N", "event loops (default: one per core)",
     [](Draft& draft, std::string_view value) {
       return set_number(draft.settings.server.threads, value, 1, 256);
     }},
    {"max-message", "SIZE", "largest message, such as 64k or 1MiB (default 16MiB)",
     set_max_message},
    {"max-connections", "N", "connections at once (default 10000)",
     [](Draft& draft, std::string_view value) {
       return set_number(draft.settings.server.limits.connections, value, 1, 10'000'000);
     }},
    {"max-per-ip", "N",
     "connections at once from one IPv4 address or IPv6 /64 (default 0: no limit)",
     [](Draft& draft, std::string_view value) {
       return set_number(draft.settings.server.limits.connections_per_ip, value, 0, 10'000'000);
     }},
    {"deflate", "MODE",
     "permessage-deflate when the client offers it: on (each message for itself),\ntakeover "
     "(better "
     "for small ones; up to 80 KiB per connection) or off\n(default on)",
     [](Draft& draft, std::string_view value) {
       return set_choice(draft.settings.server.deflate.mode, value,
                         {{"on", DeflateMode::kOn},
                          {"takeover", DeflateMode::kTakeover},
                          {"off", DeflateMode::kOff}});
     }},
    {"log-level", "LEVEL", "error, warn, info, debug or off (default info)",
     [](Draft& draft, std::string_view value) {
       return set_choice(draft.settings.log_level, value,
                         {{"error", core::LogLevel::kError},
                          {"warn", core::LogLevel::kWarn},
                          {"info", core::LogLevel::kInfo},
                          {"debug", core::LogLevel::kDebug},
                          {"off", core::LogLevel::kOff}});
     }},
    {"log-format", "FORMAT", "text or json (default text)",
     [](Draft& draft, std::string_view value) {
       return set_choice(draft.settings.log_format, value,
                         {{"text", core::LogFormat::kText}, {"json", core::LogFormat::kJson}});
     }},
    {"test-config", "", "check the settings and the files they name, then exit",
     [](Draft& draft, std::string_view) -> Result<Ok> {
       return draft.settings.action = Settings::Action::kTestConfig, Ok{};
     }},
    {"version", "", "print the version and exit",
     [](Draft& draft, std::string_view) -> Result<Ok> {
       return draft.settings.action = Settings::Action::kVersion, Ok{};
     }},
    {"help", "", "print this and exit",
     [](Draft& draft, std::string_view) -> Result<Ok> {
       return draft.settings.action = Settings::Action::kHelp, Ok{};
     }},
};

const Flag* find_flag(std::string_view name) {
  const auto* found = std::find_if(std::begin(kFlags), std::end(kFlags),
                                   [&](const Flag& flag) { return flag.name == name; });
  return found == std::end(kFlags) ? nullptr : found;
}

// Levenshtein distance: how many letters to insert, drop or change.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = diagonal + (a[i - 1] != b[j - 1] ? 1 : 0);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row.back();
}

std::string_view nearest_flag(std::string_view name) {
  return std::min_element(std::begin(kFlags), std::end(kFlags),
                          [&](const Flag& a, const Flag& b) {
                            return edit_distance(name, a.name) < edit_distance(name, b.name);
                          })
      ->name;
}

// One setting as it was written, and where.
struct Entry {
  const Flag* flag = nullptr;
  std::string value;
  std::string where;  // "--threads" or "wsd.conf:3: threads", for errors
};

Result<std::vector<Entry>> read_arguments(std::span<const std::string> arguments) {
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!argument.starts_with("--")) {
      return Error(argument + ": not a flag; flags start with --, see wsd --help");
    }
    std::string_view name = std::string_view(argument).substr(2);
    std::optional<std::string> value;
    if (const std::size_t equals = name.find('='); equals != std::string_view::npos) {
      value = name.substr(equals + 1);
      name = name.substr(0, equals);
    }
    const Flag* flag = find_flag(name);
    const std::string where = "--" + std::string(name);
    if (flag == nullptr) {
      return Error(where + ": no such flag; did you mean --" + std::string(nearest_flag(name)) +
                   "?");
    }
    if (flag->argument.empty() && value) return Error(where + ": takes no value");
    if (!flag->argument.empty() && !value) {
      if (i + 1 == arguments.size())
        return Error(where + ": needs a value, " + std::string(flag->argument));
      value = arguments[++i];
    }
    entries.push_back({flag, value.value_or(""), where});
  }
  return entries;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

Result<std::vector<Entry>> read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return Error(path + ": " + std::strerror(errno) + "; give --config a readable file");
  std::vector<Entry> entries;
  std::string text;
  for (int number = 1; std::getline(file, text); ++number) {
    const std::string_view line = trim(text);
    if (line.empty() || line.starts_with('#')) continue;
    const std::string place = path + ":" + std::to_string(number) + ": ";
    const std::size_t equals = line.find('=');
    const std::string name(trim(line.substr(0, equals)));
    const Flag* flag = find_flag(name);
    if (flag == nullptr) {
      return Error(place + name + ": no such setting; did you mean " +
                   std::string(nearest_flag(name)) + "?");
    }
    if (flag->argument.empty() || flag->name == kConfigFlag) {
      return Error(place + name + ": belongs on the command line");
    }
    if (equals == std::string_view::npos)
      return Error(place + name + ": needs a value: " + name + " = " + std::string(flag->argument));
    entries.push_back({flag, std::string(trim(line.substr(equals + 1))), place + name});
  }
  if (!file.eof()) return Error(path + ": cannot be read; give --config a file");
  return entries;
}

Result<Settings> finish(Draft draft) {
  ServerOptions& server = draft.settings.server;
  if (draft.cert_files.size() != draft.key_files.size()) {
    return Error("--cert and --key: give one --key for each --cert");
  }
  for (std::size_t i = 0; i < draft.cert_files.size(); ++i) {
    server.tls.certificates.push_back({draft.cert_files[i], draft.key_files[i]});
  }
  const bool wants_client_ca = server.tls.client_certificates != ClientCertificates::kOff;
  if (wants_client_ca && server.tls.client_ca_file.empty()) {
    return Error("--client-cert: needs --client-ca FILE to check certificates with");
  }
  if (!wants_client_ca && !server.tls.client_ca_file.empty()) {
    return Error("--client-ca: has no effect without --client-cert optional or required");
  }
  if (server.listen.empty()) server.listen = {"ws://127.0.0.1:8888", "wss://127.0.0.1:8889"};
  if (draft.settings.echo_paths.empty()) draft.settings.echo_paths = {"/*"};
  return std::move(draft.settings);
}

}  // namespace

Result<Settings> read_settings(std::span<const std::string> arguments) {
  auto entries = read_arguments(arguments);
  if (!entries) return entries.error();
  std::vector<Entry> all;
  for (const Entry& entry : *entries) {
    if (entry.flag->name != kConfigFlag) continue;
    auto from_file = read_file(entry.value);
    if (!from_file) return from_file.error();
    for (Entry& setting : *from_file) {
      const bool overruled = std::any_of(entries->begin(), entries->end(), [&](const Entry& given) {
        return given.flag == setting.flag;
      });
      if (!overruled) all.push_back(std::move(setting));
    }
  }
  all.insert(all.end(), entries->begin(), entries->end());

  Draft draft;
  for (const Entry& entry : all) {
    if (entry.flag->apply == nullptr) continue;
    if (auto done = entry.flag->apply(draft, entry.value); !done) {
      return Error(entry.where + ": '" + entry.value + "': " + done.error().message());
    }
  }
  return finish(std::move(draft));
}

Result<std::uint64_t> parse_size(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, int>, 7> kUnits{
      {{"", 0}, {"k", 10}, {"KiB", 10}, {"m", 20}, {"MiB", 20}, {"g", 30}, {"GiB", 30}}};
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const auto& [name, shift] : kUnits) {
    if (error != std::errc() || unit != name || number > (UINT64_MAX >> shift)) continue;
    return number << shift;
  }
  return Error("give a size such as 65536, 64k, 64KiB, 16m or 16MiB");
}

std::string help_text() {
  std::string text =
      "usage: wsd [flags]\nA WebSocket server for ws:// and wss://. Without flags it echoes on "
      "ws://127.0.0.1:8888 and wss://127.0.0.1:8889.\n\n";
  constexpr std::size_t kColumn = 24;
  for (const Flag& flag : kFlags) {
    std::string head = "  --" + std::string(flag.name);
    if (!flag.argument.empty()) head += " " + std::string(flag.argument);
    head.resize(std::max(head.size() + 2, kColumn), ' ');
    text += head;
    for (const char letter : flag.help) {
      text += letter;
      if (letter == '\n') text.append(kColumn, ' ');
    }
    text += '\n';
  }
  return text +
         "\nsignals: TERM, INT  Close 1001 to everyone, flush, exit within 10 s; a second one "
         "exits at once\n"
         "         HUP        load the certificates again; on any error the old ones stay\n"
         "exit:    0 fine, 1 could not start, 2 bad usage, 3 forced\n";
}

}  // namespace ws::daemon
