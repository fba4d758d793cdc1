#include "ws/proto/http.h"

#include <algorithm>
#include <array>

#include "core/check.h"

namespace ws::proto {
namespace {

// What a byte may be part of.
constexpr std::uint8_t kToken = 1;    // tchar of RFC 9110 section 5.6.2
constexpr std::uint8_t kVisible = 2;  // VCHAR, 0x21-0x7E: the bytes of a target
constexpr std::uint8_t kText = 4;     // VCHAR and obs-text 0x80-0xFF: the bytes of a value
constexpr std::uint8_t kBlank = 8;    // SP and HTAB

constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> classes{};
  for (unsigned byte = 0x21; byte <= 0x7E; ++byte) classes[byte] = kVisible | kText;
  for (unsigned byte = 0x80; byte <= 0xFF; ++byte) classes[byte] = kText;
  for (unsigned byte = '0'; byte <= '9'; ++byte) classes[byte] |= kToken;
  for (unsigned byte = 'A'; byte <= 'Z'; ++byte) classes[byte] |= kToken;
  for (unsigned byte = 'a'; byte <= 'z'; ++byte) classes[byte] |= kToken;
  for (char byte : std::string_view("!#$%&'*+-.^_`|~")) {
    classes[static_cast<std::uint8_t>(byte)] |= kToken;
  }
  classes[' '] = kBlank;
  classes['\t'] = kBlank;
  return classes;
}
constexpr std::array<std::uint8_t, 256> kClasses = make_classes();

bool is(std::uint8_t byte, std::uint8_t byte_class) {
  return (kClasses[byte] & byte_class) != 0;
}
bool is_digit(std::uint8_t byte) {
  return byte >= '0' && byte <= '9';
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

}  // namespace

bool equals_ignore_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(),
                    [](char left, char right) { return lower(left) == lower(right); });
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return is(static_cast<std::uint8_t>(c), kToken);
  });
}

std::string_view trim_blanks(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  const std::size_t last = text.find_last_not_of(" \t");
  return last == std::string_view::npos ? std::string_view() : text.substr(begin, last + 1 - begin);
}

std::string_view next_list_element(std::string_view& rest) {
  const std::size_t comma = rest.find(',');
  const std::string_view element = trim_blanks(rest.substr(0, comma));
  rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  return element;
}

namespace {

// A token, or a quoted-string: "the value after quoted-string unescaping MUST conform to the
// 'token' ABNF". As a comma or semicolon is in no token, cutting a list at those first breaks only
// quoted strings that are malformed anyway.
std::optional<std::string> parse_parameter_value(std::string_view text) {
  if (!text.starts_with('"')) {
    return is_token(text) ? std::optional(std::string(text)) : std::nullopt;
  }
  std::string token;
  std::size_t at = 1;
  for (; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\' && ++at == text.size()) return std::nullopt;
    token += text[at];
  }
  if (at + 1 != text.size() || !is_token(token)) return std::nullopt;
  return token;
}

}  // namespace

std::optional<Extension> parse_extension(std::string_view element) {
  std::size_t semicolon = element.find(';');
  Extension extension{.name = trim_blanks(element.substr(0, semicolon)), .parameters = {}};
  if (!is_token(extension.name)) return std::nullopt;
  while (semicolon != std::string_view::npos) {
    element.remove_prefix(semicolon + 1);
    semicolon = element.find(';');
    const std::string_view text = element.substr(0, semicolon);
    const std::size_t equals = text.find('=');
    Extension::Parameter parameter{.name = trim_blanks(text.substr(0, equals)), .value = {}};
    if (!is_token(parameter.name)) return std::nullopt;
    if (equals != std::string_view::npos) {
      parameter.value = parse_parameter_value(trim_blanks(text.substr(equals + 1)));
      if (!parameter.value) return std::nullopt;
    }
    extension.parameters.push_back(std::move(parameter));
  }
  return extension;
}

bool list_has_token(const RequestHead& head, std::string_view name, std::string_view token) {
  for (const Header& header : head.headers) {
    if (!equals_ignore_case(header.name, name)) continue;
    std::string_view rest = header.value;
    while (!rest.empty()) {
      if (equals_ignore_case(next_list_element(rest), token)) return true;
    }
  }
  return false;
}

std::optional<std::string_view> RequestHead::header(std::string_view name) const {
  std::optional<std::string_view> found;
  for (const Header& header : headers) {
    if (!equals_ignore_case(header.name, name)) continue;
    if (found) return std::nullopt;
    found = header.value;
  }
  return found;
}

std::size_t RequestHead::count(std::string_view name) const {
  return static_cast<std::size_t>(std::count_if(
      headers.begin(), headers.end(),
      [name](const Header& header) { return equals_ignore_case(header.name, name); }));
}

RequestParser::RequestParser(const Config& config) : config_(config) {
  WS_CHECK(config.head_bytes_max > 0);
  WS_CHECK(config.target_bytes_max > 0);
}

const RequestHead& RequestParser::head() const {
  WS_CHECK(place_ == Place::kEnd);
  return head_;
}

// Places whose bytes come in runs; a byte outside the class is a delimiter, for take().
std::uint8_t RequestParser::run_class(Place place) {
  switch (place) {
    case Place::kMethod:
    case Place::kName:
      return kToken;
    case Place::kTarget:
      return kVisible;
    case Place::kBlanks:
      return kBlank;
    case Place::kValue:
      return kText;
    default:
      return 0;
  }
}

