#include "worker/tasks/task_program.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/tasks/cut_field.h"
#include "worker/tasks/row_fields.h"
#include "worker/tasks/spaced_answer.h"
#include "worker/tasks/task_contract.h"

namespace attune::worker {
namespace {

using attune::v1::TaskSpec;
using nlohmann::json;

// Cuts beyond these bring nothing any more.
constexpr int kMaxCuts = 32;

// Ends a demonstration.
constexpr std::string_view kEmptyLine = "\n\n";

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

}  // namespace

TaskProgram::TaskProgram(TaskSpec task,
                         std::shared_ptr<const LoadedModel> model,
                         int64_t num_prompt_rows)
    : task_(std::move(task)),
      model_(std::move(model)),
      num_prompt_rows_(num_prompt_rows) {}

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
  if (!scores_by_head() && !is_choice()) {
    ATTUNE_RETURN_IF_ERROR(Meet(on_fault, FindEndToken()));
  }
  // Of a number of labels that was refused there is no tree.
  if (is_classification() && !scores_by_head() && CheckHasLabels(task_).ok()) {
    ATTUNE_RETURN_IF_ERROR(Meet(on_fault, BuildTries()));
  }
  ATTUNE_ASSIGN_OR_RETURN(num_tokens_added_behind_,
                          CountTokensAddedBehind(*model_->tokenizer));
  if (is_tagging()) ATTUNE_RETURN_IF_ERROR(Meet(on_fault, ReadTags()));
  ATTUNE_RETURN_IF_ERROR(CompileTemplate());
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
  if (fields_read().contains(task_.answer_field())) {
    return MakeError(Reason::kInvalidTemplate,
                     Concat("the template reads '", task_.answer_field(),
                            "', which is the answer: it is not there when "
                            "the prompt serves"));
  }
  const std::string& cut = task_.truncation().field();
  if (!cut.empty() && !fields_read().contains(cut)) {
    return InvalidField("task.truncation.field",
                        Concat("the template does not read '", cut,
                               "': there would be nothing to cut"));
  }
  if (is_extraction()) return CheckReading(fields_read(), task_.span_reading());
  if (is_tagging() && !fields_read().contains(task_.tokens_field())) {
    return UnusedField(task_.tokens_field());
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
  std::vector<ShownExample> all;
  for (int i = 0; i < task_.demonstrations_size(); ++i) {
    absl::StatusOr<ShownExample> shown = Show(task_.demonstrations(i));
    if (shown.ok()) {
      all.push_back(*std::move(shown));
      continue;
    }
    ATTUNE_RETURN_IF_ERROR(Meet(
        on_fault,
        WithContext(shown.status(), Concat("task.demonstrations[", i, "]"))));
  }
  if (all.empty()) return absl::OkStatus();
  ATTUNE_ASSIGN_OR_RETURN(const int64_t tokens, CountShownTokens(all));
  demonstrations_ = std::move(all);
  const int64_t limit = InputLimit(/*answer_tokens=*/1);
  if (tokens < limit) return absl::OkStatus();
  return MakeError(
      Reason::kInputTooLong,
      Concat("task.demonstrations: ", task_.demonstrations_size(), " of them ",
             "have ", tokens, " tokens and leave no room for an input: ", limit,
             " fit beside ", num_prompt_rows_,
             " prompt rows in the model's context of ",
             model_->info.config.context_length));
}

absl::StatusOr<TaskProgram::ShownExample> TaskProgram::Show(
    const attune::v1::Demonstration& demonstration) const {
  ShownExample shown;
  shown.answer = demonstration.answer();
  if (is_classification()) {
    const std::optional<int> label = FindLabel(demonstration.answer());
    if (!label.has_value()) {
      return MakeError(Reason::kInvalidData,
                       Concat("its answer '", demonstration.answer(),
                              "' is not among the task's labels"));
    }
    shown.answer = task_.labels(*label).words(0);
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::string text,
                          FieldsToJson(demonstration.fields()));
  ATTUNE_ASSIGN_OR_RETURN(const json fields, ParseFields(text));
  ATTUNE_ASSIGN_OR_RETURN(shown.question, RenderFields(fields));
  return shown;
}

absl::StatusOr<int64_t> TaskProgram::CountDemonstrationTokens(
    const attune::v1::Demonstration& demonstration) const {
  ATTUNE_ASSIGN_OR_RETURN(const ShownExample shown, Show(demonstration));
  return CountShownTokens({&shown, 1});
}

absl::StatusOr<int64_t> TaskProgram::CountShownTokens(
    absl::Span<const ShownExample> shown) const {
  // With what a chat template puts around turns.
  const std::string& question = shown.front().question;
  ATTUNE_ASSIGN_OR_RETURN(const std::string with, Compose(question, shown));
  ATTUNE_ASSIGN_OR_RETURN(const std::string without, Compose(question, {}));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<int64_t> all, EncodeText(with));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<int64_t> alone,
                          EncodeText(without));
  return static_cast<int64_t>(all.size()) - static_cast<int64_t>(alone.size());
}

