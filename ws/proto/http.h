// Public. The heads of HTTP/1.1 messages (RFC 9112) and the syntax of what is in them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ws/proto/extension.h"
#include "ws/proto/header.h"

namespace ws::proto {

// What requests and responses share. Views into the parser that made it: valid as long as that
// lives.
struct Head {
  std::vector<Header> headers;

  // The value of a header that may come once; nullopt when it is absent or repeated.
  std::optional<std::string_view> header(std::string_view name) const;
  std::size_t count(std::string_view name) const;
};

struct RequestHead : Head {
  std::string_view method;
  std::string_view target;  // as it came
};

// RFC 9112 section 4: "A client SHOULD ignore the reason-phrase content", so it is not kept.
struct ResponseHead : Head {
  int status = 0;        // 100 to 999
  bool http_1_1 = true;  // false: HTTP/1.0
};

// The phrase of RFC 9110 section 15; "" for a status that has none here.
std::string_view reason_phrase(int status);

// ASCII letters compare without case, every other byte as it is.
bool equals_ignore_case(std::string_view a, std::string_view b);
// Whether `text` is a token of RFC 9110 section 5.6.2: one or more letters, digits, !#$%&'*+-.^_`|~
bool is_token(std::string_view text);
// Without the optional white space (SP, HTAB) at both ends.
std::string_view trim_blanks(std::string_view text);
// For a line a person reads: each byte but the space and ASCII's visible ones becomes '?', and a
// text above 200 bytes is cut.
std::string printable(std::string_view text);

// Cuts the next element off a comma-separated list (RFC 9110 section 5.6.1), white space trimmed;
// "" for an empty element. The list is at its end when `rest` is empty.
std::string_view next_list_element(std::string_view& rest);
// The elements of the list made of all headers of that name, without the empty ones: RFC 9110
// section 5.6.1.2, "A recipient MUST parse and ignore a reasonable number of empty list elements";
// the size of the head bounds them here.
std::vector<std::string_view> list_elements(const Head& head, std::string_view name);
// Whether that list has `token`, case ignored.
bool list_has_token(const Head& head, std::string_view name, std::string_view token);

// extension-token *( ";" token [ "=" ( token / quoted-string ) ] ), with white space between any
// two of them: RFC 6455 section 9.1 uses RFC 2616's ABNF, which implies it.
struct ExtensionElement {
  std::string_view name;
  std::vector<ExtensionParameter> parameters;
};
// nullopt: `element`, of a list of extensions, is malformed. valid until: `element` is.
std::optional<ExtensionElement> parse_extension(std::string_view element);

}  // namespace ws::proto
