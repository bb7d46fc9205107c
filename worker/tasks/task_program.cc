#include "worker/tasks/task_program.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/tasks/prompt_marks.h"
#include "worker/tasks/row_fields.h"
#include "worker/tasks/spaced_answer.h"
#include "worker/tasks/task_contract.h"
#include "worker/tasks/task_fit.h"

namespace attune::worker {
namespace {

using attune::v1::TaskSpec;
using nlohmann::json;

// The variable of a template that leaves the model's mask.
constexpr char kMaskVariable[] = "mask";

// Stands in the template for a field that is put there later, so that its place
// is known. No text has it, for its characters of the private use area, and
// filters change it: white space at its ends, both cases, a space, a dash.
constexpr std::string_view kFieldMark = " \xee\x80\x80 aB-c \xee\x80\x81 ";

absl::Status TemplateError(const absl::Status& status) {
  return MakeError(Reason::kInvalidTemplate, ToStd(status.message()));
}

absl::Status UnusedField(const std::string& field) {
  return MakeError(Reason::kInvalidTemplate,
                   Concat("the template must put field '", field,
                          "' into the text once and unchanged"));
}

// Whether a template that reads these fields fits an extractive QA.
absl::Status CheckReading(const std::set<std::string>& fields_read,
                          const attune::v1::SpanReading& reading) {
  if (!fields_read.contains(reading.context_field())) {
    return UnusedField(reading.context_field());
  }
  if (fields_read.contains(reading.starts_field())) {
    return MakeError(Reason::kInvalidTemplate,
                     Concat("the template reads '", reading.starts_field(),
                            "', which says where answers begin"));
  }
  return absl::OkStatus();
}

// How many special tokens the tokenizer puts behind a text.
absl::StatusOr<size_t> CountTokensAddedBehind(const Tokenizer& tokenizer) {
  ATTUNE_ASSIGN_OR_RETURN(const Encoding with,
                          tokenizer.Encode("a", /*add_special_tokens=*/true));
  ATTUNE_ASSIGN_OR_RETURN(const Encoding without,
                          tokenizer.Encode("a", /*add_special_tokens=*/false));
  const auto text = std::search(with.ids.begin(), with.ids.end(),
                                without.ids.begin(), without.ids.end());
  if (text == with.ids.end()) return size_t{0};
  return static_cast<size_t>(with.ids.end() - text) - without.ids.size();
}

// The fields of a demonstration as a template reads them.
absl::StatusOr<json> FieldsOf(const attune::v1::Demonstration& demonstration) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string text,
                          FieldsToJson(demonstration.fields()));
  return ParseFields(text);
}

}  // namespace

TaskProgram::TaskProgram(TaskSpec task,
                         std::shared_ptr<const LoadedModel> model,
                         int64_t num_prompt_rows)
    : TaskTraits(std::move(task), std::move(model), num_prompt_rows) {}

absl::StatusOr<std::unique_ptr<const TaskProgram>> TaskProgram::Compile(
    const TaskSpec& task, std::shared_ptr<const LoadedModel> model,
    int64_t num_prompt_rows, const FaultHandler& on_fault) {
  TaskSpec filled = task;
  FillTaskDefaults(filled);
  ATTUNE_RETURN_IF_ERROR(Meet(on_fault, CheckTask(filled)));
  ATTUNE_RETURN_IF_ERROR(Meet(on_fault, CheckHasLabels(filled)));
  const ModelInfo& info = model->info;
  FillModelDefaults(info.config.kind, filled);
  ATTUNE_RETURN_IF_ERROR(Meet(on_fault, CheckFitsModel(filled, info.config)));
  if (filled.use_chat_template() && model->chat_template == nullptr) {
    ATTUNE_RETURN_IF_ERROR(
        Meet(on_fault, MakeError(Reason::kIllegalState,
                                 Concat("task.use_chat_template: model '",
                                        info.id, "' has no chat template"))));
    filled.set_use_chat_template(false);
  }
  if (filled.truncation().max_input_tokens() > info.config.context_length) {
    ATTUNE_RETURN_IF_ERROR(Meet(
        on_fault, InvalidField("task.truncation.max_input_tokens",
                               Concat("must be at most the model's context of ",
                                      info.config.context_length, " tokens"))));
  }
  std::unique_ptr<TaskProgram> program(
      new TaskProgram(std::move(filled), std::move(model), num_prompt_rows));
  ATTUNE_RETURN_IF_ERROR(program->Initialise(on_fault));
  return std::unique_ptr<const TaskProgram>(std::move(program));
}

