#include "worker/tasks/task_program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_llama.h"
#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using ::attune::v1::TaskSpec;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string TextOf(const TaskProgram& program, const TaskInput& input) {
  return *program.model().tokenizer->Decode(input.ids,
                                            /*skip_special_tokens=*/false);
}

std::string Rendered(const TaskSpec& task, const std::string& fields) {
  const auto program = CompileTask(task);
  return TextOf(*program, *program->PrepareInput(fields, 1));
}

absl::Status CompileError(const TaskSpec& task, int64_t prompt_rows = 0,
                          const std::string& model = "tiny") {
  return TaskProgram::Compile(task, TinyModel(model), prompt_rows).status();
}

TaskSpec TaskOf(const std::string& source) {
  TaskSpec task = LabelTask({"yes", "no"});
  task.set_template_(source);
  return task;
}

TEST(TaskProgram, RendersTheFields) {
  EXPECT_EQ(Rendered(LabelTask({"yes", "no"}), R"({"text": "it is"})"),
            "Text: it is\nLabel:");
}

TEST(TaskProgram, EqualNumbersRenderEqually) {
  const TaskSpec task = TaskOf("{{ a }} {{ b[0] }}");

  EXPECT_EQ(Rendered(task, R"({"a": 1, "b": [0.5]})"), "1 0.5");
  EXPECT_EQ(Rendered(task, R"({"a": 1.0, "b": [5e-1]})"), "1 0.5");
}

TEST(TaskProgram, TheChatTemplateWrapsTheText) {
  TaskSpec task = LabelTask({"yes", "no"});
  task.set_use_chat_template(true);
  task.set_system_message("Be brief.");

  EXPECT_EQ(Rendered(task, R"({"text": "it"})"),
            "<|im_start|>system\nBe brief.<|im_end|>\n"
            "<|im_start|>user\nText: it\nLabel:<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST(TaskProgram, ChatTokensAreSpecialTokens) {
  TaskSpec task = TaskOf("x");
  task.set_use_chat_template(true);
  const auto program = CompileTask(task);

  const TaskInput input = *program->PrepareInput("{}", 1);

  EXPECT_EQ(input.ids.front(), 1);
  EXPECT_TRUE(input.bare_answer);
}

TEST(TaskProgram, ASpaceStandsBeforeAWordUnlessTheTextBringsIt) {
  const auto spaced = CompileTask(TaskOf("{{ text }}:"));
  const auto bare = CompileTask(TaskOf("{{ text }}: "));

  const TaskInput after_colon = *spaced->PrepareInput(R"({"text": "a"})", 1);
  const TaskInput after_space = *bare->PrepareInput(R"({"text": "a"})", 1);

  EXPECT_FALSE(after_colon.bare_answer);
  EXPECT_TRUE(after_space.bare_answer);
  const auto first_token = [](const TaskProgram& program,
                              const TaskInput& input) {
    return *program.model().tokenizer->IdToToken(
        program.trie(input).nodes()[1].token);
  };
  EXPECT_THAT(first_token(*spaced, after_colon), StartsWith("Ġ"));
  EXPECT_EQ(first_token(*bare, after_space), "y");
}

TEST(TaskProgram, AnswersEndInTheEndToken) {
  const auto program = CompileTask(TextTask(8));

  const std::vector<int64_t> spaced =
      *program->EncodeAnswer("the", /*bare_answer=*/false);
  const std::vector<int64_t> bare =
      *program->EncodeAnswer("the", /*bare_answer=*/true);

  EXPECT_EQ(*program->model().tokenizer->Decode(spaced, false),
            " the<|im_end|>");
  EXPECT_EQ(*program->model().tokenizer->Decode(bare, false), "the<|im_end|>");
  EXPECT_EQ(program->end_token(), 2);
}

TEST(TaskProgram, FindsLabels) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));

  EXPECT_EQ(program->FindLabel("no"), 1);
  EXPECT_EQ(program->FindLabel("perhaps"), std::nullopt);
  EXPECT_THAT(program->labels(), ElementsAre("yes", "no"));
}

