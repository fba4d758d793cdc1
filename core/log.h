// Public. What the library has to say and no result can carry: one line per event, to stderr or
// wherever the program wants it, as text or JSON.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace ws::core {

// kError: a handler threw, or gave an answer that cannot be sent. kWarn: at a limit, of ours or of
// the system's. kInfo: a peer was refused, or ended by its own fault. kDebug: each connection that
// opened or closed. kOff: nothing at all.
enum class LogLevel : std::uint8_t { kError, kWarn, kInfo, kDebug, kOff };
enum class LogFormat : std::uint8_t { kText, kJson };

// A named value of a log line. Strings may come from a peer: bytes outside 0x20-0x7E are written as
// \xHH (JSON: \u00HH) and everything beyond 256 bytes is cut.
struct LogField {
  std::string_view name;
  std::string_view text;
  std::uint64_t number = 0;
  bool is_number = false;

  LogField(std::string_view field_name, std::string_view value) : name(field_name), text(value) {}
  LogField(std::string_view field_name, const std::string& value) : name(field_name), text(value) {}
  LogField(std::string_view field_name, const char* value) : name(field_name), text(value) {}
  LogField(std::string_view field_name, std::unsigned_integral auto value)
      : name(field_name), number(value), is_number(true) {}
};

// Of the whole process: lines of this level and those before it. Default: kInfo and kText, to
// stderr (descriptor 2). thread: any; a line that is being written meanwhile may be a mixture.
void set_log(LogLevel level, LogFormat format = LogFormat::kText);
// Where the lines go: a file, a pipe or a socket of the program's, which stays open as long. What
// it does not take at once is lost, and holds nobody up. A program whose pipe may lose its reader
// ignores SIGPIPE.
void set_log_fd(int fd);
bool log_enabled(LogLevel level);

// For the library and its daemon; a program may use it too. Writes one line with one write(2): time
// (UTC, ms), level, event, fields.
//   2026-01-31T12:00:00.123Z info  listening url=ws://[::1]:8888
//   {"time":"2026-01-31T12:00:00.123Z","level":"info","event":"listening","url":"ws://[::1]:8888"}
// `event` is the kind: a constant phrase. Each kind has a token bucket of 10 lines/s; the first
// line after a silence carries suppressed=N. kError lines are limited too. thread: any. Fields that
// contain a space, a quote, a backslash or '=' are quoted in text form.
void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

}  // namespace ws::core

namespace ws {

using core::LogFormat;
using core::LogLevel;
using core::set_log;
using core::set_log_fd;

}  // namespace ws
