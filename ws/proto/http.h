// Internal. The head of an HTTP/1.1 request (RFC 9112), parsed as it arrives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ws::proto {

struct Header {
  std::string_view name;   // as it came; compare with equals_ignore_case()
  std::string_view value;  // without the white space around it
};

// Views into the parser that made it: valid as long as that lives.
struct RequestHead {
  std::string_view method;
  std::string_view target;  // as it came
  std::vector<Header> headers;

  // The value of a header that may come once; nullopt when it is absent or repeated.
  std::optional<std::string_view> header(std::string_view name) const;
  std::size_t count(std::string_view name) const;
};

// Parses one request head and is then done with. in: any split; each byte is looked at once.
// thread: one. cost: memory grows with bytes received, up to the limit.
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

  enum class State : std::uint8_t { kMore, kComplete, kRefused };
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

 private:
  // What the next byte belongs to. kTarget to kRequestLf: the target has begun, the line not ended.
  enum class Place : std::uint8_t {
    kStart,        // the first byte: an empty line's CR, or the method
    kEmptyLineLf,  // the LF of an empty line before the request
    kMethodStart,
    kMethod,
    kTarget,
    kVersion,  // "HTTP/1.1" and its CR
    kRequestLf,
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
  bool ended() const { return status_ != 0 || place_ == Place::kEnd; }
  Step outcome(std::size_t consumed) const;
  void take(std::uint8_t byte, std::size_t at);
  void take_version(std::uint8_t byte, std::size_t at);
  void take_line_start(std::uint8_t byte, std::size_t at);
  void go(bool allowed, Place next);
  void build_head();

  Config config_;
  std::string bytes_;
  Place place_ = Place::kStart;
  int status_ = 0;  // of the refusal; 0 while there is none
  Piece method_;
  Piece target_;
  bool version_1_1_ = true;
  std::vector<Field> fields_;
  RequestHead head_;
};

// ASCII letters compare without case, every other byte as it is.
bool equals_ignore_case(std::string_view a, std::string_view b);
// Whether `text` is a token of RFC 9110 section 5.6.2: one or more letters, digits, !#$%&'*+-.^_`|~
bool is_token(std::string_view text);
// Without the optional white space (SP, HTAB) at both ends.
std::string_view trim_blanks(std::string_view text);
// Cuts the next element off a comma-separated list (RFC 9110 section 5.6.1), white space trimmed;
// "" for an empty element. The list is at its end when `rest` is empty.
std::string_view next_list_element(std::string_view& rest);
// extension-token *( ";" token [ "=" ( token / quoted-string ) ] ), with white space between any
// two of them: RFC 6455 section 9.1 uses RFC 2616's ABNF, which implies it.
struct Extension {
  struct Parameter {
    std::string_view name;
    std::optional<std::string> value;  // unquoted; nullopt when there is none
  };
  std::string_view name;
  std::vector<Parameter> parameters;
};
// nullopt: `element`, of a list of extensions, is malformed. valid until: `element` is.
std::optional<Extension> parse_extension(std::string_view element);
// Whether the list made of all headers of that name has `token`, case ignored.
bool list_has_token(const RequestHead& head, std::string_view name, std::string_view token);

}  // namespace ws::proto
