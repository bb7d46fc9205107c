#include "client/commands/rows.h"

#include <algorithm>
#include <map>

#include "client/commands/document.h"
#include "client/output/json_text.h"
#include "client/output/text_width.h"
#include "google/protobuf/util/json_util.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

std::string ValueText(const google::protobuf::Value& value) {
  if (value.kind_case() == google::protobuf::Value::kStringValue) {
    return value.string_value();
  }
  std::string json = ToJsonLine(value);
  json.erase(json.find_last_not_of('\n') + 1);
  return json;
}

}  // namespace

absl::StatusOr<std::vector<google::protobuf::Struct>> ParseRows(
    std::string_view text, std::string_view file) {
  std::vector<google::protobuf::Struct> rows;
  for (int line = 1; !text.empty(); ++line) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view row = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t first = row.find_first_not_of(" \t\r");
    if (first == row.npos) continue;
    // The mapping recurses once per level: it has a limit of its own.
    if (row[first] != '{' || !IsValidUtf8(row)) {
      return DocumentError(file, line, "is not a JSON object in UTF-8");
    }
    const auto status = google::protobuf::util::JsonStringToMessage(
        std::string(row), &rows.emplace_back());
    if (!status.ok()) {
      const auto message = status.message();
      const std::string_view problem(message.data(), message.size());
      return DocumentError(file, line,
                           Concat("is not a JSON object: ",
                                  problem.substr(0, problem.find('\n'))));
    }
  }
  return rows;
}

absl::StatusOr<google::protobuf::Struct> RowOfFields(
    const std::vector<std::string>& fields) {
  google::protobuf::Struct row;
  for (const std::string& field : fields) {
    const size_t equals = field.find('=');
    if (equals == field.npos || equals == 0) {
      return absl::InvalidArgumentError(
          Concat("--field '", field, "': write it like text=\"Hello\""));
    }
    const std::string name = field.substr(0, equals);
    if (row.fields().contains(name)) {
      return absl::InvalidArgumentError(
          Concat("--field '", name, "' comes twice"));
    }
    (*row.mutable_fields())[name].set_string_value(field.substr(equals + 1));
  }
  return row;
}

google::protobuf::Struct RowOf(const std::string& name,
                               const std::string& text) {
  google::protobuf::Struct row;
  (*row.mutable_fields())[name].set_string_value(text);
  return row;
}

std::string Summary(const google::protobuf::Struct& row) {
  if (row.fields_size() == 1) return ValueText(row.fields().begin()->second);
  // Sorted: the order inside a protobuf map changes from run to run.
  const std::map<std::string, google::protobuf::Value> sorted(
      row.fields().begin(), row.fields().end());
  std::string summary;
  for (const auto& [name, value] : sorted) {
    summary += Concat(summary.empty() ? "" : " ", name, "=", ValueText(value));
  }
  return summary;
}

}  // namespace attune::client
