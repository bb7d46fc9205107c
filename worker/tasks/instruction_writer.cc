#include "worker/tasks/instruction_writer.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "attune/v1/task.pb.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/tasks/beam_decoder.h"
#include "worker/tasks/plain_text.h"
#include "worker/tasks/row_fields.h"
#include "worker/tasks/seeded_random.h"
#include "worker/tasks/template_patterns.h"

namespace attune::worker {
namespace {

using attune::v1::TaskSpec;
using nlohmann::json;

// Keeps this choice apart from the seed's other uses.
constexpr uint64_t kPairStream = 30;
constexpr size_t kRowsOfADraw = 4;
constexpr size_t kMaxValueBytes = 300;

// A base goes on with a sentence whose verb is due; what reads a question apart
// or as a turn of a chat answers it.
constexpr char kSentenceTemplate[] =
    "One instruction led from these inputs to these outputs.\n\n{{ pairs }}\n\n"
    "The instruction was to";
constexpr char kQuestionTemplate[] =
    "One instruction led from these inputs to these outputs.\n\n{{ pairs }}\n\n"
    "What was the instruction? Answer in one sentence.";
constexpr char kPairsField[] = "pairs";

constexpr int kMaxWrittenTokens = 40;
// Longer pairs say no more about what they have in common.
constexpr int64_t kMaxPairsTokens = 1024;
// Rows among which a draw takes turns: those of each label, or all.
using RowGroups = std::vector<std::vector<const Example*>>;

RowGroups GroupRows(const TaskProgram& program,
                    absl::Span<const Example> rows) {
  std::map<std::string, std::vector<const Example*>> by_answer;
  for (const Example& row : rows) {
    by_answer[program.is_classification() ? row.answer : ""].push_back(&row);
  }
  RowGroups groups;
  groups.reserve(by_answer.size());
  for (auto& [answer, group] : by_answer) groups.push_back(std::move(group));
  return groups;
}

// Puts what it draws to the front of its group.
std::vector<const Example*> DrawFrom(RowGroups& groups, SeededRandom& random) {
  random.Shuffle(groups);
  std::vector<const Example*> drawn;
  drawn.reserve(kRowsOfADraw);
  for (size_t turn = 0; turn < kRowsOfADraw; ++turn) {
    for (std::vector<const Example*>& group : groups) {
      if (drawn.size() == kRowsOfADraw) return drawn;
      if (turn >= group.size()) continue;
      std::swap(group[turn], group[turn + random.Below(group.size() - turn)]);
      drawn.push_back(group[turn]);
    }
  }
  return drawn;
}

std::string ShownLine(std::string value) {
  const std::string line = OneSpaced(std::move(value));
  return std::string(BeginningOf(line, kMaxValueBytes));
}

std::string ShownValue(const json& value) {
  return ShownLine(value.is_string() ? value.get<std::string>()
                                     : DumpFields(value));
}

std::string ShownAnswer(const TaskProgram& program, const Example& row) {
  if (program.is_classification()) {
    const std::optional<int> label = program.FindLabel(row.answer);
    if (label.has_value()) {
      return ShownLine(program.task().labels(*label).words(0));
    }
  }
  return ShownLine(row.answer);
}

// A row as its text of a draw; `fields` that it lacks are left out.
absl::StatusOr<std::string> PairOf(const TaskProgram& program,
                                   const std::vector<std::string>& fields,
                                   const Example& row) {
  const absl::StatusOr<json> values = ParseFields(row.fields);
  if (!values.ok()) {
    return WithContext(values.status(), Concat("row ", row.row));
  }
  std::string text = "Input:";
  for (const std::string& field : fields) {
    const auto found = values->find(field);
    if (found == values->end()) continue;
    text += fields.size() == 1 ? Concat(" ", ShownValue(*found))
                               : Concat("\n", field, ": ", ShownValue(*found));
  }
  return Concat(text, "\nOutput: ", ShownAnswer(program, row));
}

// What has the model write. Too long a text loses pairs, never the question.
TaskSpec WritingTask(const LoadedModel& model) {
  const ModelConfig& config = model.info.config;
  const bool is_chat = model.chat_template != nullptr;
  const bool goes_on = config.kind == ModelKind::kCausal && !is_chat;
  TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_TEXT_GENERATION);
  task.set_template_(goes_on ? kSentenceTemplate : kQuestionTemplate);
  task.set_use_chat_template(is_chat);
  task.mutable_decoding()->set_max_new_tokens(kMaxWrittenTokens);
  task.mutable_decoding()->add_stop(std::string(1, '\n'));
  attune::v1::Truncation& truncation = *task.mutable_truncation();
  truncation.set_side(attune::v1::TRUNCATION_SIDE_LEFT);
  truncation.set_field(kPairsField);
  truncation.set_max_input_tokens(
      static_cast<int32_t>(std::min(kMaxPairsTokens, config.context_length)));
  return task;
}

absl::StatusOr<std::vector<TaskInput>> PrepareWriting(
    const TaskProgram& writer, absl::Span<const std::string> pairs) {
  std::vector<TaskInput> inputs;
  inputs.reserve(pairs.size());
  for (const std::string& text : pairs) {
    json fields = json::object();
    fields[kPairsField] = text;
    ATTUNE_ASSIGN_OR_RETURN(
        TaskInput input,
        writer.PrepareInput(DumpFields(fields), kMaxWrittenTokens));
    inputs.push_back(std::move(input));
  }
  return inputs;
}

// `text` without quotes around it; the first one may be all there is of them.
std::string_view Unquoted(std::string_view text) {
  constexpr std::pair<std::string_view, std::string_view> kQuotes[] = {
      {"\"", "\""},
      {"'", "'"},
      {"`", "`"},
      {"\xe2\x80\x9c", "\xe2\x80\x9d"},  // English
      {"\xe2\x80\x9e", "\xe2\x80\x9c"},  // German
      {"\xe2\x80\x98", "\xe2\x80\x99"},  // single
      {"\xc2\xab", "\xc2\xbb"},          // French
  };
  for (const auto& [open, close] : kQuotes) {
    if (!text.starts_with(open)) continue;
    const size_t end = text.find(close, open.size());
    if (end == text.npos) return text.substr(open.size());
    if (end + close.size() < text.size()) return text;
    return text.substr(open.size(), end - open.size());
  }
  return text;
}

bool IsLetter(char byte) {
  // Bytes of other characters than ASCII's count as letters.
  const auto value = static_cast<unsigned char>(byte);
  return absl::ascii_isalpha(value) || value >= 0x80;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> WriteInstructions(
    const TaskProgram& program, std::shared_ptr<const LoadedModel> model,
    absl::Span<const Example> rows, const InstructionOptions& options) {
  std::vector<std::string> instructions;
  ATTUNE_ASSIGN_OR_RETURN(
      const std::vector<std::string> pairs,
      DrawPairs(program, rows, options.count, options.seed));
  if (pairs.empty()) return instructions;
  const TaskSpec task = WritingTask(*model);
  ATTUNE_ASSIGN_OR_RETURN(
      const std::unique_ptr<const TaskProgram> writer,
      TaskProgram::Compile(task, std::move(model), /*num_prompt_rows=*/0));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<TaskInput> inputs,
                          PrepareWriting(*writer, pairs));
  std::vector<const TaskInput*> borrowed;
  borrowed.reserve(inputs.size());
  for (const TaskInput& input : inputs) borrowed.push_back(&input);
  ATTUNE_ASSIGN_OR_RETURN(
      const std::vector<std::string> written,
      DecodeInBatches(*writer, /*prompt=*/nullptr, borrowed, [&](size_t) {
        return options.before_pass ? options.before_pass() : absl::OkStatus();
      }));
  instructions.reserve(written.size());
  std::set<std::string> seen;
  for (const std::string& text : written) {
    std::optional<std::string> clean = CleanInstruction(text);
    if (!clean.has_value() || !seen.insert(*clean).second) continue;
    instructions.push_back(*std::move(clean));
  }
  return instructions;
}

absl::StatusOr<std::vector<std::string>> DrawPairs(
    const TaskProgram& program, absl::Span<const Example> rows, int count,
    uint64_t seed) {
  std::vector<std::string> texts;
  const std::vector<std::string> fields = FieldsInTemplate(program);
  if (rows.empty() || fields.empty() || count <= 0) return texts;
  RowGroups groups = GroupRows(program, rows);
  SeededRandom random(seed, kPairStream);
  texts.reserve(count);
  for (int i = 0; i < count; ++i) {
    std::string text;
    for (const Example* row : DrawFrom(groups, random)) {
      ATTUNE_ASSIGN_OR_RETURN(const std::string pair,
                              PairOf(program, fields, *row));
      text += Concat(text.empty() ? "" : "\n\n", pair);
    }
    texts.push_back(std::move(text));
  }
  return texts;
}

std::optional<std::string> CleanInstruction(std::string_view written) {
  constexpr std::string_view kNoText = "\xef\xbf\xbd";  // bytes of no character
  std::string text(written);
  for (char& c : text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = ' ';
  }
  text = OneSpaced(std::move(text));
  // Where the model's room ends amid a character.
  while (text.ends_with(kNoText)) text.resize(text.size() - kNoText.size());
  text = OneSpaced(std::string(Unquoted(text)));
  text = OneSpaced(std::string(BeginningOf(text, kMaxInstructionBytes)));
  if (std::none_of(text.begin(), text.end(), IsLetter)) return std::nullopt;
  if (!IsPlainInTemplate(text)) return std::nullopt;
  text[0] = absl::ascii_toupper(static_cast<unsigned char>(text[0]));
  return text;
}

}  // namespace attune::worker
