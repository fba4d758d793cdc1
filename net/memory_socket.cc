#include "net/memory_socket.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/reactor.h"
#include "net/socket.h"

namespace ws::net {
namespace {

using Handle = MemorySockets::Handle;

struct End {
  Handle peer = 0;  // 0: closed
  const void* owner = nullptr;
  core::Id id{};
  core::Buffer inbox;  // written by the peer
  std::size_t pipe_bytes = 0;
  std::uint32_t wake = 0;     // of the edge that is due
  bool fin = false;           // follows the inbox
  bool reset = false;         // instead of what is in it
  bool writer_waits = false;  // the peer found no room in it
  bool abort_on_close = false;
};

struct Table {
  std::vector<std::unique_ptr<End>> ends{1};  // by handle
  std::deque<Handle> due;                     // ends with an edge
};

Table& table() {
  thread_local Table ends_of_this_thread;
  return ends_of_this_thread;
}

End& end_of(Handle handle) {
  Table& all = table();
  WS_CHECK(handle < all.ends.size() && all.ends[handle] != nullptr);
  return *all.ends[handle];
}

End* peer_of(const End& end) {
  return end.peer == 0 ? nullptr : table().ends[end.peer].get();
}

void raise(Handle handle, std::uint32_t wake) {
  End& end = end_of(handle);
  if (end.wake == 0 && end.id.generation != 0) table().due.push_back(handle);
  end.wake |= wake;
}

Handle add_end(std::size_t pipe_bytes) {
  Table& all = table();
  all.ends.push_back(std::make_unique<End>());
  all.ends.back()->pipe_bytes = pipe_bytes;
  return static_cast<Handle>(all.ends.size() - 1);
}

}  // namespace

std::pair<Handle, Handle> MemorySockets::connect(std::size_t pipe_bytes) {
  const Handle a = add_end(pipe_bytes);
  const Handle b = add_end(pipe_bytes);
  end_of(a).peer = b;
  end_of(b).peer = a;
  return {a, b};
}

Transfer MemorySockets::read(Handle handle, core::Bytes first, core::Bytes second) {
  End& end = end_of(handle);
  if (end.reset) return {.bytes = 0, .state = Transfer::State::kFailed};
  if (end.inbox.empty()) {
    return {.bytes = 0, .state = end.fin ? Transfer::State::kEnd : Transfer::State::kBlocked};
  }
  std::size_t moved = 0;
  for (const core::Bytes into : {first, second}) {
    const core::ConstBytes from = end.inbox.bytes().first(std::min(into.size(), end.inbox.size()));
    std::copy(from.begin(), from.end(), into.begin());
    moved += from.size();
    end.inbox.consume(from.size());
  }
  if (end.writer_waits && end.peer != 0) {
    end.writer_waits = false;
    raise(end.peer, core::kWritable);
  }
  return {.bytes = moved, .state = Transfer::State::kOk};
}

Transfer MemorySockets::write(Handle handle, std::span<const iovec> parts) {
  const End& end = end_of(handle);
  End* peer = peer_of(end);
  if (end.reset || peer == nullptr || peer->fin)
    return {.bytes = 0, .state = Transfer::State::kFailed};
  std::size_t moved = 0;
  bool fits = true;
  for (const iovec& part : parts) {
    const std::size_t room = peer->pipe_bytes - std::min(peer->pipe_bytes, peer->inbox.size());
    const std::size_t count = std::min(room, part.iov_len);
    peer->inbox.append({static_cast<const std::uint8_t*>(part.iov_base), count});
    moved += count;
    fits = count == part.iov_len;
    if (!fits) break;
  }
  if (moved > 0) raise(end.peer, core::kReadable);
  if (!fits) peer->writer_waits = true;
  return {.bytes = moved, .state = fits ? Transfer::State::kOk : Transfer::State::kBlocked};
}

void MemorySockets::shut_down_write(Handle handle) {
  const End& end = end_of(handle);
  End* peer = peer_of(end);
  if (peer == nullptr || peer->fin) return;
  peer->fin = true;
  raise(end.peer, core::kReadable | core::kHangup);
}

void MemorySockets::abort_on_close(Handle handle) {
  end_of(handle).abort_on_close = true;
}

// As of a TCP socket: closing with unread input, or while aborting, resets. The peer may write, and
// learns that it fails (as EPOLLOUT comes with EPOLLHUP).
void MemorySockets::close(Handle handle) {
  End& end = end_of(handle);
  if (End* peer = peer_of(end)) {
    const bool resets = end.abort_on_close || !end.inbox.empty();
    peer->peer = 0;
    if (resets) peer->reset = true;
    peer->fin = true;
    raise(end.peer, core::kReadable | core::kWritable | core::kHangup);
  }
  Table& all = table();
  std::erase(all.due, handle);
  all.ends[handle] = nullptr;
  while (all.ends.size() > 1 && all.ends.back() == nullptr) all.ends.pop_back();
}

void MemorySockets::watch(Handle handle, const void* owner, core::Id id) {
  End& end = end_of(handle);
  WS_CHECK(end.id.generation == 0);
  end.owner = owner;
  end.id = id;
  const std::uint32_t missed = std::exchange(end.wake, 0);
  raise(handle, missed | core::kWritable);
}

MemorySockets::Edge MemorySockets::take_edge(const void* owner) {
  Table& all = table();
  const auto is_theirs = [&](Handle handle) { return end_of(handle).owner == owner; };
  const auto next = std::find_if(all.due.begin(), all.due.end(), is_theirs);
  if (next == all.due.end()) return {.id = {}, .wake = 0};
  End& end = end_of(*next);
  all.due.erase(next);
  return {.id = end.id, .wake = std::exchange(end.wake, 0)};
}

}  // namespace ws::net
