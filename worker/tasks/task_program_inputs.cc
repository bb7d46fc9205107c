// How TaskProgram makes inputs of the fields of rows.

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/tasks/cut_field.h"
#include "worker/tasks/prompt_marks.h"
#include "worker/tasks/row_fields.h"
#include "worker/tasks/spaced_answer.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {
namespace {

using nlohmann::json;

// Cuts beyond these bring nothing any more.
constexpr int kMaxCuts = 32;

// Texts of more bytes for each token that there is room for do not fit: not
// worth a tokenizer's look.
constexpr size_t kMaxBytesPerToken = 16;

}  // namespace

absl::StatusOr<TaskInput> TaskProgram::PrepareInput(
    std::string_view fields, int64_t answer_tokens) const {
  ATTUNE_ASSIGN_OR_RETURN(const json values, ParseFields(fields));
  ATTUNE_ASSIGN_OR_RETURN(TaskInput input, PrepareAlone(values, answer_tokens));
  input.others.reserve(others_.size());
  for (const auto& program : others_) {
    ATTUNE_ASSIGN_OR_RETURN(TaskInput other,
                            program->PrepareAlone(values, answer_tokens));
    input.truncated |= other.truncated;
    input.num_left_out = std::max(input.num_left_out, other.num_left_out);
    input.others.push_back(std::move(other));
  }
  return input;
}

absl::StatusOr<TaskInput> TaskProgram::PrepareAlone(
    const json& fields, int64_t answer_tokens) const {
  if (is_tagging()) return PrepareWords(fields);
  if (is_extraction()) return PrepareContext(fields);
  if (is_choice()) return PrepareChoices(fields);
  return PrepareText(fields, answer_tokens);
}

absl::StatusOr<DemonstrationPool::Choice> TaskProgram::ChooseNearest(
    const json& fields, int64_t answer_tokens) const {
  ATTUNE_ASSIGN_OR_RETURN(
      const std::string question,
      RenderFields(fields, /*with_marks=*/marked_rows() > 0));
  // A row's answer may be shorter than what is generated in its place; as for
  // an input that is served, half of the context is enough for that.
  const int64_t generated =
      std::min(max_new_tokens(), model_->info.config.context_length / 2);
  const int64_t limit = InputLimit(std::max(answer_tokens, generated));
  const size_t max_bytes = std::min(
      (Tokenizer::kMaxTextBytes -
       std::min(Tokenizer::kMaxTextBytes, question.size())) /
          2,
      kMaxBytesPerToken * static_cast<size_t>(std::max(limit, int64_t{0})));
  return demonstrations_.Choose(
      QuestionText(fields_read_, fields), max_bytes,
      [&](absl::Span<const ShownExample> shown) -> absl::StatusOr<bool> {
        ATTUNE_ASSIGN_OR_RETURN(std::string text,
                                ComposeText(task_, *model_, question, shown));
        ATTUNE_ASSIGN_OR_RETURN(const std::vector<int64_t> ids,
                                EncodeText(Unmarked(std::move(text))));
        return static_cast<int64_t>(ids.size()) <= limit;
      });
}

absl::StatusOr<TaskInput> TaskProgram::PrepareText(
    json values, int64_t answer_tokens) const {
  const int64_t limit = InputLimit(answer_tokens);
  TaskInput input;
  std::set<std::string> to_cut;
  DemonstrationPool::Choice nearest;
  absl::Span<const ShownExample> shown = demonstrations_.examples();
  if (!demonstrations_.is_fixed()) {
    ATTUNE_ASSIGN_OR_RETURN(nearest, ChooseNearest(values, answer_tokens));
    input.num_left_out = nearest.num_left_out;
    shown = nearest.shown;
  }
  for (int cuts = 0; cuts <= kMaxCuts; ++cuts) {
    ATTUNE_ASSIGN_OR_RETURN(std::string rendered, Render(values, shown));
    const UnmarkedText text = Unmarked(std::move(rendered));
    ATTUNE_ASSIGN_OR_RETURN(input.ids, EncodeText(text));
    if (input.ids.empty()) {
      return MakeError(Reason::kInvalidTemplate,
                       "the template renders to a text without tokens");
    }
    if (marked_rows() > 0 && text.places.empty()) {
      return MakeError(Reason::kInvalidTemplate,
                       Concat("the template renders to a text without {{ ",
                              kPromptVariable, " }}"));
    }
    const int64_t size = static_cast<int64_t>(input.ids.size());
    if (cuts == 0) input.num_whole_tokens = input.num_tokens();
    if (size <= limit) {
      input.bare_answer = !answers_behind_input() ||
                          task_.use_chat_template() || EndsInSpace(text.text);
      if (scores_at_mask()) {
        ATTUNE_ASSIGN_OR_RETURN(input.mask_place,
                                label_tokens_->FindMask(input.ids));
      }
      return input;
    }
    if (task_.truncation().side() == attune::v1::TRUNCATION_SIDE_REFUSE) {
      return TooLong(size, limit, answer_tokens);
    }
    if (cuts == 0) {
      ATTUNE_ASSIGN_OR_RETURN(to_cut, FieldsToCut(values));
    }
    if (!CutField(task_.truncation(), to_cut, *model_->tokenizer,
                  static_cast<size_t>(size - limit), values)) {
      return TooLong(size, limit, answer_tokens,
                     /*keeps_spans=*/to_cut.size() < fields_read_.size());
    }
    input.truncated = true;
  }
  return MakeError(Reason::kInputTooLong,
                   "the input does not get shorter when its fields are cut");
}

