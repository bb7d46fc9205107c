#ifndef ATTUNE_SERVER_DATASETS_ROW_FORMAT_H_
#define ATTUNE_SERVER_DATASETS_ROW_FORMAT_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "google/protobuf/struct.pb.h"

namespace attune::server {

inline constexpr int64_t kMaxRowBytes = int64_t{256} << 10;
inline constexpr int kMaxRowDepth = 64;

// A row as it is stored.
struct Row {
  std::string json;   // canonical: keys sorted, no spaces, UTF-8, one line
  std::string split;  // "train", "validation", "test" or ""
};

// The canonical form of a row's JSON text. Its field "split" becomes "train",
// "validation" (also from "dev") or "test"; a row without one gets
// `default_split` unless that is empty. INVALID_ARGUMENT (kInvalidData) saying
// what is wrong: not UTF-8, not JSON, not an object, a key twice, nested deeper
// than kMaxRowDepth, longer than kMaxRowBytes, a NUL byte, another split.
absl::StatusOr<Row> ParseRow(std::string_view text,
                             std::string_view default_split);

// The same for a row of a request. Numbers without a fraction become integers.
// Numbers that are not finite are refused.
absl::StatusOr<Row> ParseRow(const google::protobuf::Struct& fields,
                             std::string_view default_split);

// The same for an object that was read from another format. Its depth is not
// checked.
absl::StatusOr<Row> MakeRow(nlohmann::json object,
                            std::string_view default_split);

bool IsUtf8(std::string_view text);

// "train", "validation", "test" for a split's name ("dev" is "validation"); ""
// for "". INVALID_ARGUMENT (kInvalidData) for any other.
absl::StatusOr<std::string> CanonicalSplit(std::string_view split);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_DATASETS_ROW_FORMAT_H_
