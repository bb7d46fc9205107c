#include "worker/tasks/field_census.h"

#include <nlohmann/json.hpp>

namespace attune::worker {

FieldCensus TakeFieldCensus(absl::Span<const std::string> rows) {
  FieldCensus census;
  int64_t number = 0;
  for (const std::string& row : rows) {
    ++number;
    const nlohmann::json fields =
        nlohmann::json::parse(row, nullptr, /*allow_exceptions=*/false);
    if (!fields.is_object()) continue;
    for (const auto& [name, value] : fields.items()) {
      TypeCount& count = census[name][value.type_name()];
      if (count.num_rows++ == 0) count.first_row = number;
    }
  }
  return census;
}

}  // namespace attune::worker
