#include "worker/tasks/answer_decoding.h"

#include <algorithm>

#include "worker/tasks/language_batch.h"

namespace attune::worker {

size_t FindStopText(std::string_view text,
                    absl::Span<const std::string> stops) {
  size_t first = std::string_view::npos;
  for (const std::string& stop : stops) {
    first = std::min(first, text.find(stop));
  }
  return first;
}

std::vector<int64_t> EndTokens(const LoadedModel& model, int64_t end_token) {
  std::vector<int64_t> ends = model.stop_token_ids;
  if (end_token >= 0 &&
      std::find(ends.begin(), ends.end(), end_token) == ends.end()) {
    ends.push_back(end_token);
  }
  return ends;
}

absl::StatusOr<std::vector<std::shared_ptr<const KvBlock>>> ReadInputs(
    const TaskProgram& program, const AttachedPrompt* prompt,
    absl::Span<const TaskInput* const> inputs) {
  std::vector<MemoryText> texts;
  texts.reserve(inputs.size());
  for (const TaskInput* input : inputs) texts.push_back({input->ids, prompt});
  return EncodeMemories(AsEncoderDecoder(ModelWith(prompt, program.model())),
                        texts);
}

}  // namespace attune::worker
