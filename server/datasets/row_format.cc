#include "server/datasets/row_format.h"

#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "nlohmann/json.hpp"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::server {
namespace {

using Json = nlohmann::json;
using google::protobuf::Struct;
using google::protobuf::Value;

constexpr char kSplitField[] = "split";
// Larger integers than this are not all exact as doubles.
constexpr double kMaxExactInteger = 9007199254740992.0;  // 2^53

absl::Status Wrong(std::string_view what) {
  return MakeError(Reason::kInvalidData, what);
}

absl::Status TooDeep() {
  return Wrong(Concat("is nested deeper than ", kMaxRowDepth, " levels"));
}

// Checks a text before a tree is built of it: depth, duplicate keys, syntax.
// The parser calls it for each token; false stops it.
class RowChecker : public Json::json_sax_t {
 public:
  const absl::Status& status() const { return status_; }

  bool null() override { return Scalar(); }
  bool boolean(bool) override { return Scalar(); }
  bool number_integer(number_integer_t) override { return Scalar(); }
  bool number_unsigned(number_unsigned_t) override { return Scalar(); }
  bool number_float(number_float_t, const string_t&) override {
    return Scalar();
  }
  bool string(string_t&) override { return Scalar(); }
  bool binary(binary_t&) override { return Scalar(); }
  bool start_object(std::size_t) override {
    keys_.emplace_back();
    return Open();
  }
  bool key(string_t& name) override {
    if (keys_.back().insert(name).second) return true;
    return Stop(
        Wrong(Concat("has the key \"", name.substr(0, 64), "\" twice")));
  }
  bool end_object() override {
    keys_.pop_back();
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ == 0) return Stop(NotAnObject());
    return Open();
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool parse_error(std::size_t position, const std::string& token,
                   const nlohmann::detail::exception& error) override {
    // The library's text after its own error number.
    std::string_view text = error.what();
    size_t begin = text.find("] ");
    if (begin != std::string_view::npos) text.remove_prefix(begin + 2);
    constexpr int kInvalidUtf8 = 316;
    if (error.id == kInvalidUtf8 ||
        text.find("ill-formed UTF-8") != std::string_view::npos) {
      return Stop(Wrong(Concat("is not UTF-8 at byte ", position)));
    }
    if (token.empty() && position <= 1) return Stop(NotAnObject());
    // Its lines are those of the row; the row's place in the file is known to
    // the caller.
    if (text.starts_with("parse error at line ")) {
      text.remove_prefix(text.find(": ") + 2);
    }
    return Stop(Wrong(
        Concat("is not JSON at byte ", position, ": ", text.substr(0, 200))));
  }

 private:
  static absl::Status NotAnObject() {
    return Wrong("is not a JSON object such as {\"text\": \"...\"}");
  }
  bool Scalar() { return depth_ > 0 || Stop(NotAnObject()); }
  bool Open() { return ++depth_ <= kMaxRowDepth || Stop(TooDeep()); }
  bool Stop(absl::Status status) {
    status_ = std::move(status);
    return false;
  }

  int depth_ = 0;
  std::vector<std::set<std::string>> keys_;
  absl::Status status_ = Wrong("is not JSON");
};

absl::StatusOr<Json> FromStruct(const Struct& fields, int depth);

absl::StatusOr<Json> FromValue(const Value& value, int depth) {
  switch (value.kind_case()) {
    case Value::kBoolValue:
      return Json(value.bool_value());
    case Value::kStringValue:
      return Json(value.string_value());
    case Value::kNumberValue: {
      double number = value.number_value();
      if (!std::isfinite(number))
        return Wrong("has a number that is not finite");
      if (number == std::trunc(number) &&
          std::abs(number) <= kMaxExactInteger) {
        return Json(static_cast<int64_t>(number));
      }
      return Json(number);
    }
    case Value::kStructValue:
      return FromStruct(value.struct_value(), depth + 1);
    case Value::kListValue: {
      if (depth + 1 > kMaxRowDepth) return TooDeep();
      Json array = Json::array();
      for (const Value& item : value.list_value().values()) {
        ATTUNE_ASSIGN_OR_RETURN(Json converted, FromValue(item, depth + 1));
        array.push_back(std::move(converted));
      }
      return array;
    }
    case Value::kNullValue:
    case Value::KIND_NOT_SET:
      break;
  }
  return Json(nullptr);
}

absl::StatusOr<Json> FromStruct(const Struct& fields, int depth) {
  if (depth > kMaxRowDepth) return TooDeep();
  Json object = Json::object();
  for (const auto& [name, value] : fields.fields()) {
    ATTUNE_ASSIGN_OR_RETURN(object[name], FromValue(value, depth));
  }
  return object;
}

// Gives the row its split and writes it down. Throws what the library throws.
absl::StatusOr<Row> FromJson(Json object, std::string_view default_split) {
  Row row;
  auto field = object.find(kSplitField);
  if (field != object.end()) {
    if (!field->is_string()) {
      return Wrong("has a \"split\" that is not a string");
    }
    ATTUNE_ASSIGN_OR_RETURN(row.split,
                            CanonicalSplit(field->get<std::string>()));
  }
  if (row.split.empty()) row.split = std::string(default_split);
  if (row.split.empty()) {
    object.erase(kSplitField);
  } else {
    object[kSplitField] = row.split;
  }
  row.json = object.dump();
  if (static_cast<int64_t>(row.json.size()) > kMaxRowBytes) {
    return Wrong(Concat("has ", row.json.size(), " bytes as JSON; at most ",
                        kMaxRowBytes, " are allowed"));
  }
  return row;
}

}  // namespace

absl::StatusOr<std::string> CanonicalSplit(std::string_view split) {
  if (split == "dev") return std::string("validation");
  if (split.empty() || split == "train" || split == "validation" ||
      split == "test") {
    return std::string(split);
  }
  return Wrong(Concat("has the split \"", split.substr(0, 64),
                      "\"; it must be \"train\", \"validation\", \"dev\" or "
                      "\"test\""));
}

absl::StatusOr<Row> ParseRow(std::string_view text,
                             std::string_view default_split) {
  if (static_cast<int64_t>(text.size()) > kMaxRowBytes) {
    return Wrong(Concat("has ", text.size(), " bytes; at most ", kMaxRowBytes,
                        " are allowed"));
  }
  // The parser takes one for the end of the text.
  if (text.find('\0') != text.npos) {
    return Wrong("has a NUL byte; save the file as UTF-8");
  }
  try {
    RowChecker checker;
    if (!Json::sax_parse(text, &checker)) return checker.status();
    return FromJson(Json::parse(text), default_split);
  } catch (const Json::exception& error) {
    return Wrong(Concat("is not JSON: ", error.what()));
  }
}

absl::StatusOr<Row> ParseRow(const Struct& fields,
                             std::string_view default_split) {
  ATTUNE_ASSIGN_OR_RETURN(Json object, FromStruct(fields, /*depth=*/1));
  return MakeRow(std::move(object), default_split);
}

absl::StatusOr<Row> MakeRow(Json object, std::string_view default_split) {
  try {
    return FromJson(std::move(object), default_split);
  } catch (const Json::exception& error) {
    // Only dump() can throw here, and only for strings.
    return Wrong("has a string that is not UTF-8");
  }
}

bool IsUtf8(std::string_view text) {
  try {
    Json(text).dump();
    return true;
  } catch (const Json::exception& error) {
    return false;
  }
}

}  // namespace attune::server
