// What `make install` leaves, as a program of someone else's finds it: by pkg-config and by CMake's
// find_package(), with g++ and with clang++. And what a program that uses the library costs.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "tests/support/shell.h"
#include "tests/support/wsd_process.h"
#include "ws/ws.h"

namespace ws::test {
namespace {

namespace fs = std::filesystem;

const std::string kStrict = " -std=c++20 -Wall -Wextra -Wpedantic -Werror ";

// Of the build that this test belongs to.
std::string variant() {
  const char* const wsd = std::getenv("WSD");
  return wsd != nullptr ? fs::path(wsd).parent_path().filename().string() : "release";
}

// As from a shell: not as a part of the make that runs this test.
Ran make(const std::string& arguments) {
  return run("env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make VARIANT=" + variant() + " " + arguments +
             " 2>&1");
}

std::string read(const fs::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::set<std::string> files_below(const fs::path& root) {
  std::set<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (!entry.is_directory()) files.insert(fs::relative(entry.path(), root).string());
  }
  return files;
}

class Install : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string directory = testing::TempDir() + "install-XXXXXX";
    if (::mkdtemp(directory.data()) != nullptr) directory_ = directory;
    installed_ = make("install PREFIX=" + prefix().string());
  }
  static void TearDownTestSuite() { fs::remove_all(directory_); }

  void SetUp() override { ASSERT_EQ(installed_.exit_code, 0) << installed_.output; }

  static fs::path prefix() { return directory_ / "prefix"; }
  static std::string scratch(const std::string& name) { return (directory_ / name).string(); }
  static std::string pkg_config(const std::string& arguments) {
    const Ran ran = run("env PKG_CONFIG_PATH=" + (prefix() / "lib/pkgconfig").string() +
                        " pkg-config " + arguments);
    EXPECT_EQ(ran.exit_code, 0) << arguments;
    return ran.output.substr(0, ran.output.find('\n'));
  }

  static fs::path directory_;
  static Ran installed_;
};
fs::path Install::directory_;
Ran Install::installed_;

// With the compilers that a program may be written for.
class InstallFor : public Install, public testing::WithParamInterface<std::string> {
 protected:
  // Why this cannot be tested here; "": it can.
  static std::string missing(std::vector<std::string> tools = {}) {
    tools.push_back(GetParam());
    for (const std::string& tool : tools) {
      if (!works("command -v " + tool)) return tool + " is missing: make test-deps installs it";
    }
    return "";
  }
  // It serves, as an echo server does.
  static void expect_echoes(const std::string& program) {
    WsdProcess echo({"ws://127.0.0.1:0"}, {}, program);
    ASSERT_TRUE(echo.wait_listening(1)) << echo.output();
    auto conn = connect(echo.urls()[0]);
    ASSERT_TRUE(conn) << conn.error().message();
    ASSERT_TRUE(conn->send("hello"));
    auto reply = conn->receive(20'000);
    ASSERT_TRUE(reply && *reply);
    EXPECT_EQ((*reply)->text(), "hello");
    echo.signal(SIGINT);
    EXPECT_EQ(echo.wait_exit(20'000), 0) << echo.output();
  }
};
INSTANTIATE_TEST_SUITE_P(With, InstallFor, testing::Values("g++", "clang++"),
                         [](const auto& compiler) {
                           return compiler.param == "g++" ? "gcc" : "clang";
                         });

TEST_F(Install, HasThePublicHeadersTheLibraryAndTheDaemon) {
  std::set<std::string> expected{"bin/wsd", "lib/libws.a", "lib/pkgconfig/ws.pc",
                                 "lib/cmake/ws/ws-config.cmake",
                                 "lib/cmake/ws/ws-config-version.cmake"};
  for (const char* folder : {"core", "tls", "net", "ws"}) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.path().extension() == ".h" && read(entry.path()).starts_with("// Public.")) {
        expected.insert("include/ws/" + entry.path().string());
      }
    }
  }
  EXPECT_TRUE(expected.contains("include/ws/ws/ws.h"));
  EXPECT_EQ(files_below(prefix()), expected);
  const std::string version(kVersion);
  EXPECT_TRUE(run(prefix().string() + "/bin/wsd --version").output.starts_with("wsd " + version));
  EXPECT_EQ(read(prefix() / "lib/cmake/ws/ws-config.cmake").find('@'), std::string::npos);
}

// For packagers: DESTDIR is where the files go now, PREFIX where they will be.
TEST_F(Install, IsStagedInDestdirAndUndone) {
  const fs::path stage = directory_ / "stage";
  const std::string where = " DESTDIR=" + stage.string() + " PREFIX=/opt/ws";
  const Ran ran = make("install" + where);
  ASSERT_EQ(ran.exit_code, 0) << ran.output;
  EXPECT_EQ(files_below(stage / "opt/ws"), files_below(prefix()));
  const std::string package = read(stage / "opt/ws/lib/pkgconfig/ws.pc");
  EXPECT_TRUE(package.starts_with("prefix=/opt/ws\n")) << package;
  EXPECT_EQ(package.find(stage.string()), std::string::npos) << package;
  const Ran undone = make("uninstall" + where);
  ASSERT_EQ(undone.exit_code, 0) << undone.output;
  EXPECT_EQ(files_below(stage), std::set<std::string>());
}

