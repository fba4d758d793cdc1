#include "bench/echo_client.h"

#include <algorithm>

namespace ws::bench {
namespace {

constexpr std::uint8_t kFin = 0x80;
constexpr std::uint8_t kMaskBit = 0x80;
constexpr std::uint8_t kControlBit = 0x08;
constexpr std::uint8_t kContinuation = 0x0, kText = 0x1, kBinary = 0x2;
constexpr std::uint8_t kClose = 0x8, kPing = 0x9, kPong = 0xA;

// Frequent enough to see a broken echo at once, rare enough to cost nothing over a run.
constexpr std::uint64_t kVerifiedAtStart = 8;

// One write carries at most this much of a pipeline: far above what the kernel takes at once.
constexpr std::size_t kFramesBytesMax = 256 * 1024;

// A fixed key is fine for measuring: the server has to unmask all the same.
constexpr std::array<std::uint8_t, 4> kMaskKey = {0x37, 0xFA, 0x21, 0x3D};

void append_header(std::vector<std::uint8_t>& out, std::uint8_t opcode, std::uint64_t bytes,
                   std::uint8_t mask_bit) {
  out.push_back(kFin | opcode);
  // s5.2: 0-125 stand for themselves, 126 announces 16 bits, 127 announces 64 bits.
  int length_bytes = 0;
  if (bytes <= 125) {
    out.push_back(static_cast<std::uint8_t>(mask_bit | bytes));
  } else if (bytes <= 0xFFFF) {
    out.push_back(mask_bit | 126);
    length_bytes = 2;
  } else {
    out.push_back(mask_bit | 127);
    length_bytes = 8;
  }
  for (int i = length_bytes - 1; i >= 0; --i) {
    out.push_back(static_cast<std::uint8_t>(bytes >> (8 * i)));
  }
}

std::vector<std::uint8_t> client_frame(std::uint8_t opcode, std::span<const std::uint8_t> payload) {
  std::vector<std::uint8_t> out;
  append_header(out, opcode, payload.size(), kMaskBit);
  out.insert(out.end(), kMaskKey.begin(), kMaskKey.end());
  for (std::size_t i = 0; i < payload.size(); ++i) {
    out.push_back(payload[i] ^ kMaskKey[i % kMaskKey.size()]);
  }
  return out;
}

// Bytes without a short period, so that a shifted echo does not look right. Text stays in ASCII.
std::vector<std::uint8_t> make_payload(std::uint64_t bytes, bool text) {
  std::vector<std::uint8_t> out(bytes);
  std::uint32_t state = 0x9E3779B9;  // any non-zero seed of xorshift32 (Marsaglia: 13, 17, 5)
  for (std::uint8_t& byte : out) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    byte = static_cast<std::uint8_t>(text ? ' ' + (state >> 8) % 95 : state >> 8);
  }
  return out;
}

}  // namespace

Traffic make_traffic(const MessagePlan& plan) {
  Traffic traffic;
  traffic.opcode = plan.text ? kText : kBinary;
  traffic.raw = plan.raw;
  traffic.verified_messages = plan.verify_all ? UINT64_MAX : kVerifiedAtStart;
  traffic.reply = make_payload(plan.bytes, plan.text);
  const std::vector<std::uint8_t> frame = client_frame(traffic.opcode, traffic.reply);
  if (plan.raw) {
    traffic.reply = frame;
  } else {
    append_header(traffic.reply_header, traffic.opcode, plan.bytes, 0);
  }
  traffic.frame_bytes = frame.size();
  const std::size_t fitting = std::max<std::size_t>(kFramesBytesMax / frame.size(), 1);
  const std::size_t copies = std::min<std::size_t>(fitting, plan.pipelined);
  for (std::size_t i = 0; i < copies; ++i) {
    traffic.frames.insert(traffic.frames.end(), frame.begin(), frame.end());
  }
  return traffic;
}

std::uint64_t EchoReader::feed(std::span<const std::uint8_t> in) {
  std::uint64_t completed = 0;
  while (error_.empty()) {
    if (!in_payload_ && !read_header(in)) break;
    const std::size_t n =
        static_cast<std::size_t>(std::min<std::uint64_t>(payload_left_, in.size()));
    take_payload(in.first(n));
    in = in.subspan(n);
    if (payload_left_ > 0 || !error_.empty()) break;
    completed += end_frame() ? 1 : 0;
  }
  return completed;
}

// returns: false = more bytes needed, or error_ is set.
bool EchoReader::read_header(std::span<const std::uint8_t>& in) {
  if (in.empty()) return false;
  const std::vector<std::uint8_t>& expected = traffic_->reply_header;
  const bool at_start = header_bytes_ == 0 && !fragmented_;
  // The usual reply, a single frame, costs one comparison. A raw reply has no header at all.
  if (at_start && in.size() >= expected.size() &&
      std::equal(expected.begin(), expected.end(), in.begin())) {
    in = in.subspan(expected.size());
    payload_left_ = traffic_->reply.size();
    fin_ = true;
    control_ = false;
    in_payload_ = true;
    return true;
  }
  while (!in.empty()) {
    header_[header_bytes_++] = in.front();
    in = in.subspan(1);
    if (header_bytes_ < 2) continue;
    const std::size_t length_code = header_[1] & 0x7FU;
    const std::size_t needed = length_code == 126 ? 4 : length_code == 127 ? 10 : 2;
    if (header_bytes_ < needed) continue;
    std::uint64_t bytes = needed == 2 ? length_code : 0;
    for (std::size_t i = 2; i < needed; ++i) bytes = bytes << 8 | header_[i];
    return accept_header(bytes);
  }
  return false;
}

