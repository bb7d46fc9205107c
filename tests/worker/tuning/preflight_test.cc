#include "worker/tuning/preflight.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "tests/worker/tuning/recording_listener.h"
#include "tests/worker/tuning/toy_job.h"

namespace attune::worker {
namespace {

using ::attune::v1::PreflightFinding;
using ::attune::v1::PreflightTuningJobRequest;
using ::attune::v1::PreflightTuningJobResponse;
using ::attune::v1::TuningJobSpec;
using ::google::protobuf::util::MessageDifferencer;
using ::testing::AllOf;
using ::testing::HasSubstr;

// A job to look at.
struct Planned {
  TuningJobSpec spec;
  std::vector<std::string> rows;
};

Planned PlannedToy(int max_steps = 10) {
  const AttemptInput input = ToyJob(max_steps);
  return {input.job.spec(), input.rows};
}

Planned PlannedOn(const std::string& model, const attune::v1::TaskSpec& task,
                  const std::function<std::string(int)>& row) {
  Planned planned = PlannedToy();
  planned.spec.set_base_model("models/" + model);
  *planned.spec.mutable_task() = task;
  planned.rows.clear();
  for (int i = 0; i < 40; ++i) planned.rows.push_back(row(i));
  return planned;
}

Planned PlannedTagging() {
  return PlannedOn("encoder", TagTask({}), [](int i) {
    return absl::StrCat(R"({"tokens": ["it", "is", ")", i,
                        R"("], "tags": ["O", "O", ")", i % 2 ? "B-N" : "O",
                        "\"]}");
  });
}

Planned PlannedReading() {
  return PlannedOn("encoder", SpanTask(), [](int i) {
    return absl::StrCat(R"({"question": "it", "context": "it is )", i,
                        R"( ", "answers": [")", i, "\"]}");
  });
}

Planned PlannedText() {
  return PlannedOn("tiny", TextTask(8), [](int i) {
    return absl::StrCat(R"({"text": "it is )", i, R"(", "target": ")", i % 7,
                        "\"}");
  });
}

absl::StatusOr<PreflightTuningJobResponse> RunPreflight(
    const Planned& planned, const PreflightHooks& hooks = {}) {
  PreflightTuningJobRequest request;
  *request.mutable_spec() = planned.spec;
  const FakeClock clock;
  return Preflight(request, planned.rows, TinyModels(), clock, hooks);
}

std::string Listing(const PreflightTuningJobResponse& response) {
  std::string text;
  for (const PreflightFinding& finding : response.findings()) {
    text += finding.ShortDebugString() + "\n";
  }
  return text;
}

// What a test looks for.
struct Wanted {
  std::string reason;  // empty: a warning
  std::string field;
  int64_t row = 0;
  std::string row_field;
  int64_t num_rows = 0;
  std::string message;  // part of it
};

bool HasFinding(const PreflightTuningJobResponse& response,
                const Wanted& wanted) {
  for (const PreflightFinding& finding : response.findings()) {
    const auto severity = wanted.reason.empty()
                              ? PreflightFinding::SEVERITY_WARNING
                              : PreflightFinding::SEVERITY_ERROR;
    if (finding.severity() == severity && finding.reason() == wanted.reason &&
        finding.field() == wanted.field && finding.row() == wanted.row &&
        finding.row_field() == wanted.row_field &&
        finding.num_rows() == wanted.num_rows &&
        finding.message().find(wanted.message) != std::string::npos) {
      return true;
    }
  }
  return false;
}

TEST(Preflight, OfASoundJobShowsWhatItWouldDo) {
  const absl::StatusOr<PreflightTuningJobResponse> response =
      RunPreflight(PlannedToy());

  ASSERT_OK(response);
  EXPECT_EQ(response->num_errors(), 0) << Listing(*response);
  EXPECT_EQ(response->num_warnings(), 0) << Listing(*response);
  ASSERT_EQ(response->splits_size(), 3);
  EXPECT_EQ(response->splits(0).split(), "train");
  EXPECT_EQ(response->splits(0).num_rows(), 48);
  EXPECT_EQ(response->splits(2).labels(0).label(), "left");
  ASSERT_EQ(response->samples_size(), 9);
  EXPECT_EQ(response->samples(8).split(), "test");
  EXPECT_TRUE(response->has_cost());
}

