#include "core/cpu.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace ws::core {
namespace {

// The words of the first line of /proc/cpuinfo that lists what the processor can do, each between
// two spaces.
std::string kernel_flags() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.starts_with("flags") || line.starts_with("Features")) {
      return line.substr(line.find(':') + 1) + ' ';
    }
  }
  return "";
}

TEST(CpuFeatures, AgreeWithTheKernel) {
  const std::string flags = kernel_flags();
  if (flags.empty()) GTEST_SKIP() << "/proc/cpuinfo lists no flags";
  if (std::getenv("WS_DISABLE_CPU") != nullptr) GTEST_SKIP() << "WS_DISABLE_CPU is set";
  const auto listed = [&](const std::string& name) {
    return flags.find(' ' + name + ' ') != std::string::npos;
  };
  const CpuFeatures& cpu = cpu_features();
  EXPECT_EQ(cpu.sse2, listed("sse2"));
  EXPECT_EQ(cpu.ssse3, listed("ssse3"));
  EXPECT_EQ(cpu.avx2, listed("avx2"));
  EXPECT_EQ(cpu.aes, listed("aes"));
  EXPECT_EQ(cpu.neon, listed("asimd"));
}

// A process finds its features once, so each list needs a new one: a death test in the threadsafe
// style starts this program again, with the environment of the moment.
class CpuFeaturesDeathTest : public testing::Test {
 protected:
  CpuFeaturesDeathTest() {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    if (const char* list = std::getenv("WS_DISABLE_CPU")) list_before_ = list;
  }
  ~CpuFeaturesDeathTest() override {
    if (list_before_.empty()) {
      unsetenv("WS_DISABLE_CPU");
    } else {
      setenv("WS_DISABLE_CPU", list_before_.c_str(), 1);
    }
  }

  // Besides what is hidden already.
  void hide(const std::string& list) {
    setenv("WS_DISABLE_CPU", (list_before_ + ',' + list).c_str(), 1);
  }

  // Asked for before any hide(), so that this process keeps what it has.
  const CpuFeatures& here_ = cpu_features();

 private:
  std::string list_before_;
};

// The features as a set of bits, which fits the exit code of a process.
int bits(const CpuFeatures& cpu) {
  return (cpu.sse2 ? 1 : 0) | (cpu.ssse3 ? 2 : 0) | (cpu.avx2 ? 4 : 0) | (cpu.aes ? 8 : 0) |
         (cpu.neon ? 16 : 0);
}

TEST_F(CpuFeaturesDeathTest, HidesEveryFeatureNamed) {
  hide("sse2,ssse3,avx2,aes,neon");
  EXPECT_EXIT(std::exit(bits(cpu_features())), testing::ExitedWithCode(0), "");
}

TEST_F(CpuFeaturesDeathTest, HidesNothingElse) {
  hide("ssse3,avx2");
  CpuFeatures left = here_;
  left.ssse3 = left.avx2 = false;
  EXPECT_EXIT(std::exit(bits(cpu_features())), testing::ExitedWithCode(bits(left)), "");
}

}  // namespace
}  // namespace ws::core
