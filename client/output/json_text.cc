#include "client/output/json_text.h"

#include "google/protobuf/util/json_util.h"
#include "nlohmann/json.hpp"

namespace attune::client {
namespace {

using OrderedJson = nlohmann::ordered_json;

std::string Compact(const google::protobuf::Message& message) {
  std::string json;
  const auto status =
      google::protobuf::util::MessageToJsonString(message, &json);
  return status.ok() ? json : "{}";
}

OrderedJson Parsed(const google::protobuf::Message& message) {
  return OrderedJson::parse(Compact(message), nullptr,
                            /*allow_exceptions=*/false);
}

std::string Indented(const OrderedJson& json) {
  return json.dump(2, ' ', /*ensure_ascii=*/false,
                   OrderedJson::error_handler_t::replace) +
         "\n";
}

}  // namespace

std::string ToJson(const google::protobuf::Message& message) {
  return Indented(Parsed(message));
}

std::string ToJsonLine(const google::protobuf::Message& message) {
  return Compact(message) + "\n";
}

std::string ToJsonArray(
    const std::vector<const google::protobuf::Message*>& messages) {
  OrderedJson array = OrderedJson::array();
  for (const google::protobuf::Message* message : messages) {
    array.push_back(Parsed(*message));
  }
  return Indented(array);
}

}  // namespace attune::client