RequestParser::Step RequestParser::outcome(std::size_t consumed) const {
  if (status_ != 0) return {State::kRefused, 0, status_};
  return {place_ == Place::kEnd ? State::kComplete : State::kMore, consumed, 0};
}

RequestParser::Step RequestParser::feed(std::span<const std::uint8_t> in) {
  if (ended()) return outcome(0);
  const std::size_t base = bytes_.size();
  WS_CHECK(base <= config_.head_bytes_max);
  const std::size_t room = std::min(in.size(), config_.head_bytes_max - base);

  std::size_t at = 0;
  while (at < room && !ended()) {
    const std::uint8_t run = run_class(place_);
    while (at < room && is(in[at], run)) ++at;
    // RFC 9112 section 3: "A server that receives a request-target longer than any URI it wishes
    // to parse MUST respond with a 414 (URI Too Long) status code".
    if (place_ == Place::kTarget && base + at - target_.begin > config_.target_bytes_max) {
      status_ = 414;
    } else if (at < room) {
      take(in[at], base + at);
      ++at;
    }
  }
  if (!ended() && room < in.size()) {
    // With both limits at 8 KiB a target that is too long meets this one first.
    status_ = place_ >= Place::kTarget && place_ <= Place::kRequestLf ? 414 : 431;
  }
  if (status_ == 0) {
    bytes_.append(reinterpret_cast<const char*>(in.data()), at);
    if (place_ == Place::kEnd) build_head();
  }
  return outcome(at);
}

void RequestParser::go(bool allowed, Place next) {
  if (allowed) {
    place_ = next;
  } else {
    status_ = 400;
  }
}

// One byte that does not continue a run. at: its offset in the head.
void RequestParser::take(std::uint8_t byte, std::size_t at) {
  switch (place_) {
    case Place::kStart:
      // RFC 9112 section 2.2: "a server that is expecting to receive and parse a request-line
      // SHOULD ignore at least one empty line (CRLF) received prior to the request-line."
      if (byte == '\r') return go(true, Place::kEmptyLineLf);
      [[fallthrough]];
    case Place::kMethodStart:
      // Among what fails here: the 0x16 a TLS ClientHello begins with.
      method_.begin = at;
      return go(is(byte, kToken), Place::kMethod);
    case Place::kEmptyLineLf:
      return go(byte == '\n', Place::kMethodStart);
    case Place::kMethod:
      method_.end = at;
      target_.begin = at + 1;
      return go(byte == ' ', Place::kTarget);
    case Place::kTarget:
      target_.end = at;
      return go(byte == ' ' && at > target_.begin, Place::kVersion);
    case Place::kVersion:
      return take_version(byte, at);
    case Place::kRequestLf:
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
      if (!is(byte, kText)) return go(byte == '\r', Place::kHeaderLf);
      Piece& value = fields_.back().value;
      if (value.begin == value.end) value.begin = at;
      return go(true, Place::kValue);
    }
    case Place::kValue:
      fields_.back().value.end = at;
      if (is(byte, kBlank)) return go(true, Place::kBlanks);
      // RFC 9110 section 5.5: "Field values containing CR, LF, or NUL characters are invalid and
      // dangerous"; the other control characters are invalid as well.
      return go(byte == '\r', Place::kHeaderLf);
    case Place::kEndLf:
      return go(byte == '\n', Place::kEnd);
    case Place::kEnd:
      break;
  }
  WS_CHECK(false);  // feed() stops at kEnd
}

void RequestParser::take_version(std::uint8_t byte, std::size_t at) {
  static constexpr std::string_view kVersionText = "HTTP/1.1\r";
  const std::size_t index = at - (target_.end + 1);
  WS_CHECK(index < kVersionText.size());
  const auto expected = static_cast<std::uint8_t>(kVersionText[index]);
  if (is_digit(expected)) {
    version_1_1_ = version_1_1_ && byte == expected;
    return go(is_digit(byte), Place::kVersion);
  }
  if (byte != expected) {
    status_ = 400;
  } else if (byte == '\r') {
    // The version has its form; only now is it known which one it is.
    if (!version_1_1_) status_ = 505;
    place_ = Place::kRequestLf;
  }
}

void RequestParser::take_line_start(std::uint8_t byte, std::size_t at) {
  if (byte == '\r') return go(true, Place::kEndLf);
  // RFC 9112 section 5.2: "A server that receives an obs-fold in a request message [...] MUST
  // either reject the message by sending a 400 (Bad Request) [...] or replace"; white space here
  // before the first header is to be rejected as well (section 2.2).
  if (!is(byte, kToken)) {
    status_ = 400;
  } else if (fields_.size() == config_.headers_max) {
    status_ = 431;
  } else {
    fields_.push_back({{at, at}, {at, at}});
    place_ = Place::kName;
  }
}

void RequestParser::build_head() {
  const std::string_view bytes = bytes_;
  const auto view = [bytes](Piece piece) {
    WS_CHECK(piece.begin <= piece.end);
    return bytes.substr(piece.begin, piece.end - piece.begin);
  };
  head_.method = view(method_);
  head_.target = view(target_);
  head_.headers.reserve(fields_.size());
  for (const Field& field : fields_) {
    head_.headers.push_back({view(field.name), view(field.value)});
  }
}

}  // namespace ws::proto