TEST(TaskProgram, NamesAFieldThatIsMissing) {
  const auto program = CompileTask(TaskOf("{{ question }}"));

  EXPECT_THAT(program->PrepareInput(R"({"text": "a"})", 1),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("question")));
}

TEST(TaskProgram, RefusesFieldsThatAreNoObject) {
  const auto program = CompileTask(TaskOf("x"));

  EXPECT_THAT(program->PrepareInput("[]", 1),
              ReasonIs(Reason::kInvalidData, HasSubstr("JSON object")));
}

TEST(TaskProgram, RefusesATextWithoutTokens) {
  const auto program = CompileTask(TaskOf("{{ text }}"));

  EXPECT_THAT(program->PrepareInput(R"({"text": ""})", 1),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("empty")));
}

// The tiny model without weights, whose tokenizer begins every text with
// <|endoftext|>.
std::shared_ptr<const LoadedModel> ModelThatBeginsTexts() {
  nlohmann::json tokenizer = nlohmann::json::parse(TinyTokenizerJson());
  tokenizer["post_processor"] = nlohmann::json::parse(R"({
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}},
               {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}},
             {"Sequence": {"id": "B", "type_id": 0}}],
    "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [0],
                                         "tokens": ["<|endoftext|>"]}}})");
  auto loaded = std::make_shared<LoadedModel>();
  loaded->info = TinyModel()->info;
  loaded->tokenizer = *Tokenizer::FromJson(tokenizer.dump());
  loaded->eos_token = TinyModel()->eos_token;
  return loaded;
}

TEST(TaskProgram, ABeginningTokenAloneIsNoText) {
  const auto program =
      *TaskProgram::Compile(TaskOf("{{ text }}"), ModelThatBeginsTexts(), 0);

  EXPECT_EQ(program->PrepareInput(R"({"text": "a"})", 1)->ids.front(), 0);
  EXPECT_THAT(program->PrepareInput(R"({"text": ""})", 1),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("empty")));
}

void AddDemonstration(TaskSpec& task, const std::string& text,
                      const std::string& answer) {
  attune::v1::Demonstration& one = *task.add_demonstrations();
  (*one.mutable_fields()->mutable_fields())["text"].set_string_value(text);
  one.set_answer(answer);
}

TEST(TaskProgram, DemonstrationsStandBeforeTheInput) {
  TaskSpec task = LabelTask({"yes", "no"});
  task.mutable_labels(0)->add_words("right");
  AddDemonstration(task, "a", "yes");
  AddDemonstration(task, "b", "no");

  EXPECT_EQ(Rendered(task, R"({"text": "c"})"),
            "Text: a\nLabel: right\n\n"
            "Text: b\nLabel: no\n\n"
            "Text: c\nLabel:");
}

TEST(TaskProgram, ADemonstrationsAnswerHasTheSpaceThatAnAnswerHas) {
  TaskSpec task = TextTask(8);
  task.set_template_("{{ text }} > ");
  AddDemonstration(task, "a", "b c");

  EXPECT_EQ(Rendered(task, R"({"text": "d"})"), "a > b c\n\nd > ");
}

TEST(TaskProgram, ADemonstrationsAnswerMayBringItsSpace) {
  TaskSpec task = TextTask(8);
  task.set_template_("{{ text }}:");
  AddDemonstration(task, "a", " b");

  EXPECT_EQ(Rendered(task, R"({"text": "d"})"), "a: b\n\nd:");
}

TEST(TaskProgram, DemonstrationsAreTurnsOfAChat) {
  TaskSpec task = LabelTask({"yes", "no"});
  task.set_use_chat_template(true);
  AddDemonstration(task, "a", "yes");

  EXPECT_EQ(Rendered(task, R"({"text": "b"})"),
            "<|im_start|>user\nText: a\nLabel:<|im_end|>\n"
            "<|im_start|>assistant\nyes<|im_end|>\n"
            "<|im_start|>user\nText: b\nLabel:<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST(TaskProgram, AnInputIsCutBehindItsDemonstrations) {
  TaskSpec task = LabelTask({"yes", "no"});
  AddDemonstration(task, "it is a demonstration", "yes");
  const auto program = CompileTask(task);

  const TaskInput input = *program->PrepareInput(
      absl::StrCat(R"({"text": ")", std::string(400, '7'), "\"}"), 1);

  EXPECT_TRUE(input.truncated);
  EXPECT_LT(input.ids.size(), 256u);
  EXPECT_THAT(TextOf(*program, input),
              AllOf(StartsWith("Text: it is a demonstration\nLabel: yes\n\n"),
                    EndsWith("77\nLabel:")));
}

