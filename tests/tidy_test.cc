// Reads the tree and holds it to its layout: the folders, who may include whom, sizes, and a
// test for every source.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace ws::test {
namespace {

namespace fs = std::filesystem;

// Files that may be longer than the caps; each says why in its first lines.
const std::set<std::string> kLongFiles{};

// Sources without a test file of their own, and what tests them instead.
const std::map<std::string, std::string> kTestedElsewhere{
    {"ws/link.cc", "tests/ws/lifecycle_test.cc, tests/conformance/socket_test.cc"},
    {"ws/link_output.cc", "tests/ws/backpressure_test.cc"},
    {"ws/link_timer.cc", "tests/ws/timeouts_test.cc"},
};

struct File {
  std::string path;  // from the root
  std::vector<std::string> lines;
};

std::vector<File> sources() {
  std::vector<File> files;
  for (const char* top : {"core", "tls", "net", "ws", "bench", "tests"}) {
    for (const auto& entry : fs::recursive_directory_iterator(top)) {
      const std::string extension = entry.path().extension();
      if (extension != ".cc" && extension != ".h") continue;
      File file{entry.path().string(), {}};
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line);) file.lines.push_back(line);
      files.push_back(std::move(file));
    }
  }
  return files;
}

bool is_header(const File& file) {
  return file.path.ends_with(".h");
}

// The target of an include line; quotes or angle brackets, empty for any other line.
std::string included(const std::string& line, char open) {
  const std::string start = std::string("#include ") + open;
  if (!line.starts_with(start)) return {};
  const char close = open == '<' ? '>' : '"';
  return line.substr(start.size(), line.find(close, start.size()) - start.size());
}

// core < tls < net < ws < {bench, tests}; -1 for anything else.
int rank(const std::string& path) {
  constexpr std::array<std::string_view, 4> kChain{"core/", "tls/", "net/", "ws/"};
  for (std::size_t i = 0; i < kChain.size(); ++i) {
    if (path.starts_with(kChain[i])) return static_cast<int>(i);
  }
  return path.starts_with("bench/") || path.starts_with("tests/") ? 4 : -1;
}

bool in(const std::string& path, std::initializer_list<std::string_view> folders) {
  return std::any_of(folders.begin(), folders.end(),
                     [&](std::string_view f) { return path.starts_with(f); });
}

TEST(Tidy, TheTopLevelIsTheHouse) {
  const std::set<std::string> allowed{"core",  "net",   "ws",       "tls",
                                      "bench", "tests", "Makefile", "README.md"};
  const std::set<std::string> built{"build", "libws.a", "wsd"};
  for (const auto& entry : fs::directory_iterator(".")) {
    const std::string name = entry.path().filename();
    if (name.starts_with('.') || built.contains(name)) continue;
    EXPECT_TRUE(allowed.contains(name)) << name;
  }
}

TEST(Tidy, EveryFolderHasAReadme) {
  for (const char* folder : {"core", "tls", "net", "ws", "ws/proto", "ws/deflate", "ws/daemon",
                             "ws/examples", "bench", "tests"}) {
    std::ifstream in(std::string(folder) + "/README.md");
    ASSERT_TRUE(in) << folder;
    const auto lines = std::count(std::istreambuf_iterator<char>(in), {}, '\n');
    EXPECT_GE(lines, 10) << folder;
    EXPECT_LE(lines, 40) << folder;
  }
}

TEST(Tidy, IncludesGoDownTheChain) {
  for (const File& file : sources()) {
    for (const std::string& line : file.lines) {
      const std::string target = included(line, '"');
      if (target.empty()) continue;
      ASSERT_GE(rank(target), 0) << file.path << " includes " << target
                                 << ": paths start at the root";
      EXPECT_LE(rank(target), rank(file.path)) << file.path << " includes " << target;
      EXPECT_FALSE(target.starts_with("ws/daemon/") && !in(file.path, {"ws/daemon/", "tests/"}))
          << file.path;
      EXPECT_FALSE(file.path.starts_with("ws/") && file.path.find('/', 3) == std::string::npos &&
                   target.starts_with("ws/daemon/"))
          << file.path;
      if (in(file.path, {"ws/proto/", "ws/deflate/"})) {
        EXPECT_TRUE(in(target, {"core/", "ws/proto/", "ws/deflate/"}) || target == "tls/crypto.h")
            << file.path << " includes " << target;
      }
    }
  }
}

