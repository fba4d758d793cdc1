#include "ws/extensions.h"

#include <utility>

namespace ws {
namespace {

constexpr std::string_view kHeader = "Sec-WebSocket-Extensions";
constexpr std::string_view kDeflateName = "permessage-deflate";

bool claims(const Negotiated& negotiated, RsvBit bit) {
  for (const Negotiated::Element& element : negotiated.elements) {
    if (element.bit == bit) return true;
  }
  return false;
}

void add_element(std::string& list, std::string_view name, std::string_view parameters) {
  if (!list.empty()) list.append(", ");
  list.append(name);
  if (!parameters.empty()) list.append("; ").append(parameters);
}

}  // namespace

core::Result<core::Ok> check_extensions(ExtensionTypes types) {
  for (const auto& type : types) {
    if (type == nullptr) return core::Error("an extension to offer is a null pointer");
    if (!proto::is_token(type->name())) {
      return core::Error("cannot offer the extension \"" + proto::printable(type->name()) +
                         "\": its name is not a token");
    }
  }
  return core::Ok{};
}

Negotiated accept_extensions(const proto::RequestHead& head, const DeflateOptions& deflate,
                             ExtensionTypes types) {
  Negotiated negotiated;
  if (auto agreed = proto::accept_deflate(head, deflate)) {
    negotiated.answer = std::move(agreed->answer);
    negotiated.elements.push_back({.deflate = agreed->parameters});
  }
  if (types.empty()) return negotiated;
  for (const std::string_view text : proto::list_elements(head, kHeader)) {
    const auto element = proto::parse_extension(text);
    if (!element) continue;
    for (const auto& type : types) {
      if (type->name() != element->name || claims(negotiated, type->rsv())) continue;
      auto agreed = type->accept(element->parameters);
      if (!agreed || agreed->extension == nullptr) continue;
      add_element(negotiated.answer, type->name(), agreed->parameters);
      negotiated.elements.push_back(
          {.extension = std::move(agreed->extension), .bit = type->rsv()});
      break;
    }
  }
  return negotiated;
}

std::vector<std::string> offer_extensions(const DeflateOptions& deflate, ExtensionTypes types) {
  std::vector<std::string> offers;
  if (std::string offer = proto::offer_deflate(deflate); !offer.empty()) offers.push_back(offer);
  for (const auto& type : types) {
    add_element(offers.emplace_back(), type->name(), type->offer());
  }
  return offers;
}

std::optional<Negotiated> confirm_extensions(const proto::ResponseHead& head,
                                             const DeflateOptions& deflate, ExtensionTypes types) {
  Negotiated negotiated;
  for (const std::string_view text : proto::list_elements(head, kHeader)) {
    const auto element = proto::parse_extension(text);
    if (!element) return std::nullopt;
    Negotiated::Element agreed;
    if (element->name == kDeflateName) {
      agreed.deflate = proto::read_deflate_answer(text, deflate);
    }
    // Of several offers of one name the answer may be to any.
    for (const auto& type : types) {
      if (agreed.deflate || agreed.extension || type->name() != element->name) continue;
      agreed.extension = type->confirm(element->parameters);
      agreed.bit = type->rsv();
    }
    if ((!agreed.deflate && !agreed.extension) || claims(negotiated, agreed.bit)) {
      return std::nullopt;
    }
    negotiated.elements.push_back(std::move(agreed));
  }
  return negotiated;
}

Agreement::Agreement(const proto::ProtocolConfig& plain, proto::DeflateEngine& engine,
                     Negotiated negotiated, const DeflateOptions& options)
    : config(plain) {
  for (Negotiated::Element& element : negotiated.elements) {
    if (element.deflate) {
      deflate.emplace(engine, plain.self.role, *element.deflate, options);
      config.add(*deflate, element.bit);
    } else {
      config.add(*element.extension, element.bit);
      others.push_back(std::move(element.extension));
    }
  }
  if (deflate) config.deflate = &*deflate;
}

const proto::ProtocolConfig& Agreements::config_for(Negotiated negotiated,
                                                    const DeflateOptions& options,
                                                    std::unique_ptr<Agreement>& own) {
  std::unique_ptr<Agreement>* place = &own;
  if (negotiated.elements.size() == 1 && negotiated.elements[0].deflate) {
    const proto::DeflateParameters& parameters = *negotiated.elements[0].deflate;
    if (parameters.server_no_context_takeover && parameters.client_no_context_takeover) {
      place = &shared_[parameters.client_max_window_bits - deflate::kWindowBitsMin]
                      [parameters.server_max_window_bits - deflate::kWindowBitsMin];
    }
  }
  if (!*place) {
    *place = std::make_unique<Agreement>(plain_, engine_, std::move(negotiated), options);
  }
  return (*place)->config;
}

}  // namespace ws