const std::set<std::string>& TaskProgram::fields_read() const {
  return template_->undeclared_variables();
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

absl::Status TaskProgram::BuildTries() {
  std::vector<LabelTrie::Word> spaced;
  std::vector<LabelTrie::Word> bare;
  for (int label = 0; label < task_.labels_size(); ++label) {
    for (const std::string& word : task_.labels(label).words()) {
      for (auto* words : {&spaced, &bare}) {
        const std::string text = words == &spaced ? Concat(" ", word) : word;
        absl::StatusOr<Encoding> tokens =
            model_->tokenizer->Encode(text, /*add_special_tokens=*/false);
        if (!tokens.ok()) {
          return InvalidField(Concat("task.labels[", label, "].words"),
                              ToStd(tokens.status().message()));
        }
        longest_word_ =
            std::max(longest_word_, static_cast<int64_t>(tokens->ids.size()));
        words->push_back({label, word, std::move(tokens->ids)});
      }
    }
  }
  ATTUNE_ASSIGN_OR_RETURN(
      spaced_trie_, LabelTrie::Build(spaced, task_.labels_size(), end_token_));
  ATTUNE_ASSIGN_OR_RETURN(
      bare_trie_, LabelTrie::Build(bare, task_.labels_size(), end_token_));
  return absl::OkStatus();
}

int64_t TaskProgram::AnswerPlaces(int64_t answer_tokens) const {
  return answers_behind_input() ? std::max(answer_tokens, longest_word_) : 0;
}

int64_t TaskProgram::AnswerRoom(const TaskInput& input) const {
  const int64_t context = model_->info.config.context_length;
  if (!answers_behind_input()) return context;
  return context - num_prompt_rows_ - static_cast<int64_t>(input.ids.size());
}

int64_t TaskProgram::InputLimit(int64_t answer_tokens) const {
  const int64_t room = model_->info.config.context_length - num_prompt_rows_ -
                       AnswerPlaces(answer_tokens);
  const int64_t asked = task_.truncation().max_input_tokens();
  return asked > 0 ? std::min(asked, room) : room;
}

absl::StatusOr<std::string> TaskProgram::RenderFields(
    const json& fields) const {
  absl::StatusOr<std::string> text = template_->Render(DumpFields(fields));
  if (!text.ok()) return TemplateError(text.status());
  if (text->empty()) {
    return MakeError(Reason::kInvalidTemplate,
                     "the template renders to an empty text");
  }
  return text;
}

absl::StatusOr<std::string> TaskProgram::Render(const json& fields) const {
  ATTUNE_ASSIGN_OR_RETURN(const std::string question, RenderFields(fields));
  return Compose(question, demonstrations_);
}

absl::StatusOr<std::string> TaskProgram::Compose(
    std::string_view question, absl::Span<const ShownExample> shown) const {
  if (!task_.use_chat_template()) {
    std::string text;
    for (const ShownExample& one : shown) {
      text += Concat(one.question,
                     SpacedAnswer(one.answer, EndsInSpace(one.question)),
                     kEmptyLine);
    }
    return Concat(text, question);
  }
  std::vector<ChatMessage> turns;
  if (!task_.system_message().empty()) {
    turns.push_back({"system", task_.system_message()});
  }
  for (const ShownExample& one : shown) {
    turns.push_back({"user", one.question});
    turns.push_back({"assistant", one.answer});
  }
  turns.push_back({"user", std::string(question)});
  absl::StatusOr<std::string> chat =
      RenderChat(*model_->chat_template, turns,
                 {.bos_token = model_->bos_token,
                  .eos_token = model_->eos_token,
                  .add_generation_prompt = true});
  if (!chat.ok()) return TemplateError(chat.status());
  return chat;
}

absl::StatusOr<std::vector<int64_t>> TaskProgram::EncodeText(
    std::string_view text) const {
  // A chat template writes the special tokens itself.
  absl::StatusOr<Encoding> tokens = model_->tokenizer->Encode(
      text, /*add_special_tokens=*/!task_.use_chat_template());
  if (!tokens.ok()) {
    return MakeError(Reason::kInvalidData, ToStd(tokens.status().message()));
  }
  // Where the text goes on with the answer, nothing may be added behind it.
  if (!task_.use_chat_template() && answers_behind_input()) {
    tokens->ids.resize(tokens->ids.size() - num_tokens_added_behind_);
  }
  return std::move(tokens->ids);
}

absl::StatusOr<TaskInput> TaskProgram::PrepareInput(
    std::string_view fields, int64_t answer_tokens) const {
  ATTUNE_ASSIGN_OR_RETURN(json values, ParseFields(fields));
  if (is_tagging()) return PrepareWords(values);
  if (is_extraction()) return PrepareContext(values);
  if (is_choice()) return PrepareChoices(values);
  return PrepareText(std::move(values), answer_tokens);
}

absl::StatusOr<TaskInput> TaskProgram::PrepareText(
    json values, int64_t answer_tokens) const {
  const int64_t limit = InputLimit(answer_tokens);
  TaskInput input;
  for (int cuts = 0; cuts <= kMaxCuts; ++cuts) {
    ATTUNE_ASSIGN_OR_RETURN(const std::string text, Render(values));
    ATTUNE_ASSIGN_OR_RETURN(input.ids, EncodeText(text));
    if (input.ids.empty()) {
      return MakeError(Reason::kInvalidTemplate,
                       "the template renders to a text without tokens");
    }
    const int64_t size = static_cast<int64_t>(input.ids.size());
    if (cuts == 0) input.num_whole_tokens = size;
    if (size <= limit) {
      input.bare_answer = !answers_behind_input() ||
                          task_.use_chat_template() || EndsInSpace(text);
      return input;
    }
    if (task_.truncation().side() == attune::v1::TRUNCATION_SIDE_REFUSE ||
        !CutField(task_.truncation(), fields_read(), *model_->tokenizer,
                  static_cast<size_t>(size - limit), values)) {
      return TooLong(size, limit, answer_tokens);
    }
    input.truncated = true;
  }
  return MakeError(Reason::kInputTooLong,
                   "the input does not get shorter when its fields are cut");
}

absl::Status TaskProgram::TooLong(int64_t size, int64_t limit,
                                  int64_t answer_tokens) const {
  return MakeError(
      Reason::kInputTooLong,
      Concat("the input has ", size, " tokens; ", std::max(limit, int64_t{0}),
             " fit beside ", num_prompt_rows_, " prompt rows and ",
             AnswerPlaces(answer_tokens),
             " answer tokens in the model's context of ",
             model_->info.config.context_length,
             demonstrations_.empty() ? "" : ", demonstrations included",
             task_.truncation().max_input_tokens() > 0
                 ? " under task.truncation.max_input_tokens"
                 : "",
             task_.truncation().field().empty()
                 ? ""
                 : Concat("; task.truncation.field lets no other field than '",
                          task_.truncation().field(), "' be cut")));
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

absl::StatusOr<TaskProgram::Frame> TaskProgram::RenderAround(
    json fields, const std::string& field) const {
  fields[field] = kFieldMark;
  ATTUNE_ASSIGN_OR_RETURN(const std::string text, Render(fields));
  const size_t mark = text.find(kFieldMark);
  if (mark == text.npos || text.find(kFieldMark, mark + 1) != text.npos) {
    return UnusedField(field);
  }
  return Frame{.front = text.substr(0, mark),
               .behind = text.substr(mark + kFieldMark.size())};
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

}  // namespace attune::worker