TEST(Preflight, ResolvesTheSpecAsAnAttemptDoes) {
  const AttemptInput input = ToyJob(5);
  RecordingListener listener;
  const FakeClock clock;
  ASSERT_OK(RunAttempt(input, TinyModels(), clock, listener));

  const absl::StatusOr<PreflightTuningJobResponse> response =
      RunPreflight({input.job.spec(), input.rows});

  ASSERT_OK(response);
  EXPECT_TRUE(MessageDifferencer::Equals(response->resolved_spec(),
                                         listener.specs.at(0)));
}

TEST(Preflight, ListsTenPlantedFaultsAtOnce) {
  Planned planned = PlannedToy();
  attune::v1::TaskSpec& task = *planned.spec.mutable_task();
  task.add_labels()->set_label("left");
  task.add_labels()->set_label("right");
  task.mutable_truncation()->set_side(attune::v1::TRUNCATION_SIDE_REFUSE);
  planned.rows[2] = "oops";
  planned.rows[5] = R"({"text": "1"})";
  planned.rows[8] = R"({"text": "1", "label": 3})";
  planned.rows[11] = R"({"text": "1", "label": ""})";
  planned.rows[14] = R"({"text": "1", "label": "left", "split": "tset"})";
  planned.rows[17] = R"({"text": "1", "label": "left", "split": 1})";
  planned.rows[20] = R"({"text": "1", "label": "Left"})";
  planned.rows[23] = R"({"text": "1", "label": "up"})";
  planned.rows[26] = R"({"txet": "1", "label": "left"})";
  planned.rows[29] = absl::StrCat(R"({"text": ")", std::string(400, '7'),
                                  R"(", "label": "left"})");
  // Alike: they are counted, not listed.
  planned.rows[33] = R"({"text": "1", "label": "up"})";
  planned.rows[34] = R"({"text": "2"})";

  const absl::StatusOr<PreflightTuningJobResponse> response =
      RunPreflight(planned);

  ASSERT_OK(response);
  EXPECT_EQ(response->num_errors(), 10) << Listing(*response);
  const std::vector<Wanted> faults = {
      {"INVALID_DATA", "", 3, "", 1, "not a JSON object"},
      {"INVALID_DATA", "", 6, "label", 2, "field 'label' is missing"},
      {"INVALID_DATA", "", 9, "label", 1, "must be a text, not number"},
      {"INVALID_DATA", "", 12, "label", 1, "is empty"},
      {"INVALID_DATA", "", 15, "split", 1, "'tset'"},
      {"INVALID_DATA", "", 18, "split", 1, "must be a text"},
      {"INVALID_DATA", "", 21, "label", 1, "'Left' is not among the task's"},
      {"INVALID_DATA", "", 24, "label", 2, "'up' is not among the task's"},
      {"INVALID_TEMPLATE", "", 27, "text", 1, "text"},
      {"INPUT_TOO_LONG", "", 30, "", 1, "the input has"},
  };
  for (const Wanted& fault : faults) {
    EXPECT_TRUE(HasFinding(*response, fault)) << fault.row << "\n"
                                              << Listing(*response);
  }
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(response->findings(i).severity(),
              PreflightFinding::SEVERITY_ERROR);
    EXPECT_EQ(response->findings(i).row(), faults[i].row);
  }
  EXPECT_FALSE(response->has_resolved_spec());
  EXPECT_FALSE(response->has_cost());
  // Of the rows that are sound.
  EXPECT_EQ(response->splits_size(), 3);
}

struct FaultCase {
  std::string name;
  Planned planned;
  Wanted wanted;
};

void PrintTo(const FaultCase& fault, std::ostream* out) { *out << fault.name; }

FaultCase ChangedCase(std::string name, Planned planned,
                      const std::function<void(Planned&)>& change,
                      Wanted wanted) {
  change(planned);
  return {std::move(name), std::move(planned), std::move(wanted)};
}