TEST(TaskProgram, RefusesDemonstrationsThatLeaveNoRoom) {
  TaskSpec task = LabelTask({"yes", "no"});
  AddDemonstration(task, std::string(200, '7'), "yes");
  AddDemonstration(task, std::string(200, '8'), "no");

  EXPECT_THAT(CompileError(task), ReasonIs(Reason::kInputTooLong,
                                           HasSubstr("task.demonstrations")));
}

TEST(TaskProgram, RefusesADemonstrationOfAnotherLabel) {
  TaskSpec task = LabelTask({"yes", "no"});
  AddDemonstration(task, "a", "yes");
  AddDemonstration(task, "b", "perhaps");

  EXPECT_THAT(
      CompileError(task),
      ReasonIs(Reason::kInvalidData, AllOf(HasSubstr("task.demonstrations[1]"),
                                           HasSubstr("'perhaps'"))));
}

TEST(TaskProgram, RefusesADemonstrationWithoutAFieldOfTheTemplate) {
  TaskSpec task = TaskOf("{{ text }} {{ other }}");
  AddDemonstration(task, "a", "yes");

  EXPECT_THAT(
      CompileError(task),
      ReasonIs(Reason::kInvalidTemplate,
               AllOf(HasSubstr("task.demonstrations[0]"), HasSubstr("other"))));
}

TEST(TaskProgram, RefusesDemonstrationsOfAnEncoder) {
  TaskSpec task = LabelTask({"yes", "no"});
  AddDemonstration(task, "a", "yes");

  EXPECT_THAT(
      CompileError(task, 0, "encoder"),
      ReasonIs(Reason::kInvalidField, HasSubstr("task.demonstrations")));
}

std::unique_ptr<const TaskProgram> CompileForHead(const TaskSpec& task) {
  return CompileTask(task, /*num_prompt_rows=*/0, "encoder");
}

// The text of a word's first token.
std::string FirstTokenOf(const TaskProgram& program, const TaskInput& input,
                         size_t word) {
  return *program.model().tokenizer->Decode(
      std::vector<int64_t>{input.ids[input.words.words[word].token]}, false);
}

TEST(TaskProgram, WordsKnowTheirFirstTokens) {
  const auto program = CompileForHead(TagTask({"O", "B-X"}));

  const TaskInput input =
      *program->PrepareInput(R"({"tokens": ["it", "71", "is"]})", 0);

  EXPECT_EQ(TextOf(*program, input), "Tag: it 71 is");
  EXPECT_THAT(FirstTokenOf(*program, input, 0), EndsWith("it"));
  EXPECT_THAT(FirstTokenOf(*program, input, 1), HasSubstr("7"));
  EXPECT_THAT(FirstTokenOf(*program, input, 2), EndsWith("is"));
  EXPECT_FALSE(input.truncated);
}

TEST(TaskProgram, WordsMayBeATextOfAnotherField) {
  TaskSpec task = TagTask({"O", "B-X"});
  task.set_template_("{{ kind }} < {{ text }} >");
  task.set_tokens_field("text");
  const auto program = CompileForHead(task);

  const TaskInput input =
      *program->PrepareInput(R"({"text": "it is 7", "kind": "a"})", 0);

  EXPECT_EQ(TextOf(*program, input), "a < it is 7 >");
  EXPECT_EQ(input.words.words.size(), 3u);
  EXPECT_THAT(FirstTokenOf(*program, input, 2), HasSubstr("7"));
}

TEST(TaskProgram, OtherFieldsMayHoldAnyCharacter) {
  TaskSpec task = TagTask({"O", "B-X"});
  task.set_template_("{{ kind }} {{ tokens }}");
  const auto program = CompileForHead(task);

  EXPECT_OK(program->PrepareInput(
      "{\"tokens\": \"it\", \"kind\": \"\xee\x80\x80\xee\x80\x81\"}", 0));
}

