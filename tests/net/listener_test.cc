#include "net/listener.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/loopback.h"

namespace ws::net {
namespace {

using namespace test;

using AcceptState = Listener::Accepted::State;

// Somebody else's socket, bound but not listening.
core::Fd foreign_socket(const Address& address, bool reuse_port) {
  core::Fd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  EXPECT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
  if (reuse_port) {
    EXPECT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
  }
  EXPECT_EQ(::bind(fd.get(), address.get(), address.size()), 0);
  return fd;
}

// From now on this process gets `error` from system call `number`, if its first argument is
// `first` (or in any case, when that is negative). For child processes: it cannot be undone.
bool make_fail(long number, int first, int error) {
  const auto call = static_cast<std::uint32_t>(number);
  const auto argument = static_cast<std::uint32_t>(first);
  const std::uint8_t skip_argument = first < 0 ? 2 : 0;
  // The low half of the argument; both our architectures are little-endian.
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, skip_argument, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, argument, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = std::size(code), .filter = code};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

const auto kExited = testing::ExitedWithCode(0);

// --- TCP ---

TEST(Listener, FindsAPortAndAcceptsFromIt) {
  Listener listener = open_or_die(ip("127.0.0.1"));
  EXPECT_NE(listener.address().port(), 0);
  EXPECT_EQ(listener.address().to_string(), own_address(listener.fd()).to_string());
  const core::Fd client = client_of(listener.address());
  ASSERT_TRUE(client);
  Listener::Accepted accepted = accept_one(listener);
  ASSERT_EQ(accepted.state, AcceptState::kOk);
  EXPECT_EQ(accepted.peer.to_string(), own_address(client.get()).to_string());
  EXPECT_EQ(accepted.socket.peer().to_string(), accepted.peer.to_string());
}

TEST(Listener, AcceptedSocketsAreNonBlockingCloseOnExecAndWithoutDelay) {
  Listener listener = open_or_die(ip("127.0.0.1"));
  const core::Fd client = client_of(listener.address());
  const Listener::Accepted accepted = accept_one(listener);
  ASSERT_EQ(accepted.state, AcceptState::kOk);
  const int fd = accepted.socket.fd();
  EXPECT_TRUE(::fcntl(fd, F_GETFL) & O_NONBLOCK);
  EXPECT_TRUE(::fcntl(fd, F_GETFD) & FD_CLOEXEC);
  EXPECT_NE(socket_option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
  EXPECT_EQ(socket_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0) << "it ends slow peers that live";
  EXPECT_TRUE(::fcntl(listener.fd(), F_GETFL) & O_NONBLOCK);
  EXPECT_TRUE(::fcntl(listener.fd(), F_GETFD) & FD_CLOEXEC);
}

TEST(Listener, HasNothingToAcceptWhenNobodyWaits) {
  Listener listener = open_or_die(ip("127.0.0.1"));
  EXPECT_EQ(listener.accept().state, AcceptState::kNone);
  const core::Fd client = client_of(listener.address());
  EXPECT_EQ(accept_one(listener).state, AcceptState::kOk);
  EXPECT_EQ(listener.accept().state, AcceptState::kNone);
}

TEST(Listener, ASecondOneOnTheSameAddressIsRefused) {
  const Listener first = open_or_die(ip("127.0.0.1"));
  EXPECT_EQ(open_error(first.address()),
            first.address().to_string() +
                ": address already in use; stop the program that listens there (ss -ltnp shows "
                "it) or choose another port");
}

TEST(Listener, ASecondOneIsRefusedAlsoWhenTheFirstIsShared) {
  const Listener first = open_or_die(ip("127.0.0.1"));
  const auto sibling = first.share();
  ASSERT_TRUE(sibling);
  const auto second = Listener::open(first.address());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().os_errno(), EADDRINUSE);
}

TEST(Listener, IsRefusedWhereAnotherProgramListensWithReusePort) {
  const core::Fd foreign = foreign_socket(ip("127.0.0.1"), true);
  ASSERT_EQ(::listen(foreign.get(), 1), 0);
  const auto listener = Listener::open(own_address(foreign.get()));
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().os_errno(), EADDRINUSE);
}

TEST(Listener, IsRefusedWhereAnotherProgramListensOnEveryAddress) {
  const core::Fd foreign = foreign_socket(ip("0.0.0.0"), true);
  ASSERT_EQ(::listen(foreign.get(), 1), 0);
  const std::uint16_t port = own_address(foreign.get()).port();
  EXPECT_FALSE(Listener::open(ip("127.0.0.1", port)));
  EXPECT_FALSE(Listener::open(ip("*", port)));
}

// Two instances started together: the other one has bound (not listened) before we do both, and
// then asks for SO_REUSEPORT as if it were a sibling of ours.
TEST(Listener, OnlyOneOfTwoThatStartTogetherGetsTheAddress) {
  const core::Fd other = foreign_socket(ip("127.0.0.1"), false);
  const Listener ours = open_or_die(own_address(other.get()));
  const int on = 1;
  ASSERT_EQ(::setsockopt(other.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
  EXPECT_EQ(::listen(other.get(), 1), -1);
  EXPECT_EQ(errno, EADDRINUSE);
}

TEST(Listener, OpensAgainAtOnceAfterItClosedItsConnections) {
  Address address;
  {
    Listener listener = open_or_die(ip("127.0.0.1"));
    address = listener.address();
    const core::Fd client = client_of(address);
    Listener::Accepted accepted = accept_one(listener);
    accepted.socket.close();  // first to close: this end keeps TIME_WAIT
  }
  EXPECT_TRUE(Listener::open(address));
}

TEST(Listener, SharingSpreadsConnectionsOverSocketsOfOnePort) {
  Listener first = open_or_die(ip("127.0.0.1"));
  auto shared = first.share();
  ASSERT_TRUE(shared) << shared.error().message();
  Listener& second = *shared;
  EXPECT_NE(second.fd(), first.fd());
  EXPECT_EQ(second.address().to_string(), first.address().to_string());
  EXPECT_EQ(own_address(second.fd()).port(), first.address().port());

  constexpr int kClients = 64;  // all on one side by chance: once in 2^63
  std::vector<core::Fd> clients;
  for (int i = 0; i < kClients; ++i) clients.push_back(client_of(first.address()));
  int taken[2] = {0, 0};
  while (taken[0] + taken[1] < kClients) {
    pollfd wait[2] = {{first.fd(), POLLIN, 0}, {second.fd(), POLLIN, 0}};
    ASSERT_GT(::poll(wait, 2, 5000), 0);
    if (first.accept().state == AcceptState::kOk) ++taken[0];
    if (second.accept().state == AcceptState::kOk) ++taken[1];
  }
  EXPECT_GT(taken[0], 0);
  EXPECT_GT(taken[1], 0);
}

TEST(Listener, CanBeSharedManyTimesAndByItsSiblings) {
  const Listener first = open_or_die(ip("*"));
  const auto second = first.share();
  ASSERT_TRUE(second);
  EXPECT_TRUE(second.value().share());
  EXPECT_TRUE(first.share());
}

TEST(Listener, SiblingsHandDownTheSameOptions) {
  Listener first = open_or_die(ip("127.0.0.1"));
  Listener second = first.share().value();
  first.close();
  const core::Fd client = client_of(second.address());
  const Listener::Accepted accepted = accept_one(second);
  ASSERT_EQ(accepted.state, AcceptState::kOk);
  EXPECT_NE(socket_option(accepted.socket.fd(), IPPROTO_TCP, TCP_NODELAY), 0);
}

TEST(Listener, StarTakesIpv4AndIpv6) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  Listener listener = open_or_die(ip("*"));
  EXPECT_TRUE(listener.address().is_any());
  const std::uint16_t port = listener.address().port();
  for (const char* host : {"127.0.0.1", "::1"}) {
    const core::Fd client = client_of(ip(host, port));
    ASSERT_TRUE(client) << host;
    const Listener::Accepted accepted = accept_one(listener);
    ASSERT_EQ(accepted.state, AcceptState::kOk);
    EXPECT_EQ(accepted.peer.to_string(), own_address(client.get()).to_string());
  }
}

TEST(Listener, AnIpv6LiteralLeavesIpv4Alone) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const Listener v6 = open_or_die(ip("::"));
  EXPECT_FALSE(client_of(ip("127.0.0.1", v6.address().port())));
  EXPECT_TRUE(client_of(ip("::1", v6.address().port())));
  // Somebody else may have that port of IPv4, but not of many.
  bool both = false;
  for (int i = 0; i < 50 && !both; ++i) {
    const Listener another = open_or_die(ip("::"));
    both = static_cast<bool>(Listener::open(ip("0.0.0.0", another.address().port())));
  }
  EXPECT_TRUE(both);
}

TEST(ListenerDeathTest, StarIsIpv4WhereThereIsNoIpv6) {
  EXPECT_EXIT(
      {
        if (!make_fail(SYS_socket, AF_INET6, EAFNOSUPPORT)) say("0.0.0.0:1 true");
        const Listener listener = open_or_die(ip("*"));
        const bool reached =
            static_cast<bool>(client_of(ip("127.0.0.1", listener.address().port())));
        say(listener.address().to_string() + (reached ? " true" : " false"));
      },
      kExited, "<0.0.0.0:[1-9][0-9]* true>");
}

TEST(ListenerDeathTest, SaysThatThereIsNoIpv6) {
  EXPECT_EXIT(
      {
        make_fail(SYS_socket, AF_INET6, EAFNOSUPPORT);
        say(open_error(ip("::1", 5)));
      },
      kExited, "<\\[::1\\]:5: address family not supported; this kernel has no IPv6, .*>");
}

TEST(ListenerDeathTest, SaysHowToGetALowPort) {
  int first_open_port = 0;
  std::ifstream("/proc/sys/net/ipv4/ip_unprivileged_port_start") >> first_open_port;
  if (first_open_port <= 1) GTEST_SKIP() << "every port is open to everybody here";
  EXPECT_EXIT(
      {
        if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) say("cannot leave root");
        say(open_error(ip("127.0.0.1", 1)));
      },
      kExited,
      "<127.0.0.1:1: permission denied; ports below 1024 need CAP_NET_BIND_SERVICE, choose a port "
      "above 1023>");
}

