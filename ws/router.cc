#include "ws/router.h"

#include <algorithm>
#include <utility>

#include "ws/proto/http_bytes.h"

namespace ws {
namespace {

// Cuts the first segment off a path: up to the next '/', which goes too. false: there is none left.
bool next_segment(std::string_view& path, std::string_view& segment) {
  if (!path.starts_with('/')) return false;
  path.remove_prefix(1);
  segment = path.substr(0, path.find('/'));
  path.remove_prefix(segment.size());
  return true;
}

}  // namespace

std::optional<std::vector<Router::Segment>> Router::parse(std::string_view pattern) {
  if (pattern == "*") pattern = "/*";
  if (!pattern.starts_with('/') || pattern.find('*') < pattern.size() - 1) return std::nullopt;
  // As no path of a request has them, it would never match.
  const bool path = proto::all_bytes_of(proto::kVisibleByte, pattern) &&
                    pattern.find_first_of("?#") == std::string_view::npos;
  if (!path) return std::nullopt;
  std::vector<Segment> segments;
  for (std::string_view text; next_segment(pattern, text);) {
    Kind kind = Kind::kText;
    if (text.ends_with('*')) {
      kind = Kind::kRest;
      text.remove_suffix(1);
    } else if (text.starts_with(':')) {
      kind = Kind::kParam;
      text.remove_prefix(1);
      if (text.empty()) return std::nullopt;
    }
    segments.push_back({kind, std::string(text)});
  }
  return segments;
}

bool Router::goes_first(const Route& a, const Route& b) {
  const auto key = [](const Segment& segment) {
    const std::size_t rest_bytes = segment.kind == Kind::kRest ? segment.text.size() : 0;
    return std::pair(segment.kind, SIZE_MAX - rest_bytes);
  };
  return std::lexicographical_compare(
      a.segments.begin(), a.segments.end(), b.segments.begin(), b.segments.end(),
      [&](const Segment& x, const Segment& y) { return key(x) < key(y); });
}

bool Router::add(std::string_view pattern, Handlers handlers) {
  auto segments = parse(pattern);
  if (!segments) return false;
  std::erase_if(routes_, [&](const Route& route) { return route.pattern == pattern; });
  Route route{std::string(pattern), std::move(*segments), std::move(handlers)};
  const auto place = std::upper_bound(routes_.begin(), routes_.end(), route, goes_first);
  routes_.insert(place, std::move(route));
  return true;
}

bool Router::matches(const Route& route, std::string_view path, std::vector<Header>& params) {
  params.clear();
  std::string_view text;
  for (const Segment& segment : route.segments) {
    const std::string_view rest = path;
    if (!next_segment(path, text)) return false;
    switch (segment.kind) {
      case Kind::kRest:
        return rest.substr(1).starts_with(segment.text);
      case Kind::kText:
        if (text != segment.text) return false;
        break;
      case Kind::kParam:
        if (text.empty()) return false;
        params.push_back({segment.text, text});
        break;
    }
  }
  return path.empty();
}

Router::Match Router::find(std::string_view path) const {
  Match match;
  for (const Route& route : routes_) {
    if (!matches(route, path, match.params)) continue;
    match.handlers = &route.handlers;
    break;
  }
  return match;
}

}  // namespace ws
