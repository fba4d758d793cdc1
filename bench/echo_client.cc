#include "bench/echo_client.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace ws::bench {
namespace {

// The frames of the ring refer to nothing before them, so they fit whatever was agreed on; what
// differs is the server's side.
constexpr std::string_view kOffer =
    "permessage-deflate; client_no_context_takeover; server_no_context_takeover";
constexpr std::string_view kTakeoverOffer = "permessage-deflate";

}  // namespace

void EchoReader::set_deflate(std::unique_ptr<proto::PermessageDeflate> deflate) {
  deflate_ = std::move(deflate);
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
  const std::vector<std::uint8_t>& expected = item().reply_header;
  const bool at_start = header_bytes_ == 0 && !fragmented_;
  // The usual reply, a single frame, costs one comparison. A raw reply has no header at all.
  if (at_start && in.size() >= expected.size() &&
      std::equal(expected.begin(), expected.end(), in.begin())) {
    in = in.subspan(expected.size());
    payload_left_ = item().reply.size();
    fin_ = true;
    control_ = compressed_ = false;
    in_payload_ = true;
    return true;
  }
  while (!in.empty()) {
    header_[header_bytes_++] = in.front();
    in = in.subspan(1);
    if (header_bytes_ < 2) continue;
    const std::size_t length_code = header_[1] & kLengthBits;
    const std::size_t needed = length_code == 126 ? 4 : length_code == 127 ? 10 : 2;
    if (header_bytes_ < needed) continue;
    std::uint64_t bytes = needed == 2 ? length_code : 0;
    for (std::size_t i = 2; i < needed; ++i) bytes = bytes << 8 | header_[i];
    // s5.2: "the minimal number of bytes MUST be used to encode the length".
    if ((needed == 4 && bytes <= 125) || (needed == 10 && bytes <= 0xFFFF)) {
      error_ = "the server sent a frame whose length has more bytes than it needs";
      return false;
    }
    return accept_header(bytes);
  }
  return false;
}

bool EchoReader::accept_header(std::uint64_t payload_bytes) {
  const std::uint8_t opcode = header_[0] & kOpcodeBits;
  const std::uint8_t rsv = header_[0] & kRsvBits;
  fin_ = (header_[0] & kFin) != 0;
  control_ = (opcode & kControlBit) != 0;
  // RFC 7692 s6: the bit stands on the first frame of a message.
  const bool may_compress = deflate_ != nullptr && !control_ && !fragmented_;
  if (!control_ && !fragmented_) compressed_ = may_compress && rsv == kRsv1;
  const std::uint8_t wanted = fragmented_ ? kContinuation : traffic_->opcode;
  // Compressed, a message grows by 5 bytes per stored block at most.
  const std::uint64_t room = control_      ? kControlPayloadBytesMax
                             : compressed_ ? item().reply.size() + item().reply.size() / 64 + 64
                                           : item().reply.size() - reply_offset_;
  if ((rsv != 0 && !(may_compress && rsv == kRsv1)) || (header_[1] & kMaskBit) != 0) {
    error_ = "the server sent a frame with a reserved bit or a mask";
  } else if (control_ ? opcode > kPong || !fin_ : opcode != wanted) {
    error_ = "the server sent a frame with opcode " + std::to_string(opcode);
  } else if (payload_bytes > room) {
    error_ = "the server sent a longer message than it got";
  } else {
    header_bytes_ = 0;
    payload_left_ = payload_bytes;
    if (control_) control_payload_.clear();
    in_payload_ = true;
  }
  return in_payload_;
}

void EchoReader::take_payload(std::span<const std::uint8_t> part) {
  payload_left_ -= part.size();
  if (control_) {
    control_payload_.insert(control_payload_.end(), part.begin(), part.end());
  } else if (compressed_) {
    compressed_payload_.insert(compressed_payload_.end(), part.begin(), part.end());
  } else {
    compare(part);
  }
}

void EchoReader::compare(std::span<const std::uint8_t> part) {
  const std::vector<std::uint8_t>& reply = item().reply;
  if (part.size() > reply.size() - reply_offset_) {
    error_ = "the server sent a longer message than it got";
  } else if (!std::equal(part.begin(), part.end(),
                         reply.begin() + static_cast<std::ptrdiff_t>(reply_offset_))) {
    error_ = "reply " + std::to_string(replies_ + 1) + " differs from what was sent";
  } else {
    reply_offset_ += part.size();
  }
}