TEST(TaskProgram, ATooLongInputLosesItsLastWords) {
  const auto program = CompileForHead(TagTask({"O", "B-X"}));
  std::string words = "it";
  for (int i = 0; i < 300; ++i) words += " is";

  const TaskInput input =
      *program->PrepareInput(absl::StrCat(R"({"tokens": ")", words, "\"}"), 0);

  EXPECT_TRUE(input.truncated);
  EXPECT_LE(input.ids.size(), 128u);
  EXPECT_GE(input.ids.size(), 124u);
  EXPECT_EQ(input.words.words.size(), 301u);
  EXPECT_GE(input.words.words[0].token, 0);
  EXPECT_EQ(input.words.words.back().token, -1);
  const int read = CountWordsRead(input.words.words);
  EXPECT_GT(read, 50);
  EXPECT_GE(input.words.words[read - 1].token, 0);
}

TEST(TaskProgram, AWordBeyondTheContextIsTooLong) {
  TaskSpec task = TagTask({"O", "B-X"});
  const std::string fields =
      absl::StrCat(R"({"tokens": ["a", ")", std::string(300, '7'), "\"]}");

  EXPECT_TRUE(CompileForHead(task)->PrepareInput(fields, 0)->truncated);
  task.mutable_truncation()->set_side(attune::v1::TRUNCATION_SIDE_REFUSE);
  EXPECT_THAT(CompileForHead(task)->PrepareInput(fields, 0),
              ReasonIs(Reason::kInputTooLong, HasSubstr("context")));
}

TEST(TaskProgram, TheTemplateShowsTheWordsOnceAndUnchanged) {
  for (const char* source : {"Tag it", "{{ text }}"}) {
    TaskSpec task = TagTask({"O", "B-X"});
    task.set_template_(source);
    EXPECT_THAT(CompileError(task, 0, "encoder"),
                ReasonIs(Reason::kInvalidTemplate, HasSubstr("'tokens'")));
  }
  for (const char* source :
       {"{{ tokens }} {{ tokens }}", "{{ tokens | length }}",
        "{{ tokens | lower }}", "{{ tokens | upper }}",
        "{{ tokens | replace('-', ' ') }}", "{{ tokens | join(', ') }}"}) {
    TaskSpec task = TagTask({"O", "B-X"});
    task.set_template_(source);
    EXPECT_THAT(
        CompileForHead(task)->PrepareInput(R"({"tokens": ["a"]})", 0),
        ReasonIs(Reason::kInvalidTemplate, HasSubstr("once and unchanged")));
  }
}

TEST(TaskProgram, AContextKnowsItsTokens) {
  const auto program = CompileForHead(SpanTask());

  const TaskInput input = *program->PrepareInput(
      R"({"question": "what", "context": "it is 71"})", 0);

  EXPECT_EQ(TextOf(*program, input), "what? it is 71");
  ASSERT_EQ(input.context.windows.size(), 1u);
  const ContextWindow& window = input.context.windows[0];
  EXPECT_EQ(input.context.text, "it is 71");
  EXPECT_EQ(window.tokens.front().begin, 0u);
  EXPECT_EQ(window.tokens.back().end, 8u);
  EXPECT_EQ(window.ids, input.ids);
}

TEST(TaskProgram, ALongContextIsReadInWindows) {
  TaskSpec task = SpanTask();
  task.mutable_span_reading()->set_overlap_tokens(20);
  const auto program = CompileForHead(task);
  const std::string fields = absl::StrCat(
      R"({"question": "what", "context": ")", std::string(300, '7'), "\"}");

  const TaskInput input = *program->PrepareInput(fields, 0);

  EXPECT_GE(input.context.windows.size(), 3u);
  for (const ContextWindow& window : input.context.windows) {
    EXPECT_LE(window.ids.size(), 128u);
  }
  EXPECT_EQ(input.context.windows.back().tokens.back().end, 300u);
  EXPECT_FALSE(input.truncated);
  task.mutable_truncation()->set_side(attune::v1::TRUNCATION_SIDE_REFUSE);
  EXPECT_THAT(CompileForHead(task)->PrepareInput(fields, 0),
              ReasonIs(Reason::kInputTooLong, HasSubstr("context")));
}