TEST_P(InstallFor, IsFoundByPkgConfig) {
  if (const std::string why = missing({"pkg-config"}); !why.empty()) GTEST_SKIP() << why;
  EXPECT_EQ(pkg_config("--modversion ws"), kVersion);
  const std::string program = scratch("by-pkg-config-" + GetParam());
  const Ran ran = run(GetParam() + kStrict + "ws/examples/echo.cc -o " + program + " " +
                      pkg_config("--cflags --libs ws") + " 2>&1");
  ASSERT_EQ(ran.exit_code, 0) << ran.output;
  EXPECT_EQ(ran.output, "");
  expect_echoes(program);
}

TEST_P(InstallFor, IsFoundByCMake) {
  if (const std::string why = missing({"cmake"}); !why.empty()) GTEST_SKIP() << why;
  const std::string source = scratch("cmake-" + GetParam());
  fs::create_directories(source);
  fs::copy_file("ws/examples/echo.cc", source + "/echo.cc");
  std::ofstream(source + "/CMakeLists.txt") << R"(cmake_minimum_required(VERSION 3.16)
project(program CXX)
find_package(ws 99 QUIET)
if(ws_FOUND)
  message(FATAL_ERROR "no such version")
endif()
find_package(ws )" << kVersion << R"( REQUIRED)
add_executable(program echo.cc)
set_target_properties(program PROPERTIES CXX_EXTENSIONS OFF)
target_compile_options(program PRIVATE -Wall -Wextra -Wpedantic -Werror)
target_link_libraries(program PRIVATE ws::ws)
)";
  const std::string build = source + "/build";
  const Ran ran =
      run("sh -c 'cmake -S " + source + " -B " + build + " -DCMAKE_CXX_COMPILER=" + GetParam() +
          " -DCMAKE_PREFIX_PATH=" + prefix().string() + " && cmake --build " + build + "' 2>&1");
  ASSERT_EQ(ran.exit_code, 0) << ran.output;
  expect_echoes(build + "/program");
}

// Those that ws/ws.h does not include as well, each twice.
TEST_P(InstallFor, HeadersCompileWithoutAWarning) {
  if (const std::string why = missing(); !why.empty()) GTEST_SKIP() << why;
  std::string includes;
  for (const std::string& header : files_below(prefix() / "include/ws")) {
    includes += "#include <" + header + ">\n";
  }
  const std::string source = scratch("headers-" + GetParam() + ".cc");
  std::ofstream(source) << includes << includes;
  const Ran ran = run(GetParam() + kStrict + "-Wshadow -Wconversion -fsyntax-only -I" +
                      (prefix() / "include/ws").string() + " " + source + " 2>&1");
  EXPECT_EQ(ran.exit_code, 0) << ran.output;
  EXPECT_EQ(ran.output, "");
}

// Compiling one takes as long as its standard headers take, which differ between machines and
// libraries: what counts is that ours bring in no others (<iostream> would add 2 %, <mutex> 6,
// <chrono> 12).
TEST_F(Install, WsHIsHardlyMoreThanTheStandardHeadersItIsWrittenWith) {
  const auto preprocessed_bytes = [](const std::string& name, const std::string& includes) {
    const std::string source = scratch(name);
    std::ofstream(source) << includes;
    const Ran ran =
        run("g++ -std=c++20 -E -P " + source + " -I" + (prefix() / "include/ws").string());
    EXPECT_EQ(ran.exit_code, 0) << name;
    return static_cast<double>(ran.output.size());
  };
  const double standard = preprocessed_bytes("standard.cc",
                                             "#include <functional>\n#include <memory>\n"
                                             "#include <optional>\n#include <span>\n"
                                             "#include <string>\n#include <variant>\n"
                                             "#include <vector>\n");
  EXPECT_LT(preprocessed_bytes("ws.cc", "#include <ws/ws.h>\n"), 1.03 * standard);
}

TEST_F(Install, AStrippedEchoServerIsSmallerThanAMegabyte) {
#ifndef NDEBUG
  GTEST_SKIP() << "a debug build is larger";
#endif
  const std::string program = scratch("echo");
  const Ran ran = run("g++ -std=c++20 -O2 -s ws/examples/echo.cc -o " + program + " -I" +
                      (prefix() / "include/ws").string() + " -L" + (prefix() / "lib").string() +
                      " -lws -lssl -lcrypto -pthread 2>&1");
  ASSERT_EQ(ran.exit_code, 0) << ran.output;
  EXPECT_LT(fs::file_size(program), 1'000'000u);
}

}  // namespace
}  // namespace ws::test
