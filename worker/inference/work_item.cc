#include "worker/inference/work_item.h"

#include <algorithm>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "worker/tasks/row_fields.h"

namespace attune::worker {

ScoredInput WorkItem::scored_input() const {
  return {.program = target->program.get(),
          .input = &input,
          .prompt = target->attached()};
}

HeadQuery WorkItem::head_query() const {
  return {.text = input.ids, .prompt = target->attached()};
}

AnswerForm WorkItem::form() const {
  const TaskProgram& program = *target->program;
  if (program.is_tagging()) return AnswerForm::kTags;
  if (program.is_extraction()) return AnswerForm::kSpan;
  if (program.is_choice()) return AnswerForm::kChoice;
  if (program.scores_at_mask()) return AnswerForm::kMask;
  return program.is_label_set() || program.is_regression()
             ? AnswerForm::kOutputs
             : AnswerForm::kLabel;
}

TagQuery WorkItem::tag_query() const {
  return {.text = input.ids,
          .words = input.words.words,
          .prompt = target->attached()};
}

SpanQuery WorkItem::span_query() const {
  return {.windows = input.context.windows, .prompt = target->attached()};
}

attune::v1::PredictResult WorkItem::MakeResult() const {
  attune::v1::PredictResult result;
  result.set_prompt_version(target->prompt_version);
  result.set_num_input_tokens(static_cast<int>(input.num_tokens()));
  result.set_truncated(input.truncated);
  return result;
}

void WorkItem::Finish(absl::StatusOr<attune::v1::PredictResult> outcome,
                      absl::Duration now) {
  series->CountInput(outcome.status(), now - origin.arrival);
  if (is_generation()) {
    series->CountGeneration(outcome.status(),
                            outcome.ok()
                                ? outcome->answer().text().finish_reason()
                                : attune::v1::FINISH_REASON_UNSPECIFIED);
  }
  origin.place.reset();
  std::exchange(origin.done, nullptr)(std::move(outcome));
}

absl::StatusOr<std::unique_ptr<WorkItem>> PrepareWork(
    std::shared_ptr<const ResolvedTarget> target, const InferenceInput& input,
    InferenceMetrics& metrics) {
  const TaskProgram& program = *target->program;
  const int64_t context = target->model->info.config.context_length;
  auto item = std::make_unique<WorkItem>();
  item->series = &metrics.ForModel(target->model->info.id);
  int64_t room = 0;
  if (!program.is_generation()) {
    if (input.decoding.ByteSizeLong() > 0) {
      return InvalidField("decoding",
                          "only a generation has one: leave it out");
    }
  } else {
    ATTUNE_ASSIGN_OR_RETURN(
        item->decoding,
        ResolveDecoding(program.task().decoding(), input.decoding));
    room = RoomForGeneration(item->decoding.max_new_tokens, context);
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::string fields, FieldsToJson(input.fields));
  ATTUNE_ASSIGN_OR_RETURN(item->input, program.PrepareInput(fields, room));
  const int64_t left = program.AnswerRoom(item->input);
  item->decoding.max_new_tokens =
      std::min(item->decoding.max_new_tokens, std::max<int64_t>(left, 1));
  item->target = std::move(target);
  if (item->is_generation()) {
    item->rows = static_cast<int64_t>(item->input.ids.size());
  } else if (program.is_extraction()) {
    item->rows = NumSpanRows(item->span_query());
  } else if (program.is_tagging()) {
    item->rows = NumTagRows(item->tag_query());
  } else if (item->form() == AnswerForm::kOutputs) {
    item->rows = NumHeadRows(item->head_query());
  } else {
    item->rows = NumAnswerRows(item->scored_input());
  }
  return item;
}

}  // namespace attune::worker