absl::Status TaskProgram::TooLong(int64_t size, int64_t limit,
                                  int64_t answer_tokens,
                                  bool keeps_spans) const {
  return MakeError(
      Reason::kInputTooLong,
      Concat("the input has ", size, " tokens; ", std::max(limit, int64_t{0}),
             " fit beside ", rows_in_front(), " prompt rows and ",
             AnswerPlaces(answer_tokens),
             " answer tokens in the model's context of ",
             model_->info.config.context_length,
             demonstrations_.is_fixed() && !demonstrations_.is_empty()
                 ? ", demonstrations included"
                 : "",
             task_.truncation().max_input_tokens() > 0
                 ? " under task.truncation.max_input_tokens"
                 : "",
             task_.truncation().field().empty()
                 ? ""
                 : Concat("; task.truncation.field lets no other field than '",
                          task_.truncation().field(), "' be cut"),
             keeps_spans ? "; a field in which the template marks spans is not "
                           "cut: they would move"
                         : ""));
}

absl::StatusOr<TaskInput> TaskProgram::PrepareChoices(
    const json& fields) const {
  const std::string& field = task_.choices_field();
  InputChoices choices;
  ATTUNE_ASSIGN_OR_RETURN(choices.texts, ReadChoices(fields, field));
  // As of a generation: room is kept for the longer of the two forms.
  InputChoices bare = choices;
  const Tokenizer& tokenizer = *model_->tokenizer;
  ATTUNE_ASSIGN_OR_RETURN(
      choices.ids, EncodeChoices(tokenizer, choices.texts, /*bare=*/false));
  ATTUNE_ASSIGN_OR_RETURN(bare.ids,
                          EncodeChoices(tokenizer, bare.texts, /*bare=*/true));
  const int64_t room = std::max(choices.max_tokens(), bare.max_tokens());
  ATTUNE_ASSIGN_OR_RETURN(TaskInput input, PrepareText(fields, room));
  input.choices = std::move(input.bare_answer ? bare : choices);
  ATTUNE_RETURN_IF_ERROR(CheckChoiceTokens(input.choices, field));
  const int64_t places = AnswerRoom(input);
  if (input.choices.max_tokens() > places) {
    return MakeError(
        Reason::kInputTooLong,
        Concat("field '", field, "': a choice has ", input.choices.max_tokens(),
               " tokens; the model's context takes ", places));
  }
  return input;
}

absl::StatusOr<TaskInput> TaskProgram::PrepareContext(
    const json& fields) const {
  const attune::v1::SpanReading& reading = task_.span_reading();
  const auto found = fields.find(reading.context_field());
  if (found == fields.end() || !found->is_string()) {
    return MakeError(Reason::kInvalidData,
                     Concat("field '", reading.context_field(),
                            "' with the context is missing or no text"));
  }
  TaskInput input;
  input.context.text = found->get<std::string>();
  ATTUNE_ASSIGN_OR_RETURN(const Frame frame,
                          RenderAround(fields, reading.context_field()));
  absl::StatusOr<Encoding> tokens = model_->tokenizer->Encode(
      Concat(frame.front, input.context.text, frame.behind),
      /*add_special_tokens=*/true);
  if (!tokens.ok()) {
    return MakeError(Reason::kInvalidData, ToStd(tokens.status().message()));
  }
  input.num_whole_tokens = static_cast<int64_t>(tokens->ids.size());
  const size_t begin = frame.front.size();
  ATTUNE_ASSIGN_OR_RETURN(
      input.context.windows,
      CutWindows(*tokens, begin, begin + input.context.text.size(),
                 InputLimit(/*answer_tokens=*/0), reading.overlap_tokens()));
  TrimTokens(input.context);
  if (input.context.windows.size() > 1 &&
      task_.truncation().side() == attune::v1::TRUNCATION_SIDE_REFUSE) {
    return TooLong(static_cast<int64_t>(tokens->ids.size()),
                   InputLimit(/*answer_tokens=*/0), /*answer_tokens=*/0);
  }
  input.ids = input.context.windows.front().ids;
  return input;
}

absl::StatusOr<TaskInput> TaskProgram::PrepareWords(const json& fields) const {
  const auto found = fields.find(task_.tokens_field());
  if (found == fields.end()) {
    return MakeError(
        Reason::kInvalidData,
        Concat("field '", task_.tokens_field(), "' with the words is missing"));
  }
  TaskInput input;
  ATTUNE_ASSIGN_OR_RETURN(input.words,
                          ReadInputWords(*found, task_.tokens_field()));
  ATTUNE_ASSIGN_OR_RETURN(const Frame frame,
                          RenderAround(fields, task_.tokens_field()));
  const size_t begin = frame.front.size();
  const int64_t limit = InputLimit(/*answer_tokens=*/0);
  const absl::Span<InputWord> words = absl::MakeSpan(input.words.words);
  size_t count = words.size();
  while (true) {
    const size_t length = words[count - 1].end;
    absl::StatusOr<Encoding> tokens = model_->tokenizer->Encode(
        Concat(frame.front,
               std::string_view(input.words.text).substr(0, length),
               frame.behind),
        /*add_special_tokens=*/true);
    if (!tokens.ok()) {
      return MakeError(Reason::kInvalidData, ToStd(tokens.status().message()));
    }
    const int64_t end = LocateTokens(*tokens, begin, begin + length, words);
    const int64_t size = static_cast<int64_t>(tokens->ids.size());
    if (!input.truncated) input.num_whole_tokens = size;
    if (size <= limit) {
      input.ids = std::move(tokens->ids);
      return input;
    }
    const size_t left = CountWordsBefore(words.first(count), end, size - limit);
    if (task_.truncation().side() == attune::v1::TRUNCATION_SIDE_REFUSE ||
        left == 0) {
      return TooLong(size, limit, /*answer_tokens=*/0);
    }
    count = left;
    input.truncated = true;
  }
}

}  // namespace attune::worker