bool EchoReader::accept_header(std::uint64_t payload_bytes) {
  const std::uint8_t opcode = header_[0] & 0x0F;
  fin_ = (header_[0] & kFin) != 0;
  control_ = (opcode & kControlBit) != 0;
  const std::uint8_t wanted = fragmented_ ? kContinuation : traffic_->opcode;
  const std::uint64_t room = control_ ? 125 : traffic_->reply.size() - reply_offset_;
  if ((header_[0] & 0x70) != 0 || (header_[1] & kMaskBit) != 0) {
    error_ = "the server sent a frame with a reserved bit or a mask";
  } else if (control_ ? opcode > kPong || !fin_ : opcode != wanted) {
    error_ =
        "the server sent opcode " + std::to_string(opcode) + ", expected " + std::to_string(wanted);
  } else if (payload_bytes > room) {
    error_ = "the server sent a longer message than it got";
  }
  header_bytes_ = 0;
  control_payload_.clear();
  payload_left_ = payload_bytes;
  in_payload_ = error_.empty();
  return in_payload_;
}

void EchoReader::take_payload(std::span<const std::uint8_t> part) {
  payload_left_ -= part.size();
  if (control_) {
    control_payload_.insert(control_payload_.end(), part.begin(), part.end());
    return;
  }
  const auto offset = static_cast<std::ptrdiff_t>(reply_offset_);
  if (replies_ < traffic_->verified_messages &&
      !std::equal(part.begin(), part.end(), traffic_->reply.begin() + offset)) {
    error_ = "reply " + std::to_string(replies_ + 1) + " differs from what was sent";
  }
  reply_offset_ += part.size();
}

bool EchoReader::end_frame() {
  in_payload_ = false;
  if (control_) {
    if ((header_[0] & 0x0F) == kClose) fail_on_close();
    if ((header_[0] & 0x0F) == kPing) {
      ping_due = true;
      ping_payload = control_payload_;
    }
    return false;
  }
  fragmented_ = !fin_;
  if (fragmented_) return false;
  if (reply_offset_ < traffic_->reply.size()) {
    error_ = "the server sent a shorter message than it got";
    return false;
  }
  reply_offset_ = 0;
  ++replies_;
  return true;
}

void EchoReader::fail_on_close() {
  error_ = "the server sent Close without a code";
  if (control_payload_.size() < 2) return;
  const int code = control_payload_[0] << 8 | control_payload_[1];
  error_ = "the server sent Close " + std::to_string(code) + ' ';
  error_.append(control_payload_.begin() + 2, control_payload_.end());
}

EchoClient::EchoClient(const Url& url, const Traffic& traffic, const std::string& local_ip)
    : stream_(url, local_ip), reader_(traffic), traffic_(&traffic) {
  if (!traffic.raw) stream_.upgrade(url);
  stream_.set_nonblocking();
}

void EchoClient::owe(std::uint64_t messages) {
  in_flight_ += messages;
  owed_bytes_ += messages * traffic_->frame_bytes;
}

// A pong never cuts into a frame: it starts only when no message is due, and once started it goes
// first.
std::span<const std::uint8_t> EchoClient::next_output() {
  if (reader_.ping_due && pong_.empty() && owed_bytes_ == 0) {
    pong_ = client_frame(kPong, reader_.ping_payload);
    reader_.ping_due = false;
  }
  if (!pong_.empty()) return pong_;
  const std::span<const std::uint8_t> frames = traffic_->frames;
  return frames.subspan(frames_offset_,
                        std::min<std::size_t>(frames.size() - frames_offset_, owed_bytes_));
}

void EchoClient::written(std::size_t bytes) {
  if (!pong_.empty()) {
    pong_.erase(pong_.begin(), pong_.begin() + static_cast<std::ptrdiff_t>(bytes));
    return;
  }
  owed_bytes_ -= bytes;
  // At a frame boundary the next write starts at the front again and carries as many frames as fit.
  frames_offset_ = (frames_offset_ + bytes) % traffic_->frame_bytes;
}

bool EchoClient::flush() {
  for (auto out = next_output(); !out.empty(); out = next_output()) {
    const IoResult sent = stream_.write(out);
    if (sent.state == Io::kBlocked) return true;
    if (sent.state == Io::kEnded) {
      fail(stream_.end_reason());
      return false;
    }
    written(sent.bytes);
  }
  return true;
}

bool EchoClient::receive(std::span<std::uint8_t> scratch, bool hangup, std::uint64_t& replies) {
  while (true) {
    const IoResult got = stream_.read(scratch);
    if (got.state == Io::kBlocked) return true;
    if (got.state == Io::kEnded) {
      fail(stream_.end_reason());
      return false;
    }
    const std::uint64_t completed = reader_.feed(scratch.first(got.bytes));
    if (!reader_.error().empty() || completed > in_flight_) {
      fail(completed > in_flight_ ? "more messages came back than were sent" : reader_.error());
      return false;
    }
    in_flight_ -= completed;
    replies += completed;
    // A short read has emptied the socket and an edge will tell of more; TLS must be asked again.
    if (got.bytes < scratch.size() && !hangup && !stream_.tls()) return true;
  }
}

void EchoClient::say_goodbye() {
  if (traffic_->raw || owed_bytes_ > 0) return;
  const std::array<std::uint8_t, 2> normal_closure = {1000 >> 8, 1000 & 0xFF};
  (void)stream_.write(client_frame(kClose, normal_closure));
}

void EchoClient::fail(const std::string& why) {
  error_ = why;
}

}  // namespace ws::bench
