#ifndef ATTUNE_WORKER_TASKS_INSTRUCTION_WRITER_H_
#define ATTUNE_WORKER_TASKS_INSTRUCTION_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/models/model_store.h"
#include "worker/tasks/dataset.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

inline constexpr size_t kMaxInstructionBytes = 200;

// How instructions are written.
struct InstructionOptions {
  int count = 8;      // how often the model is asked, each time with other rows
  uint64_t seed = 0;  // of the rows' choice
  // Called before every pass through the model; its error ends the writing. May
  // be empty.
  std::function<absl::Status()> before_pass = nullptr;
};

// Has the bare base model say what leads from the inputs of `rows` to their
// answers (Zhou et al. 2023): it sees what DrawPairs draws and writes behind
// it, greedily, in its chat template where it has one. `model`: that of
// `program`. -> distinct instructions, in the order they were written, each as
// of CleanInstruction; may be fewer than options.count, or none. Equal
// arguments give equal instructions with as many compute threads.
// INVALID_ARGUMENT: the model is an encoder, which writes no text;
// kInputTooLong if its context has no room for the question without the pairs;
// errors of DrawPairs, of before_pass and of the model.
absl::StatusOr<std::vector<std::string>> WriteInstructions(
    const TaskProgram& program, std::shared_ptr<const LoadedModel> model,
    absl::Span<const Example> rows, const InstructionOptions& options);

// `count` texts of up to four rows each, of as many labels as a classification
// has: behind "Input:" the fields that the template reads, the value of one
// field or lines of "name: value", and behind "Output:" the answer as the model
// would give it. A value is one line of at most 300 bytes, of a list or an
// object JSON. No texts where there are no rows or the template reads no field.
// INVALID_ARGUMENT (kInvalidData) naming a row that is no JSON object.
absl::StatusOr<std::vector<std::string>> DrawPairs(
    const TaskProgram& program, absl::Span<const Example> rows, int count,
    uint64_t seed);

// What a model wrote as an instruction: one line without quotes around it that
// begins with a capital, at most kMaxInstructionBytes in whole characters.
// nullopt if it has no letter or is not plain (IsPlainInTemplate).
std::optional<std::string> CleanInstruction(std::string_view written);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_INSTRUCTION_WRITER_H_
