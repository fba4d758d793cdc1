// Internal. Which handlers serve a path.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ws/conn.h"

namespace ws {

// Filled before the threads start, read by all of them afterwards.
class Router {
 public:
  // pattern: "/path", or "/prefix*" for everything that starts so. A later one replaces an equal
  // earlier one.
  void add(std::string_view pattern, Handlers handlers);
  // An exact match wins, then the longest prefix; null when there is none. valid: as long as the
  // router.
  const Handlers* find(std::string_view path) const;

 private:
  struct Route {
    std::string path;  // without the *
    bool prefix;
    Handlers handlers;
  };
  std::vector<Route> routes_;  // in the order they are tried
};

}  // namespace ws
