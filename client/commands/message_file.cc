#include "client/commands/message_file.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/util/json_util.h"
#include "nlohmann/json.hpp"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using Json = nlohmann::json;
using Kind = DocumentNode::Kind;

bool IsScalar(const DocumentNode& node) {
  return node.kind != Kind::kMap && node.kind != Kind::kList;
}

// How many single-letter edits lie between two names.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

// " (did you mean 'x'?)" for the field of `type` closest to `name`, or a list.
std::string Suggestion(const Descriptor& type, std::string_view name) {
  std::string_view best;
  size_t best_distance = 4;
  std::string all;
  for (int i = 0; i < type.field_count(); ++i) {
    const std::string& candidate = type.field(i)->name();
    const size_t distance = EditDistance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
    all += Concat(all.empty() ? "" : ", ", candidate);
  }
  if (!best.empty()) return Concat(" (did you mean '", best, "'?)");
  return all.empty() ? "" : Concat(" (there are: ", all, ")");
}

const FieldDescriptor* FieldOf(const Descriptor& type, std::string_view key) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    if (field->name() == key || field->json_name() == key) return field;
  }
  return nullptr;
}

// YAML 1.2's core schema for a word without quotes.
Json PlainValue(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" ||
      text == "NULL") {
    return nullptr;
  }
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const bool number_like =
      text.find_first_not_of("+-.0123456789eE") == text.npos &&
      text.find_first_of("0123456789") != text.npos;
  double number = 0;
  if (number_like && absl::SimpleAtod(text, &number) && std::isfinite(number)) {
    return number;
  }
  return text;
}

// Turns a document into proto JSON along a message type. Every value that has
// a place in the type goes as a string, which the mapping takes for numbers
// and enums too: no digit is lost on the way.
class Converter {
 public:
  explicit Converter(std::string_view file) : file_(file) {}

  absl::StatusOr<Json> Message(const DocumentNode& node, const Descriptor& type,
                               const std::string& path) const {
    const std::string& name = type.full_name();
    if (name == "google.protobuf.Struct" || name == "google.protobuf.Value" ||
        name == "google.protobuf.ListValue") {
      return Free(node);
    }
    if (name == "google.protobuf.Timestamp" ||
        name == "google.protobuf.Duration") {
      return Scalar(node, path);
    }
    if (name.starts_with("google.protobuf.") && name.ends_with("Value")) {
      return Singular(node, *type.FindFieldByName("value"), path);
    }
    if (node.kind != Kind::kMap) {
      return Error(node.line, path, "must have fields of its own");
    }
    Json object = Json::object();
    std::set<int> seen;
    for (const DocumentField& entry : node.fields) {
      const std::string entry_path = Join(path, entry.key);
      const FieldDescriptor* field = FieldOf(type, entry.key);
      if (field == nullptr) {
        return Error(entry.line, entry_path,
                     Concat("unknown field", Suggestion(type, entry.key)));
      }
      if (!seen.insert(field->number()).second) {
        return Error(entry.line, entry_path, "comes twice");
      }
      if (IsNull(entry.value)) continue;
      ATTUNE_ASSIGN_OR_RETURN(object[field->json_name()],
                              Field(entry.value, *field, entry_path));
    }
    return object;
  }

 private:
  static std::string Join(const std::string& path, std::string_view key) {
    return path.empty() ? std::string(key) : Concat(path, ".", key);
  }

  static bool IsNull(const DocumentNode& node) {
    return node.kind == Kind::kNull ||
           (node.kind == Kind::kPlain && PlainValue(node.scalar).is_null());
  }

  absl::Status Error(int line, const std::string& path,
                     std::string_view problem) const {
    return DocumentError(file_, line,
                         path.empty() ? problem : Concat(path, ": ", problem));
  }

  absl::StatusOr<Json> Field(const DocumentNode& node,
                             const FieldDescriptor& field,
                             const std::string& path) const {
    if (field.is_map()) {
      if (node.kind != Kind::kMap) {
        return Error(node.line, path, "must have keys and values");
      }
      Json object = Json::object();
      for (const DocumentField& entry : node.fields) {
        ATTUNE_ASSIGN_OR_RETURN(
            object[entry.key],
            Singular(entry.value, *field.message_type()->map_value(),
                     Join(path, entry.key)));
      }
      return object;
    }
    if (!field.is_repeated()) return Singular(node, field, path);
    if (node.kind != Kind::kList) {
      return Error(node.line, path, "must be a list");
    }
    Json array = Json::array();
    for (const DocumentNode& item : node.items) {
      ATTUNE_ASSIGN_OR_RETURN(
          Json value,
          Singular(item, field, Concat(path, "[", array.size(), "]")));
      array.push_back(std::move(value));
    }
    return array;
  }

