#include "ws/router.h"

#include <algorithm>
#include <utility>

namespace ws {

void Router::add(std::string_view pattern, Handlers handlers) {
  const bool prefix = pattern.ends_with('*');
  if (prefix) pattern.remove_suffix(1);
  std::erase_if(
      routes_, [&](const Route& route) { return route.prefix == prefix && route.path == pattern; });
  routes_.push_back({std::string(pattern), prefix, std::move(handlers)});
  std::stable_sort(routes_.begin(), routes_.end(), [](const Route& a, const Route& b) {
    if (a.prefix != b.prefix) return b.prefix;
    return a.path.size() > b.path.size();
  });
}

const Handlers* Router::find(std::string_view path) const {
  for (const Route& route : routes_) {
    if (route.prefix ? path.starts_with(route.path) : path == route.path) return &route.handlers;
  }
  return nullptr;
}

}  // namespace ws