TEST(Listener, SaysThatTheAddressIsNotOfThisMachine) {
  EXPECT_EQ(open_error(ip("192.0.2.1")),  // RFC 5737: for documentation, nobody has it
            "192.0.2.1:0: cannot assign requested address; choose one this machine has (ip addr "
            "shows them) or *");
}

// --- Out of descriptors ---

// Until destroyed, this process may not open more than `free` descriptors.
class Shortage {
 public:
  explicit Shortage(int free) {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    rlimit low = before_;
    low.rlim_cur = 200;  // small, so that little is needed to fill it
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
    for (int fd; (fd = ::fcntl(0, F_DUPFD_CLOEXEC, 0)) >= 0;) held_.emplace_back(fd);
    while (free-- > 0) release_one();
  }
  ~Shortage() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  void release_one() { held_.pop_back(); }
  // Descriptors from `fd` on cannot be had, not even the numbers that are in use now.
  void lower_to(int fd) {
    rlimit low = before_;
    low.rlim_cur = static_cast<rlim_t>(fd);
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  }

 private:
  rlimit before_{};
  std::vector<core::Fd> held_;
};

// The peer is gone: FIN or RST, within the time.
bool is_closed(const core::Fd& client) {
  char byte;
  return await_readable(client.get()) && ::recv(client.get(), &byte, 1, 0) <= 0;
}