std::vector<FaultCase> SpecFaults() {
  const auto in_task = [](const std::function<void(attune::v1::TaskSpec&)>& f) {
    return [f](Planned& planned) { f(*planned.spec.mutable_task()); };
  };
  return {
      ChangedCase("NoTask", PlannedToy(),
                  in_task([](auto& task) { task.Clear(); }),
                  {"INVALID_FIELD", "spec.task.type", 0, "", 0, "required"}),
      ChangedCase("BrokenTemplate", PlannedToy(),
                  in_task([](auto& task) { task.set_template_("{{ text"); }),
                  {"INVALID_TEMPLATE", "spec.task.template", 0, "", 0, ""}),
      ChangedCase(
          "TemplateReadsTheAnswer", PlannedToy(),
          in_task([](auto& task) { task.set_template_("{{ label }}"); }),
          {"INVALID_TEMPLATE", "spec.task.template", 0, "", 0,
           "which is the answer"}),
      ChangedCase(
          "TemplateReadsWhatRowsLack", PlannedToy(),
          in_task([](auto& task) { task.set_template_("{{ title }}"); }),
          {"INVALID_TEMPLATE", "", 1, "title", 60, "title"}),
      ChangedCase("TemplateWithoutFields", PlannedToy(),
                  in_task([](auto& task) { task.set_template_("So?"); }),
                  {"", "spec.task.template", 0, "", 0, "reads no field"}),
      ChangedCase("ChatTemplateThatIsNotThere", PlannedToy(),
                  [](Planned& planned) {
                    planned.spec.set_base_model("models/plain");
                    planned.spec.mutable_task()->set_use_chat_template(true);
                  },
                  {"ILLEGAL_STATE", "spec.task.use_chat_template", 0, "", 0,
                   "no chat template"}),
      ChangedCase("WordsOfTheSameTokens", PlannedToy(), in_task([](auto& task) {
                    task.add_labels()->set_label("left");
                    task.add_labels()->set_label("right");
                    task.mutable_labels(0)->add_words("one");
                    task.mutable_labels(1)->add_words("one");
                  }),
                  {"INVALID_FIELD", "spec.task.labels", 0, "", 0,
                   "become the same tokens"}),
      ChangedCase("UnknownModel", PlannedToy(),
                  [](Planned& p) { p.spec.set_base_model("models/none"); },
                  {"UNKNOWN_BASE_MODEL", "spec.base_model", 0, "", 0, "none"}),
      ChangedCase("NoModel", PlannedToy(),
                  [](Planned& p) { p.spec.clear_base_model(); },
                  {"INVALID_FIELD", "spec.base_model", 0, "", 0, ""}),
      ChangedCase(
          "GenerationOnAnEncoder", PlannedText(),
          [](Planned& p) { p.spec.set_base_model("models/encoder"); },
          {"INVALID_FIELD", "spec.task.type", 0, "", 0, "can't generate text"}),
      ChangedCase("TaggingOnADecoder", PlannedTagging(),
                  [](Planned& p) { p.spec.set_base_model("models/tiny"); },
                  {"UNSUPPORTED_FIELD", "spec.task.type", 0, "", 0, "encoder"}),
      ChangedCase("HeadWithoutAHead", PlannedToy(),
                  [](Planned& p) { p.spec.mutable_method()->mutable_head(); },
                  {"INVALID_FIELD", "spec.method.head", 0, "", 0, "no head"}),
      ChangedCase(
          "NoBiases", PlannedToy(),
          [](Planned& p) { p.spec.mutable_method()->mutable_bias_only(); },
          {"ILLEGAL_STATE", "", 0, "", 0, "has no biases"}),
      ChangedCase(
          "PromptLongerThanTheContext", PlannedToy(),
          [](Planned& p) {
            p.spec.mutable_method()
                ->mutable_prompt_tuning()
                ->set_num_virtual_tokens(300);
          },
          {"INVALID_FIELD", "spec.method.prompt_tuning.num_virtual_tokens", 0,
           "", 0, "must be 1 to 128"}),
      ChangedCase("TextThatIsMissing", PlannedToy(),
                  [](Planned& p) {
                    attune::v1::PromptTuning& tuning =
                        *p.spec.mutable_method()->mutable_prompt_tuning();
                    tuning.set_initialisation(
                        attune::v1::PromptTuning::INITIALISATION_TEXT);
                    tuning.clear_init_text();
                  },
                  {"INVALID_FIELD", "spec.method.prompt_tuning.init_text", 0,
                   "", 0, ""}),
      ChangedCase(
          "BatchOfNothing", PlannedToy(),
          [](Planned& p) { p.spec.mutable_training()->set_batch_size(-1); },
          {"INVALID_FIELD", "spec.training.batch_size", 0, "", 0, ""}),
      ChangedCase(
          "MetricOfAnotherTask", PlannedToy(),
          [](Planned& p) { p.spec.mutable_evaluation()->set_metric("bleu"); },
          {"INVALID_FIELD", "spec.evaluation.metric", 0, "", 0, "accuracy"}),
      ChangedCase("TooManyLabels", PlannedToy(), in_task([](auto& task) {
                    for (int i = 0; i < 1001; ++i) {
                      task.add_labels()->set_label(absl::StrCat("l", i));
                    }
                  }),
                  {"INVALID_FIELD", "spec.task.labels", 0, "", 0, "not 1001"}),
  };
}