TEST(TaskProgram, TheTemplateShowsTheContextOnceAndUnchanged) {
  for (const char* wrong :
       {"{{ question }}", "{{ context | upper }}", "{{ context | trim }}",
        "{{ context }} {{ context }}"}) {
    TaskSpec task = SpanTask();
    task.set_template_(wrong);

    const auto program = TaskProgram::Compile(task, TinyModel("encoder"), 0);
    const absl::Status status =
        program.ok()
            ? (*program)
                  ->PrepareInput(R"({"question": "a", "context": "b c"})", 0)
                  .status()
            : program.status();

    EXPECT_THAT(status, ReasonIs(Reason::kInvalidTemplate,
                                 HasSubstr("'context' into the text once")))
        << wrong;
  }
}

TEST(TaskProgram, TheTemplateDoesNotReadWhereAnswersBegin) {
  TaskSpec task = SpanTask();
  task.set_template_("{{ context }} {{ answer_starts }}");

  EXPECT_THAT(CompileError(task, 0, "encoder"),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("answer_starts")));
}

TEST(TaskProgram, NamesAContextThatIsMissing) {
  const auto program = CompileForHead(SpanTask());

  for (const char* fields :
       {R"({"question": "a"})", R"({"question": "a", "context": 5})"}) {
    EXPECT_THAT(program->PrepareInput(fields, 0),
                ReasonIs(Reason::kInvalidData, HasSubstr("'context'")));
  }
}

TEST(TaskProgram, RefusesTagsThatAreNone) {
  EXPECT_THAT(CompileError(TagTask({"O", "LOC"}), 0, "encoder"),
              ReasonIs(Reason::kInvalidField,
                       AllOf(HasSubstr("task.labels"), HasSubstr("'LOC'"))));
}

TEST(TaskProgram, RefusesATokenClassificationOnOtherModels) {
  EXPECT_THAT(CompileError(TagTask({"O", "B-X"})),
              ReasonIs(Reason::kUnsupportedField, HasSubstr("encoder")));
}

TEST(TaskProgram, NamesTheFieldOfWordsThatIsMissing) {
  const auto program = CompileForHead(TagTask({"O", "B-X"}));

  EXPECT_THAT(program->PrepareInput(R"({"text": "a"})", 0),
              ReasonIs(Reason::kInvalidData, HasSubstr("'tokens'")));
}

TEST(TaskProgram, RefusesATemplateThatDoesNotCompile) {
  EXPECT_THAT(CompileError(TaskOf("{{ text ")),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("template")));
}

TEST(TaskProgram, RefusesATemplateThatReadsTheAnswer) {
  EXPECT_THAT(CompileError(TaskOf("{{ text }} {{ label }}")),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("'label'")));
}

TEST(TaskProgram, RefusesAChatWithoutAChatTemplate) {
  TaskSpec task = TaskOf("x");
  task.set_use_chat_template(true);

  EXPECT_THAT(CompileError(task, 0, "plain"),
              ReasonIs(Reason::kIllegalState, HasSubstr("chat template")));
}

TEST(TaskProgram, RefusesFewerThanTwoLabels) {
  EXPECT_THAT(CompileError(LabelTask({"yes"})),
              ReasonIs(Reason::kInvalidField, HasSubstr("task.labels")));
}

TEST(TaskProgram, RefusesAPromptAsLongAsTheContext) {
  EXPECT_THAT(CompileError(TaskOf("x"), /*prompt_rows=*/256),
              ReasonIs(Reason::kInputTooLong, HasSubstr("256 rows")));
}

TEST(TaskProgram, RefusesALimitBeyondTheContext) {
  TaskSpec task = TaskOf("x");
  task.mutable_truncation()->set_max_input_tokens(257);

  EXPECT_THAT(CompileError(task),
              ReasonIs(Reason::kInvalidField, HasSubstr("256")));
}

// Digits are one token each.
std::string Digits(int count) {
  std::string digits;
  for (int i = 0; i < count; ++i) digits += static_cast<char>('0' + i % 10);
  return digits;
}

