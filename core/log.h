// Internal. One line per event, to stderr, as text or JSON.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace ws::core {

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

// Process-wide; set before threads start. Default: kInfo, kText, stderr (descriptor 2).
void set_log(LogLevel level, LogFormat format);
void set_log_fd(int fd);  // for tests
bool log_enabled(LogLevel level);

// Writes one line with one write(2): time (UTC, ms), level, event, fields.
//   2026-01-31T12:00:00.123Z info  listening url=ws://[::1]:8888
//   {"time":"2026-01-31T12:00:00.123Z","level":"info","event":"listening","url":"ws://[::1]:8888"}
// `event` is the kind: a constant phrase. Each kind has a token bucket of 10 lines/s; the first
// line after a silence carries suppressed=N. kError lines are limited too. thread: any. Fields that
// contain a space, a quote, a backslash or '=' are quoted in text form.
void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

}  // namespace ws::core