absl::Status TaskProgram::Initialise(const FaultHandler& on_fault) {
  for (const attune::v1::LabelWords& label : task_.labels()) {
    labels_.push_back(label.label());
  }
  if (!scores_by_head() && !scores_at_mask() && !is_choice()) {
    ATTUNE_RETURN_IF_ERROR(Meet(on_fault, FindEndToken()));
  }
  // Of a number of labels that was refused there is no tree.
  if ((scores_behind_text() || scores_at_mask()) &&
      CheckHasLabels(task_).ok()) {
    ATTUNE_RETURN_IF_ERROR(Meet(on_fault, EncodeLabels()));
  }
  ATTUNE_ASSIGN_OR_RETURN(num_tokens_added_behind_,
                          CountTokensAddedBehind(*model_->tokenizer));
  if (is_tagging()) ATTUNE_RETURN_IF_ERROR(Meet(on_fault, ReadTags()));
  ATTUNE_RETURN_IF_ERROR(CompileTemplate());
  ATTUNE_RETURN_IF_ERROR(CompileFurther(on_fault));
  if (InputLimit(/*answer_tokens=*/1) < 1) {
    return MakeError(
        Reason::kInputTooLong,
        Concat("a prompt of ", num_prompt_rows_,
               " rows leaves no room for an input in the context of ",
               model_->info.config.context_length, " tokens"));
  }
  return ShowDemonstrations(on_fault);
}

absl::Status TaskProgram::CompileTemplate() {
  absl::StatusOr<std::unique_ptr<Template>> compiled =
      Template::Compile(task_.template_());
  if (!compiled.ok()) return TemplateError(compiled.status());
  template_ = *std::move(compiled);
  fields_read_ = template_->undeclared_variables();
  if (has_markers() && fields_read_.erase(kPromptVariable) == 0) {
    return MakeError(
        Reason::kInvalidTemplate,
        Concat("PROMPT_PLACEMENT_MARKERS needs a template with {{ ",
               kPromptVariable,
               " }} wherever rows of the prompt are to stand"));
  }
  if (fields_read_.contains(task_.answer_field())) {
    return MakeError(Reason::kInvalidTemplate,
                     Concat("the template reads '", task_.answer_field(),
                            "', which is the answer: it is not there when "
                            "the prompt serves"));
  }
  if (scores_at_mask() && fields_read_.erase(kMaskVariable) == 0) {
    return MakeError(Reason::kInvalidTemplate,
                     Concat("label words are weighed at a mask: the template "
                            "needs {{ ",
                            kMaskVariable, " }} where they would stand"));
  }
  const std::string& cut = task_.truncation().field();
  if (!cut.empty() && !fields_read_.contains(cut)) {
    return InvalidField("task.truncation.field",
                        Concat("the template does not read '", cut,
                               "': there would be nothing to cut"));
  }
  if (is_extraction()) return CheckReading(fields_read_, task_.span_reading());
  if (is_tagging() && !fields_read_.contains(task_.tokens_field())) {
    return UnusedField(task_.tokens_field());
  }
  return absl::OkStatus();
}

