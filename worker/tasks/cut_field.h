#ifndef ATTUNE_WORKER_TASKS_CUT_FIELD_H_
#define ATTUNE_WORKER_TASKS_CUT_FIELD_H_

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>

#include "attune/v1/task.pb.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {

// Takes about `excess` tokens from one of a row's `fields`: from the one that
// `truncation` names or, if it names none, from the one of `names` with the
// most tokens. False if there is nothing to take: fields that are no texts are
// never cut.
bool CutField(const attune::v1::Truncation& truncation,
              const std::set<std::string>& names, const Tokenizer& tokenizer,
              size_t excess, nlohmann::json& fields);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_CUT_FIELD_H_
