#include "server/api/template_checks.h"

#include <functional>
#include <string>
#include <vector>

#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Texts = std::vector<std::string>;

std::vector<std::string> FaultsOfTemplate(const std::string& text) {
  FieldViolations violations;
  CheckTemplate(text, "t", violations);
  return FieldsOf(violations.ToStatus());
}

std::vector<std::string> FaultsOfList(const Texts& texts, int most) {
  const google::protobuf::RepeatedPtrField<std::string> list(texts.begin(),
                                                             texts.end());
  FieldViolations violations;
  CheckTemplates(list, most, "list", violations);
  return FieldsOf(violations.ToStatus());
}

// A classification that answers by three templates.
v1::TaskSpec EnsembleOfThree() {
  v1::TaskSpec task;
  task.set_type(v1::TASK_TYPE_TEXT_CLASSIFICATION);
  task.set_template_("{{ text }}");
  task.add_more_templates("{{ text }} =>");
  task.add_more_templates("{{ text }} It was");
  return task;
}

std::vector<std::string> FaultsOfTask(const v1::TaskSpec& task) {
  FieldViolations violations;
  CheckMoreTemplates(task, "task.more_templates", violations);
  return FieldsOf(violations.ToStatus());
}

TEST(TemplateChecks, ATemplateHasItsLimits) {
  EXPECT_THAT(FaultsOfTemplate("x"), IsEmpty());
  EXPECT_THAT(FaultsOfTemplate(std::string(65'536, 'x')), IsEmpty());
  EXPECT_THAT(FaultsOfTemplate(std::string(65'537, 'x')), ElementsAre("t"));
  EXPECT_THAT(FaultsOfTemplate(""), ElementsAre("t"));
  EXPECT_THAT(FaultsOfTemplate(" \n"), ElementsAre("t"));
}

TEST(TemplateChecks, AListHasItsLimits) {
  EXPECT_THAT(FaultsOfList({}, 2), IsEmpty());
  EXPECT_THAT(FaultsOfList({"a", "b"}, 2), IsEmpty());
  EXPECT_THAT(FaultsOfList({"a", "b", ""}, 2), ElementsAre("list"));
  EXPECT_THAT(FaultsOfList({"a", "", "a"}, 3),
              ElementsAre("list[1]", "list[2]"));
}

TEST(TemplateChecks, AListHasAtMost256KiBTogether) {
  Texts texts;
  for (const char letter : {'a', 'b', 'c', 'd'}) {
    texts.emplace_back(65'536, letter);
  }
  EXPECT_THAT(FaultsOfList(texts, 5), IsEmpty());

  texts.emplace_back("e");
  EXPECT_THAT(FaultsOfList(texts, 5), ElementsAre("list"));
}

TEST(TemplateChecks, LabelWordsAndChoicesMayBeWeighedBySeveral) {
  v1::TaskSpec task = EnsembleOfThree();
  EXPECT_THAT(FaultsOfTask(task), IsEmpty());
  task.set_label_scoring(v1::LABEL_SCORING_WORDS);
  EXPECT_THAT(FaultsOfTask(task), IsEmpty());
  task.clear_label_scoring();
  task.set_type(v1::TASK_TYPE_MULTIPLE_CHOICE);
  EXPECT_THAT(FaultsOfTask(task), IsEmpty());
}

TEST(TemplateChecks, OneTemplateIsForEveryTask) {
  v1::TaskSpec task = EnsembleOfThree();
  task.clear_more_templates();
  task.set_multi_label(true);
  EXPECT_THAT(FaultsOfTask(task), IsEmpty());
  task.set_type(v1::TASK_TYPE_TEXT_GENERATION);
  task.set_prompt_placement(v1::PROMPT_PLACEMENT_MARKERS);
  EXPECT_THAT(FaultsOfTask(task), IsEmpty());
}

TEST(TemplateChecks, SevenMayStandBesideTheFirst) {
  v1::TaskSpec task = EnsembleOfThree();
  for (const char* text : {"3", "4", "5", "6", "7"}) {
    task.add_more_templates(text);
  }
  EXPECT_THAT(FaultsOfTask(task), IsEmpty());

  task.add_more_templates("8");
  EXPECT_THAT(FaultsOfTask(task), ElementsAre("task.more_templates"));
}

TEST(TemplateChecks, WhatCannotBeAveragedIsRefusedOnce) {
  struct Case {
    std::function<void(v1::TaskSpec&)> spoil;
    std::string field;
  };
  const std::vector<Case> cases = {
      {[](auto& t) { t.set_type(v1::TASK_TYPE_TEXT_GENERATION); },
       "task.more_templates"},
      {[](auto& t) { t.set_type(v1::TASK_TYPE_TOKEN_CLASSIFICATION); },
       "task.more_templates"},
      {[](auto& t) { t.set_type(v1::TASK_TYPE_REGRESSION); },
       "task.more_templates"},
      {[](auto& t) { t.set_label_scoring(v1::LABEL_SCORING_HEAD); },
       "task.more_templates"},
      {[](auto& t) { t.set_multi_label(true); }, "task.more_templates"},
      {[](auto& t) { t.set_prompt_placement(v1::PROMPT_PLACEMENT_MARKERS); },
       "task.more_templates"},
      {[](auto& t) { t.set_more_templates(1, t.template_()); },
       "task.more_templates[1]"},
      {[](auto& t) { t.set_more_templates(1, t.more_templates(0)); },
       "task.more_templates[1]"},
      {[](auto& t) { t.set_more_templates(0, " "); }, "task.more_templates[0]"},
      {[](auto& t) { t.set_more_templates(0, std::string(65'537, 'x')); },
       "task.more_templates[0]"}};
  for (const Case& one : cases) {
    v1::TaskSpec task = EnsembleOfThree();
    one.spoil(task);

    EXPECT_THAT(FaultsOfTask(task), ElementsAre(one.field));
  }
}

}  // namespace
}  // namespace attune::server
