// Every conformance case against a real wsd, over ws and over wss.
#include <gtest/gtest.h>
#include <signal.h>

#include <cctype>
#include <memory>
#include <ostream>
#include <set>

#include "tests/conformance/conformance.h"
#include "tests/conformance/runner.h"
#include "tests/support/stream.h"
#include "tests/support/wsd_process.h"

namespace ws::test {
namespace {

// One server for all cases: what one case leaves behind, the next one meets.
class Server : public testing::Environment {
 public:
  std::uint16_t port(bool tls) {
    if (process_ == nullptr) {
      process_ = std::make_unique<WsdProcess>(std::vector<std::string>{
          "--listen", "ws://127.0.0.1:0", "--listen", "wss://127.0.0.1:0", "--threads", "1"});
      process_->wait_listening(2);
    }
    return process_->port(tls ? "wss://" : "ws://");
  }
  WsdProcess* process() { return process_.get(); }

  void TearDown() override {
    if (process_ == nullptr) return;
    process_->signal(SIGTERM);
    EXPECT_EQ(process_->wait_exit(12'000), 0) << process_->output();
    EXPECT_EQ(process_->output().find("Sanitizer"), std::string::npos) << process_->output();
    process_.reset();
  }

 private:
  std::unique_ptr<WsdProcess> process_;
};
// GoogleTest deletes it.
Server* const server = static_cast<Server*>(testing::AddGlobalTestEnvironment(new Server));

struct CaseOver {
  const Case* c;
  bool tls;
};

std::vector<CaseOver> all_runs() {
  std::vector<CaseOver> runs;
  for (const bool tls : {false, true}) {
    for (const Case& c : all_cases()) runs.push_back({.c = &c, .tls = tls});
  }
  return runs;
}

// GoogleTest takes letters, digits and underscores only.
std::string test_name(std::string_view id) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : id) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0) {
      out.push_back(c);
    } else if (c == '-' || c == '.' || c == ' ') {
      out.push_back('_');
    } else {
      out += {'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out;
}

std::string label(const testing::TestParamInfo<CaseOver>& info) {
  return (info.param.tls ? "wss_" : "ws_") + test_name(info.param.c->id);
}

void PrintTo(const CaseOver& run, std::ostream* out) {
  *out << run.c->id << " over " << (run.tls ? "wss" : "ws");
}

class ConformanceOverSocket : public testing::TestWithParam<CaseOver> {};

TEST_P(ConformanceOverSocket, BehavesAsTheCaseSays) {
  const CaseOver& run = GetParam();
  const std::uint16_t port = server->port(run.tls);
  ASSERT_NE(port, 0) << "wsd does not listen:\n" << server->process()->output();
  const std::unique_ptr<Stream> stream = Stream::connect(port, run.tls);
  ASSERT_NE(stream, nullptr) << "cannot connect; wsd says:\n" << server->process()->output();
  Client client(*stream);
  EXPECT_EQ(client.play(*run.c), "");
}

INSTANTIATE_TEST_SUITE_P(All, ConformanceOverSocket, testing::ValuesIn(all_runs()), label);

TEST(ConformanceCases, HaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (const Case& c : all_cases()) {
    EXPECT_TRUE(names.insert(test_name(c.id)).second) << c.id;
  }
}

// The request cut off by an RST after every byte: nothing to answer, and the next one is served.
TEST(Handshake, SurvivesAResetAfterEveryByte) {
  for (const bool tls : {false, true}) {
    const std::string request = Request().str() + text("hi");
    for (std::size_t length = 0; length <= request.size(); length += tls ? 7 : 1) {
      const std::unique_ptr<Stream> torn = Stream::connect(server->port(tls), tls);
      ASSERT_NE(torn, nullptr);
      ASSERT_TRUE(torn->write(request.substr(0, length)));
      torn->reset();
    }
    const std::unique_ptr<Stream> next = Stream::connect(server->port(tls), tls);
    ASSERT_NE(next, nullptr);
    Client client(*next);
    ASSERT_EQ(client.upgrade(), "");
    EXPECT_EQ(client.play(Script().sends(text("hi")).gets_text("hi").bye()), "");
  }
}

}  // namespace
}  // namespace ws::test