TEST(Listener, RefusesEachWaitingConnectionOnceWhenOutOfDescriptors) {
  Listener listener = open_or_die(ip("127.0.0.1"));
  std::vector<core::Fd> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(client_of(listener.address()));
  ASSERT_TRUE(await_readable(listener.fd()));
  {
    Shortage shortage(0);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(accept_one(listener).state, AcceptState::kRefused) << i;
    // Linux says EMFILE though nobody waits; that must end the caller's loop all the same.
    EXPECT_EQ(listener.accept().state, AcceptState::kNone);
    EXPECT_EQ(listener.accept().state, AcceptState::kNone);
    for (const core::Fd& client : clients) EXPECT_TRUE(is_closed(client));
    // The spare is back in its place and nobody else can have it.
    EXPECT_EQ(::fcntl(0, F_DUPFD_CLOEXEC, 0), -1);
  }
  EXPECT_EQ(listener.accept().state, AcceptState::kNone);
}

TEST(Listener, AcceptsAgainAsSoonAsADescriptorIsFree) {
  Listener listener = open_or_die(ip("127.0.0.1"));
  std::vector<core::Fd> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(client_of(listener.address()));
  ASSERT_TRUE(await_readable(listener.fd()));
  Shortage shortage(0);
  EXPECT_EQ(accept_one(listener).state, AcceptState::kRefused);
  shortage.release_one();
  Listener::Accepted accepted = accept_one(listener);
  EXPECT_EQ(accepted.state, AcceptState::kOk);
  EXPECT_EQ(accept_one(listener).state, AcceptState::kRefused);
  accepted.socket.close();
  EXPECT_EQ(accept_one(listener).state, AcceptState::kOk);
  EXPECT_TRUE(is_closed(clients[0]));
  EXPECT_TRUE(is_closed(clients[2]));
}

