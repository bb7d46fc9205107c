#ifndef ATTUNE_WORKER_TASKS_FIELD_CENSUS_H_
#define ATTUNE_WORKER_TASKS_FIELD_CENSUS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/types/span.h"

namespace attune::worker {

// Rows in which a field has values of one type.
struct TypeCount {
  int64_t num_rows = 0;
  int64_t first_row = 0;  // counted from 1
};

// Of each field, its types by JSON's names for them ("string", "number", ...).
using FieldCensus = std::map<std::string, std::map<std::string, TypeCount>>;

// Counts the fields of `rows`, JSON objects; others are passed over.
FieldCensus TakeFieldCensus(absl::Span<const std::string> rows);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_FIELD_CENSUS_H_
