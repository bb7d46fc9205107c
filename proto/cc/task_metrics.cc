#include "proto/cc/task_metrics.h"

#include <algorithm>
#include <array>

namespace attune {

std::vector<std::string> TaskMetrics(const v1::TaskSpec& task) {
  switch (task.type()) {
    case v1::TASK_TYPE_TEXT_CLASSIFICATION:
      if (task.multi_label()) {
        return {"micro_f1", "macro_f1", "weighted_f1", "exact_match", "loss"};
      }
      return {"accuracy", "macro_f1", "weighted_f1", "mcc", "loss"};
    case v1::TASK_TYPE_TOKEN_CLASSIFICATION:
      return {"micro_f1", "macro_f1", "weighted_f1", "accuracy", "loss"};
    case v1::TASK_TYPE_EXTRACTIVE_QA:
      return {"f1", "exact_match", "loss"};
    case v1::TASK_TYPE_MULTIPLE_CHOICE:
      return {"accuracy", "loss"};
    case v1::TASK_TYPE_REGRESSION:
      return {"loss", "pearson", "spearman", "mse", "mae"};
    case v1::TASK_TYPE_TEXT_GENERATION:
      return {"loss",    "exact_match", "bleu",   "chrf",
              "rouge_1", "rouge_2",     "rouge_l"};
    default:
      return {};
  }
}

bool LowerIsBetter(std::string_view metric) {
  constexpr std::array<std::string_view, 6> kErrors = {
      "loss", "perplexity", "mse", "mae", "ece", "brier"};
  return std::find(kErrors.begin(), kErrors.end(), metric) != kErrors.end();
}

}  // namespace attune