TaskSpec CutTask(attune::v1::TruncationSide side, int limit) {
  TaskSpec task = TaskOf("<{{ text }}> {{ other }}:");
  task.mutable_truncation()->set_side(side);
  task.mutable_truncation()->set_max_input_tokens(limit);
  return task;
}

std::string CutFields(const std::string& text) {
  return absl::StrCat(R"({"text": ")", text, R"(", "other": "ab"})");
}

TEST(TaskProgram, CutsTheBeginningOfTheLongestField) {
  const auto program =
      CompileTask(CutTask(attune::v1::TRUNCATION_SIDE_LEFT, 12));

  const TaskInput input = *program->PrepareInput(CutFields(Digits(30)), 1);

  EXPECT_TRUE(input.truncated);
  EXPECT_LE(input.ids.size(), 12u);
  EXPECT_GE(input.ids.size(), 10u);
  EXPECT_THAT(TextOf(*program, input),
              AllOf(StartsWith("<"), EndsWith("6789> ab:")));
}

TEST(TaskProgram, CutsTheEndOfTheLongestField) {
  const auto program =
      CompileTask(CutTask(attune::v1::TRUNCATION_SIDE_RIGHT, 12));

  const TaskInput input = *program->PrepareInput(CutFields(Digits(30)), 1);

  EXPECT_TRUE(input.truncated);
  EXPECT_LE(input.ids.size(), 12u);
  EXPECT_THAT(TextOf(*program, input),
              AllOf(StartsWith("<0123"), EndsWith("> ab:")));
}

TEST(TaskProgram, CutsBetweenCharacters) {
  std::string text;
  for (int i = 0; i < 20; ++i) text += "\xe2\x82\xac";  // the euro sign
  for (const auto side :
       {attune::v1::TRUNCATION_SIDE_LEFT, attune::v1::TRUNCATION_SIDE_RIGHT}) {
    for (int limit = 10; limit < 20; ++limit) {
      const auto program = CompileTask(CutTask(side, limit));

      const TaskInput input = *program->PrepareInput(CutFields(text), 1);

      EXPECT_LE(static_cast<int>(input.ids.size()), limit);
      EXPECT_THAT(TextOf(*program, input),
                  testing::Not(HasSubstr("\xef\xbf\xbd")));
    }
  }
}

TEST(TaskProgram, ShortInputsStayWhole) {
  const auto program =
      CompileTask(CutTask(attune::v1::TRUNCATION_SIDE_LEFT, 12));

  const TaskInput input = *program->PrepareInput(CutFields("123"), 1);

  EXPECT_FALSE(input.truncated);
  EXPECT_EQ(TextOf(*program, input), "<123> ab:");
}

TEST(TaskProgram, RefusesToCutWhereThatIsAskedFor) {
  const auto program =
      CompileTask(CutTask(attune::v1::TRUNCATION_SIDE_REFUSE, 12));

  EXPECT_THAT(
      program->PrepareInput(CutFields(Digits(30)), 1),
      ReasonIs(Reason::kInputTooLong,
               AllOf(HasSubstr("12 fit"), HasSubstr("max_input_tokens"))));
}

TEST(TaskProgram, TheTemplatesOwnTextIsNeverCut) {
  TaskSpec task = TaskOf(Digits(40) + "{{ text }}");
  task.mutable_truncation()->set_max_input_tokens(20);
  const auto program = CompileTask(task);

  EXPECT_THAT(program->PrepareInput(R"({"text": "abc"})", 1),
              ReasonIs(Reason::kInputTooLong, HasSubstr("20 fit")));
}

TEST(TaskProgram, PromptAndAnswerTakeTheirRoomFromTheContext) {
  TaskSpec task = TextTask(8);
  task.mutable_truncation()->set_side(attune::v1::TRUNCATION_SIDE_LEFT);
  const auto program = CompileTask(task, /*num_prompt_rows=*/100);
  const std::string fields = absl::StrCat(R"({"text": ")", Digits(300), "\"}");

  const TaskInput input = *program->PrepareInput(fields, /*answer_tokens=*/56);

  EXPECT_TRUE(input.truncated);
  EXPECT_LE(input.ids.size(), 100u);
  EXPECT_GE(input.ids.size(), 98u);
}

