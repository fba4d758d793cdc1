#include "ws/proto/http.h"

#include <algorithm>
#include <cstdint>

#include "ws/proto/http_bytes.h"

namespace ws::proto {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

struct StatusName {
  int status;
  std::string_view phrase;
};
// RFC 9110 section 15; 429 and 431: RFC 6585.
constexpr StatusName kStatusNames[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {414, "URI Too Long"},
    {421, "Misdirected Request"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

}  // namespace

std::optional<std::string_view> Head::header(std::string_view name) const {
  std::optional<std::string_view> found;
  for (const Header& header : headers) {
    if (!equals_ignore_case(header.name, name)) continue;
    if (found) return std::nullopt;
    found = header.value;
  }
  return found;
}

std::size_t Head::count(std::string_view name) const {
  return static_cast<std::size_t>(std::count_if(
      headers.begin(), headers.end(),
      [name](const Header& header) { return equals_ignore_case(header.name, name); }));
}

std::string_view reason_phrase(int status) {
  for (const StatusName& name : kStatusNames) {
    if (name.status == status) return name.phrase;
  }
  return "";
}

bool equals_ignore_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  // Most peers spell names as the RFCs do.
  return a == b || std::equal(a.begin(), a.end(), b.begin(),
                              [](char left, char right) { return lower(left) == lower(right); });
}

bool is_token(std::string_view text) {
  return !text.empty() && all_bytes_of(kTokenByte, text);
}

std::string_view trim_blanks(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  const std::size_t last = text.find_last_not_of(" \t");
  return last == std::string_view::npos ? std::string_view() : text.substr(begin, last + 1 - begin);
}

std::string printable(std::string_view text) {
  static constexpr std::size_t kBytesMax = 200;
  std::string line(text.substr(0, kBytesMax));
  for (char& c : line) {
    if (c != ' ' && !is_byte_of(kVisibleByte, static_cast<std::uint8_t>(c))) c = '?';
  }
  return text.size() > kBytesMax ? line + "..." : line;
}

std::string_view next_list_element(std::string_view& rest) {
  const std::size_t comma = rest.find(',');
  const std::string_view element = trim_blanks(rest.substr(0, comma));
  rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  return element;
}

std::vector<std::string_view> list_elements(const Head& head, std::string_view name) {
  std::vector<std::string_view> elements;
  for (const Header& header : head.headers) {
    if (!equals_ignore_case(header.name, name)) continue;
    std::string_view rest = header.value;
    while (!rest.empty()) {
      const std::string_view element = next_list_element(rest);
      if (!element.empty()) elements.push_back(element);
    }
  }
  return elements;
}

bool list_has_token(const Head& head, std::string_view name, std::string_view token) {
  for (const Header& header : head.headers) {
    if (!equals_ignore_case(header.name, name)) continue;
    std::string_view rest = header.value;
    while (!rest.empty()) {
      if (equals_ignore_case(next_list_element(rest), token)) return true;
    }
  }
  return false;
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

std::optional<ExtensionElement> parse_extension(std::string_view element) {
  std::size_t semicolon = element.find(';');
  ExtensionElement extension{.name = trim_blanks(element.substr(0, semicolon)), .parameters = {}};
  if (!is_token(extension.name)) return std::nullopt;
  while (semicolon != std::string_view::npos) {
    element.remove_prefix(semicolon + 1);
    semicolon = element.find(';');
    const std::string_view text = element.substr(0, semicolon);
    const std::size_t equals = text.find('=');
    ExtensionParameter parameter{.name = trim_blanks(text.substr(0, equals)), .value = {}};
    if (!is_token(parameter.name)) return std::nullopt;
    if (equals != std::string_view::npos) {
      parameter.value = parse_parameter_value(trim_blanks(text.substr(equals + 1)));
      if (!parameter.value) return std::nullopt;
    }
    extension.parameters.push_back(std::move(parameter));
  }
  return extension;
}

}  // namespace ws::proto
