#include "worker/prompts/stable_json.h"

#include <memory>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/type_resolver_util.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

constexpr char kUrlPrefix[] = "type.googleapis.com";

}  // namespace

std::string StableBytes(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

absl::StatusOr<std::string> ToStableJson(
    const google::protobuf::Message& message) {
  // Converting from the wire format keeps the order of map entries, and
  // deterministic serialisation sorts them.
  const std::unique_ptr<google::protobuf::util::TypeResolver> resolver(
      google::protobuf::util::NewTypeResolverForDescriptorPool(
          kUrlPrefix, message.GetDescriptor()->file()->pool()));
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  std::string json;
  const auto status = google::protobuf::util::BinaryToJsonString(
      resolver.get(),
      Concat(kUrlPrefix, "/", message.GetDescriptor()->full_name()),
      StableBytes(message), &json, options);
  if (!status.ok()) {
    return absl::InternalError(
        Concat("can't write ", message.GetDescriptor()->full_name(),
               " as JSON: ", std::string(status.message())));
  }
  return json;
}

absl::Status FromStrictJson(std::string_view json,
                            google::protobuf::Message& message) {
  const auto status = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(json.data(), json.size()), &message);
  if (!status.ok()) {
    return absl::InvalidArgumentError(
        Concat("not a ", message.GetDescriptor()->full_name(),
               " in JSON: ", std::string(status.message())));
  }
  return absl::OkStatus();
}

}  // namespace attune::worker
