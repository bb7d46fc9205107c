#ifndef ATTUNE_WORKER_TASKS_ANSWER_DECODING_H_
#define ATTUNE_WORKER_TASKS_ANSWER_DECODING_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/models/attached_prompt.h"
#include "worker/models/kv_cache.h"
#include "worker/models/model_store.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// What all ways to generate an answer have in common.

// Where the first of `stops` begins in `text`; npos without one.
size_t FindStopText(std::string_view text, absl::Span<const std::string> stops);

// The tokens that end a text of `model`, each once: its own and `end_token`,
// which may be -1 for none.
std::vector<int64_t> EndTokens(const LoadedModel& model, int64_t end_token);

// What the decoder of an encoder-decoder reads of each input while it
// generates: one pass of the encoder. Only where program.reads_apart().
absl::StatusOr<std::vector<std::shared_ptr<const KvBlock>>> ReadInputs(
    const TaskProgram& program, const AttachedPrompt* prompt,
    absl::Span<const TaskInput* const> inputs);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_ANSWER_DECODING_H_