TEST(Listener, BacksOffWhenTheSpareDescriptorIsOfNoUse) {
  Listener listener = open_or_die(ip("127.0.0.1"));
  std::vector<core::Fd> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(client_of(listener.address()));
  ASSERT_TRUE(await_readable(listener.fd()));
  {
    Shortage shortage(0);
    shortage.lower_to(3);  // giving the spare up makes no room
    EXPECT_EQ(listener.accept().state, AcceptState::kBackOff);
    EXPECT_EQ(listener.accept().state, AcceptState::kBackOff);  // nor is there a spare any more
  }
  EXPECT_EQ(listener.accept().state,
            AcceptState::kOk);  // nobody was lost, and there is a spare again:
  Shortage shortage(0);
  EXPECT_EQ(listener.accept().state, AcceptState::kRefused);
  EXPECT_EQ(listener.accept().state, AcceptState::kRefused);
  EXPECT_EQ(listener.accept().state, AcceptState::kNone);
}

TEST(ListenerDeathTest, BacksOffWhenOutOfMemory) {
  for (const int error : {ENOMEM, ENOBUFS}) {
    EXPECT_EXIT(
        {
          Listener listener = open_or_die(ip("127.0.0.1"));
          if (!make_fail(SYS_accept4, -1, error)) say("back off");
          say(listener.accept().state == AcceptState::kBackOff ? "back off" : "something else");
        },
        kExited, "<back off>");
  }
}

TEST(ListenerDeathTest, DoesNotPassOverDeadConnectionsForEver) {
  for (const int error : {ECONNABORTED, EPROTO, ENETDOWN, EHOSTUNREACH, EINTR}) {
    EXPECT_EXIT(
        {
          Listener listener = open_or_die(ip("127.0.0.1"));
          if (!make_fail(SYS_accept4, -1, error)) say("back off");
          say(listener.accept().state == AcceptState::kBackOff ? "back off" : "something else");
        },
        kExited, "<back off>");
  }
}

TEST(Listener, RemovePathIsNothingForTcp) {
  Listener listener = open_or_die(ip("127.0.0.1"));
  listener.remove_path();
  EXPECT_TRUE(client_of(listener.address()));
}

}  // namespace
}  // namespace ws::net
