#include "worker/tuning/batch_rows.h"

#include <algorithm>

#include "worker/tasks/choice_scorer.h"
#include "worker/tasks/language_batch.h"
#include "worker/tasks/mask_scorer.h"
#include "worker/tuning/micro_batches.h"
#include "worker/tuning/trained_values.h"

namespace attune::worker {
namespace {

// `prompt_rows`: of the copy that stands before this example alone.
int64_t NumTrainingRows(const TaskProgram& program,
                        const PreparedExample& example, int64_t prompt_rows,
                        double label_smoothing) {
  if (program.scores_at_mask()) {
    const MaskedText masked = MaskedTextOf(program, example.input);
    const auto copies = static_cast<int64_t>(masked.words->groups().size());
    return copies * prompt_rows + NumMaskedRows(masked);
  }
  int64_t rows = prompt_rows + static_cast<int64_t>(example.input.ids.size()) +
                 static_cast<int64_t>(example.answer_ids.size()) +
                 NumBranchRows(example.input.choices.ids);
  if (program.scores_behind_text()) {
    const LabelTrie& trie = program.trie(example.input);
    const LabelTrie::Plan& plan = label_smoothing == 0
                                      ? trie.label_plan(example.label)
                                      : trie.full_plan();
    for (const LabelTrie::Branch& branch : plan.branches) {
      rows += static_cast<int64_t>(branch.ids.size());
    }
  }
  return rows;
}

int64_t BeginningOf(absl::Span<const PreparedExample* const> batch) {
  std::vector<absl::Span<const int64_t>> texts;
  for (const PreparedExample* one : batch) texts.push_back(one->input.ids);
  return SharedBeginning(texts);
}

}  // namespace

BatchRows CountBatchRows(const TaskProgram& program, const TensorMap& values,
                         absl::Span<const PreparedExample* const> batch,
                         const LossOptions& options) {
  // Rows at markers are among those of the inputs.
  const int64_t prompt_rows = HasPrompt(values) && !program.has_markers()
                                  ? PromptOf(values).size(0)
                                  : 0;
  const bool shared = program.model().info.config.kind == ModelKind::kCausal;
  // Parts of the batch have at least the beginning of all of it in common, and
  // do without it only where that is a matter of a few rows.
  const int64_t beginning =
      shared && options.share_beginnings ? BeginningOf(batch) : 0;
  BatchRows rows;
  rows.shared = shared ? prompt_rows + beginning : 0;
  for (const PreparedExample* one : batch) {
    rows.samples.push_back(NumTrainingRows(program, *one,
                                           shared ? 0 : prompt_rows,
                                           options.label_smoothing) -
                           beginning);
  }
  return rows;
}

int64_t LargestPart(const BatchRows& batch, int64_t max_rows) {
  int64_t largest = 0;
  for (const MicroBatch& part :
       SplitBatch(batch.samples, batch.shared, max_rows, batch.max_samples)) {
    int64_t rows = batch.shared;
    for (size_t i = part.begin; i < part.begin + part.count; ++i) {
      rows += batch.samples[i];
    }
    largest = std::max(largest, rows);
  }
  return largest;
}

}  // namespace attune::worker