  absl::StatusOr<Json> Singular(const DocumentNode& node,
                                const FieldDescriptor& field,
                                const std::string& path) const {
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Message(node, *field.message_type(), path);
      case FieldDescriptor::CPPTYPE_STRING:
        if (node.kind == Kind::kNumber || node.kind == Kind::kBool) {
          return Error(node.line, path, "must be a string: put it in quotes");
        }
        return Scalar(node, path);
      case FieldDescriptor::CPPTYPE_BOOL: {
        ATTUNE_ASSIGN_OR_RETURN(Json value, Scalar(node, path));
        if (value == "true") return true;
        if (value == "false") return false;
        return Error(node.line, path, "must be true or false");
      }
      case FieldDescriptor::CPPTYPE_ENUM:
        return Enum(node, *field.enum_type(), path);
      default:
        return Scalar(node, path);
    }
  }

  absl::StatusOr<Json> Enum(const DocumentNode& node,
                            const google::protobuf::EnumDescriptor& type,
                            const std::string& path) const {
    ATTUNE_ASSIGN_OR_RETURN(Json value, Scalar(node, path));
    if (type.FindValueByName(value.get<std::string>()) != nullptr) return value;
    std::string names;
    for (int i = 1; i < type.value_count(); ++i) {
      names += Concat(i == 1 ? "" : ", ", type.value(i)->name());
    }
    return Error(node.line, path,
                 Concat("'", node.scalar, "' is not one of ", names));
  }

  absl::StatusOr<Json> Scalar(const DocumentNode& node,
                              const std::string& path) const {
    if (!IsScalar(node)) return Error(node.line, path, "must be one value");
    // YAML's spelling of what proto JSON calls NaN and Infinity.
    if (node.kind == Kind::kPlain && node.scalar == ".nan") return "NaN";
    if (node.kind == Kind::kPlain && node.scalar == ".inf") return "Infinity";
    return node.scalar;
  }

  // A node in a free row: the document alone says what its values are.
  absl::StatusOr<Json> Free(const DocumentNode& node) const {
    switch (node.kind) {
      case Kind::kNull:
        return nullptr;
      case Kind::kBool:
        return node.scalar == "true";
      case Kind::kString:
        return node.scalar;
      case Kind::kNumber:
      case Kind::kPlain:
        return PlainValue(node.scalar);
      case Kind::kList: {
        Json array = Json::array();
        for (const DocumentNode& item : node.items) {
          ATTUNE_ASSIGN_OR_RETURN(Json value, Free(item));
          array.push_back(std::move(value));
        }
        return array;
      }
      case Kind::kMap: {
        Json object = Json::object();
        for (const DocumentField& entry : node.fields) {
          ATTUNE_ASSIGN_OR_RETURN(object[entry.key], Free(entry.value));
        }
        return object;
      }
    }
    return nullptr;
  }

  const std::string_view file_;
};

// The line of the node that protobuf calls `path`, e.g. "spec.labels[2].label",
// or of the deepest one on the way that the document has.
int LineOfPath(const DocumentNode& document, std::string_view path) {
  const DocumentNode* node = &document;
  int line = document.line;
  while (!path.empty()) {
    if (path.front() == '[') {
      size_t index = 0;
      std::from_chars(path.data() + 1, path.data() + path.size(), index);
      if (index >= node->items.size()) return line;
      node = &node->items[index];
      line = node->line;
      path.remove_prefix(std::min(path.size(), path.find(']')));
      path.remove_prefix(std::min<size_t>(path.size(), 1));
    } else {
      const std::string_view name = path.substr(0, path.find_first_of(".["));
      const DocumentField* field = FindField(*node, name);
      if (field == nullptr) return line;
      node = &field->value;
      line = field->line;
      path.remove_prefix(name.size());
    }
    if (path.starts_with('.')) path.remove_prefix(1);
  }
  return line;
}

// protobuf says "(a.b[0].c): invalid value ... for type TYPE_INT32".
absl::Status WithLine(std::string_view message, std::string_view file,
                      const DocumentNode& document) {
  const size_t end = message.find("): ");
  if (!message.starts_with('(') || end == message.npos) {
    return DocumentError(file, 0, message);
  }
  const std::string_view path = message.substr(1, end - 1);
  return DocumentError(file, LineOfPath(document, path),
                       Concat(path, ": ", message.substr(end + 3)));
}

}  // namespace

bool SameFieldName(std::string_view a, std::string_view b) {
  const auto squeeze = [](std::string_view name) {
    std::string letters;
    for (const char c : name) {
      if (c != '_') letters += static_cast<char>(std::tolower(c));
    }
    return letters;
  };
  return squeeze(a) == squeeze(b);
}

const DocumentField* FindField(const DocumentNode& map, std::string_view name) {
  for (const DocumentField& field : map.fields) {
    if (SameFieldName(field.key, name)) return &field;
  }
  return nullptr;
}

absl::Status FillMessage(const DocumentNode& document, std::string_view file,
                         google::protobuf::Message& message) {
  ATTUNE_ASSIGN_OR_RETURN(
      const Json json,
      Converter(file).Message(document, *message.GetDescriptor(), ""));
  const auto status =
      google::protobuf::util::JsonStringToMessage(json.dump(), &message);
  if (!status.ok()) {
    return WithLine(ToStd(absl::string_view(status.message().data(),
                                            status.message().size())),
                    file, document);
  }
  return absl::OkStatus();
}

}  // namespace attune::client
