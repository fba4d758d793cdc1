// Peer: libwebsockets, as its minimal examples do it, with larger buffers. Usage: PORT [CERT KEY]
#include <libwebsockets.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <set>
#include <string_view>
#include <vector>

namespace {

// One of these per receive call, so they decide how many calls a large message takes. The library's
// own default of 4 KiB is for small devices.
constexpr std::size_t kBufferBytes = 64 * 1024;
// Beyond it the peer has to read first.
constexpr std::size_t kQueueMax = 1024;
constexpr rlim_t kDescriptorsMax = 16'000;

// A frame as it goes out: LWS_PRE bytes are the library's, for the header.
struct Frame {
  std::vector<std::uint8_t> bytes;
  int flags;
};

struct Session {
  lws* wsi = nullptr;
  bool publisher = false;
  std::deque<std::shared_ptr<Frame>> out;
};

// Those on /subscribe: what comes in on /publish goes to all of them.
std::set<Session*> subscribers;

std::shared_ptr<Frame> make_frame(lws* wsi, const void* in, std::size_t bytes) {
  auto frame = std::make_shared<Frame>();
  const auto* const first = static_cast<const std::uint8_t*>(in);
  frame->bytes.reserve(LWS_PRE + bytes);
  frame->bytes.resize(LWS_PRE);
  frame->bytes.insert(frame->bytes.end(), first, first + bytes);
  frame->flags =
      lws_write_ws_flags(lws_frame_is_binary(wsi) != 0 ? LWS_WRITE_BINARY : LWS_WRITE_TEXT,
                         lws_is_first_fragment(wsi), lws_is_final_fragment(wsi));
  return frame;
}

void queue(Session& session, const std::shared_ptr<Frame>& frame) {
  session.out.push_back(frame);
  if (session.out.size() == kQueueMax) lws_rx_flow_control(session.wsi, 0);
  lws_callback_on_writable(session.wsi);
}

// One write per callback is the rule; more are allowed while the socket takes them.
int write_queued(Session& session) {
  while (!session.out.empty() && lws_send_pipe_choked(session.wsi) == 0) {
    Frame& frame = *session.out.front();
    const std::size_t bytes = frame.bytes.size() - LWS_PRE;
    const auto flags = static_cast<lws_write_protocol>(frame.flags);
    if (lws_write(session.wsi, frame.bytes.data() + LWS_PRE, bytes, flags) < 0) return -1;
    session.out.pop_front();
    if (session.out.size() == kQueueMax / 2) lws_rx_flow_control(session.wsi, 1);
  }
  if (!session.out.empty()) lws_callback_on_writable(session.wsi);
  return 0;
}

int on_event(lws* wsi, lws_callback_reasons reason, void* user, void* in, std::size_t bytes) {
  auto* const memory = static_cast<Session**>(user);
  switch (reason) {
    case LWS_CALLBACK_ESTABLISHED: {
      char path[64] = "";
      lws_hdr_copy(wsi, path, sizeof path, WSI_TOKEN_GET_URI);
      *memory =
          new Session{.wsi = wsi, .publisher = std::string_view(path) == "/publish", .out = {}};
      if (std::string_view(path) == "/subscribe") subscribers.insert(*memory);
      return 0;
    }
    case LWS_CALLBACK_RECEIVE: {
      const auto frame = make_frame(wsi, in, bytes);
      if (!(*memory)->publisher) {
        queue(**memory, frame);
      } else {
        for (Session* const subscriber : subscribers) queue(*subscriber, frame);
      }
      return 0;
    }
    case LWS_CALLBACK_SERVER_WRITEABLE:
      return write_queued(**memory);
    case LWS_CALLBACK_CLOSED:
      subscribers.erase(*memory);
      delete *memory;
      return 0;
    default:
      return 0;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 4)
    return std::fputs("usage: libwebsockets PORT [CERT KEY]\n", stderr), 2;
  lws_set_log_level(LLL_ERR, nullptr);
  const lws_protocols protocols[] = {
      {"echo", on_event, sizeof(Session*), kBufferBytes, 0, nullptr, 0},
      {nullptr, nullptr, 0, 0, 0, nullptr, 0}};
  lws_context_creation_info info{};
  info.port = std::atoi(argv[1]);
  info.iface = "lo";
  info.protocols = protocols;
  info.pt_serv_buf_size = kBufferBytes;
  // Its arrays are as large as this limit. With fd_limit_per_thread instead, each event looks for
  // its connection among all of them.
  rlimit descriptors{};
  getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = std::min(descriptors.rlim_max, kDescriptorsMax);
  setrlimit(RLIMIT_NOFILE, &descriptors);
  // Text is checked, as by the others; epoll by way of libev, as poll() collapses among 10,000 idle
  // connections.
  info.options = LWS_SERVER_OPTION_VALIDATE_UTF8 | LWS_SERVER_OPTION_LIBEV;
  if (argc == 4) {
    info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.ssl_cert_filepath = argv[2];
    info.ssl_private_key_filepath = argv[3];
  }
  lws_context* const context = lws_create_context(&info);
  if (context == nullptr) return 1;
  while (lws_service(context, 0) >= 0) {
  }
}
