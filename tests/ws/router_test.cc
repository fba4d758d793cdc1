// "pattern: a path in which ":name" stands for one segment, whatever it is, and a trailing * for
// everything below. Of several that match, the one wins that is more exact at the first segment
// where they differ: text, then ":name", then *." (ws/server.h)
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
    EXPECT_TRUE(router_.add(pattern, {.on_close = Named{std::move(name)}})) << pattern;
  }
  // The name of the route that serves `path`, "none" if none does.
  std::string find(std::string_view path) const {
    const Handlers* handlers = router_.find(path).handlers;
    return handlers == nullptr ? "none" : handlers->on_close.target<Named>()->name;
  }
  // The parameters found in `path`: "name=value name=value".
  std::string params(std::string_view path) const {
    std::string out;
    for (const Header& param : router_.find(path).params) {
      out += (out.empty() ? "" : " ") + std::string(param.name) + "=" + std::string(param.value);
    }
    return out;
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

// --- parameters ---

TEST(Router, ANameStandsForOneSegmentWhateverItIs) {
  Routes routes({"/room/:room/seat/:seat"});
  EXPECT_EQ(routes.params("/room/blue/seat/7"), "room=blue seat=7");
  EXPECT_EQ(routes.params("/room/a%2Fb/seat/:seat"), "room=a%2Fb seat=:seat") << "as it was sent";
  EXPECT_EQ(routes.params("/room/*/seat/\xff"), "room=* seat=\xff");
  for (const char* other :
       {"/room/blue/seat", "/room/blue/seat/", "/room//seat/7", "/room/blue/seat/7/",
        "/room/blue/seat/7/8", "/room/a/b/seat/7", "/room/blue/Seat/7", "/"}) {
    EXPECT_EQ(routes.find(other), "none") << other;
  }
}

TEST(Router, ANameMayBeAllThereIs) {
  Routes routes({"/:all"});
  EXPECT_EQ(routes.params("/x"), "all=x");
  EXPECT_EQ(routes.find("/"), "none") << "a segment is not nothing";
  EXPECT_EQ(routes.find("/x/y"), "none");
}

TEST(Router, AColonWithinASegmentIsText) {
  Routes routes({"/a:b"});
  EXPECT_EQ(routes.find("/a:b"), "/a:b");
  EXPECT_EQ(routes.find("/ax"), "none");
}

TEST(Router, TextWinsOverNamesAndNamesOverTheRest) {
  for (const std::initializer_list<const char*> order :
       {std::initializer_list<const char*>{"/a/b", "/a/:x", "/a/*", "/:y/b", "/*"},
        {"/*", "/:y/b", "/a/*", "/a/:x", "/a/b"},
        {"/a/:x", "/*", "/a/b", "/:y/b", "/a/*"}}) {
    Routes routes(order);
    EXPECT_EQ(routes.find("/a/b"), "/a/b");
    EXPECT_EQ(routes.find("/a/c"), "/a/:x");
    EXPECT_EQ(routes.find("/a/c/d"), "/a/*");
    EXPECT_EQ(routes.find("/c/b"), "/:y/b");
    EXPECT_EQ(routes.find("/c/d"), "/*");
    EXPECT_EQ(routes.params("/c/b"), "y=c");
    EXPECT_EQ(routes.params("/a/b"), "") << "nothing is left of the routes that were tried";
  }
}

// "at the first segment where they differ"
TEST(Router, AnEarlierSegmentDecidesFirst) {
  for (const std::initializer_list<const char*> order :
       {std::initializer_list<const char*>{"/a/:x/:y", "/:z/b/c"}, {"/:z/b/c", "/a/:x/:y"}}) {
    Routes routes(order);
    EXPECT_EQ(routes.find("/a/b/c"), "/a/:x/:y");
    EXPECT_EQ(routes.params("/a/b/c"), "x=b y=c");
  }
}

// The more exact one at the start does not match, so the next one is asked.
TEST(Router, ComesBackFromADeadEnd) {
  Routes routes({"/a/b/c", "/a/:x/d", "/:y/b/e", "/*"});
  EXPECT_EQ(routes.find("/a/b/d"), "/a/:x/d");
  EXPECT_EQ(routes.find("/a/b/e"), "/:y/b/e");
  EXPECT_EQ(routes.find("/a/b/f"), "/*");
  EXPECT_EQ(routes.params("/a/b/e"), "y=a");
  EXPECT_EQ(routes.params("/a/b/f"), "");
}

TEST(Router, ANameAndTheRestMayStandInOnePattern) {
  Routes routes({"/:user/files/*"});
  EXPECT_EQ(routes.params("/ann/files/"), "user=ann");
  EXPECT_EQ(routes.params("/ann/files/a/b"), "user=ann");
  EXPECT_EQ(routes.find("/ann/files"), "none");
}

TEST(Router, AStarAloneIsEveryPath) {
  Routes routes({"*"});
  for (const char* path : {"/", "/a", "/a/b/"}) EXPECT_EQ(routes.find(path), "*") << path;
}

TEST(Router, RefusesPatternsThatAreNone) {
  for (const char* pattern :
       {"", "a", "a/b", "a*", ":x", "/a/*/b", "/*a", "/**", "/:", "/a/:/b", "/*/",
        "http://localhost/", " /a", "/ ", "/a?b", "/#", "/\n", "/\xc3\xa9"}) {
    EXPECT_FALSE(Router().add(pattern, {})) << pattern;
  }
}

TEST(Router, LooksUpBytesThatAreNoText) {
  Routes routes({"/*"});
  EXPECT_EQ(routes.find(std::string_view("/\0\xff", 3)), "/*");
}

}  // namespace
}  // namespace ws
