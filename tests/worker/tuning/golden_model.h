#ifndef ATTUNE_TESTS_WORKER_TUNING_GOLDEN_MODEL_H_
#define ATTUNE_TESTS_WORKER_TUNING_GOLDEN_MODEL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/model_store.h"
#include "worker/tasks/prepared_example.h"

namespace attune::worker {

// Ids of tests/golden/architectures below this are special tokens.
inline constexpr int64_t kFirstGoldenId = 6;
inline constexpr int64_t kGoldenVocab = 96;

// A tiny model of tests/golden/architectures, in fp32. They have no tokenizer
// of their own; the test kit's is there so that tasks compile, but its ids are
// beyond their vocabulary: inputs and answers must be given as ids.
absl::StatusOr<std::shared_ptr<const LoadedModel>> LoadGoldenModel(
    const std::string& name);

// A text and what is to follow on it, as ids.
PreparedExample ExampleOfIds(std::vector<int64_t> text,
                             std::vector<int64_t> answer);

}  // namespace attune::worker

#endif  // ATTUNE_TESTS_WORKER_TUNING_GOLDEN_MODEL_H_
