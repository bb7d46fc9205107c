#include "server/api/unsupported.h"

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/unknown_field_set.h"
#include "proto/cc/text.h"

namespace attune::server {
namespace {

using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr UnsupportedMethod kMethods[] = {
    {"attune.v1.PromptService.ImportPromptVersion",
     "versions come from tuning jobs only"},
    {"attune.v1.PromptService.InspectPromptVersion",
     "prompt rows are not compared with tokens yet"},
};

// One value of a field, at `index` of a repeated one or -1.
struct Place {
  const Message& message;
  const FieldDescriptor* field;
  int index;
};

std::optional<double> NumberAt(const Place& at) {
  const Reflection& r = *at.message.GetReflection();
  const bool repeated = at.index >= 0;
  const auto get = [&](auto single, auto indexed) {
    return static_cast<double>(
        repeated ? (r.*indexed)(at.message, at.field, at.index)
                 : (r.*single)(at.message, at.field));
  };
  switch (at.field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_FLOAT:
      return get(&Reflection::GetFloat, &Reflection::GetRepeatedFloat);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return get(&Reflection::GetDouble, &Reflection::GetRepeatedDouble);
    default:
      return std::nullopt;
  }
}

const Message& MessageAt(const Place& at) {
  const Reflection& r = *at.message.GetReflection();
  return at.index >= 0 ? r.GetRepeatedMessage(at.message, at.field, at.index)
                       : r.GetMessage(at.message, at.field);
}

void CheckEnum(const Place& at, const std::string& path,
               FieldViolations& violations) {
  const Reflection& r = *at.message.GetReflection();
  const int number =
      at.index >= 0 ? r.GetRepeatedEnumValue(at.message, at.field, at.index)
                    : r.GetEnumValue(at.message, at.field);
  const EnumValueDescriptor* value =
      at.field->enum_type()->FindValueByNumber(number);
  if (value == nullptr) {
    violations.AddUnsupported(
        path, Concat(number, " is not a ", at.field->enum_type()->full_name(),
                     " that this release knows"));
  }
}

// google.protobuf.DoubleValue and its like: a number that may be unset.
bool IsWrapper(const Message& message) {
  const auto* type = message.GetDescriptor();
  return type->file()->name() == "google/protobuf/wrappers.proto";
}

void CheckValue(const Place& at, const std::string& path,
                FieldViolations& violations) {
  const std::optional<double> number = NumberAt(at);
  if (number && !std::isfinite(*number)) {
    violations.Add(path, Concat("is ", *number, ", which is not finite"));
    return;
  }
  if (at.field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    CheckEnum(at, path, violations);
  } else if (at.field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    CheckSupported(MessageAt(at), path, violations);
  }
}

}  // namespace

absl::Span<const UnsupportedMethod> UnsupportedMethods() { return kMethods; }

absl::Status MethodNotServed(std::string_view method) {
  for (const UnsupportedMethod& row : kMethods) {
    if (row.method != method) continue;
    return MakeError(Reason::kMethodNotServed,
                     Concat(method, " is not served yet: ", row.why),
                     {{"method", std::string(method)}});
  }
  return MakeError(
      Reason::kInternal,
      Concat(method, " is not in the list of unsupported methods"));
}

void CheckSupported(const Message& message, std::string_view path,
                    FieldViolations& violations) {
  if (message.GetDescriptor()->full_name() == "google.protobuf.Struct") return;
  const Reflection& reflection = *message.GetReflection();
  const auto& unknown = reflection.GetUnknownFields(message);
  for (int i = 0; i < unknown.field_count(); ++i) {
    violations.AddUnsupported(
        path, Concat("field number ", unknown.field(i).number(), " of ",
                     message.GetDescriptor()->full_name(),
                     " is not known to this release"));
  }
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string field_path =
        IsWrapper(message)
            ? std::string(path)
            : Concat(path, path.empty() ? "" : ".", field->name());
    if (!field->is_repeated()) {
      CheckValue({message, field, -1}, field_path, violations);
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      CheckValue({message, field, i}, Concat(field_path, "[", i, "]"),
                 violations);
    }
  }
}

absl::Status CheckSupported(const Message& message) {
  FieldViolations violations;
  CheckSupported(message, "", violations);
  return violations.ToStatus();
}

}  // namespace attune::server