std::vector<FaultCase> RowFaults() {
  const auto row = [](int number, std::string text) {
    return [number, text](Planned& p) { p.rows[number - 1] = text; };
  };
  return {
      ChangedCase(
          "TooFewRows", PlannedToy(), [](Planned& p) { p.rows.resize(1); },
          {"INVALID_DATA", "", 0, "", 0, "validation split has no rows"}),
      ChangedCase("NoRows", PlannedToy(), [](Planned& p) { p.rows.clear(); },
                  {"INVALID_DATA", "", 0, "", 0, "train split has no rows"}),
      ChangedCase("OneLabel", PlannedToy(),
                  [](Planned& p) {
                    for (std::string& one : p.rows) {
                      one = R"({"text": "1", "label": "left"})";
                    }
                  },
                  {"INVALID_DATA", "", 0, "", 0, "all 48 training rows"}),
      ChangedCase("LabelThatTrainingNeverSees", PlannedToy(),
                  row(4, R"({"text": "1", "label": "up", "split": "test"})"),
                  {"INVALID_DATA", "", 4, "label", 1,
                   "'up' is not among the labels of the training rows"}),
      ChangedCase(
          "LabelWithoutRows", PlannedToy(),
          [](Planned& p) {
            for (const char* label : {"left", "right", "up"}) {
              p.spec.mutable_task()->add_labels()->set_label(label);
            }
          },
          {"", "", 0, "", 0, "1 of 3 labels have no rows in train: 'up'"}),
      ChangedCase("NoTag", PlannedTagging(),
                  row(3, R"({"tokens": ["a"], "tags": ["N"]})"),
                  {"INVALID_DATA", "", 3, "tags", 1, "\"N\" is no tag"}),
      ChangedCase("TagsForOtherWords", PlannedTagging(),
                  row(3, R"({"tokens": ["a", "b"], "tags": ["O"]})"),
                  {"INVALID_DATA", "", 3, "tags", 1, "has 2 words"}),
      ChangedCase("WordsAreMissing", PlannedTagging(),
                  row(3, R"({"tags": ["O"]})"),
                  {"INVALID_DATA", "", 3, "", 1, "'tokens'"}),
      ChangedCase("AnswerElsewhere", PlannedReading(),
                  row(5, R"({"question": "it", "context": "it is 1",
                         "answers": ["7"]})"),
                  {"INVALID_DATA", "", 5, "answers", 1,
                   "does not stand in the context"}),
      ChangedCase("StartsElsewhere", PlannedReading(),
                  row(5, R"({"question": "it", "context": "it is 1",
                         "answers": ["1"], "answer_starts": [2]})"),
                  {"INVALID_DATA", "", 5, "answers", 1, "at character 2"}),
      ChangedCase(
          "StartsOfAnotherNumber", PlannedReading(),
          row(5, R"({"question": "it", "context": "it is 1",
                         "answers": ["1"], "answer_starts": []})"),
          {"INVALID_DATA", "", 5, "answer_starts", 1, "as many numbers"}),
      ChangedCase("AnswerBeyondTheContext", PlannedText(),
                  row(9, absl::StrCat(R"({"text": "a", "target": ")",
                                      std::string(300, '7'), "\"}")),
                  {"INPUT_TOO_LONG", "", 9, "", 1, "302 answer tokens"}),
      ChangedCase("AnswersThatAreNotGenerated", PlannedText(),
                  [](Planned& p) {
                    for (std::string& one : p.rows) {
                      one.insert(one.size() - 2, std::string(20, '7'));
                    }
                  },
                  {"", "spec.task.decoding.max_new_tokens", 1, "target", 32,
                   "than the 8 that are generated"}),
      ChangedCase(
          "InputsThatAreCut", PlannedText(),
          [](Planned& p) {
            p.spec.mutable_task()->mutable_truncation()->set_max_input_tokens(
                30);
            for (size_t i = 0; i < p.rows.size(); ++i) {
              p.rows[i] = absl::StrCat(R"({"text": ")", i, std::string(60, '7'),
                                       R"(", "target": "1"})");
            }
          },
          {"", "spec.task.truncation", 1, "", 32, "32 of 32 inputs"}),
      ChangedCase(
          "SeveralTypes", PlannedToy(),
          row(7, R"({"text": 7, "label": "left"})"),
          {"", "", 7, "text", 1, "number in 1 rows, string in 59 rows"}),
      ChangedCase("UnusedField", PlannedToy(),
                  row(7, R"({"text": "71", "title": "x", "label": "left"})"),
                  {"", "spec.task.template", 7, "title", 1, "does not read"}),
      ChangedCase(
          "Duplicates", PlannedToy(),
          [](Planned& p) {
            p.rows.push_back(R"({"text": "301", "label": "left",
                                     "split": "validation"})");
            p.rows.push_back(R"({"text": " 301", "label": "left",
                                     "split": "validation"})");
          },
          {"", "", 62, "", 1, "1 of 2 rows of validation say the same"}),
      ChangedCase("Contradictions", PlannedToy(),
                  [](Planned& p) {
                    p.rows.push_back(R"({"text": "301", "label": "left",
                                     "split": "test"})");
                    p.rows.push_back(R"({"text": "301", "label": "right",
                                     "split": "test"})");
                  },
                  {"", "", 62, "", 1, "another answer"}),
      ChangedCase("Leaks", PlannedToy(),
                  [](Planned& p) {
                    p.rows.push_back(R"({"text": "301", "label": "left",
                                     "split": "train"})");
                    p.rows.push_back(R"({"text": "301", "label": "left",
                                     "split": "test"})");
                  },
                  {"", "", 62, "", 1, "that training sees"}),
      ChangedCase("RareLabels", PlannedToy(),
                  [](Planned& p) {
                    p.rows.push_back(R"({"text": "r", "label": "right",
                                     "split": "test"})");
                    for (int i = 0; i < 30; ++i) {
                      p.rows.push_back(absl::StrCat(
                          R"({"text": "l)", i,
                          R"(", "label": "left", "split": "test"})"));
                    }
                  },
                  {"", "", 0, "", 1, "'right' has only 1 of 31 in test"}),
  };
}

