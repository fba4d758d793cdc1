#include "ws/request.h"

#include "ws/options.h"
#include "ws/proto/http.h"

namespace ws {
namespace {

std::string_view find_header(std::span<const Header> headers, std::string_view name) {
  for (const Header& header : headers) {
    if (proto::equals_ignore_case(header.name, name)) return header.value;
  }
  return {};
}

}  // namespace

std::string_view Request::header(std::string_view name) const {
  return find_header(headers, name);
}

std::string_view Request::param(std::string_view name) const {
  for (const Header& param : params) {
    if (param.name == name) return param.value;
  }
  return {};
}

std::string_view ConnectResponse::header(std::string_view name) const {
  return find_header(headers, name);
}

}  // namespace ws
