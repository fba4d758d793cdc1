// "route(): an exact path, or one with a trailing * for everything below. An exact match wins, then
// the longest prefix."
#include "ws/router.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace ws {
namespace {

// A handler that can be asked whose it is.
struct Named {
  std::string name;
  void operator()(Conn&, const Close&) const {}
};

class Routes {
 public:
  Routes(std::initializer_list<const char*> patterns) {
    for (const char* pattern : patterns) add(pattern, pattern);
  }
  void add(std::string_view pattern, std::string name) {
    router_.add(pattern, {.on_open = {}, .on_message = {}, .on_close = Named{std::move(name)}});
  }
  // The name of the route that serves `path`, "none" if none does.
  std::string find(std::string_view path) const {
    const Handlers* handlers = router_.find(path);
    return handlers == nullptr ? "none" : handlers->on_close.target<Named>()->name;
  }

 private:
  Router router_;
};

TEST(Router, FindsNothingWhenThereAreNoRoutes) {
  EXPECT_EQ(Routes({}).find("/"), "none");
}

TEST(Router, MatchesAnExactPathAndNoOther) {
  Routes routes({"/chat"});
  EXPECT_EQ(routes.find("/chat"), "/chat");
  for (const char* other : {"/", "/cha", "/chat/", "/chats", "/Chat", "/chat/1", ""}) {
    EXPECT_EQ(routes.find(other), "none") << other;
  }
}

TEST(Router, MatchesEverythingThatStartsWithAPrefix) {
  Routes routes({"/chat/*"});
  for (const char* path : {"/chat/", "/chat/1", "/chat/1/2", "/chat/*"}) {
    EXPECT_EQ(routes.find(path), "/chat/*") << path;
  }
  for (const char* other : {"/", "/chat", "/chatter", "/CHAT/1"}) {
    EXPECT_EQ(routes.find(other), "none") << other;
  }
}

TEST(Router, APrefixNeedNotEndInASlash) {
  Routes routes({"/chat*"});
  for (const char* path : {"/chat", "/chatter", "/chat/1"}) {
    EXPECT_EQ(routes.find(path), "/chat*") << path;
  }
  EXPECT_EQ(routes.find("/cha"), "none");
}

TEST(Router, AnExactMatchWinsOverEveryPrefix) {
  for (const std::initializer_list<const char*> order :
       {std::initializer_list<const char*>{"/a", "/a*", "/*"}, {"/*", "/a*", "/a"}}) {
    Routes routes(order);
    EXPECT_EQ(routes.find("/a"), "/a");
    EXPECT_EQ(routes.find("/ab"), "/a*");
    EXPECT_EQ(routes.find("/b"), "/*");
  }
}

TEST(Router, TheLongestPrefixWinsWhateverTheOrder) {
  for (const std::initializer_list<const char*> order :
       {std::initializer_list<const char*>{"/*", "/api/*", "/api/v2/*"},
        {"/api/v2/*", "/api/*", "/*"},
        {"/api/*", "/*", "/api/v2/*"}}) {
    Routes routes(order);
    EXPECT_EQ(routes.find("/api/v2/x"), "/api/v2/*");
    EXPECT_EQ(routes.find("/api/v1/x"), "/api/*");
    EXPECT_EQ(routes.find("/api"), "/*");
  }
}

TEST(Router, ALaterRouteReplacesAnEqualEarlierOne) {
  Routes routes({"/a", "/b*"});
  routes.add("/a", "new exact");
  routes.add("/b*", "new prefix");
  EXPECT_EQ(routes.find("/a"), "new exact");
  EXPECT_EQ(routes.find("/bb"), "new prefix");
}

TEST(Router, AnExactPathAndThePrefixOfTheSameLettersAreTwoRoutes) {
  Routes routes({"/a"});
  routes.add("/a*", "prefix");
  EXPECT_EQ(routes.find("/a"), "/a");
  EXPECT_EQ(routes.find("/aa"), "prefix");
}

TEST(Router, LooksUpBytesThatAreNoText) {
  Routes routes({"/*"});
  EXPECT_EQ(routes.find(std::string_view("/\0\xff", 3)), "/*");
}

}  // namespace
}  // namespace ws
