#include "core/log.h"

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "core/clock.h"

namespace ws::core {
namespace {

constexpr std::size_t kFieldBytesMax = 256;

struct Settings {
  std::atomic<LogLevel> level = LogLevel::kInfo;
  std::atomic<LogFormat> format = LogFormat::kText;
  std::atomic<int> fd = STDERR_FILENO;
};
Settings settings;

// A token bucket per kind of event, in a table of fixed size.
class RateLimiter {
 public:
  // How many lines of this kind were suppressed before this one, or nothing when this one is too.
  std::optional<std::uint64_t> admit(std::string_view event, std::uint64_t now_ms) {
    const std::lock_guard lock(mutex_);
    Bucket& bucket = find(event);
    // Time is the currency: a bucket earns a millisecond per millisecond, up to a second's worth.
    bucket.credit_ms = std::min(kCreditMaxMs, bucket.credit_ms + (now_ms - bucket.seen_ms));
    bucket.seen_ms = now_ms;
    if (bucket.credit_ms < kLineMs) {
      ++bucket.suppressed;
      return std::nullopt;
    }
    bucket.credit_ms -= kLineMs;
    return std::exchange(bucket.suppressed, 0);
  }

 private:
  static constexpr std::uint64_t kCreditMaxMs = 1000;
  static constexpr std::uint64_t kLineMs = 100;  // 10 lines/s

  struct Bucket {
    std::size_t kind = 0;  // hash of the event; two events of one hash would share a bucket
    std::uint64_t credit_ms = kCreditMaxMs;
    std::uint64_t seen_ms = 0;
    std::uint64_t suppressed = 0;
  };

  // The program has fewer kinds of event than the table has buckets; were there more, the last
  // bucket would serve all that found no other.
  Bucket& find(std::string_view event) {
    const std::size_t kind = std::hash<std::string_view>{}(event);
    std::size_t i = 0;
    while (i < used_ && buckets_[i].kind != kind) ++i;
    if (i == buckets_.size()) return buckets_.back();
    if (i == used_) buckets_[used_++].kind = kind;
    return buckets_[i];
  }

  std::mutex mutex_;
  std::array<Bucket, 128> buckets_;
  std::size_t used_ = 0;
};
RateLimiter limiter;

void append_escaped(std::string& line, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (const char c : text.substr(0, kFieldBytesMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte > 0x7E) {
      line += settings.format == LogFormat::kJson ? "\\u00" : "\\x";
      line += kHex[byte >> 4];
      line += kHex[byte & 0xF];
    } else {
      if (c == '"' || c == '\\') line += '\\';
      line += c;
    }
  }
  if (text.size() > kFieldBytesMax) line += "...";
}

void append_quoted(std::string& line, std::string_view text) {
  line += '"';
  append_escaped(line, text);
  line += '"';
}

void append_field(std::string& line, const LogField& field) {
  const bool json = settings.format == LogFormat::kJson;
  if (json) {
    line += ',';
    append_quoted(line, field.name);
    line += ':';
  } else {
    line += ' ';
    line += field.name;
    line += '=';
  }
  if (field.is_number) {
    line += std::to_string(field.number);
  } else if (json || field.text.find_first_of(" \"\\=") != std::string_view::npos) {
    append_quoted(line, field.text);
  } else {
    append_escaped(line, field.text);
  }
}

// 2026-01-31T12:00:00.123Z (RFC 3339)
void append_time(std::string& line) {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm utc;
  ::gmtime_r(&now.tv_sec, &utc);
  char text[64];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text + size, sizeof text - size, ".%03ldZ", now.tv_nsec / 1'000'000);
  line += text;
}

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return "error";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kOff:
      break;
  }
  return "off";
}

void append_head(std::string& line, LogLevel level, std::string_view event) {
  const std::string_view name = level_name(level);
  if (settings.format == LogFormat::kJson) {
    line += "{\"time\":\"";
    append_time(line);
    line += "\",\"level\":";
    append_quoted(line, name);
    line += ",\"event\":";
    append_quoted(line, event);
  } else {
    append_time(line);
    line += ' ';
    line += name;
    line.append(6 - name.size(), ' ');  // events line up: the longest name has 5 letters
    append_escaped(line, event);
  }
}

}  // namespace

void set_log(LogLevel level, LogFormat format) {
  settings.level = level;
  settings.format = format;
}

void set_log_fd(int fd) {
  settings.fd = fd;
}

bool log_enabled(LogLevel level) {
  return settings.level != LogLevel::kOff && level <= settings.level;
}

void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (!log_enabled(level)) return;
  const std::optional<std::uint64_t> suppressed = limiter.admit(event, monotonic_ms());
  if (!suppressed) return;
  std::string line;
  append_head(line, level, event);
  for (const LogField& field : fields) append_field(line, field);
  if (*suppressed > 0) append_field(line, LogField("suppressed", *suppressed));
  line += settings.format == LogFormat::kJson ? "}\n" : "\n";
  // A reader that does not keep up may cost us lines, never the loop's time. A pipe that polls
  // writable takes 4 KiB at once, more than a line of ours is long.
  const int fd = settings.fd;
  pollfd room{.fd = fd, .events = POLLOUT, .revents = 0};
  if (::poll(&room, 1, 0) != 1 || room.revents != POLLOUT) return;  // POLLERR: it has no reader
  // A log that cannot be written has nobody to tell.
  while (::write(fd, line.data(), line.size()) < 0 && errno == EINTR) {
  }
}

}  // namespace ws::core