TEST(Tidy, SystemHeadersStayWhereTheyBelong) {
  for (const File& file : sources()) {
    if (in(file.path, {"bench/", "tests/"})) continue;
    for (const std::string& line : file.lines) {
      const std::string target = included(line, '<');
      if (target.starts_with("openssl/")) {
        EXPECT_TRUE(file.path.starts_with("tls/") && !is_header(file)) << file.path;
      }
      if (target == "sys/epoll.h") {
        EXPECT_EQ(file.path, "core/reactor.cc");
      }
      if (target == "sys/socket.h" || target == "sys/un.h" || target.starts_with("netinet/")) {
        EXPECT_TRUE(file.path.starts_with("net/")) << file.path;
      }
      // ws/proto is pure: no system call, no clock, no thread.
      if (file.path.starts_with("ws/proto/")) {
        EXPECT_FALSE(target.starts_with("sys/") || target == "unistd.h" || target == "thread" ||
                     target == "mutex" || target == "chrono" || target == "time.h" ||
                     target == "ctime")
            << file.path << " includes " << target;
      }
    }
  }
}

TEST(Tidy, HeadersSayWhoTheyAreFor) {
  for (const File& file : sources()) {
    if (!is_header(file)) continue;
    ASSERT_GE(file.lines.size(), 2u) << file.path;
    const std::string& role = file.lines[0];
    EXPECT_TRUE(role.starts_with("// Public. ") || role.starts_with("// Internal. ")) << file.path;
    EXPECT_NE(std::find(file.lines.begin(), file.lines.end(), "#pragma once"), file.lines.end())
        << file.path;
  }
}

// Headers of ours that each file includes, as "ws/ws.h" or, in an example, as <ws/ws.h>.
std::map<std::string, std::set<std::string>> includes_of_ours() {
  std::map<std::string, std::set<std::string>> includes;
  for (const File& file : sources()) {
    for (const std::string& line : file.lines) {
      for (const char open : {'"', '<'}) {
        const std::string target = included(line, open);
        if (rank(target) >= 0) includes[file.path].insert(target);
      }
    }
  }
  return includes;
}

// What is installed: those marked so are what ws/ws.h and the examples lead to, no more, no less.
TEST(Tidy, PublicHeadersAreWhatProgramsNeed) {
  std::set<std::string> marked;
  for (const File& file : sources()) {
    if (is_header(file) && file.lines[0].starts_with("// Public.")) marked.insert(file.path);
  }
  const auto includes = includes_of_ours();
  std::set<std::string> needed;
  std::vector<std::string> found{"ws/ws.h"};
  for (const auto& [path, targets] : includes) {
    if (path.starts_with("ws/examples/")) found.insert(found.end(), targets.begin(), targets.end());
  }
  while (!found.empty()) {
    const std::string path = found.back();
    found.pop_back();
    if (!needed.insert(path).second) continue;
    if (const auto more = includes.find(path); more != includes.end()) {
      found.insert(found.end(), more->second.begin(), more->second.end());
    }
  }
  EXPECT_EQ(marked, needed);
}

TEST(Tidy, ExamplesIncludeAsProgramsDo) {
  for (const File& file : sources()) {
    if (!file.path.starts_with("ws/examples/")) continue;
    EXPECT_FALSE(is_header(file)) << file.path << ": each stands for itself";
    for (const std::string& line : file.lines) EXPECT_EQ(included(line, '"'), "") << file.path;
  }
}

TEST(Tidy, FilesCanBeReadInOneSitting) {
  for (const File& file : sources()) {
    if (kLongFiles.contains(file.path)) continue;
    EXPECT_LE(file.lines.size(), is_header(file) ? 220u : 600u) << file.path;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      // Columns, not bytes: continuation bytes of UTF-8 do not count.
      const auto columns = std::count_if(file.lines[i].begin(), file.lines[i].end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
      });
      EXPECT_LE(columns, 100) << file.path << ":" << i + 1;
    }
  }
}

TEST(Tidy, EverySourceIncludesItsHeaderFirst) {
  for (const File& file : sources()) {
    if (is_header(file) || in(file.path, {"bench/", "tests/"})) continue;
    const std::string header = file.path.substr(0, file.path.size() - 2) + "h";
    if (!fs::exists(header)) continue;
    for (const std::string& line : file.lines) {
      if (!line.starts_with("#include")) continue;
      EXPECT_EQ(included(line, '"'), header) << file.path;
      break;
    }
  }
}

TEST(Tidy, EverySourceHasATest) {
  for (const File& file : sources()) {
    // tests/ws/examples_test.cc has all the examples.
    if (is_header(file) || in(file.path, {"bench/", "tests/", "ws/examples/"})) continue;
    const std::string test = "tests/" + file.path.substr(0, file.path.size() - 3) + "_test.cc";
    const bool elsewhere = kTestedElsewhere.contains(file.path);
    EXPECT_NE(fs::exists(test), elsewhere)
        << file.path << ": write " << test << " or name what tests it";
  }
}

}  // namespace
}  // namespace ws::test
