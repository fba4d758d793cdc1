#include "ws/proto/http_parser.h"

#include <algorithm>
#include <limits>

#include "core/check.h"
#include "ws/proto/http_bytes.h"

namespace ws::proto {
namespace {

bool is_digit(std::uint8_t byte) {
  return byte >= '0' && byte <= '9';
}

int status_of(HeadParser::Fault fault) {
  using Fault = HeadParser::Fault;
  switch (fault) {
    case Fault::kNone:
      break;
    case Fault::kFirstLine:
    case Fault::kHeaderLine:
      return 400;
    // RFC 9112 section 3: "A server that receives a request-target longer than any URI it wishes
    // to parse MUST respond with a 414 (URI Too Long) status code".
    case Fault::kFirstLineTooLong:
      return 414;
    case Fault::kHeadTooLong:
    case Fault::kTooManyHeaders:
      return 431;
    case Fault::kVersion:
      return 505;
  }
  WS_CHECK(false);  // asked only where there is a fault
}

std::string_view reason_of(HeadParser::Fault fault) {
  using Fault = HeadParser::Fault;
  switch (fault) {
    case Fault::kNone:
      break;
    case Fault::kFirstLine:
      return "the server's answer does not begin with an HTTP/1.1 status line";
    case Fault::kHeaderLine:
      return "the server's answer has a malformed header line";
    case Fault::kFirstLineTooLong:
    case Fault::kHeadTooLong:
      return "the head of the server's answer is too long";
    case Fault::kTooManyHeaders:
      return "the server's answer has too many headers";
    case Fault::kVersion:
      return "the server's answer is not of HTTP/1.1";
  }
  WS_CHECK(false);  // asked only where there is a fault
}

}  // namespace

HeadParser::HeadParser(Kind kind, const Limits& limits)
    : limits_(limits), place_(kind == Kind::kRequest ? Place::kStart : Place::kStatusVersion) {
  WS_CHECK(limits.head_bytes_max > 0);
  WS_CHECK(limits.target_bytes_max > 0);
}

// Places whose bytes come in runs; a byte outside the class is a delimiter, for take().
std::uint8_t HeadParser::run_class(Place place) {
  switch (place) {
    case Place::kMethod:
    case Place::kName:
      return kTokenByte;
    case Place::kTarget:
      return kVisibleByte;
    case Place::kReason:
      return kTextByte | kBlankByte;
    case Place::kBlanks:
      return kBlankByte;
    case Place::kValue:
      return kTextByte;
    default:
      return 0;
  }
}

std::size_t HeadParser::feed(std::span<const std::uint8_t> in) {
  if (ended()) return 0;
  const std::size_t base = bytes_.size();
  WS_CHECK(base <= limits_.head_bytes_max);
  const std::size_t room = std::min(in.size(), limits_.head_bytes_max - base);

  std::size_t at = 0;
  while (at < room && !ended()) {
    const std::uint8_t run = run_class(place_);
    while (at < room && is_byte_of(run, in[at])) ++at;
    if (place_ == Place::kTarget && base + at - target_.begin > limits_.target_bytes_max) {
      fault_ = Fault::kFirstLineTooLong;
    } else if (at < room) {
      take(in[at], base + at);
      ++at;
    }
  }
  if (!ended() && room < in.size()) {
    // With both limits at 8 KiB a target that is too long meets this one first.
    const bool first_line = place_ >= Place::kTarget && place_ <= Place::kFirstLineLf;
    fault_ = first_line ? Fault::kFirstLineTooLong : Fault::kHeadTooLong;
  }
  if (fault_ != Fault::kNone) return 0;
  bytes_.append(reinterpret_cast<const char*>(in.data()), at);
  return at;
}

void HeadParser::go(bool allowed, Place next) {
  if (allowed) {
    place_ = next;
  } else {
    fault_ = place_ < Place::kLineStart ? Fault::kFirstLine : Fault::kHeaderLine;
  }
}

// One byte that does not continue a run. at: its offset in the head.
void HeadParser::take(std::uint8_t byte, std::size_t at) {
  switch (place_) {
    case Place::kStart:
      // RFC 9112 section 2.2: "a server that is expecting to receive and parse a request-line
      // SHOULD ignore at least one empty line (CRLF) received prior to the request-line."
      if (byte == '\r') return go(true, Place::kEmptyLineLf);
      [[fallthrough]];
    case Place::kMethodStart:
      // Among what fails here: the 0x16 a TLS ClientHello begins with.
      method_.begin = at;
      return go(is_byte_of(kTokenByte, byte), Place::kMethod);
    case Place::kEmptyLineLf:
      return go(byte == '\n', Place::kMethodStart);
    case Place::kMethod:
      method_.end = at;
      target_.begin = at + 1;
      return go(byte == ' ', Place::kTarget);
    case Place::kTarget:
      target_.end = at;
      version_begin_ = at + 1;
      return go(byte == ' ' && at > target_.begin, Place::kVersion);
    case Place::kVersion:
    case Place::kStatusVersion:
      return take_version(byte, at);
    case Place::kStatus:
    case Place::kStatusEnd:
    case Place::kReason:
      return take_status_line(byte, at);
    case Place::kFirstLineLf:
    case Place::kHeaderLf:
      // RFC 9112 section 2.2: "A recipient of such a bare CR MUST consider that element to be
      // invalid". A bare LF, which it MAY accept, is refused everywhere: where two parsers
      // disagree on where a line ends, a request can be smuggled past one of them.
      return go(byte == '\n', Place::kLineStart);
    case Place::kLineStart:
      return take_line_start(byte, at);
    case Place::kName:
      // RFC 9112 section 5.1: "No whitespace is allowed between the field name and colon."
      fields_.back().name.end = at;
      fields_.back().value = {at + 1, at + 1};
      return go(byte == ':', Place::kBlanks);
    case Place::kBlanks: {
      if (!is_byte_of(kTextByte, byte)) return go(byte == '\r', Place::kHeaderLf);
      Piece& value = fields_.back().value;
      if (value.begin == value.end) value.begin = at;
      return go(true, Place::kValue);
    }
    case Place::kValue:
      fields_.back().value.end = at;
      if (is_byte_of(kBlankByte, byte)) return go(true, Place::kBlanks);
      // RFC 9110 section 5.5: "Field values containing CR, LF, or NUL characters are invalid and
      // dangerous"; the other control characters are invalid as well.
      return go(byte == '\r', Place::kHeaderLf);
    case Place::kEndLf:
      return take_end(byte, at);
    case Place::kEnd:
      break;
  }
  WS_CHECK(false);  // feed() stops at kEnd
}

void HeadParser::take_version(std::uint8_t byte, std::size_t at) {
  static constexpr std::string_view kVersionText = "HTTP/1.1";
  const std::size_t index = at - version_begin_;
  WS_CHECK(index <= kVersionText.size());
  if (index < kVersionText.size()) {
    const auto expected = static_cast<std::uint8_t>(kVersionText[index]);
    if (!is_digit(expected)) return go(byte == expected, place_);
    (index + 1 == kVersionText.size() ? minor_ : major_) = byte;
    return go(is_digit(byte), place_);
  }
  // The version has its form; only now is it known which one it is. RFC 6455 section 4.1 asks for
  // "at least 1.1" in a request; what a 1.0 response says is still worth telling.
  const bool response = place_ == Place::kStatusVersion;
  const bool ours = major_ == '1' && (response || minor_ == '1');
  go(byte == (response ? ' ' : '\r'), response ? Place::kStatus : Place::kFirstLineLf);
  if (fault_ == Fault::kNone && !ours) fault_ = Fault::kVersion;
}

// status-code SP [ reason-phrase ], RFC 9112 section 4.
void HeadParser::take_status_line(std::uint8_t byte, std::size_t at) {
  if (place_ == Place::kStatus) {
    static constexpr std::size_t kVersionBytes = std::string_view("HTTP/1.1 ").size();
    const std::size_t index = at - (version_begin_ + kVersionBytes);
    WS_CHECK(index < 3);
    status_ = status_ * 10 + (byte - '0');
    // RFC 9110 section 15: values "outside the range 100..599 are invalid"; those from 600 on have
    // the form and are shown to a person.
    const bool allowed = is_digit(byte) && (index > 0 || byte != '0');
    return go(allowed, index == 2 ? Place::kStatusEnd : Place::kStatus);
  }
  if (place_ == Place::kStatusEnd && byte == ' ') return go(true, Place::kReason);
  go(byte == '\r', Place::kFirstLineLf);
}

void HeadParser::take_line_start(std::uint8_t byte, std::size_t at) {
  if (byte == '\r') return go(true, Place::kEndLf);
  // RFC 9112 section 5.2: "A server that receives an obs-fold in a request message [...] MUST
  // either reject the message by sending a 400 (Bad Request) [...] or replace"; white space here
  // before the first header is to be rejected as well (section 2.2).
  go(is_byte_of(kTokenByte, byte), Place::kName);
  if (fault_ != Fault::kNone) return;
  if (fields_.size() == limits_.headers_max) {
    fault_ = Fault::kTooManyHeaders;
    return;
  }
  // A browser sends about so many: one piece of memory instead of five, each larger.
  if (fields_.empty()) fields_.reserve(16);
  fields_.push_back({{at, at}, {at, at}});
}

void HeadParser::take_end(std::uint8_t byte, std::size_t at) {
  // RFC 9110 section 15.2: "A client MUST be able to parse one or more 1xx responses received prior
  // to a final response, even if the client does not expect one." 101 is the end of HTTP here.
  const bool interim = status_ / 100 == 1 && status_ != 101;
  if (byte != '\n' || !interim) return go(byte == '\n', Place::kEnd);
  fields_.clear();
  status_ = 0;
  version_begin_ = at + 1;
  place_ = Place::kStatusVersion;
}

std::string_view HeadParser::view(Piece piece) const {
  WS_CHECK(piece.begin <= piece.end);
  return std::string_view(bytes_).substr(piece.begin, piece.end - piece.begin);
}

std::vector<Header> HeadParser::headers() const {
  std::vector<Header> headers;
  headers.reserve(fields_.size());
  for (const Field& field : fields_) headers.push_back({view(field.name), view(field.value)});
  return headers;
}

RequestParser::RequestParser(const Config& config)
    : parser_(HeadParser::Kind::kRequest,
              {config.head_bytes_max, config.target_bytes_max, config.headers_max}) {}

RequestParser::Step RequestParser::feed(std::span<const std::uint8_t> in) {
  const std::size_t consumed = parser_.feed(in);
  if (parser_.fault() != HeadParser::Fault::kNone) {
    return {State::kRefused, 0, status_of(parser_.fault())};
  }
  if (!parser_.complete()) return {State::kMore, consumed, 0};
  if (consumed > 0) {  // not said again
    head_.method = parser_.method();
    head_.target = parser_.target();
    head_.headers = parser_.headers();
  }
  return {State::kComplete, consumed, 0};
}

const RequestHead& RequestParser::head() const {
  WS_CHECK(parser_.complete());
  return head_;
}

ResponseParser::ResponseParser(const Config& config)
    : parser_(
          HeadParser::Kind::kResponse,
          {config.head_bytes_max, std::numeric_limits<std::size_t>::max(), config.headers_max}) {}

ResponseParser::Step ResponseParser::feed(std::span<const std::uint8_t> in) {
  const std::size_t consumed = parser_.feed(in);
  if (parser_.fault() != HeadParser::Fault::kNone) {
    return {State::kRefused, 0, reason_of(parser_.fault())};
  }
  if (!parser_.complete()) return {State::kMore, consumed, ""};
  if (consumed > 0) {  // not said again
    head_.status = parser_.status();
    head_.http_1_1 = parser_.http_1_1();
    head_.headers = parser_.headers();
  }
  return {State::kComplete, consumed, ""};
}

const ResponseHead& ResponseParser::head() const {
  WS_CHECK(parser_.complete());
  return head_;
}

}  // namespace ws::proto
