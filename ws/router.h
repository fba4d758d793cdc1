// Internal. Which handlers serve a path.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ws/handlers.h"

namespace ws {

// Filled before the threads start, read by all of them afterwards.
class Router {
 public:
  // pattern: "/text/:name/text", a trailing * for everything that goes on from there, "*" alone for
  // every path. A later one replaces an equal earlier one. false: it does not begin with '/', has a
  // '*' before its end, or a ':' without a name.
  bool add(std::string_view pattern, Handlers handlers);

  struct Match {
    const Handlers* handlers = nullptr;  // null: no such route. valid: as long as the router.
    std::vector<Header> params = {};     // views into the pattern and the path
  };
  // The most exact one at the first segment where patterns differ: text, then ":name", then *,
  // with more text first.
  Match find(std::string_view path) const;

 private:
  enum class Kind : std::uint8_t { kText, kParam, kRest };
  struct Segment {
    Kind kind;
    std::string text;  // kParam: its name; kRest: what it begins with
  };
  struct Route {
    std::string pattern;
    std::vector<Segment> segments;
    Handlers handlers;
  };
  static std::optional<std::vector<Segment>> parse(std::string_view pattern);
  static bool goes_first(const Route& a, const Route& b);
  static bool matches(const Route& route, std::string_view path, std::vector<Header>& params);

  std::vector<Route> routes_;  // in the order they are tried
};

}  // namespace ws