TEST(TaskProgram, KnowsHowLongAnInputWasBeforeItWasCut) {
  TaskSpec task = LabelTask({"yes", "no"});
  const std::string fields =
      absl::StrCat(R"({"text": ")", std::string(60, '7'), "\"}");
  const TaskInput whole = *CompileTask(task)->PrepareInput(fields, 1);
  task.mutable_truncation()->set_max_input_tokens(20);

  const TaskInput cut = *CompileTask(task)->PrepareInput(fields, 1);

  EXPECT_EQ(whole.num_whole_tokens, whole.num_tokens());
  EXPECT_EQ(cut.num_whole_tokens, whole.num_tokens());
  EXPECT_LE(cut.num_tokens(), 20);
}

TEST(TaskProgram, WordsAndContextsKnowTheirWholeLengthToo) {
  TaskSpec tagging = TagTask({"O", "B-N"});
  tagging.mutable_truncation()->set_max_input_tokens(20);
  const std::string seven(300, '7');

  const TaskInput words =
      *CompileTask(tagging, 0, "encoder")
           ->PrepareInput(R"({"tokens": "7 7 7 7 7 7 7 7 7 7 7 7 7 7 7"})", 0);
  const TaskInput context =
      *CompileTask(SpanTask(), 0, "encoder")
           ->PrepareInput(
               absl::StrCat(R"({"question": "a", "context": ")", seven, "\"}"),
               0);

  EXPECT_TRUE(words.truncated);
  EXPECT_GT(words.num_whole_tokens, 20);
  EXPECT_GT(context.num_whole_tokens, 300);
  EXPECT_GT(context.num_tokens(), context.num_whole_tokens);
}

TaskSpec MarkedTask(const std::string& source) {
  TaskSpec task = TaskOf(source);
  task.set_prompt_placement(attune::v1::PROMPT_PLACEMENT_MARKERS);
  return task;
}

// The ids of an input, with rows of the prompt as -1, -2 and so on.
std::vector<int64_t> MarkedIds(const TaskProgram& program,
                               const std::string& fields) {
  return program.PrepareInput(fields, 1)->ids;
}

std::vector<int64_t> IdsOfText(const std::string& text) {
  return TinyModel()->tokenizer->Encode(text, /*add_special_tokens=*/true)->ids;
}

TEST(TaskProgram, MarkersDealOutTheRowsOfThePrompt) {
  const auto program = CompileTask(
      MarkedTask("{{ soft_prompt }}Text:{{ soft_prompt }} {{ text }}"), 3);

  const std::vector<int64_t> ids = MarkedIds(*program, R"({"text": "it"})");

  std::vector<int64_t> expected = IdsOfText("Text: it");
  const size_t colon = IdsOfText("Text:").size();
  expected.insert(expected.begin() + static_cast<int64_t>(colon), {-2, -3});
  expected.insert(expected.begin(), -1);
  EXPECT_EQ(ids, expected);
  EXPECT_THAT(program->fields_read(), ElementsAre("text"));
  EXPECT_TRUE(program->has_markers());
}

TEST(TaskProgram, WithoutAPromptMarkersAreNothing) {
  const auto program =
      CompileTask(MarkedTask("Text: {{ text }}{{ soft_prompt }}"));

  EXPECT_EQ(MarkedIds(*program, R"({"text": "it", "soft_prompt": "x"})"),
            IdsOfText("Text: it"));
}

TEST(TaskProgram, DemonstrationsHaveNoRowsOfThePrompt) {
  TaskSpec task = MarkedTask("{{ soft_prompt }}Text: {{ text }}");
  auto* demonstration = task.add_demonstrations();
  (*demonstration->mutable_fields()->mutable_fields())["text"].set_string_value(
      "so");
  demonstration->set_answer("yes");

  const auto program = CompileTask(task, 2);

  std::vector<int64_t> expected = IdsOfText("Text: so yes\n\nText: it");
  const size_t begin = IdsOfText("Text: so yes\n\n").size();
  expected.insert(expected.begin() + static_cast<int64_t>(begin), {-1, -2});
  EXPECT_EQ(MarkedIds(*program, R"({"text": "it"})"), expected);
}

