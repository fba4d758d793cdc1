#include "tests/conformance/conformance.h"

namespace ws::test {

Script& Script::sends(std::string bytes, Chop chop) {
  steps_.push_back({.kind = Step::Kind::kSend, .bytes = std::move(bytes), .chop = std::move(chop)});
  return *this;
}

Script& Script::waits(int ms) {
  steps_.push_back({.kind = Step::Kind::kWait, .ms = ms});
  return *this;
}

Script& Script::silent(int ms) {
  steps_.push_back({.kind = Step::Kind::kSilence, .ms = ms});
  return *this;
}

Script& Script::gets(Op opcode, std::string payload) {
  steps_.push_back({.kind = Step::Kind::kFrame, .bytes = std::move(payload), .opcode = opcode});
  return *this;
}

Script& Script::gets_packed(Op opcode, std::string payload) {
  gets(opcode, std::move(payload));
  steps_.back().packed = true;
  return *this;
}

Script& Script::gets_any(Op opcode, std::string payload) {
  gets(opcode, std::move(payload));
  steps_.back().packed = std::nullopt;
  return *this;
}

Script& Script::gets_close(int code) {
  steps_.push_back({.kind = Step::Kind::kClose, .code = code});
  return *this;
}

Script& Script::upgraded(std::string extension) {
  steps_.push_back({.kind = Step::Kind::kAnswer,
                    .code = 101,
                    .headers = {{"Upgrade", "websocket"},
                                {"Connection", "Upgrade"},
                                {"Sec-WebSocket-Accept", std::string(kAccept)}}});
  if (!extension.empty()) {
    steps_.back().headers.emplace_back("Sec-WebSocket-Extensions", std::move(extension));
  }
  return *this;
}

Script& Script::half_closes() {
  steps_.push_back({.kind = Step::Kind::kHalfClose});
  return *this;
}

Script& Script::eof() {
  steps_.push_back({.kind = Step::Kind::kEof});
  return *this;
}

Script& Script::bye(int code) {
  return sends(close(code)).closed(code);
}

Script& Script::closed(int code) {
  return gets_close(code).eof();
}

Script& Script::fails(int code) {
  return gets_close(code).eof();
}

Script& Script::gone() {
  steps_.push_back({.kind = Step::Kind::kGone});
  return *this;
}

Script& Script::refused(int status, std::vector<std::pair<std::string, std::string>> headers,
                        bool head_only) {
  headers.emplace_back("Connection", "close");
  steps_.push_back({.kind = Step::Kind::kAnswer,
                    .code = status,
                    .headers = std::move(headers),
                    .head_only = head_only});
  return eof();
}

void add(Cases& cases, std::string id, Script script) {
  add_lazy(cases, std::move(id), [script = std::move(script)] { return script; });
}

void add_lazy(Cases& cases, std::string id, std::function<Script()> script) {
  cases.push_back({.id = std::move(id), .script = std::move(script)});
}

void add_raw(Cases& cases, std::string id, Script script) {
  add_socket_only(cases, std::move(id), std::move(script));
  cases.back().raw = true;
}

void add_socket_only(Cases& cases, std::string id, Script script) {
  add(cases, std::move(id), std::move(script));
  cases.back().socket_only = true;
}

namespace {

void append_big_endian(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>((value >> shift) & 0xff));
  }
}

int shortest_form(std::uint64_t length) {
  if (length < 126) return 7;
  return length < 65536 ? 16 : 64;
}

bool names_header(std::string_view line, std::string_view name) {
  return line.size() > name.size() && line[name.size()] == ':' && line.starts_with(name);
}

}  // namespace

std::string frame(const FrameSpec& spec, std::string_view payload) {
  const std::uint64_t length = spec.announced.value_or(payload.size());
  const int form = spec.length_form != 0 ? spec.length_form : shortest_form(length);
  const unsigned mask_bit = spec.masked ? 0x80 : 0;
  std::string out;
  out.reserve(payload.size() + 14);
  out.push_back(static_cast<char>((spec.fin ? 0x80 : 0) | (spec.rsv << 4) | spec.opcode));
  if (form == 7) {
    out.push_back(static_cast<char>(mask_bit | length));
  } else {
    out.push_back(static_cast<char>(mask_bit | (form == 16 ? 126U : 127U)));
    append_big_endian(out, length, form / 8);
  }
  if (!spec.masked) return out.append(payload);
  const std::size_t key_at = out.size();
  append_big_endian(out, spec.mask, 4);
  const std::string key = out.substr(key_at);
  const std::size_t payload_at = out.size();
  out.append(payload);
  for (std::size_t i = 0; i < payload.size(); ++i) {
    out[payload_at + i] = static_cast<char>(out[payload_at + i] ^ key[i % 4]);
  }
  return out;
}

std::string text(std::string_view payload) {
  return frame({.opcode = kText}, payload);
}
std::string binary(std::string_view payload) {
  return frame({.opcode = kBinary}, payload);
}
std::string ping(std::string_view payload) {
  return frame({.opcode = kPing}, payload);
}
std::string pong(std::string_view payload) {
  return frame({.opcode = kPong}, payload);
}

std::string close(int code, std::string_view reason) {
  std::string body;
  append_big_endian(body, static_cast<std::uint64_t>(code), 2);
  return close_raw(body.append(reason));
}

std::string close_raw(std::string_view body) {
  return frame({.opcode = kClose}, body);
}

std::string first(Op opcode, std::string_view payload) {
  return frame({.opcode = opcode, .fin = false}, payload);
}

std::string middle(std::string_view payload) {
  return first(kContinuation, payload);
}
std::string last(std::string_view payload) {
  return frame({.opcode = kContinuation}, payload);
}

std::string fragmented(Op opcode, std::string_view payload, std::size_t fragment_bytes) {
  std::string out;
  Op next = opcode;
  while (payload.size() >= fragment_bytes) {
    out += first(next, payload.substr(0, fragment_bytes));
    payload.remove_prefix(fragment_bytes);
    next = kContinuation;
  }
  return out + frame({.opcode = next}, payload);
}

std::string repeat(std::string_view unit, std::size_t bytes) {
  std::string out;
  out.reserve(bytes + unit.size());
  while (out.size() < bytes) out.append(unit);
  out.resize(bytes);
  return out;
}

Request& Request::with(std::string header) {
  headers.push_back(std::move(header));
  return *this;
}

Request& Request::without(std::string_view name) {
  std::erase_if(headers, [name](const std::string& each) { return names_header(each, name); });
  return *this;
}

Request& Request::instead(std::string header) {
  const std::string_view name = std::string_view(header).substr(0, header.find(':'));
  for (std::string& each : headers) {
    if (names_header(each, name)) {
      each = std::move(header);
      break;
    }
  }
  return *this;
}

std::string Request::str() const {
  std::string out = line + "\r\n";
  for (const std::string& header : headers) out += header + "\r\n";
  return out + "\r\n";
}

}  // namespace ws::test