class PreflightFault : public testing::TestWithParam<FaultCase> {};

TEST_P(PreflightFault, IsFound) {
  const absl::StatusOr<PreflightTuningJobResponse> response =
      RunPreflight(GetParam().planned);

  ASSERT_OK(response);
  EXPECT_TRUE(HasFinding(*response, GetParam().wanted)) << Listing(*response);
  EXPECT_EQ(response->num_errors() == 0, response->has_resolved_spec());
  EXPECT_EQ(response->num_errors() == 0, response->has_cost());
  EXPECT_EQ(response->num_errors() + response->num_warnings(),
            response->findings_size());
}

std::string CaseName(const testing::TestParamInfo<FaultCase>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Spec, PreflightFault, testing::ValuesIn(SpecFaults()),
                         CaseName);
INSTANTIATE_TEST_SUITE_P(Rows, PreflightFault, testing::ValuesIn(RowFaults()),
                         CaseName);

TEST(Preflight, FaultsOfSpecAndRowsAreFoundTogether) {
  Planned planned = PlannedToy();
  planned.spec.mutable_task()->set_template_("{{ text");
  planned.spec.mutable_training()->set_batch_size(-1);
  planned.spec.mutable_evaluation()->set_metric("bleu");
  planned.rows[4] = "oops";

  const absl::StatusOr<PreflightTuningJobResponse> response =
      RunPreflight(planned);

  ASSERT_OK(response);
  EXPECT_EQ(response->num_errors(), 4) << Listing(*response);
  EXPECT_EQ(response->findings(3).row(), 5);
}

TEST(Preflight, ALabelsFaultDoesNotHideThoseOfRows) {
  Planned planned = PlannedToy();
  attune::v1::TaskSpec& task = *planned.spec.mutable_task();
  for (const char* label : {"left", "right"}) {
    task.add_labels()->set_label(label);
  }
  task.mutable_labels(0)->add_words("one");
  task.mutable_labels(1)->add_words("one");
  planned.rows[4] = R"({"label": "left"})";

  const absl::StatusOr<PreflightTuningJobResponse> response =
      RunPreflight(planned);

  ASSERT_OK(response);
  EXPECT_TRUE(
      HasFinding(*response, {"INVALID_TEMPLATE", "", 5, "text", 1, "text"}))
      << Listing(*response);
}

