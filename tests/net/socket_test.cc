#include "net/socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/loopback.h"

namespace ws::net {
namespace {

using namespace test;
using State = Transfer::State;

iovec part(std::string_view text) {
  return {const_cast<char*>(text.data()), text.size()};
}

core::Bytes room(std::string& text) {
  return {reinterpret_cast<std::uint8_t*>(text.data()), text.size()};
}

// Ours is a Socket, the peer's end a bare blocking descriptor.
struct SocketPair {
  Socket ours;
  core::Fd peer;

  void send(std::string_view text) const {
    ASSERT_EQ(::send(peer.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    ASSERT_TRUE(await_readable(ours.fd()));
  }
  std::string receive(std::size_t size) const {
    std::string text(size, '\0');
    const ssize_t count = ::recv(peer.get(), text.data(), size, MSG_WAITALL);
    text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return text;
  }
  void reset_by_peer() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    peer.reset();
    pollfd wait{.fd = ours.fd(), .events = 0, .revents = 0};  // POLLERR and POLLHUP come unasked
    ASSERT_EQ(::poll(&wait, 1, 5000), 1);
  }
};

void make_nonblocking(int fd) {
  ASSERT_EQ(::fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

SocketPair unix_pair() {
  int ends[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  make_nonblocking(ends[0]);
  return {Socket(core::Fd(ends[0])), core::Fd(ends[1])};
}

SocketPair tcp_pair() {
  Listener listener = open_or_die(ip("127.0.0.1"));
  core::Fd peer = client_of(listener.address());
  EXPECT_TRUE(peer);
  return {accept_one(listener).socket, std::move(peer)};
}

// Writes until the kernel takes no more; returns how much it took.
std::size_t fill(Socket& socket, const std::string& chunk) {
  const iovec one = part(chunk);
  for (std::size_t taken = 0;;) {
    const Transfer sent = socket.write({&one, 1});
    EXPECT_NE(sent.state, State::kFailed);
    taken += sent.bytes;
    if (sent.state != State::kOk) return taken;
  }
}

TEST(Socket, ReadIsBlockedWhenNothingCame) {
  SocketPair pair = tcp_pair();
  std::string text(8, '.');
  const Transfer got = pair.ours.read(room(text));
  EXPECT_EQ(got.state, State::kBlocked);
  EXPECT_EQ(got.bytes, 0u);
}

TEST(Socket, ReadTakesLessThanAskedAndIsOk) {
  SocketPair pair = tcp_pair();
  pair.send("abc");
  std::string text(8, '.');
  const Transfer got = pair.ours.read(room(text));
  EXPECT_EQ(got.state, State::kOk);
  EXPECT_EQ(got.bytes, 3u);
  EXPECT_EQ(text, "abc.....");
}

TEST(Socket, ReadLeavesWhatDoesNotFit) {
  SocketPair pair = tcp_pair();
  pair.send("abcdef");
  std::string text(4, '.');
  EXPECT_EQ(pair.ours.read(room(text)).bytes, 4u);
  EXPECT_EQ(text, "abcd");
  const Transfer rest = pair.ours.read(room(text));
  EXPECT_EQ(rest.bytes, 2u);
  EXPECT_EQ(text, "efcd");
}

TEST(Socket, ReadFillsTheFirstSpanThenTheSecond) {
  SocketPair pair = tcp_pair();
  pair.send("abcdef");
  std::string first(4, '.'), second(4, '.');
  const Transfer got = pair.ours.read(room(first), room(second));
  EXPECT_EQ(got.state, State::kOk);
  EXPECT_EQ(got.bytes, 6u);
  EXPECT_EQ(first, "abcd");
  EXPECT_EQ(second, "ef..");
}

TEST(Socket, ReadOfTwoSpansAllowsOneToBeEmpty) {
  SocketPair pair = tcp_pair();
  std::string text(3, '.');
  pair.send("abc");
  EXPECT_EQ(pair.ours.read(room(text), {}).bytes, 3u);
  EXPECT_EQ(text, "abc");
  pair.send("def");
  EXPECT_EQ(pair.ours.read({}, room(text)).bytes, 3u);
  EXPECT_EQ(text, "def");
  EXPECT_EQ(pair.ours.read({}, room(text)).state, State::kBlocked);
}

TEST(Socket, ReadGivesTheBytesBeforeAFinThenTheEnd) {
  SocketPair pair = tcp_pair();
  pair.send("bye");
  pair.peer.reset();
  std::string text(8, '.');
  EXPECT_EQ(pair.ours.read(room(text)).bytes, 3u);
  ASSERT_TRUE(await_readable(pair.ours.fd()));
  const Transfer end = pair.ours.read(room(text));
  EXPECT_EQ(end.state, State::kEnd);
  EXPECT_EQ(end.bytes, 0u);
  EXPECT_EQ(pair.ours.read(room(text), {}).state, State::kEnd);  // and it stays so
}

TEST(Socket, ReadAfterAResetFailed) {
  SocketPair pair = tcp_pair();
  pair.reset_by_peer();
  std::string text(8, '.');
  const Transfer got = pair.ours.read(room(text));
  EXPECT_EQ(got.state, State::kFailed);
  EXPECT_EQ(got.bytes, 0u);
}

TEST(Socket, ReadOfTwoSpansAfterAResetFailed) {
  SocketPair pair = tcp_pair();
  pair.reset_by_peer();
  std::string text(8, '.');
  EXPECT_EQ(pair.ours.read(room(text), room(text)).state, State::kFailed);
}

TEST(Socket, WriteSendsTheBytesOfOnePart) {
  SocketPair pair = tcp_pair();
  const iovec one = part("hello");
  const Transfer sent = pair.ours.write({&one, 1});
  EXPECT_EQ(sent.state, State::kOk);
  EXPECT_EQ(sent.bytes, 5u);
  EXPECT_EQ(pair.receive(5), "hello");
}

TEST(Socket, WriteSendsManyPartsInOrder) {
  SocketPair pair = tcp_pair();
  const std::array parts = {part("he"), part(""), part("llo"), part(" world")};
  const Transfer sent = pair.ours.write(parts);
  EXPECT_EQ(sent.state, State::kOk);
  EXPECT_EQ(sent.bytes, 11u);
  EXPECT_EQ(pair.receive(11), "hello world");
}

TEST(Socket, WriteTakesAsManyPartsAsItPromises) {
  SocketPair pair = tcp_pair();
  const std::vector<iovec> parts(Socket::kPartsMax, part("x"));
  const Transfer sent = pair.ours.write(parts);
  EXPECT_EQ(sent.state, State::kOk);
  EXPECT_EQ(sent.bytes, Socket::kPartsMax);
  EXPECT_EQ(pair.receive(Socket::kPartsMax), std::string(Socket::kPartsMax, 'x'));
}

// Larger than any default socket buffer, so that one write must be cut short.
constexpr std::size_t kHugeBytes = 64 << 20;

// Every byte a short write counted must arrive, none of the others.
void expect_short_write(SocketPair pair) {
  const std::string huge(kHugeBytes, 'h');
  const iovec one = part(huge);
  const Transfer sent = pair.ours.write({&one, 1});
  EXPECT_EQ(sent.state, State::kBlocked);
  EXPECT_GT(sent.bytes, 0u);
  EXPECT_LT(sent.bytes, kHugeBytes);
  const std::size_t more = fill(pair.ours, std::string(1, 'm'));
  pair.ours.close();
  const std::string got = pair.receive(kHugeBytes);
  EXPECT_EQ(got, std::string(sent.bytes, 'h') + std::string(more, 'm'));
}

TEST(Socket, AShortWriteToTcpIsBlockedAndCountsWhatWent) {
  expect_short_write(tcp_pair());
}

TEST(Socket, AShortWriteToAUnixSocketIsBlockedAndCountsWhatWent) {
  expect_short_write(unix_pair());
}

TEST(Socket, AShortWriteOfManyPartsIsBlocked) {
  SocketPair pair = tcp_pair();
  const std::string huge(kHugeBytes, 'h');
  const std::array parts = {part("a"), part(huge), part("z")};
  const Transfer sent = pair.ours.write(parts);
  EXPECT_EQ(sent.state, State::kBlocked);
  EXPECT_GT(sent.bytes, 1u);
  EXPECT_LT(sent.bytes, kHugeBytes);
}

TEST(Socket, WriteIsBlockedUntilThePeerReads) {
  SocketPair pair = tcp_pair();
  const std::size_t taken = fill(pair.ours, std::string(64 << 10, 'x'));
  const iovec one = part("y");
  while (pair.ours.write({&one, 1}).state == State::kOk) {
    // A last byte or two may still find room.
  }
  const Transfer refused = pair.ours.write({&one, 1});
  EXPECT_EQ(refused.state, State::kBlocked);
  EXPECT_EQ(refused.bytes, 0u);
  EXPECT_EQ(pair.receive(taken).size(), taken);
  pollfd wait{.fd = pair.ours.fd(), .events = POLLOUT, .revents = 0};
  ASSERT_EQ(::poll(&wait, 1, 5000), 1);
  EXPECT_EQ(pair.ours.write({&one, 1}).state, State::kOk);
}

// One packet instead of two: the peer is woken once, by bytes and end together.
TEST(Socket, BytesPushedWithTheFinLeaveTogetherWithIt) {
  SocketPair pair = tcp_pair();
  const iovec one = part("last words");
  EXPECT_EQ(pair.ours.write({&one, 1}, Socket::Push::kWithFin).bytes, 10u);
  std::string early(1, '.');
  EXPECT_EQ(::recv(pair.peer.get(), early.data(), early.size(), MSG_DONTWAIT), -1);
  pair.ours.shut_down_write();
  EXPECT_EQ(pair.receive(11), "last words");
}

TEST(Socket, WriteToAPeerThatLeftFailsWithoutASignal) {
  const auto before = std::signal(SIGPIPE, SIG_DFL);  // would end this process
  const std::array two = {part("a"), part("b")};
  for (const std::size_t count : {1u, 2u}) {
    SocketPair pair = unix_pair();
    pair.peer.reset();
    EXPECT_EQ(pair.ours.write(std::span(two).first(count)).state, State::kFailed);
  }
  SocketPair reset = tcp_pair();
  reset.reset_by_peer();
  EXPECT_EQ(reset.ours.write(two).state, State::kFailed);
  EXPECT_EQ(reset.ours.write(two).state, State::kFailed);
  std::signal(SIGPIPE, before);
}

TEST(Socket, BytesSentBeforeAResetCanBeReadAfterAFailedWrite) {
  SocketPair pair = tcp_pair();
  pair.send("last words");
  pair.reset_by_peer();
  const iovec one = part("x");
  EXPECT_EQ(pair.ours.write({&one, 1}).state, State::kFailed);
  std::string text(32, '.');
  const Transfer got = pair.ours.read(room(text));
  EXPECT_EQ(got.state, State::kOk);
  EXPECT_EQ(text.substr(0, got.bytes), "last words");
}

TEST(Socket, ShutDownWriteSendsAFinAndStillReads) {
  SocketPair pair = tcp_pair();
  pair.ours.shut_down_write();
  char byte;
  EXPECT_EQ(::recv(pair.peer.get(), &byte, 1, 0), 0);
  pair.send("late");
  std::string text(8, '.');
  EXPECT_EQ(pair.ours.read(room(text)).bytes, 4u);
}

TEST(Socket, GivesItsLastBytesAMinute) {
  SocketPair pair = tcp_pair();
  pair.ours.limit_last_bytes();
  EXPECT_EQ(socket_option(pair.ours.fd(), IPPROTO_TCP, TCP_USER_TIMEOUT), 60'000);
  unix_pair().ours.limit_last_bytes();  // which has no such thing
}

TEST(Socket, ADeadConnectionCanBeShutDownAbortedAndClosed) {
  SocketPair pair = tcp_pair();
  pair.reset_by_peer();
  pair.ours.shut_down_write();
  pair.ours.abort_on_close();
  pair.ours.close();
  EXPECT_EQ(pair.ours.fd(), -1);
}

TEST(Socket, CloseSendsAFin) {
  SocketPair pair = tcp_pair();
  pair.ours.close();
  EXPECT_EQ(pair.ours.fd(), -1);
  char byte;
  EXPECT_EQ(::recv(pair.peer.get(), &byte, 1, 0), 0);
}

TEST(Socket, AbortOnCloseSendsAReset) {
  SocketPair pair = tcp_pair();
  pair.ours.abort_on_close();
  pair.ours.close();
  char byte;
  EXPECT_EQ(::recv(pair.peer.get(), &byte, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

TEST(Socket, TellsItsPeer) {
  SocketPair pair = tcp_pair();
  EXPECT_EQ(pair.ours.peer().to_string(), own_address(pair.peer.get()).to_string());
  EXPECT_EQ(unix_pair().ours.peer().to_string(), "unix:");
}

TEST(Socket, HasNoPeerOnceItIsGone) {
  SocketPair pair = tcp_pair();
  pair.reset_by_peer();
  EXPECT_EQ(pair.ours.peer().size(), 0u);
}

// Sleeps until an attempt to connect is decided; returns connect_error().
int outcome(const Socket& socket) {
  pollfd wait{.fd = socket.fd(), .events = POLLOUT, .revents = 0};
  EXPECT_EQ(::poll(&wait, 1, 5000), 1);
  return socket.connect_error();
}

TEST(SocketConnect, ReachesAListener) {
  for (const char* host : {"127.0.0.1", "::1"}) {
    Listener listener = open_or_die(ip(host));
    auto socket = Socket::start_connect(listener.address());
    ASSERT_TRUE(socket) << socket.error().message();
    EXPECT_EQ(outcome(*socket), 0);
    EXPECT_EQ(socket->peer().to_string(), listener.address().to_string());
    EXPECT_TRUE(::fcntl(socket->fd(), F_GETFL) & O_NONBLOCK);
    EXPECT_TRUE(::fcntl(socket->fd(), F_GETFD) & FD_CLOEXEC);
    EXPECT_EQ(socket_option(socket->fd(), IPPROTO_TCP, TCP_NODELAY), 1);
    Listener::Accepted accepted = accept_one(listener);
    const iovec one = part("hello");
    EXPECT_EQ(socket->write({&one, 1}).state, State::kOk);
    ASSERT_TRUE(await_readable(accepted.socket.fd()));
    std::string text(5, '.');
    EXPECT_EQ(accepted.socket.read(room(text)).bytes, 5u);
    EXPECT_EQ(text, "hello");
  }
}

TEST(SocketConnect, IsRefusedWhereNobodyListens) {
  Listener listener = open_or_die(ip("127.0.0.1"));
  const Address address = listener.address();
  listener.close();
  // Linux may tell at once or later; both are one failure.
  auto socket = Socket::start_connect(address);
  EXPECT_EQ(socket ? outcome(*socket) : socket.error().os_errno(), ECONNREFUSED);
}

// The handshake cannot end while the queue of the listener is full, and nobody waits for it here.
TEST(SocketConnect, DoesNotBlock) {
  const core::Fd full(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Address any = ip("127.0.0.1");
  ASSERT_EQ(::bind(full.get(), any.get(), any.size()), 0);
  ASSERT_EQ(::listen(full.get(), 0), 0);
  const Address address = own_address(full.get());
  std::vector<Socket> sockets;
  for (int i = 0; i < 4; ++i) {
    auto socket = Socket::start_connect(address);
    ASSERT_TRUE(socket) << socket.error().message();
    sockets.push_back(std::move(*socket));
  }
  pollfd wait{.fd = sockets.back().fd(), .events = POLLOUT, .revents = 0};
  EXPECT_EQ(::poll(&wait, 1, 0), 0);
}

TEST(SocketConnect, ReachesAUnixSocket) {
  const std::string path = testing::TempDir() + "ws-connect-" + std::to_string(::getpid());
  const Address address = Address::from_path(path).value();
  Listener listener = open_or_die(address);
  auto socket = Socket::start_connect(address);
  ASSERT_TRUE(socket) << socket.error().message();
  EXPECT_EQ(outcome(*socket), 0);
  EXPECT_EQ(socket->peer().to_string(), "unix:" + path);
  EXPECT_EQ(accept_one(listener).state, Listener::Accepted::State::kOk);
  listener.remove_path();
  const auto gone = Socket::start_connect(address);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().os_errno(), ENOENT);
  EXPECT_EQ(gone.error().message(),
            "unix:" + path +
                ": cannot connect (No such file or directory); check the path, and that this user "
                "may write to it");
}

TEST(SocketConnect, AFailureNamesTheAddressAndTheCure) {
  EXPECT_EQ(connect_failure(ip("127.0.0.1", 8080), ECONNREFUSED).message(),
            "127.0.0.1:8080: cannot connect (Connection refused); check that the server runs, and "
            "its port");
  EXPECT_EQ(connect_failure(ip("2001:db8::1", 80), ETIMEDOUT).message(),
            "[2001:db8::1]:80: cannot connect (Connection timed out); check the address, the "
            "network and firewalls");
  EXPECT_EQ(connect_failure(ip("127.0.0.1", 80), EMFILE).os_errno(), EMFILE);
}

}  // namespace
}  // namespace ws::net