absl::Status TaskProgram::CompileFurther(const FaultHandler& on_fault) {
  all_fields_read_ = fields_read_;
  others_.reserve(task_.more_templates_size());
  for (int i = 0; i < task_.more_templates_size(); ++i) {
    TaskSpec alone = task_;
    alone.clear_more_templates();
    alone.set_template_(task_.more_templates(i));
    auto program = Compile(alone, model_, num_prompt_rows_);
    if (!program.ok()) {
      ATTUNE_RETURN_IF_ERROR(
          Meet(on_fault, InvalidField(Concat("task.more_templates[", i, "]"),
                                      ToStd(program.status().message()))));
      continue;
    }
    const std::set<std::string>& read = (*program)->fields_read();
    all_fields_read_.insert(read.begin(), read.end());
    others_.push_back(*std::move(program));
  }
  return absl::OkStatus();
}

absl::Status TaskProgram::ReadTags() {
  absl::StatusOr<TagScheme> tags = TagScheme::Create(labels_);
  if (!tags.ok()) {
    return InvalidField("task.labels", ToStd(tags.status().message()));
  }
  tags_ = *std::move(tags);
  return absl::OkStatus();
}

absl::Status TaskProgram::ShowDemonstrations(const FaultHandler& on_fault) {
  const auto nearest =
      static_cast<size_t>(std::max(0, task_.num_nearest_demonstrations()));
  std::vector<ShownExample> all;
  std::vector<std::string> questions;  // what is compared
  for (int i = 0; i < task_.demonstrations_size(); ++i) {
    const attune::v1::Demonstration& one = task_.demonstrations(i);
    const auto show = [&]() -> absl::Status {
      ATTUNE_ASSIGN_OR_RETURN(const json fields, FieldsOf(one));
      ATTUNE_ASSIGN_OR_RETURN(ShownExample shown, Show(fields, one.answer()));
      all.push_back(std::move(shown));
      if (nearest > 0) questions.push_back(QuestionText(fields_read_, fields));
      return absl::OkStatus();
    };
    const absl::Status shown = show();
    if (shown.ok()) continue;
    ATTUNE_RETURN_IF_ERROR(Meet(
        on_fault, WithContext(shown, Concat("task.demonstrations[", i, "]"))));
  }
  if (all.empty()) return absl::OkStatus();
  if (nearest == 0) {
    ATTUNE_RETURN_IF_ERROR(CheckRoomBeside(all));
    demonstrations_ = DemonstrationPool(std::move(all));
    return absl::OkStatus();
  }
  // What a chat template has against demonstrations must not wait for inputs.
  ATTUNE_RETURN_IF_ERROR(CountShownTokens({all.data(), 1}).status());
  ATTUNE_ASSIGN_OR_RETURN(
      auto index, NearestDemonstrations::Create(questions, *model_->tokenizer,
                                                *model_->model));
  demonstrations_ =
      DemonstrationPool(std::move(all), std::move(index), nearest);
  return absl::OkStatus();
}

absl::Status TaskProgram::CheckRoomBeside(
    absl::Span<const ShownExample> shown) const {
  ATTUNE_ASSIGN_OR_RETURN(const int64_t tokens, CountShownTokens(shown));
  const int64_t limit = InputLimit(/*answer_tokens=*/1);
  if (tokens < limit) return absl::OkStatus();
  return MakeError(
      Reason::kInputTooLong,
      Concat("task.demonstrations: ", shown.size(), " of them ", "have ",
             tokens, " tokens and leave no room for an input: ", limit,
             " fit beside ", num_prompt_rows_,
             " prompt rows in the model's context of ",
             model_->info.config.context_length));
}

absl::StatusOr<ShownExample> TaskProgram::Show(
    const json& fields, const std::string& answer) const {
  ShownExample shown;
  shown.answer = answer;
  if (is_classification()) {
    const std::optional<int> label = FindLabel(answer);
    if (!label.has_value()) {
      return MakeError(
          Reason::kInvalidData,
          Concat("its answer '", answer, "' is not among the task's labels"));
    }
    shown.answer = task_.labels(*label).words(0);
  }
  ATTUNE_ASSIGN_OR_RETURN(shown.question,
                          RenderFields(fields, /*with_marks=*/false));
  return shown;
}