TEST(TaskProgram, MarkedRowsAreNoPartOfALimitOfTokens) {
  TaskSpec task = MarkedTask("{{ text }}{{ soft_prompt }}");
  task.mutable_truncation()->set_max_input_tokens(4);
  const auto program = CompileTask(task, 3);

  const TaskInput input =
      *program->PrepareInput(R"({"text": "one two three four five six"})", 1);

  EXPECT_TRUE(input.truncated);
  EXPECT_LE(input.ids.size(), 4u + 3u);
  EXPECT_THAT(std::vector<int64_t>(input.ids.end() - 3, input.ids.end()),
              ElementsAre(-1, -2, -3));
}

TEST(TaskProgram, AMarkAtTheEndLeavesTheAnswerItsSpace) {
  const auto spaced = CompileTask(MarkedTask("{{ text }}{{ soft_prompt }}"), 1);
  const auto bare = CompileTask(MarkedTask("{{ text }} {{ soft_prompt }}"), 1);

  EXPECT_FALSE(spaced->PrepareInput(R"({"text": "it"})", 1)->bare_answer);
  EXPECT_TRUE(bare->PrepareInput(R"({"text": "it"})", 1)->bare_answer);
}

TEST(TaskProgram, WithoutMarkersTheMarksCharactersAreTheTextsOwn) {
  const std::string text = "a\xee\x80\x82\xee\x80\x83z";

  EXPECT_EQ(MarkedIds(*CompileTask(TaskOf("{{ text }}"), 2),
                      "{\"text\": \"" + text + "\"}"),
            IdsOfText(text));
}

TEST(TaskProgram, RefusesMarkersThatCannotBe) {
  EXPECT_THAT(CompileError(MarkedTask("{{ text }}")),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("soft_prompt")));
  const auto sometimes = CompileTask(
      MarkedTask("{{ text }}{% if text == 'a' %}{{ soft_prompt }}{% endif %}"),
      2);
  EXPECT_OK(sometimes->PrepareInput(R"({"text": "a"})", 1));
  EXPECT_THAT(sometimes->PrepareInput(R"({"text": "b"})", 1),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("soft_prompt")));
  EXPECT_THAT(
      sometimes->PrepareInput("{\"text\": \"a\xee\x80\x82\xee\x80\x83\"}", 1),
      ReasonIs(Reason::kInvalidData, HasSubstr("U+E002")));
}

TEST(TaskProgram, FaultsThatMayPassAreAllHeardOf) {
  TaskSpec task = LabelTask({"yes", "no"});
  task.mutable_labels(0)->add_words("one");
  task.mutable_labels(1)->add_words("one");
  task.mutable_truncation()->set_max_input_tokens(100'000);
  task.set_use_chat_template(true);
  std::vector<std::string> faults;
  const FaultHandler collect = [&faults](const absl::Status& fault) {
    faults.emplace_back(fault.message());
    return absl::OkStatus();
  };

  const auto program =
      TaskProgram::Compile(task, TinyModel("plain"), 0, collect);

  ASSERT_OK(program);
  EXPECT_THAT(faults,
              ElementsAre(HasSubstr("'one' is already a word"),
                          HasSubstr("no chat template"),
                          HasSubstr("must be at most the model's context"),
                          HasSubstr("become the same tokens")));
  EXPECT_OK((*program)->PrepareInput(R"({"text": "it"})", 1));
}

TEST(TaskProgram, ATemplatesFaultIsReturnedBehindThoseOfLabels) {
  TaskSpec task = TaskOf("{{ text");
  task.mutable_labels(0)->add_words("one");
  task.mutable_labels(1)->add_words("one");
  int faults = 0;

  EXPECT_THAT(TaskProgram::Compile(task, TinyModel(), 0,
                                   [&faults](const absl::Status&) {
                                     ++faults;
                                     return absl::OkStatus();
                                   }),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("")));
  EXPECT_EQ(faults, 2);
}

}  // namespace
}  // namespace attune::worker
