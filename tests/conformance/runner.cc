#include "tests/conformance/runner.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <thread>

namespace ws::test {
namespace {

constexpr int kFrameMs = 5'000;
constexpr int kBigFrameMs = 30'000;  // megabytes, through sanitizers, on a busy machine
// Well under the two seconds for which a server lingers: FIN comes when it has said all it had to
// say, not when it has heard all there was to hear.
constexpr int kEndMs = 1'500;

const char* name(Stream::Got got) {
  switch (got) {
    case Stream::Got::kData:
      return "data";
    case Stream::Got::kEof:
      return "FIN";
    case Stream::Got::kTruncated:
      return "an end without close_notify";
    case Stream::Got::kReset:
      return "RST";
    case Stream::Got::kTimeout:
      return "nothing in time";
  }
  return "?";
}

// For messages: the beginning, all but printable ASCII as hex.
std::string shown(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : bytes.substr(0, 60)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out.push_back(c);
    } else {
      out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out + "\" (" + std::to_string(bytes.size()) + " bytes)";
}

std::string shown(const ServerFrame& frame) {
  return "opcode " + std::to_string(frame.opcode) + (frame.packed ? " packed " : " ") +
         shown(frame.payload);
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

bool same(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

bool printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

// The elements without the white space around them, all but the first sorted.
std::vector<std::string> parts(std::string_view text, char separator) {
  std::vector<std::string> out;
  for (;;) {
    const std::size_t end = text.find(separator);
    out.emplace_back(trimmed(text.substr(0, end)));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  std::sort(out.begin() + 1, out.end());
  return out;
}

std::string parse_head(std::string_view head, Answer& out) {
  const std::size_t line_end = head.find("\r\n");
  const std::string_view line = head.substr(0, line_end);
  if (!line.starts_with("HTTP/1.1 ") || line.size() < 13 || line[12] != ' ') {
    return "bad status line " + shown(line);
  }
  std::from_chars(line.data() + 9, line.data() + 12, out.status);
  head.remove_prefix(line_end + 2);
  while (!head.empty()) {
    const std::size_t end = head.find("\r\n");
    const std::string_view field = head.substr(0, end);
    const std::size_t colon = field.find(':');
    if (colon == std::string_view::npos || colon == 0 || !printable(field)) {
      return "bad header line " + shown(field);
    }
    out.headers.emplace_back(field.substr(0, colon), trimmed(field.substr(colon + 1)));
    head.remove_prefix(end + 2);
  }
  return "";
}

}  // namespace

std::optional<std::string> Answer::header(std::string_view name) const {
  std::optional<std::string> out;
  for (const auto& [key, value] : headers) {
    if (same(key, name)) out = out ? *out + ", " + value : value;
  }
  return out;
}

bool Answer::has_token(std::string_view name, std::string_view token) const {
  const std::string all = header(name).value_or("");
  std::string_view list = all;
  for (;;) {
    const std::size_t comma = list.find(',');
    if (same(trimmed(list.substr(0, comma)), token)) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

std::string Client::play(const Case& c) {
  if (!c.raw) {
    const std::string wrong = upgrade();
    if (!wrong.empty()) return "upgrade: " + wrong;
  }
  return play(c.script());
}

std::string Client::upgrade(const Request& request) {
  return play(Script().sends(request.str()).upgraded());
}

std::string Client::play(const Script& script) {
  int number = 0;
  for (const Step& each : script.steps()) {
    ++number;
    const std::string wrong = step(each);
    if (!wrong.empty()) return "step " + std::to_string(number) + ": " + wrong;
  }
  return "";
}

std::string Client::step(const Step& step) {
  switch (step.kind) {
    case Step::Kind::kSend:
      return send(step);
    case Step::Kind::kWait:
      std::this_thread::sleep_for(std::chrono::milliseconds(step.ms));
      return "";
    case Step::Kind::kSilence:
      return expect_silence(step.ms);
    case Step::Kind::kFrame:
      return expect_frame(step);
    case Step::Kind::kClose:
      return expect_close(step);
    case Step::Kind::kAnswer:
      return expect_answer(step);
    case Step::Kind::kHalfClose:
      stream_.half_close();
      return "";
    case Step::Kind::kEof:
      return read_end(kEndMs);
    case Step::Kind::kGone:
      return expect_gone();
  }
  return "unknown step";
}

std::string Client::send(const Step& step) {
  const std::string_view bytes = step.bytes;
  std::vector<std::size_t> cuts = step.chop.at;
  for (std::size_t at = step.chop.piece; at != 0 && at < bytes.size(); at += step.chop.piece) {
    cuts.push_back(at);
  }
  cuts.push_back(bytes.size());
  std::size_t from = 0;
  for (const std::size_t to : cuts) {
    if (!stream_.write(bytes.substr(from, to - from))) {
      return "the connection broke while bytes " + std::to_string(from) + " to " +
             std::to_string(to) + " were sent";
    }
    from = to;
    // A cut at a chosen offset is meant to be seen by the server as two reads.
    if (!step.chop.at.empty() && to != bytes.size()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  return "";
}

std::string Client::fill(std::size_t bytes, int ms) {
  while (buffer_.size() < bytes) {
    const Stream::Got got = stream_.read(buffer_, ms);
    if (got != Stream::Got::kData) return name(got);
  }
  return "";
}

std::string Client::read_frame(ServerFrame& out, int ms) {
  std::string wrong = fill(2, ms);
  if (!wrong.empty()) return buffer_.empty() ? wrong : wrong + " after " + shown(buffer_);
  const auto byte0 = static_cast<unsigned char>(buffer_[0]);
  const auto byte1 = static_cast<unsigned char>(buffer_[1]);
  out.opcode = byte0 & 15;
  // RFC 7692 section 6: RSV1 is the "Per-Message Compressed" bit of data messages.
  out.packed = (byte0 & 0x40) != 0;
  const bool may_be_packed = inflating_ && (out.opcode == kText || out.opcode == kBinary);
  if ((byte0 & 0x30) != 0 || (out.packed && !may_be_packed) || (byte0 & 0x80) == 0 ||
      (byte1 & 0x80) != 0) {
    return "a frame with RSV bits, a mask or without FIN: " + shown(buffer_);
  }
  std::uint64_t length = byte1;
  const std::size_t length_bytes = length == 126 ? 2 : length == 127 ? 8 : 0;
  wrong = fill(2 + length_bytes, ms);
  if (!wrong.empty()) return wrong + " inside a frame header";
  if (length_bytes != 0) {
    length = big_endian(std::string_view(buffer_).substr(2, length_bytes));
    if (length < (length_bytes == 2 ? 126U : 65536U)) return "a length that is not minimal";
  }
  if (out.opcode >= 8 && length > 125) return "a control frame of more than 125 bytes";
  wrong = fill(2 + length_bytes + length, ms);
  if (!wrong.empty()) {
    return wrong + " with " + std::to_string(buffer_.size()) + " bytes of a frame of " +
           std::to_string(2 + length_bytes + length);
  }
  out.payload = buffer_.substr(2 + length_bytes, length);
  buffer_.erase(0, 2 + length_bytes + length);
  return out.packed ? inflate(out.payload) : "";
}

std::string Client::inflate(std::string& payload) {
  static deflate::Inflater inflater;
  constexpr std::size_t kMax = 2 * kLimits.message_bytes;
  core::Buffer out;
  inflater.start({reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()},
                 *inflating_);
  const deflate::InflateStatus status = inflater.step(out, kMax, kMax + 1);
  if (status != deflate::InflateStatus::kOk) {
    return "a message that does not inflate, status " + std::to_string(static_cast<int>(status)) +
           ": " + shown(payload);
  }
  payload.assign(reinterpret_cast<const char*>(out.data()), out.size());
  return "";
}

std::string Client::expect_frame(const Step& step) {
  const ServerFrame wanted{
      .opcode = step.opcode, .payload = step.bytes, .packed = step.packed.value_or(false)};
  ServerFrame got;
  const std::string wrong = read_frame(got, step.bytes.size() > 65536 ? kBigFrameMs : kFrameMs);
  if (!wrong.empty()) return "wanted " + shown(wanted) + ", got " + wrong;
  if (got.opcode == wanted.opcode && got.payload == wanted.payload &&
      got.packed == step.packed.value_or(got.packed)) {
    return "";
  }
  const auto differs = std::mismatch(got.payload.begin(), got.payload.end(), wanted.payload.begin(),
                                     wanted.payload.end());
  return "wanted " + shown(wanted) + ", got " + shown(got) + ", first difference at " +
         std::to_string(differs.first - got.payload.begin());
}

std::string Client::expect_close(const Step& step) {
  const std::string wanted =
      step.code == 0 ? "an empty Close" : "Close " + std::to_string(step.code);
  ServerFrame got;
  const std::string wrong = read_frame(got, kFrameMs);
  if (!wrong.empty()) return "wanted " + wanted + ", got " + wrong;
  if (got.opcode != kClose) return "wanted " + wanted + ", got " + shown(got);
  if (step.code == 0 && got.payload.empty()) return "";
  if (got.payload.size() < 2) return "wanted " + wanted + ", got a Close of " + shown(got.payload);
  const auto code = big_endian(std::string_view(got.payload).substr(0, 2));
  if (code != static_cast<std::uint64_t>(step.code)) {
    return "wanted " + wanted + ", got Close " + std::to_string(code);
  }
  if (!printable(std::string_view(got.payload).substr(2))) {
    return "a reason nobody can read: " + shown(got.payload);
  }
  return "";
}

std::string Client::read_answer(Answer& out, int ms, bool head_only) {
  std::size_t end = std::string::npos;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    const std::string wrong = fill(buffer_.size() + 1, ms);
    if (!wrong.empty()) return "wanted an HTTP answer, got " + wrong + " after " + shown(buffer_);
  }
  const std::string head = buffer_.substr(0, end + 2);
  buffer_.erase(0, end + 4);
  std::string wrong = parse_head(head, out);
  if (!wrong.empty() || out.status == 101) return wrong;
  const std::string announced = out.header("Content-Length").value_or("");
  std::size_t length = 0;
  const auto parsed =
      std::from_chars(announced.data(), announced.data() + announced.size(), length);
  if (announced.empty() || parsed.ptr != announced.data() + announced.size()) {
    return "Content-Length is " + shown(announced);
  }
  if (head_only) return "";
  wrong = fill(length, ms);
  if (!wrong.empty()) return wrong + " inside the body";
  out.body = buffer_.substr(0, length);
  buffer_.erase(0, length);
  return "";
}

std::string Client::expect_answer(const Step& step) {
  Answer answer;
  const std::string wrong = read_answer(answer, kFrameMs, step.head_only);
  if (!wrong.empty()) return wrong;
  if (answer.status != step.code) {
    return "wanted status " + std::to_string(step.code) + ", got " + std::to_string(answer.status) +
           " " + shown(answer.body);
  }
  std::string extensions;
  for (const auto& [name, value] : step.headers) {
    if (name == "Sec-WebSocket-Extensions") {
      extensions = value;
      continue;
    }
    const std::string got = answer.header(name).value_or("");
    const bool exact = name == "Sec-WebSocket-Accept";  // base64: case matters
    if (exact ? got != value : !answer.has_token(name, value)) {
      return "wanted " + name + ": " + value + ", got " + shown(got);
    }
  }
  if (answer.status != 101) return "";
  // "A server MUST NOT send a Content-Length header field in any response with a status code of
  // 1xx" (RFC 9110 8.6, and RFC 9112 6.1 for the other); and it may pick only what was offered and
  // what it speaks.
  for (const char* name : {"Content-Length", "Transfer-Encoding", "Sec-WebSocket-Protocol"}) {
    if (answer.header(name)) return std::string("a 101 with ") + name;
  }
  return judge_extensions(answer, extensions);
}

std::string Client::judge_extensions(const Answer& answer, std::string wanted) {
  const std::optional<std::string> got = answer.header("Sec-WebSocket-Extensions");
  if (wanted.empty() && !got) return "";
  const std::vector<std::string> agreed = parts(got.value_or(""), ';');
  if (agreed != parts(wanted, ';')) {
    return "wanted Sec-WebSocket-Extensions: " + wanted + ", got " + shown(got.value_or("none"));
  }
  bool takeover = true;
  unsigned window_bits = 15;
  for (const std::string_view parameter : agreed) {
    constexpr std::string_view kBits = "server_max_window_bits=";
    takeover &= parameter != "server_no_context_takeover";
    if (parameter.starts_with(kBits)) {
      std::from_chars(parameter.data() + kBits.size(), parameter.data() + parameter.size(),
                      window_bits);
    }
  }
  inflating_.emplace(window_bits, takeover);
  return "";
}

std::string Client::expect_silence(int ms) {
  if (!buffer_.empty()) return "wanted silence, got " + shown(buffer_);
  const Stream::Got got = stream_.read(buffer_, ms);
  if (got == Stream::Got::kTimeout) return "";
  return std::string("wanted silence, got ") + name(got) + " " + shown(buffer_);
}

std::string Client::read_end(int ms) {
  if (!buffer_.empty()) return "wanted FIN, got more: " + shown(buffer_);
  const Stream::Got got = stream_.read(buffer_, ms);
  if (got == Stream::Got::kEof) return "";
  return std::string("wanted FIN, got ") + name(got) + " " + shown(buffer_);
}

std::string Client::expect_gone() {
  buffer_.clear();
  Stream::Got got = Stream::Got::kData;
  while (got == Stream::Got::kData) got = stream_.read(buffer_, kEndMs);
  if (got == Stream::Got::kEof) return "";
  return std::string("wanted FIN in the end, got ") + name(got);
}

}  // namespace ws::test