TEST(Preflight, HostileRequestsAreAnswered) {
  PreflightTuningJobRequest request;
  const FakeClock clock;
  const std::vector<std::string> rows = {"",
                                         "null",
                                         "[]",
                                         "{}",
                                         R"({"label": null, "text": {}})",
                                         R"({"label": "a", "text": [[[1]]]})",
                                         "{\"label\": \"\xff\"}"};
  std::vector<TuningJobSpec> specs(5, PlannedToy().spec);
  specs[0].Clear();
  specs[1].mutable_data()->mutable_fractions()->set_test(
      std::numeric_limits<double>::infinity());
  specs[1].mutable_data()->mutable_fractions()->set_validation(-7);
  attune::v1::PromptTuning& tuning =
      *specs[2].mutable_method()->mutable_prompt_tuning();
  tuning.set_num_virtual_tokens(std::numeric_limits<int>::min());
  specs[2].mutable_training()->set_batch_size(std::numeric_limits<int>::max());
  specs[2].mutable_training()->set_max_steps(std::numeric_limits<int>::max());
  specs[3].mutable_method()->mutable_lora()->set_rank(
      std::numeric_limits<int>::max());
  specs[4].mutable_task()->mutable_truncation()->set_max_input_tokens(-5);
  specs[4].mutable_task()->add_labels();
  specs[4].mutable_task()->add_demonstrations();
  for (const TuningJobSpec& spec : specs) {
    *request.mutable_spec() = spec;
    request.set_num_samples(std::numeric_limits<int>::max());

    const absl::StatusOr<PreflightTuningJobResponse> response =
        Preflight(request, rows, TinyModels(), clock, {});

    ASSERT_OK(response);
    EXPECT_GT(response->num_errors(), 0) << spec.ShortDebugString();
  }
}

TEST(Preflight, StopsWhenAsked) {
  int calls = 0;
  const PreflightHooks hooks = {.before_step = [&] { ++calls; },
                                .stop_requested = [] { return true; }};

  EXPECT_THAT(RunPreflight(PlannedToy(), hooks),
              ReasonIs(Reason::kCancelled, HasSubstr("stopped")));
  EXPECT_GT(calls, 0);
}

TEST(Preflight, SamplesAreAsManyAsAskedFor) {
  PreflightTuningJobRequest request;
  *request.mutable_spec() = PlannedToy().spec;
  request.set_num_samples(2);
  const FakeClock clock;

  const absl::StatusOr<PreflightTuningJobResponse> response =
      Preflight(request, PlannedToy().rows, TinyModels(), clock, {});

  ASSERT_OK(response);
  EXPECT_EQ(response->samples_size(), 6);
}

TEST(Preflight, ChecksTheTemplatesOfASearchAndSearchesNothing) {
  Planned planned = PlannedToy();
  planned.spec.clear_training();
  attune::v1::TemplateSearch& search = *planned.spec.mutable_method()
                                            ->mutable_hard_prompt()
                                            ->mutable_template_search();
  search.add_templates("{{ text }}:");
  search.add_templates("{{ title }}");
  const PreflightTuningJobResponse wrong = *RunPreflight(planned);
  search.mutable_templates()->RemoveLast();

  const PreflightTuningJobResponse right = *RunPreflight(planned);

  ASSERT_EQ(wrong.findings_size(), 1) << Listing(wrong);
  EXPECT_EQ(wrong.findings(0).field(),
            "spec.method.hard_prompt.template_search.templates[1]");
  EXPECT_EQ(right.findings_size(), 0) << Listing(right);
  EXPECT_EQ(right.resolved_spec().task().template_(), "{{ text }}");
  EXPECT_EQ(right.resolved_spec()
                .method()
                .hard_prompt()
                .template_search()
                .num_generated(),
            8);
}

TEST(Preflight, OfAHardPromptCostsNothing) {
  Planned planned = PlannedToy();
  planned.spec.clear_training();
  planned.spec.mutable_method()->mutable_hard_prompt()->set_num_demonstrations(
      200);

  const absl::StatusOr<PreflightTuningJobResponse> response =
      RunPreflight(planned);

  ASSERT_OK(response);
  EXPECT_EQ(response->num_errors(), 0) << Listing(*response);
  EXPECT_TRUE(HasFinding(*response, {"", "", 0, "", 0, "demonstrations"}));
  EXPECT_TRUE(response->has_cost());
  EXPECT_EQ(response->cost().ByteSizeLong(), 0u);
  EXPECT_GT(response->resolved_spec().task().demonstrations_size(), 1);
  EXPECT_FALSE(response->splits(0).has_input_tokens());
}

}  // namespace
}  // namespace attune::worker
