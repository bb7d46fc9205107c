#ifndef ATTUNE_WORKER_TASKS_TASK_PROGRAM_H_
#define ATTUNE_WORKER_TASKS_TASK_PROGRAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/task.pb.h"
#include "worker/models/model_store.h"
#include "worker/tasks/demonstration_pool.h"
#include "worker/tasks/faults.h"
#include "worker/tasks/label_tokens.h"
#include "worker/tasks/shown_example.h"
#include "worker/tasks/tag_scheme.h"
#include "worker/tasks/task_input.h"
#include "worker/tasks/task_traits.h"
#include "worker/text/template.h"

namespace attune::worker {

// A task contract compiled for a model: turns the fields of a row into tokens
// and answers into tokens, the same way in training, evaluation and serving.
// Const after construction: any number of threads may use one.
class TaskProgram : public TaskTraits {
 public:
  // `num_prompt_rows`: the rows of the soft prompt that every input shares the
  // context with; 0 for the bare base model. The task must have its labels (see
  // ReadSplits in dataset.h) if it is a classification.
  // INVALID_ARGUMENT (kInvalidTemplate or naming the field) for a template that
  // does not compile or reads the answer, labels or words that are empty,
  // repeated or become the same tokens, demonstrations without a field that the
  // template reads or with another label, limits outside their ranges, a field
  // that may be cut but is not read;
  // FAILED_PRECONDITION if the model has no chat template but one is asked for;
  // UNIMPLEMENTED for what is not served yet, also what a model of this kind
  // cannot do; kInputTooLong if the prompt, or demonstrations that stand before
  // every input, leave no room. Reads the model's token table for nearest ones.
  // Where `on_fault` lets faults pass, the program is good for preparing inputs
  // only. It has not heard of an error that is returned all the same.
  static absl::StatusOr<std::unique_ptr<const TaskProgram>> Compile(
      const attune::v1::TaskSpec& task,
      std::shared_ptr<const LoadedModel> model, int64_t num_prompt_rows,
      const FaultHandler& on_fault = nullptr);

  // Renders and tokenises an input, by each template of the task, with
  // IdOfPromptRow (prompt_marks.h) where it has rows of the prompt. `fields`: a
  // JSON object. `answer_tokens`: room to keep for the answer in the context;
  // of a classification the room for its longest word is kept in any case, of a
  // multiple choice that for its longest choice. An input that is too long
  // loses tokens of the field that the task names or of its longest one, of a
  // token classification its last words; the template's own text stays whole,
  // and so do fields in which it marks spans. Before that it loses nearest
  // demonstrations, the farthest first, which leave the room that the task's
  // generations take, too. INVALID_ARGUMENT: kInvalidTemplate naming a field
  // that is missing; kInvalidData for a token classification's words and a
  // multiple choice's choices; kInputTooLong.
  absl::StatusOr<TaskInput> PrepareInput(std::string_view fields,
                                         int64_t answer_tokens) const;

  // The tokens that `demonstration` would put before every input. Errors as of
  // Compile, without the path.
  absl::StatusOr<int64_t> CountDemonstrationTokens(
      const attune::v1::Demonstration& demonstration) const;
  // The most tokens an input may have in the model's context with room for
  // `answer_tokens` of an answer, all demonstrations that it shows included.
  int64_t InputLimit(int64_t answer_tokens) const;

  // The tokens of a generation's answer with the end-of-text token.
  absl::StatusOr<std::vector<int64_t>> EncodeAnswer(std::string_view answer,
                                                    bool bare_answer) const;

  // The label words that fit behind `input`. Only for a classification by
  // words.
  const LabelTrie& trie(const TaskInput& input) const {
    return label_tokens_->trie(input.bare_answer);
  }

  // The label words that a mask may stand for. Only where scores_at_mask().
  const MaskWords& mask_words() const { return label_tokens_->mask_words(); }

  // What the tags mean. Only for a token classification.
  const TagScheme& tags() const { return *tags_; }

  // The fields that the template reads, with those of further templates.
  const std::set<std::string>& fields_read() const { return all_fields_read_; }

  // Position of `label` among labels().
  std::optional<int> FindLabel(std::string_view label) const;
  // The labels or tags in the task's order. Empty for tasks without.
  const std::vector<std::string>& labels() const { return labels_; }