absl::StatusOr<int64_t> TaskProgram::CountDemonstrationTokens(
    const attune::v1::Demonstration& demonstration) const {
  ATTUNE_ASSIGN_OR_RETURN(const json fields, FieldsOf(demonstration));
  ATTUNE_ASSIGN_OR_RETURN(const ShownExample shown,
                          Show(fields, demonstration.answer()));
  return CountShownTokens({&shown, 1});
}

absl::StatusOr<int64_t> TaskProgram::CountShownTokens(
    absl::Span<const ShownExample> shown) const {
  // With what a chat template puts around turns.
  const std::string& question = shown.front().question;
  ATTUNE_ASSIGN_OR_RETURN(const std::string with,
                          ComposeText(task_, *model_, question, shown));
  ATTUNE_ASSIGN_OR_RETURN(const std::string without,
                          ComposeText(task_, *model_, question, {}));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<int64_t> all,
                          EncodeText(Unmarked(with)));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<int64_t> alone,
                          EncodeText(Unmarked(without)));
  return static_cast<int64_t>(all.size()) - static_cast<int64_t>(alone.size());
}

absl::Status TaskProgram::FindEndToken() {
  if (const auto id = model_->tokenizer->TokenToId(model_->eos_token);
      id.has_value() && !model_->eos_token.empty()) {
    end_token_ = *id;
  } else if (!model_->stop_token_ids.empty()) {
    end_token_ = model_->stop_token_ids.front();
  } else {
    return MakeError(
        Reason::kIllegalState,
        Concat("model '", model_->info.id, "' names no end-of-text token"));
  }
  return absl::OkStatus();
}

absl::Status TaskProgram::EncodeLabels() {
  ATTUNE_ASSIGN_OR_RETURN(
      label_tokens_, scores_at_mask()
                         ? LabelTokens::AtMask(task_, *model_)
                         : LabelTokens::BehindText(task_, *model_, end_token_));
  return absl::OkStatus();
}

int64_t TaskProgram::AnswerPlaces(int64_t answer_tokens) const {
  const int64_t longest =
      label_tokens_.has_value() ? label_tokens_->longest() : 0;
  // One mask stands in the input.
  if (scores_at_mask()) return std::max<int64_t>(longest - 1, 0);
  return answers_behind_input() ? std::max(answer_tokens, longest) : 0;
}

int64_t TaskProgram::AnswerRoom(const TaskInput& input) const {
  const int64_t context = model_->info.config.context_length;
  if (!answers_behind_input()) return context;
  return context - rows_in_front() - static_cast<int64_t>(input.ids.size());
}

int64_t TaskProgram::InputLimit(int64_t answer_tokens) const {
  const int64_t room = model_->info.config.context_length - rows_in_front() -
                       AnswerPlaces(answer_tokens);
  const int64_t asked = task_.truncation().max_input_tokens();
  // Which counts no rows of the prompt.
  return asked > 0 ? std::min(asked + marked_rows(), room) : room;
}

absl::StatusOr<std::string> TaskProgram::VariablesOf(const json& fields,
                                                     bool with_marks) const {
  if (!has_markers() && !scores_at_mask()) return DumpFields(fields);
  json variables = fields;
  if (scores_at_mask()) variables[kMaskVariable] = model_->mask_token;
  if (has_markers()) {
    if (DumpFields(variables).find(kPromptMark) != std::string::npos) {
      return MakeError(Reason::kInvalidData,
                       "a field has the characters U+E002 and U+E003, which "
                       "mark the rows of the prompt");
    }
    variables[kPromptVariable] = with_marks ? kPromptMark : "";
  }
  return DumpFields(variables);
}

absl::StatusOr<std::string> TaskProgram::RenderFields(const json& fields,
                                                      bool with_marks) const {
  ATTUNE_ASSIGN_OR_RETURN(const std::string values,
                          VariablesOf(fields, with_marks));
  absl::StatusOr<std::string> text = template_->Render(values);
  if (!text.ok()) return TemplateError(text.status());
  if (text->empty()) {
    return MakeError(Reason::kInvalidTemplate,
                     "the template renders to an empty text");
  }
  return text;
}