bool EchoReader::inflate() {
  core::Buffer out;
  const std::size_t limit = item().reply.size();
  deflate_->begin_decode(compressed_payload_);
  const auto status = deflate_->step(out, limit, limit + 1);
  compressed_payload_.clear();
  if (status != deflate::InflateStatus::kOk) {
    error_ = "reply " + std::to_string(replies_ + 1) + " cannot be inflated";
    return false;
  }
  compare(out.bytes());
  return error_.empty();
}

bool EchoReader::end_frame() {
  in_payload_ = false;
  if (control_) {
    if ((header_[0] & kOpcodeBits) == kClose) fail_on_close();
    if ((header_[0] & kOpcodeBits) == kPing) {
      ping_due = true;
      ping_payload = control_payload_;
    }
    return false;
  }
  fragmented_ = !fin_;
  if (fragmented_ || (compressed_ && !inflate())) return false;
  if (reply_offset_ < item().reply.size()) {
    error_ = "the server sent a shorter message than it got";
    return false;
  }
  reply_offset_ = 0;
  item_ = item_ + 1 == traffic_->items.size() ? 0 : item_ + 1;
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

EchoClient::EchoClient(const ClientPlan& plan, const std::string& local_ip)
    : stream_(*plan.url, local_ip), reader_(*plan.traffic), traffic_(plan.traffic) {
  if (plan.deflate != Deflate::kOff) {
    agree_on_deflate(plan);
  } else if (!plan.url->raw) {
    (void)stream_.upgrade(*plan.url);
  }
  stream_.set_nonblocking();
}

void EchoClient::agree_on_deflate(const ClientPlan& plan) {
  const bool takeover = plan.deflate == Deflate::kTakeover;
  const DeflateOptions options{.mode = takeover ? DeflateMode::kTakeover : DeflateMode::kOn};
  const std::string answer = stream_.upgrade(*plan.url, takeover ? kTakeoverOffer : kOffer);
  const auto agreed = proto::read_deflate_answer(answer, options);
  if (!agreed) {
    throw std::runtime_error(answer.empty() ? "the server declines permessage-deflate"
                                            : "the server's answer is no good: " + answer);
  }
  reader_.set_deflate(std::make_unique<proto::PermessageDeflate>(*plan.engine, proto::Role::kClient,
                                                                 *agreed, options));
}

void EchoClient::owe(std::uint64_t messages) {
  in_flight_ += messages;
  for (; messages > 0; --messages) {
    owed_bytes_ += traffic_->items[next_item_].frame_bytes;
    next_item_ = next_item_ + 1 == traffic_->items.size() ? 0 : next_item_ + 1;
  }
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
  return frames.subspan(frames_offset_, std::min(traffic_->ring_bytes, owed_bytes_));
}

void EchoClient::written(std::size_t bytes) {
  if (!pong_.empty()) {
    pong_.erase(pong_.begin(), pong_.begin() + static_cast<std::ptrdiff_t>(bytes));
    return;
  }
  owed_bytes_ -= bytes;
  frames_offset_ = (frames_offset_ + bytes) % traffic_->ring_bytes;
}

bool EchoClient::flush() {
  (void)stream_.flush();
  for (auto out = next_output(); !out.empty(); out = next_output()) {
    const IoResult sent = stream_.write(out);
    if (sent.state == Io::kBlocked) return true;
    if (sent.state == Io::kEnded) {
      error_ = stream_.end_reason();
      return false;
    }
    written(sent.bytes);
  }
  return true;
}

bool EchoClient::receive(std::span<std::uint8_t> scratch, bool hangup, std::uint64_t& replies,
                         std::size_t bytes_max) {
  for (std::size_t bytes = 0; bytes < bytes_max;) {
    const IoResult got = stream_.read(scratch);
    if (got.state == Io::kBlocked) return true;
    if (got.state == Io::kEnded) {
      error_ = stream_.end_reason();
      return false;
    }
    bytes += got.bytes;
    const std::uint64_t completed = reader_.feed(scratch.first(got.bytes));
    if (!reader_.error().empty() || completed > in_flight_) {
      error_ = completed > in_flight_ ? "more messages came back than were sent" : reader_.error();
      return false;
    }
    in_flight_ -= completed;
    replies += completed;
    // A short read has emptied the socket and an edge will tell of more; TLS must be asked again.
    if (got.bytes < scratch.size() && !hangup && !stream_.tls()) return true;
  }
  return true;
}

void EchoClient::say_goodbye() {
  if (traffic_->raw || owed_bytes_ > 0) return;
  const std::array<std::uint8_t, 2> normal_closure = {1000 >> 8, 1000 & 0xFF};
  (void)stream_.write(client_frame(kClose, normal_closure));
}

}  // namespace ws::bench
