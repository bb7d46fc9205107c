#ifndef ATTUNE_WORKER_TASKS_TASK_TRAITS_H_
#define ATTUNE_WORKER_TASKS_TASK_TRAITS_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "attune/v1/task.pb.h"
#include "worker/models/model_store.h"

namespace attune::worker {

// What kind of task a contract, its defaults filled in, is on a model: the part
// of TaskProgram that decides who does what with it. Const.
class TaskTraits {
 public:
  // One label for the whole input.
  bool is_classification() const {
    return task_.type() == attune::v1::TASK_TYPE_TEXT_CLASSIFICATION &&
           !task_.multi_label();
  }
  // Any number of labels for it.
  bool is_label_set() const {
    return task_.type() == attune::v1::TASK_TYPE_TEXT_CLASSIFICATION &&
           task_.multi_label();
  }
  bool is_extraction() const {
    return task_.type() == attune::v1::TASK_TYPE_EXTRACTIVE_QA;
  }
  // One of the choices that come with the input.
  bool is_choice() const {
    return task_.type() == attune::v1::TASK_TYPE_MULTIPLE_CHOICE;
  }
  bool is_regression() const {
    return task_.type() == attune::v1::TASK_TYPE_REGRESSION;
  }
  bool is_tagging() const {
    return task_.type() == attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION;
  }
  bool is_generation() const {
    return task_.type() == attune::v1::TASK_TYPE_TEXT_GENERATION;
  }
  // A layer beside the prompt weighs labels or tags, or gives a number.
  bool scores_by_head() const {
    return !is_generation() &&
           task_.label_scoring() == attune::v1::LABEL_SCORING_HEAD;
  }
  // Outputs of that layer.
  int64_t num_outputs() const {
    if (is_extraction()) return 2;
    return is_regression() ? 1 : task_.labels_size();
  }
  // A model that fills masks weighs label words at the one of the template.
  bool scores_at_mask() const {
    return is_classification() && !scores_by_head() &&
           model_->info.config.kind == ModelKind::kEncoder;
  }
  // Label words are weighed behind the text.
  bool scores_behind_text() const {
    return is_classification() && !scores_by_head() && !scores_at_mask();
  }
  // Whether the prompt's rows stand where the template has its markers; else
  // they stand in front of the input.
  bool has_markers() const {
    return task_.prompt_placement() == attune::v1::PROMPT_PLACEMENT_MARKERS;
  }
  // Whether the model reads an input whole before it begins the answer, as an
  // encoder-decoder does.
  bool reads_apart() const {
    return model_->info.config.kind == ModelKind::kEncoderDecoder;
  }
  const attune::v1::TaskSpec& task() const { return task_; }
  const LoadedModel& model() const { return *model_; }
  // Of the soft prompt, wherever they stand.
  int64_t num_prompt_rows() const { return num_prompt_rows_; }
  int64_t max_new_tokens() const { return task_.decoding().max_new_tokens(); }

 protected:
  TaskTraits(attune::v1::TaskSpec task,
             std::shared_ptr<const LoadedModel> model, int64_t num_prompt_rows)
      : task_(std::move(task)),
        model_(std::move(model)),
        num_prompt_rows_(num_prompt_rows) {}
  ~TaskTraits() = default;

  // Whether an answer stands behind the input, in the same context.
  bool answers_behind_input() const {
    return model_->info.config.kind == ModelKind::kCausal;
  }
  int64_t rows_in_front() const { return has_markers() ? 0 : num_prompt_rows_; }
  int64_t marked_rows() const { return has_markers() ? num_prompt_rows_ : 0; }

  const attune::v1::TaskSpec task_;
  const std::shared_ptr<const LoadedModel> model_;
  const int64_t num_prompt_rows_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_TASK_TRAITS_H_
