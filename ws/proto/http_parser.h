// Public. The head of an HTTP/1.1 request or response (RFC 9112), parsed as it arrives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ws/proto/http.h"

namespace ws::proto {

// The state machine of both parsers below, which differ in the first line and in how they name a
// fault. in: any split; each byte is looked at once.
// cost: memory grows with bytes received, up to the limit.
class HeadParser {
 public:
  enum class Kind : std::uint8_t { kRequest, kResponse };
  struct Limits {
    std::size_t head_bytes_max;
    std::size_t target_bytes_max;
    std::size_t headers_max;
  };
  HeadParser(Kind kind, const Limits& limits);

  // kFirstLineTooLong: the head outgrew its limit before the first line was complete, or the
  // target its own.
  enum class Fault : std::uint8_t {
    kNone,
    kFirstLine,
    kVersion,  // of the right form, but not one of ours
    kHeaderLine,
    kFirstLineTooLong,
    kHeadTooLong,
    kTooManyHeaders,
  };
  // Bytes of `in` that belong to the head; 0 once it is complete or at fault, or gets at fault now.
  std::size_t feed(std::span<const std::uint8_t> in);
  Fault fault() const { return fault_; }
  bool complete() const { return place_ == Place::kEnd; }

  // After complete(); views into this parser.
  std::string_view method() const { return view(method_); }
  std::string_view target() const { return view(target_); }
  int status() const { return status_; }
  bool http_1_1() const { return minor_ != '0'; }
  std::vector<Header> headers() const;
  // What they view: long enough to be on the heap, so that they stay valid when it is moved.
  std::string take_bytes() { return std::move(bytes_); }

 private:
  // What the next byte belongs to. Before kLineStart: the first line. kTarget to kFirstLineLf: the
  // target of a request has begun, the line not ended.
  enum class Place : std::uint8_t {
    kStart,        // of a request: an empty line's CR, or the method
    kEmptyLineLf,  // the LF of an empty line before the request
    kMethodStart,
    kMethod,
    kTarget,
    kVersion,        // "HTTP/1.1" and its CR
    kStatusVersion,  // "HTTP/1.1" and its space
    kStatus,
    kStatusEnd,
    kReason,
    kFirstLineLf,
    kLineStart,  // the first byte of a header line, or the CR of the last, empty line
    kName,
    kBlanks,  // white space before, inside or after a value
    kValue,
    kHeaderLf,
    kEndLf,
    kEnd,
  };
  // Offsets in bytes_, as views would not survive its growing.
  struct Piece {
    std::size_t begin = 0;
    std::size_t end = 0;
  };
  struct Field {
    Piece name;
    Piece value;
  };

  static std::uint8_t run_class(Place place);
  bool ended() const { return fault_ != Fault::kNone || place_ == Place::kEnd; }
  void take(std::uint8_t byte, std::size_t at);
  void take_version(std::uint8_t byte, std::size_t at);
  void take_status_line(std::uint8_t byte, std::size_t at);
  void take_line_start(std::uint8_t byte, std::size_t at);
  void take_end(std::uint8_t byte, std::size_t at);
  void go(bool allowed, Place next);
  std::string_view view(Piece piece) const;

  Limits limits_;
  std::string bytes_;
  Place place_;
  Fault fault_ = Fault::kNone;
  std::uint8_t major_ = '1';
  std::uint8_t minor_ = '1';
  int status_ = 0;  // of a response
  Piece method_;
  Piece target_;
  std::size_t version_begin_ = 0;
  std::vector<Field> fields_;
};

enum class HeadState : std::uint8_t { kMore, kComplete, kRefused };

// Parses one request head and is then done with. thread: one.
class RequestParser {
 public:
  // A head or target of exactly this size, and exactly this many headers, are accepted.
  struct Config {
    std::size_t head_bytes_max = 8 * 1024;
    std::size_t target_bytes_max = 8 * 1024;
    std::size_t headers_max = 100;
  };
  explicit RequestParser(const Config& config);
  RequestParser(const RequestParser&) = delete;  // head() points into the parser itself
  RequestParser& operator=(const RequestParser&) = delete;

  using State = HeadState;
  struct Step {
    State state = State::kMore;
    std::size_t consumed = 0;  // kComplete: what follows these bytes of `in` is not HTTP's
    int status = 0;            // kRefused: 400, 414, 431 or 505
  };
  // errors (status): 400 for bare LF or CR, obs-fold, control bytes, white space before a colon, a
  // malformed request line or header line; 505 for HTTP/digit.digit other than 1.1; 414 and 431 at
  // the limits, as soon as they are passed. A head that outgrows head_bytes_max while its target or
  // the rest of its request line is being read is 414. Once complete or refused, nothing more is
  // looked at and each call says the same again.
  Step feed(std::span<const std::uint8_t> in);

  // After kComplete.
  const RequestHead& head() const;
  // The bytes that head()'s views point into, for whom they shall outlive the parser.
  std::string take_bytes() { return parser_.take_bytes(); }

 private:
  HeadParser parser_;
  RequestHead head_;
};

// Parses the head of the answer to a request and is then done with. thread: one.
class ResponseParser {
 public:
  // A head of exactly this size, and exactly this many headers, are accepted.
  struct Config {
    std::size_t head_bytes_max = 16 * 1024;
    std::size_t headers_max = 100;
  };
  explicit ResponseParser(const Config& config);
  ResponseParser(const ResponseParser&) = delete;  // head() points into the parser itself
  ResponseParser& operator=(const ResponseParser&) = delete;

  using State = HeadState;
  struct Step {
    State state = State::kMore;
    std::size_t consumed = 0;  // kComplete: what follows these bytes of `in` is not the head's
    std::string_view reason;   // kRefused: why, a constant phrase about "the server's answer"
  };
  // errors: whatever RequestParser refuses in a header line; a status line that is not
  // HTTP/1.DIGIT SP 3DIGIT [ SP reason-phrase ] CRLF, where real servers leave out the second
  // space with the phrase; the limits. Interim heads (1xx but 101) before the last one are passed
  // over, and count for head_bytes_max. Once complete or refused, nothing more is looked at and
  // each call says the same again.
  Step feed(std::span<const std::uint8_t> in);

  // After kComplete.
  const ResponseHead& head() const;

 private:
  HeadParser parser_;
  ResponseHead head_;
};

}  // namespace ws::proto
