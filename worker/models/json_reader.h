#ifndef ATTUNE_WORKER_MODELS_JSON_READER_H_
#define ATTUNE_WORKER_MODELS_JSON_READER_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace attune::worker {

// Parses JSON from a file that somebody else wrote. InvalidArgument with the
// place for a syntax error, for objects and arrays nested deeper than
// `max_depth`, and for a key that occurs twice in one object.
absl::StatusOr<nlohmann::json> ParseJson(std::string_view text, int max_depth);

// Reads and parses a file of at most `max_bytes`. NotFound if there is none;
// DataLoss naming the file if it does not parse.
absl::StatusOr<nlohmann::json> ReadJsonFile(const std::string& path,
                                            size_t max_bytes);

// The same for an object in a file that need not be there; empty without it.
absl::StatusOr<nlohmann::json> ReadOptionalObject(const std::string& path,
                                                  size_t max_bytes);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_JSON_READER_H_
