#include "net/transport.h"

#include <algorithm>
#include <array>

#include "core/check.h"
#include "core/copy.h"

namespace ws::net {

namespace {

constexpr std::size_t kRecordBytes = 16 * 1024;  // the largest TLS record's plaintext
constexpr std::size_t kSealAheadBytes = 64 * 1024;

// A walk over the bytes of several parts, handing out runs that fill whole records.
class Gather {
 public:
  explicit Gather(std::span<const iovec> parts) : parts_(parts) {}

  // The next bytes, at most a record's worth; copied to `room` only when they span parts, so that a
  // frame's header does not become a record of its own.
  core::ConstBytes next(std::array<std::uint8_t, kRecordBytes>& room) {
    skip_empty();
    if (parts_.empty()) return {};
    const core::ConstBytes front = rest();
    if (parts_.size() == 1 || front.size() >= kRecordBytes) {
      return take(std::min(front.size(), kRecordBytes));
    }
    std::size_t filled = 0;
    while (filled < room.size() && !parts_.empty()) {
      const core::ConstBytes piece = take(std::min(rest().size(), room.size() - filled));
      core::copy_large(room.data() + filled, piece.data(), piece.size());
      filled += piece.size();
      skip_empty();
    }
    return {room.data(), filled};
  }

 private:
  core::ConstBytes rest() const {
    return core::ConstBytes(static_cast<const std::uint8_t*>(parts_[0].iov_base), parts_[0].iov_len)
        .subspan(used_);
  }
  core::ConstBytes take(std::size_t count) {
    const core::ConstBytes bytes = rest().first(count);
    used_ += count;
    return bytes;
  }
  void skip_empty() {
    while (!parts_.empty() && used_ == parts_[0].iov_len) {
      parts_ = parts_.subspan(1);
      used_ = 0;
    }
  }

  std::span<const iovec> parts_;
  std::size_t used_ = 0;  // of the first part
};

Transport::State after_read(const Transfer& got, std::size_t asked) {
  switch (got.state) {
    case Transfer::State::kEnd:
      return Transport::State::kEnd;
    case Transfer::State::kFailed:
      return Transport::State::kFailed;
    case Transfer::State::kBlocked:
      return Transport::State::kBlocked;
    case Transfer::State::kOk:
      break;
  }
  // A short read emptied the socket; whatever comes later makes an edge (epoll(7)).
  return got.bytes < asked ? Transport::State::kDrained : Transport::State::kOk;
}

}  // namespace

Transport::Input Transport::read(core::Bytes direct, Scratch& scratch) {
  if (session_) return read_sealed(direct, scratch);
  const core::Bytes spill = scratch.receive();
  const Transfer got = direct.empty() ? socket_.read(spill) : socket_.read(direct, spill);
  Input input;
  input.direct = std::min(got.bytes, direct.size());
  input.bytes = spill.first(got.bytes - input.direct);
  input.state = after_read(got, direct.size() + spill.size());
  return input;
}

Transport::Input Transport::read_sealed(core::Bytes direct, Scratch& scratch) {
  const core::Bytes ciphertext = scratch.receive();
  const Transfer got = socket_.read(ciphertext);
  Input input;
  input.state = after_read(got, ciphertext.size());
  session_->feed(ciphertext.first(got.bytes));
  if (handshaking() && session_->pending().capacity() == 0) {
    session_->pending() = scratch.pool.take(kRecordBytes);
  }

  tls::Session::Unsealed unsealed;
  if (!direct.empty()) {
    unsealed = session_->unseal(direct);
    input.direct = unsealed.bytes;
  }
  if (input.direct == direct.size() && unsealed.status == tls::Status::kOk) {
    const core::Bytes plain = scratch.plain();
    unsealed = session_->unseal(plain);
    // Room for everything fed plus a record in waiting: one call uses all of it up.
    WS_CHECK(unsealed.bytes < plain.size());
    input.bytes = plain.first(unsealed.bytes);
  }
  if (unsealed.status == tls::Status::kFailed) input.state = State::kFailed;
  if (unsealed.status == tls::Status::kClosed && input.state != State::kFailed) {
    input.state = State::kEnd;
  }
  return input;
}

Transport::Discarded Transport::discard(Scratch& scratch) {
  const Transfer got = socket_.read(scratch.receive());
  return {.bytes = got.bytes, .state = after_read(got, Scratch::kReceiveBytes)};
}

Transport::Output Transport::write(std::span<const iovec> parts, Scratch& scratch, Push push) {
  if (session_) return write_sealed(parts, scratch, push);
  const Transfer sent = socket_.write(parts, push);
  const bool failed = sent.state == Transfer::State::kFailed;
  return {.bytes = sent.bytes, .sent = sent.bytes, .failed = failed};
}

Transport::Output Transport::write_sealed(std::span<const iovec> parts, Scratch& scratch,
                                          Push push) {
  Output output;
  Gather gather(parts);
  std::array<std::uint8_t, kRecordBytes> room;
  core::Buffer& pending = session_->pending();
  for (;;) {
    // flush() gives it back.
    if (pending.capacity() == 0) pending = scratch.pool.take(2 * kSealAheadBytes);
    bool more = true;
    while (pending.size() < kSealAheadBytes && more) {
      const core::ConstBytes record = gather.next(room);
      more = !record.empty();
      output.failed = more && !session_->seal(record);
      if (output.failed) return output;
      output.bytes += record.size();
    }
    const Output flushed = flush(scratch, push);
    output.sent += flushed.sent;
    output.failed = flushed.failed;
    if (output.failed || !more || !pending.empty()) return output;
  }
}

Transport::Output Transport::flush(Scratch& scratch, Push push) {
  Output output;
  if (!session_) return output;
  core::Buffer& pending = session_->pending();
  if (!pending.empty()) {
    const iovec part{pending.data(), pending.size()};
    const Transfer sent = socket_.write({&part, 1}, push);
    output.sent = sent.bytes;
    output.failed = sent.state == Transfer::State::kFailed;
    if (output.failed) return output;
    pending.consume(sent.bytes);
  }
  if (pending.empty()) scratch.pool.give(pending);
  return output;
}

Transport::Ended Transport::finish(Scratch& scratch, Fin fin) {
  WS_CHECK(pending() == 0);
  if (session_) {
    session_->close_notify();
    if (flush(scratch, fin == Fin::kSend ? Push::kWithFin : Push::kNow).failed) {
      return Ended::kFailed;
    }
    if (pending() > 0) return Ended::kBlocked;
  }
  if (fin == Fin::kSend) socket_.shut_down_write();
  return Ended::kYes;
}

}  // namespace ws::net
