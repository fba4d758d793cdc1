#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "net/listener.h"
#include "tests/support/loopback.h"

namespace ws::net {
namespace {

using namespace test;
using AcceptState = Listener::Accepted::State;

class UnixListener : public testing::Test {
 protected:
  UnixListener() {
    directory_ = testing::TempDir() + "wsXXXXXX";
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/s";
    address_ = Address::from_path(path_).value();
  }
  ~UnixListener() override { std::filesystem::remove_all(directory_); }

  bool exists() const {
    struct stat file;
    return ::lstat(path_.c_str(), &file) == 0;
  }
  std::string in_use() const {
    return "unix:" + path_ +
           ": address already in use; stop the program that listens there (ss -lxp shows it) or "
           "choose another path";
  }
  std::string not_a_socket() const {
    return "unix:" + path_ +
           ": a file that is not a socket is there; remove it or choose another path";
  }

  std::string directory_, path_;
  Address address_;
};

TEST_F(UnixListener, AcceptsFromItsPath) {
  Listener listener = open_or_die(address_);
  EXPECT_EQ(listener.address().to_string(), "unix:" + path_);
  const core::Fd client = client_of(address_);
  ASSERT_TRUE(client);
  Listener::Accepted accepted = accept_one(listener);
  ASSERT_EQ(accepted.state, AcceptState::kOk);
  EXPECT_EQ(accepted.peer.to_string(), "unix:");
  EXPECT_TRUE(::fcntl(accepted.socket.fd(), F_GETFL) & O_NONBLOCK);
  EXPECT_EQ(::send(client.get(), "x", 1, 0), 1);
  std::uint8_t byte = 0;
  EXPECT_EQ(accepted.socket.read({&byte, 1}).bytes, 1u);
  EXPECT_EQ(byte, 'x');
}

TEST_F(UnixListener, ItsFileIsForTheOwnerAloneWhateverTheUmask) {
  const mode_t before = ::umask(0);
  const Listener listener = open_or_die(address_);
  ::umask(before);
  struct stat file;
  ASSERT_EQ(::lstat(path_.c_str(), &file), 0);
  EXPECT_TRUE(S_ISSOCK(file.st_mode));
  EXPECT_EQ(file.st_mode & 0777, 0600u);
}

TEST_F(UnixListener, ReplacesAStaleFile) {
  open_or_die(address_).close();
  ASSERT_TRUE(exists());
  Listener listener = open_or_die(address_);
  EXPECT_TRUE(client_of(address_));
}

TEST_F(UnixListener, IsRefusedWhereSomebodyListens) {
  Listener first = open_or_die(address_);
  EXPECT_EQ(open_error(address_), in_use());
  EXPECT_TRUE(client_of(address_));  // the first one still has its file
}

TEST_F(UnixListener, IsRefusedWhereSomebodyListensButIsTooBusyToAnswer) {
  const core::Fd busy(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(busy.get(), address_.get(), address_.size()), 0);
  ASSERT_EQ(::listen(busy.get(), 0), 0);
  std::vector<core::Fd> clients;
  do clients.push_back(client_of(address_, SOCK_NONBLOCK));
  while (clients.back());
  EXPECT_EQ(open_error(address_), in_use());
  EXPECT_TRUE(exists());
}

TEST_F(UnixListener, IsRefusedWhereADatagramSocketLives) {
  const core::Fd other(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(other.get(), address_.get(), address_.size()), 0);
  EXPECT_EQ(open_error(address_), in_use());
  EXPECT_TRUE(exists());
}

TEST_F(UnixListener, NeverTouchesAFileThatIsNotASocket) {
  std::ofstream(path_) << "precious";
  EXPECT_EQ(open_error(address_), not_a_socket());
  std::string content;
  std::ifstream(path_) >> content;
  EXPECT_EQ(content, "precious");
}

TEST_F(UnixListener, NeverTouchesADirectoryOrALink) {
  ASSERT_EQ(::mkdir(path_.c_str(), 0700), 0);
  EXPECT_EQ(open_error(address_), not_a_socket());
  ASSERT_EQ(::rmdir(path_.c_str()), 0);
  ASSERT_EQ(::symlink("nowhere", path_.c_str()), 0);
  EXPECT_EQ(open_error(address_), not_a_socket());
  EXPECT_TRUE(exists());
}

TEST_F(UnixListener, SaysThatTheDirectoryIsMissing) {
  const std::string path = directory_ + "/no/s";
  EXPECT_EQ(open_error(Address::from_path(path).value()),
            "unix:" + path + ": no such directory; create it or choose another path");
}

using UnixListenerDeathTest = UnixListener;

TEST_F(UnixListenerDeathTest, SaysThatTheDirectoryIsNotWritable) {
  ASSERT_EQ(::chmod(directory_.c_str(), 0555), 0);
  EXPECT_EXIT(
      {
        if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) say("cannot leave root");
        say(open_error(address_));
      },
      testing::ExitedWithCode(0),
      "<unix:.*: permission denied; choose a path this user may write to>");
}

TEST_F(UnixListener, AFailedOpenLeavesNoFileAndNoDescriptorBehind) {
  const auto open_descriptors = [] {
    using Entries = std::filesystem::directory_iterator;
    return std::distance(Entries("/proc/self/fd"), Entries());
  };
  const Listener live = open_or_die(address_);
  const auto before = open_descriptors();
  EXPECT_FALSE(Listener::open(address_));
  EXPECT_FALSE(Listener::open(ip("192.0.2.1")));
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(UnixListener, SharesOneSocket) {
  Listener first = open_or_die(address_);
  Listener second = first.share().value();
  EXPECT_NE(first.fd(), second.fd());
  EXPECT_TRUE(::fcntl(second.fd(), F_GETFD) & FD_CLOEXEC);
  const core::Fd client = client_of(address_), another = client_of(address_);
  EXPECT_EQ(accept_one(first).state, AcceptState::kOk);
  EXPECT_EQ(accept_one(second).state, AcceptState::kOk);
  EXPECT_EQ(first.accept().state, AcceptState::kNone);
  first.close();
  EXPECT_TRUE(client_of(address_));
}

TEST_F(UnixListener, RemovesItsFile) {
  Listener listener = open_or_die(address_);
  listener.remove_path();
  EXPECT_FALSE(exists());
  listener.remove_path();  // twice does no harm
}

TEST_F(UnixListener, ASiblingRemovesTheFileToo) {
  const Listener listener = open_or_die(address_);
  listener.share().value().remove_path();
  EXPECT_FALSE(exists());
}

TEST_F(UnixListener, LeavesASuccessorsFile) {
  Listener old = open_or_die(address_);
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  const Listener successor = open_or_die(address_);
  old.remove_path();
  EXPECT_TRUE(client_of(address_));
}

}  // namespace
}  // namespace ws::net