absl::StatusOr<std::set<std::string>> TaskProgram::FieldsToCut(
    const json& fields) const {
  ATTUNE_ASSIGN_OR_RETURN(
      const std::string values,
      VariablesOf(fields, /*with_marks=*/marked_rows() > 0));
  const absl::StatusOr<std::set<std::string>> marked =
      template_->FindMarkedFields(values);
  if (!marked.ok()) return TemplateError(marked.status());
  std::set<std::string> others;
  std::set_difference(fields_read_.begin(), fields_read_.end(), marked->begin(),
                      marked->end(), std::inserter(others, others.end()));
  return others;
}

UnmarkedText TaskProgram::Unmarked(std::string text) const {
  // The mark's characters are a text's own where there are no markers.
  if (!has_markers()) return {.text = std::move(text), .places = {}};
  return TakePromptMarks(std::move(text));
}

absl::StatusOr<std::string> TaskProgram::Render(
    const json& fields, absl::Span<const ShownExample> shown) const {
  ATTUNE_ASSIGN_OR_RETURN(
      const std::string question,
      RenderFields(fields, /*with_marks=*/marked_rows() > 0));
  return ComposeText(task_, *model_, question, shown);
}

absl::StatusOr<std::vector<int64_t>> TaskProgram::EncodeText(
    const UnmarkedText& text) const {
  // A chat template writes the special tokens itself.
  absl::StatusOr<Encoding> tokens = model_->tokenizer->Encode(
      text.text, /*add_special_tokens=*/!task_.use_chat_template());
  if (!tokens.ok()) {
    return MakeError(Reason::kInvalidData, ToStd(tokens.status().message()));
  }
  // Where the text goes on with the answer, nothing may be added behind it.
  if (!task_.use_chat_template() && answers_behind_input()) {
    tokens->ids.resize(tokens->ids.size() - num_tokens_added_behind_);
  }
  if (text.places.empty()) return std::move(tokens->ids);
  return WithPromptRows(*tokens, tokens->ids.size(), text.places,
                        marked_rows());
}

absl::StatusOr<TaskProgram::Frame> TaskProgram::RenderAround(
    const json& fields, const std::string& field) const {
  json framed = fields;
  framed[field] = kFieldMark;
  const absl::StatusOr<std::string> text = Render(framed, {});
  if (!text.ok()) {
    // The mark may be too short for the spans that the template marks in it.
    ATTUNE_RETURN_IF_ERROR(Render(fields, {}).status());
    return UnusedField(field);
  }
  const size_t mark = text->find(kFieldMark);
  if (mark == text->npos || text->find(kFieldMark, mark + 1) != text->npos) {
    return UnusedField(field);
  }
  return Frame{.front = text->substr(0, mark),
               .behind = text->substr(mark + kFieldMark.size())};
}

absl::StatusOr<std::vector<int64_t>> TaskProgram::EncodeAnswer(
    std::string_view answer, bool bare_answer) const {
  absl::StatusOr<Encoding> tokens =
      model_->tokenizer->Encode(SpacedAnswer(answer, bare_answer),
                                /*add_special_tokens=*/false);
  if (!tokens.ok()) {
    return MakeError(Reason::kInvalidData, ToStd(tokens.status().message()));
  }
  tokens->ids.push_back(end_token_);
  return std::move(tokens->ids);
}

std::optional<int> TaskProgram::FindLabel(std::string_view label) const {
  const auto found = std::find(labels_.begin(), labels_.end(), label);
  if (found == labels_.end()) return std::nullopt;
  return static_cast<int>(found - labels_.begin());
}

size_t TaskProgram::num_bytes() const {
  size_t bytes =
      static_cast<size_t>(task_.SpaceUsedLong()) + demonstrations_.num_bytes();
  for (const auto& other : others_) bytes += other->num_bytes();
  return bytes;
}

}  // namespace attune::worker