  // The most tokens that an answer to `input` may have in the model's context.
  int64_t AnswerRoom(const TaskInput& input) const;
  // Ends an answer; -1 where there are none to end.
  int64_t end_token() const { return end_token_; }
  // What it takes of the memory, about: mostly its demonstrations.
  size_t num_bytes() const;

 private:
  TaskProgram(attune::v1::TaskSpec task,
              std::shared_ptr<const LoadedModel> model,
              int64_t num_prompt_rows);

  absl::Status Initialise(const FaultHandler& on_fault);
  absl::Status FindEndToken();
  absl::Status EncodeLabels();
  absl::Status CompileTemplate();
  absl::Status CompileFurther(const FaultHandler& on_fault);
  absl::Status ReadTags();
  absl::Status ShowDemonstrations(const FaultHandler& on_fault);
  absl::Status CheckRoomBeside(absl::Span<const ShownExample> shown) const;
  // fields: of a demonstration, as the template reads them.
  absl::StatusOr<ShownExample> Show(const nlohmann::json& fields,
                                    const std::string& answer) const;
  // Places of the context that are kept for the answer.
  int64_t AnswerPlaces(int64_t answer_tokens) const;
  // What the template reads of `fields`, as JSON, with marks for its markers or
  // nothing there.
  absl::StatusOr<std::string> VariablesOf(const nlohmann::json& fields,
                                          bool with_marks) const;
  // Fields in the template's text, which is not empty.
  absl::StatusOr<std::string> RenderFields(const nlohmann::json& fields,
                                           bool with_marks) const;
  absl::StatusOr<int64_t> CountShownTokens(
      absl::Span<const ShownExample> shown) const;
  // The nearest demonstrations that an input has room for.
  absl::StatusOr<DemonstrationPool::Choice> ChooseNearest(
      const nlohmann::json& fields, int64_t answer_tokens) const;
  // The text of an input behind `shown`.
  absl::StatusOr<std::string> Render(
      const nlohmann::json& fields, absl::Span<const ShownExample> shown) const;
  UnmarkedText Unmarked(std::string text) const;
  // The tokens of a text, with rows of the prompt in the places of its marks.
  absl::StatusOr<std::vector<int64_t>> EncodeText(
      const UnmarkedText& text) const;
  // A row's text with the value of one field apart.
  struct Frame {
    std::string front;
    std::string behind;
  };
  // Renders `fields` around the value of `field`, which is put there later.
  absl::StatusOr<Frame> RenderAround(const nlohmann::json& fields,
                                     const std::string& field) const;
  // The fields that may be cut: not those in which the template marks spans.
  absl::StatusOr<std::set<std::string>> FieldsToCut(
      const nlohmann::json& fields) const;
  // The input as the first template makes it.
  absl::StatusOr<TaskInput> PrepareAlone(const nlohmann::json& fields,
                                         int64_t answer_tokens) const;
  absl::StatusOr<TaskInput> PrepareText(nlohmann::json fields,
                                        int64_t answer_tokens) const;
  absl::StatusOr<TaskInput> PrepareChoices(const nlohmann::json& fields) const;
  absl::StatusOr<TaskInput> PrepareContext(const nlohmann::json& fields) const;
  absl::StatusOr<TaskInput> PrepareWords(const nlohmann::json& fields) const;
  // keeps_spans: whether a field was not cut for the spans marked in it.
  absl::Status TooLong(int64_t size, int64_t limit, int64_t answer_tokens,
                       bool keeps_spans = false) const;

  int64_t end_token_ = -1;
  size_t num_tokens_added_behind_ = 0;  // by the tokenizer, to every text
  std::unique_ptr<const Template> template_;
  std::set<std::string> fields_read_;  // by the first template
  std::set<std::string> all_fields_read_;
  // The task with each of its further templates in the place of the first.
  std::vector<std::unique_ptr<const TaskProgram>> others_;
  DemonstrationPool demonstrations_;
  std::vector<std::string> labels_;
  std::optional<TagScheme> tags_;
  std::optional<LabelTokens> label_tokens_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_TASK_PROGRAM_H_
