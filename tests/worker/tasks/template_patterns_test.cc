#include "worker/tasks/template_patterns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/text/template.h"

namespace attune::worker {
namespace {

using attune::v1::TaskSpec;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kSomeText[] = R"({"text": "it is"})";

TaskSpec SidesTask(const std::string& text) {
  TaskSpec task = LabelTask({"left", "right"});
  task.set_template_(text);
  return task;
}

TaskSpec SidesAtMask(const std::string& text) {
  TaskSpec task = SidesTask(text);
  task.set_label_scoring(attune::v1::LABEL_SCORING_WORDS);
  return task;
}

std::vector<std::string> PatternsOf(
    const TaskSpec& task, const std::vector<std::string>& rows = {kSomeText},
    const std::string& model = "tiny") {
  std::vector<Example> examples;
  examples.reserve(rows.size());
  for (const std::string& fields : rows) {
    examples.push_back({.fields = fields, .answer = "left"});
  }
  return TemplatePatterns(*CompileTask(task, /*num_prompt_rows=*/0, model),
                          examples);
}

size_t CountOf(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos;
       at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

// A task with a row that it reads.
struct PatternCase {
  TaskSpec task;
  std::string model = "tiny";
  std::string fields = kSomeText;
  size_t least = 12;  // patterns
};

std::vector<PatternCase> PatternCases() {
  constexpr char kChoices[] = R"({"text": "it", "choices": ["the 1", "it"]})";
  TaskSpec chat = LabelTask({"left", "right"});
  chat.set_use_chat_template(true);
  return {{.task = LabelTask({"left", "right"})},
          {.task = LabelTask({"left", "right"}), .model = "t5"},
          {.task = chat},
          {.task = SidesTask("{{ a }} {{ b }}"),
           .fields = R"({"a": "the", "b": 7})"},
          {.task = SidesAtMask("{{ text }} is {{ mask }}"), .model = "masked"},
          {.task = SidesAtMask("{{ a }} {{ mask }} {{ b }}"),
           .model = "masked",
           .fields = R"({"a": "the", "b": true})"},
          {.task = ChoiceTask(), .fields = kChoices, .least = 6},
          {.task = ChoiceTask(), .model = "t5", .fields = kChoices, .least = 6},
          {.task = TextTask(4), .least = 6},
          {.task = TextTask(4), .model = "t5", .least = 6}};
}

TEST(TemplatePatterns, FitTheModelAndARowOfEveryKindOfTask) {
  for (const PatternCase& one : PatternCases()) {
    SCOPED_TRACE(absl::StrCat(one.model, ": ", one.task.ShortDebugString()));

    const std::vector<std::string> patterns =
        PatternsOf(one.task, {one.fields}, one.model);

    EXPECT_THAT(patterns, SizeIs(AllOf(Ge(one.least), Le(24u))));
    EXPECT_THAT(patterns, Not(Contains(one.task.template_())));
    EXPECT_THAT(std::set<std::string>(patterns.begin(), patterns.end()),
                SizeIs(patterns.size()));
    for (const std::string& pattern : patterns) {
      TaskSpec task = one.task;
      task.set_template_(pattern);
      const auto program = TaskProgram::Compile(task, TinyModel(one.model),
                                                /*num_prompt_rows=*/0);
      ASSERT_OK(program) << pattern;
      const auto input = (*program)->PrepareInput(one.fields, 1);
      ASSERT_OK(input) << pattern;
      EXPECT_FALSE(input->truncated) << pattern;
    }
  }
}

TEST(TemplatePatterns, AnAnswerFollowsWithASpaceOfItsOwn) {
  for (TaskSpec task :
       {LabelTask({"left", "right"}), ChoiceTask(), TextTask(4)}) {
    for (const std::string& pattern : PatternsOf(task)) {
      task.set_template_(pattern);
      const auto program = CompileTask(task);
      const auto input = program->PrepareInput(
          R"({"text": "it is", "choices": ["the 1", "it"]})", 1);
      ASSERT_OK(input) << pattern;
      EXPECT_FALSE(input->bare_answer) << pattern;
    }
  }
}

TEST(TemplatePatterns, AtAMaskEachHasOne) {
  const std::vector<std::string> patterns =
      PatternsOf(SidesAtMask("{{ mask }} {{ text }}"), {kSomeText}, "masked");

  ASSERT_THAT(patterns, Not(IsEmpty()));
  for (const std::string& pattern : patterns) {
    EXPECT_EQ(CountOf(pattern, "{{ mask }}"), 1u) << pattern;
    EXPECT_EQ(CountOf(pattern, "{{ text }}"), 1u) << pattern;
    EXPECT_EQ(CountOf(pattern, "\n"), 0u) << pattern;
  }
  EXPECT_THAT(patterns, Contains("Text: {{ text }} Topic: {{ mask }}."));
}

TEST(TemplatePatterns, AMaskStandsBetweenTwoFields) {
  EXPECT_THAT(PatternsOf(SidesAtMask("{{ b }} {{ a }} {{ mask }}"),
                         {R"({"a": "it", "b": "is"})"}, "masked"),
              Contains("{{ b }}? {{ mask }}, {{ a }}"));
}

TEST(TemplatePatterns, NamesOfFieldsBecomeWords) {
  TaskSpec task = SidesTask("{{ customer_query }}?");
  task.set_answer_field("likely_intent");

  EXPECT_THAT(
      PatternsOf(task, {R"({"customer_query": "it is"})"}),
      AllOf(Contains("{{ customer_query }}\nLikely intent:"),
            Contains("Customer query: {{ customer_query }}\nLikely intent:"),
            Contains("{{ customer_query }} =>")));
}

TEST(TemplatePatterns, AnAnswersNameThatIsCodeIsNotShown) {
  TaskSpec task = TextTask(4);
  task.set_answer_field("{{ out }}");
  task.set_template_("{{ text }} ->");

  EXPECT_THAT(PatternsOf(task), AllOf(Contains("Text: {{ text }}\n\nAnswer:"),
                                      Each(Not(HasSubstr("out }}")))));
}

TEST(TemplatePatterns, FieldsStandAsTheTemplateHasThem) {
  for (const std::string& pattern : PatternsOf(SidesTask("{{ b }} of {{ a }}:"),
                                               {R"({"a": "it", "b": "is"})"})) {
    const size_t first = pattern.find("{{ b }}");
    const size_t second = pattern.find("{{ a }}");
    ASSERT_NE(first, pattern.npos) << pattern;
    ASSERT_NE(second, pattern.npos) << pattern;
    EXPECT_LT(first, second) << pattern;
  }
}

TEST(TemplatePatterns, LabelsAreListedByTheirFirstWords) {
  TaskSpec task = LabelTask({"one", "two", "three"});
  task.mutable_labels(1)->add_words("second");
  task.mutable_labels(1)->add_words("deux");

  const std::vector<std::string> patterns = PatternsOf(task);

  EXPECT_THAT(patterns,
              Contains("{{ text }}\nWhich of these fits: one, second or three?"
                       "\nAnswer:"));
  EXPECT_THAT(patterns, Each(Not(HasSubstr("deux"))));
}

TEST(TemplatePatterns, OnlyAFewLabelsAreListed) {
  std::vector<std::string> letters;
  letters.reserve(kMaxListedLabels + 1);
  for (const char letter : std::string("abcdefghijklmnopqrst")) {
    letters.emplace_back(1, letter);
  }

  EXPECT_THAT(PatternsOf(LabelTask(letters)), Contains(HasSubstr("s or t?")));
  letters.emplace_back("u");
  EXPECT_THAT(PatternsOf(LabelTask(letters)),
              AllOf(SizeIs(Ge(12u)), Each(Not(HasSubstr(" or ")))));
}

TEST(TemplatePatterns, WordsThatAreCodeAreNotListed) {
  for (const char* word : {"{{ left", "a{%b", "{#"}) {
    TaskSpec task = LabelTask({"left", "right"});
    task.mutable_labels(0)->add_words(word);

    EXPECT_THAT(PatternsOf(task),
                AllOf(Not(IsEmpty()), Each(Not(HasSubstr("right")))))
        << word;
  }
}

TEST(TemplatePatterns, ChoicesAreNotRead) {
  EXPECT_THAT(PatternsOf(ChoiceTask(),
                         {R"({"text": "it", "choices": ["the 1", "it"]})"}),
              AllOf(Not(IsEmpty()), Each(Not(HasSubstr("choices")))));
}

TEST(TemplatePatterns, ThereAreNoneForFieldsThatAreNoTextOrNumber) {
  EXPECT_THAT(PatternsOf(SidesTask("{{ text }}"),
                         {R"({"text": 5})", R"({"text": true})",
                          R"({"other": ["a"]})"}),
              Not(IsEmpty()));
  for (const char* last :
       {R"({"text": ["a"]})", R"({"text": null})", R"({"text": {"sub": 1}})"}) {
    EXPECT_THAT(PatternsOf(SidesTask("{{ text }}"), {kSomeText, last}),
                IsEmpty())
        << last;
  }
  EXPECT_THAT(
      PatternsOf(SidesTask("{{ text.sub }}"), {R"({"text": {"sub": 1}})"}),
      IsEmpty());
}

TEST(TemplatePatterns, ThereAreNoneForOtherTasksOrWithoutFields) {
  EXPECT_THAT(PatternsOf(LabelTask({"left", "right"}), {kSomeText}, "encoder"),
              IsEmpty());
  EXPECT_THAT(
      PatternsOf(TagTask({"O", "B-X"}), {R"({"tokens": "it is"})"}, "encoder"),
      IsEmpty());
  EXPECT_THAT(PatternsOf(SidesTask("it is")), IsEmpty());
}

TEST(FieldsInTemplate, AreThoseOfTheCodeInItsOrder) {
  const auto program = CompileTask(
      SidesTask("alpha {# alpha #}{{ zeta | title }} {{ \"be\\\"ta\" }}"
                "{% if mid.alpha == 'alpha' %}{% endif %}{{- beta -}}"
                "{{ title }}{{ alpha }}{{ zeta }}"));

  EXPECT_THAT(FieldsInTemplate(*program),
              ElementsAre("zeta", "mid", "beta", "title", "alpha"));
}

TEST(FieldsInTemplate, LeaveOutTheMask) {
  const auto program = CompileTask(SidesAtMask("{{ mask }}: {{ b }}{{ a }}"),
                                   /*num_prompt_rows=*/0, "masked");

  EXPECT_THAT(FieldsInTemplate(*program), ElementsAre("b", "a"));
}

TEST(WithInstruction, StandsInFrontBehindAnEmptyLine) {
  EXPECT_EQ(WithInstruction("Tell the topic.", "{{ text }}:"),
            "Tell the topic.\n\n{{ text }}:");
}

TEST(WithInstruction, RefusesWhatIsCode) {
  EXPECT_EQ(WithInstruction("Tell {{ it", "{{ text }}"), std::nullopt);
  EXPECT_EQ(WithInstruction("Tell {% it", "{{ text }}"), std::nullopt);
  EXPECT_EQ(WithInstruction("Tell {# it", "{{ text }}"), std::nullopt);
  EXPECT_TRUE(IsPlainInTemplate("{ it }} and #} {"));
}

TEST(WithInstruction, KeepsItsEmptyLineBeforeATemplateThatTrims) {
  for (const char* own :
       {"{%- if text %}it{% endif %}", "{{- 'it' }}", " \n{#- a #}it"}) {
    for (const char* instruction : {"Tell.", "Tell {"}) {
      const auto compiled =
          Template::Compile(*WithInstruction(instruction, own));

      ASSERT_OK(compiled) << own;
      const absl::StatusOr<std::string> text = (*compiled)->Render(kSomeText);
      ASSERT_OK(text) << own;
      EXPECT_EQ(*text, absl::StrCat(instruction, "\n\nit"));
    }
  }
}

}  // namespace
}  // namespace attune::worker
