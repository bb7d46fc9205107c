#include "worker/tuning/attempt.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "tests/worker/tuning/recording_listener.h"
#include "tests/worker/tuning/toy_job.h"
#include "worker/prompts/prompt_codec.h"
#include "worker/tasks/seeded_random.h"

namespace attune::worker {
namespace {

using ::attune::v1::TrainingSeries;
using ::attune::v1::TuningProgress;
using ::attune::v1::TuningReport;
using ::google::protobuf::util::MessageDifferencer;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

AttemptInput ToyGeneration(int max_steps) {
  AttemptInput input = ToyJob(max_steps);
  *input.job.mutable_spec()->mutable_task() = TextTask(4);
  input.rows.clear();
  for (int i = 0; i < 30; ++i) {
    input.rows.push_back(absl::StrCat(R"({"text": "it is )", i,
                                      R"(", "target": "the )", i % 3, "\"}"));
  }
  return input;
}

// Texts that end in 1 or 7 and choices of which "right" is right, at a place
// that changes; some rows have three.
AttemptInput ToyChoice(const std::string& model, int max_steps) {
  AttemptInput input = ToyJobOn(model, max_steps);
  attune::v1::TaskSpec& task = *input.job.mutable_spec()->mutable_task();
  task = ChoiceTask();
  task.set_template_("{{ text }}");
  input.rows.clear();
  for (int i = 0; i < 60; ++i) {
    const bool one = i % 2 == 0;
    const char* right = one ? R"("the 1")" : R"("it is 7")";
    const char* wrong = one ? R"("it is 7")" : R"("the 1")";
    const bool first = i % 3 == 0;
    input.rows.push_back(absl::StrCat(
        R"({"text": ")", i / 2, one ? "1" : "7", R"(", "choices": [)",
        first ? right : wrong, ", ", first ? wrong : right,
        i % 5 == 0 ? R"(, "and")" : "", R"(], "label": )", first ? 0 : 1, "}"));
  }
  return input;
}

absl::StatusOr<AttemptResult> RunJob(const AttemptInput& input,
                                     RecordingListener& listener) {
  const FakeClock clock;
  return RunAttempt(input, TinyModels(), clock, listener);
}

absl::StatusOr<AttemptResult> RunJob(const AttemptInput& input) {
  RecordingListener listener;
  return RunJob(input, listener);
}

TEST(Attempt, LearnsATaskThatCanBeLearnt) {
  const AttemptResult result = *RunJob(ToyJob(150));

  EXPECT_LT(result.report.before().metrics().at("accuracy"), 0.9);
  EXPECT_DOUBLE_EQ(result.report.after().metrics().at("accuracy"), 1);
  EXPECT_LT(result.report.after().loss(), result.report.before().loss());
}

TEST(Attempt, ReportsWhatItDid) {
  const AttemptResult result = *RunJob(ToyJob(20));
  const TuningReport& report = result.report;

  EXPECT_EQ(report.num_steps(), 20);
  EXPECT_EQ(report.stop_reason(), TuningReport::STOP_REASON_MAX_STEPS);
  EXPECT_EQ(report.split_counts().train(), 48);
  EXPECT_EQ(report.split_counts().validation(), 6);
  EXPECT_EQ(report.split_counts().test(), 6);
  EXPECT_EQ(report.validation_metric_name(), "accuracy");
  EXPECT_EQ(report.after().split(), "test");
  EXPECT_EQ(report.after().classes(0).label(), "left");
  EXPECT_GT(report.num_trained_tokens(), 20 * 8);
}

TEST(Attempt, ComparesTheResultWithTheBaseRowByRow) {
  const AttemptResult result = *RunJob(ToyJob(150));

  const attune::v1::VersionComparison& comparison = result.report.comparison();
  EXPECT_EQ(comparison.metric(), "accuracy");
  EXPECT_NEAR(comparison.improvement(),
              result.report.after().metrics().at("accuracy") -
                  result.report.before().metrics().at("accuracy"),
              1e-12);
  EXPECT_GT(comparison.num_gained_rows(), comparison.num_lost_rows());
  EXPECT_FALSE(result.report.changed_examples().empty());
  EXPECT_EQ(result.report.before().intervals().count("accuracy"), 1u);
  EXPECT_EQ(result.report.after().intervals().count("loss"), 1u);
}

TEST(Attempt, ReportsTheCourseOfTraining) {
  const AttemptResult result = *RunJob(ToyJob(20));

  std::map<std::string, TrainingSeries> series;
  for (const TrainingSeries& one : result.report.series()) {
    series[one.name()] = one;
  }
  for (const char* name : {"loss", "learning_rate", "grad_norm", "prompt_norm",
                           "prompt_drift", "training_seconds"}) {
    EXPECT_EQ(series[name].values_size(), 20) << name;
    EXPECT_EQ(series[name].steps_size(), 20) << name;
  }
  EXPECT_EQ(series["validation_accuracy"].steps(0), 10);
  EXPECT_GT(series["prompt_drift"].values(19),
            series["prompt_drift"].values(0));
  EXPECT_THAT(result.artifact.files.at("events.out.tfevents.attune"),
              AllOf(HasSubstr("brain.Event:2"), HasSubstr("training/loss"),
                    HasSubstr("validation/accuracy")));
}

TEST(Attempt, ReportsEveryValidation) {
  AttemptInput input = ToyJob(20);
  input.job.mutable_spec()->mutable_training()->set_validation_interval_epochs(
      1);  // 48 rows in steps of 8

  const AttemptResult result = *RunJob(input);

  const TuningReport& report = result.report;
  ASSERT_EQ(report.validations_size(), 4);
  const int steps[] = {6, 12, 18, 20};
  for (int i = 0; i < 4; ++i) {
    const attune::v1::ValidationReport& one = report.validations(i);
    EXPECT_EQ(one.step(), steps[i]);
    EXPECT_DOUBLE_EQ(one.epoch(), steps[i] / 6.0);
    EXPECT_EQ(one.report().split(), "validation");
    EXPECT_EQ(one.report().num_rows(), 6);
    EXPECT_EQ(one.report().classes_size(), 2);
    if (one.step() == report.best_step()) {
      EXPECT_EQ(one.report().metrics().at("accuracy"),
                report.best_validation_metric());
    }
  }
}

TEST(Attempt, ReportsWhatTheSplitsAreMadeOf) {
  const AttemptResult result = *RunJob(ToyJob(5));

  ASSERT_EQ(result.report.splits_size(), 3);
  const attune::v1::SplitSummary& train = result.report.splits(0);
  EXPECT_EQ(train.split(), "train");
  EXPECT_EQ(train.num_rows(), 48);
  EXPECT_EQ(train.labels(0).label(), "left");
  EXPECT_EQ(train.labels(0).count() + train.labels(1).count(), 48);
  EXPECT_GT(train.input_tokens().median(), 0);
  EXPECT_EQ(result.report.splits(2).split(), "test");
  ASSERT_EQ(result.report.samples_size(), 5);
  EXPECT_EQ(result.report.samples(0).split(), "test");
  EXPECT_GT(result.report.samples(0).row(), 0);
  EXPECT_FALSE(result.report.samples(0).input().empty());
}

TEST(Attempt, TellsWhatDeservesAttentionInTheRowsOnce) {
  AttemptInput input = ToyJob(20);
  for (const char* split : {"train", "test", "test"}) {
    input.rows.push_back(absl::StrCat(
        R"({"text": "301", "label": "left", "split": ")", split, "\"}"));
  }
  RecordingListener first;
  first.stop_phase = TuningProgress::PHASE_TRAINING;
  first.stop_step = 7;
  ASSERT_THAT(RunJob(input, first),
              ReasonIs(Reason::kCancelled, HasSubstr("7")));
  EXPECT_THAT(first.notices, Contains(HasSubstr("that training sees")));
  EXPECT_THAT(first.notices, Contains(HasSubstr("say the same")));
  EXPECT_THAT(first.notices, Contains(HasSubstr("have no rows in test")));
  input.checkpoint = first.checkpoints.back().second;
  input.attempt = 2;
  RecordingListener second;

  ASSERT_OK(RunJob(input, second));

  EXPECT_EQ(second.notices.size(), 1u);  // that it goes on
}

TEST(Attempt, TheArtifactIsAPromptOfTheModel) {
  const AttemptResult result = *RunJob(ToyJob(10));

  const StoredPrompt stored = *DecodePrompt(result.artifact);

  EXPECT_EQ(stored.length(), 8);
  EXPECT_OK(CheckPromptFits(stored, TinyModel()->info));
  EXPECT_EQ(stored.manifest.tuning_job(), "tuningJobs/toy");
  EXPECT_EQ(stored.manifest.task().labels_size(), 2);
  EXPECT_EQ(stored.manifest.task().labels(1).words(0), "right");
  TuningReport report = result.report;
  report.clear_series();            // they are in the event file
  report.clear_changed_examples();  // the dataset's rows stay with it
  report.clear_samples();
  EXPECT_TRUE(MessageDifferencer::Equals(stored.manifest.report(), report));
  EXPECT_EQ(result.model_fingerprint, TinyModel()->info.fingerprint);
}

TEST(Attempt, TheSameJobGivesTheSameBytes) {
  EXPECT_EQ(RunJob(ToyJob(20))->artifact.files,
            RunJob(ToyJob(20))->artifact.files);
}

TEST(Attempt, AnotherSeedGivesAnotherPrompt) {
  AttemptInput input = ToyJob(20);
  input.job.mutable_spec()->mutable_training()->set_seed(1);

  EXPECT_NE(RunJob(ToyJob(20))->artifact.files, RunJob(input)->artifact.files);
}

TEST(Attempt, TellsWhatItChoseAndWhereItIs) {
  RecordingListener listener;
  ASSERT_OK(RunJob(ToyJob(20), listener));

  ASSERT_EQ(listener.specs.size(), 1u);
  EXPECT_EQ(listener.specs[0].training().batch_size(), 8);
  EXPECT_EQ(listener.specs[0].task().labels_size(), 2);
  std::vector<TuningProgress::Phase> phases;
  for (const TuningProgress& progress : listener.reports) {
    if (phases.empty() || phases.back() != progress.phase()) {
      phases.push_back(progress.phase());
    }
  }
  EXPECT_EQ(
      phases,
      (std::vector<TuningProgress::Phase>{
          TuningProgress::PHASE_PREPARING,
          TuningProgress::PHASE_EVALUATING_BASE, TuningProgress::PHASE_TRAINING,
          TuningProgress::PHASE_VALIDATING, TuningProgress::PHASE_TRAINING,
          TuningProgress::PHASE_VALIDATING, TuningProgress::PHASE_TRAINING,
          TuningProgress::PHASE_EVALUATING_TUNED,
          TuningProgress::PHASE_UPLOADING}));
}

// Runs the job in pieces: each attempt ends after a few steps, and the next one
// gets the newest checkpoint. With `killed` the attempt has no time to hand one
// over when it ends.
AttemptResult RunInPieces(AttemptInput input, bool killed, uint64_t seed) {
  SeededRandom random(seed, 0);
  int step = 0;
  while (true) {
    RecordingListener listener;
    step += static_cast<int>(random.Below(9));
    const bool in_validation = random.Below(3) == 0;
    listener.stop_phase = in_validation ? TuningProgress::PHASE_VALIDATING
                                        : TuningProgress::PHASE_TRAINING;
    listener.stop_step = step;
    const absl::StatusOr<AttemptResult> result = RunJob(input, listener);
    if (result.ok()) return *result;
    EXPECT_EQ(ReasonOf(result.status()), Reason::kCancelled);
    if (killed && !listener.checkpoints.empty() &&
        listener.checkpoints.back().first % 5 != 0) {
      listener.checkpoints.pop_back();
    }
    if (!listener.checkpoints.empty()) {
      input.checkpoint = listener.checkpoints.back().second;
    }
    ++input.attempt;
  }
}

AttemptInput ResumableJob() {
  AttemptInput input = ToyJob(40);
  attune::v1::TrainingConfig& training =
      *input.job.mutable_spec()->mutable_training();
  training.set_checkpoint_interval_steps(5);
  training.set_validation_interval_steps(4);
  return input;
}

TEST(Attempt, AStoppedAndResumedJobGivesTheSameBytes) {
  const AttemptResult whole = *RunJob(ResumableJob());
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const AttemptResult pieces =
        RunInPieces(ResumableJob(), /*killed=*/false, seed);

    EXPECT_EQ(pieces.artifact.files, whole.artifact.files) << "seed " << seed;
    EXPECT_TRUE(MessageDifferencer::Equals(pieces.report, whole.report));
  }
}

TEST(Attempt, AKilledAndResumedJobGivesTheSameBytes) {
  const AttemptResult whole = *RunJob(ResumableJob());
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const AttemptResult pieces =
        RunInPieces(ResumableJob(), /*killed=*/true, seed);

    EXPECT_EQ(pieces.artifact.files, whole.artifact.files) << "seed " << seed;
  }
}

TEST(Attempt, AResumedGenerationThatEndsEarlyGivesTheSameBytes) {
  AttemptInput input = ToyGeneration(60);
  attune::v1::TrainingConfig& training =
      *input.job.mutable_spec()->mutable_training();
  training.set_checkpoint_interval_steps(5);
  training.set_validation_interval_steps(4);
  training.mutable_early_stopping()->set_patience(3);
  training.mutable_early_stopping()->set_min_delta(0.5);
  const AttemptResult whole = *RunJob(input);
  ASSERT_EQ(whole.report.stop_reason(),
            TuningReport::STOP_REASON_EARLY_STOPPING);

  EXPECT_EQ(RunInPieces(input, /*killed=*/true, 1).artifact.files,
            whole.artifact.files);
}

TEST(Attempt, SaysThatItGoesOn) {
  RecordingListener first;
  first.stop_phase = TuningProgress::PHASE_TRAINING;
  first.stop_step = 7;
  AttemptInput input = ToyJob(20);
  ASSERT_THAT(RunJob(input, first),
              ReasonIs(Reason::kCancelled, HasSubstr("7")));
  input.checkpoint = first.checkpoints.back().second;
  input.attempt = 2;

  RecordingListener second;
  ASSERT_OK(RunJob(input, second));

  EXPECT_THAT(second.notices,
              Contains(HasSubstr("attempt 2 goes on from the checkpoint of "
                                 "step 7")));
}

TEST(Attempt, ADamagedCheckpointIsLeftAside) {
  RecordingListener first;
  ASSERT_OK(RunJob(ToyJob(20), first));
  AttemptInput input = ToyJob(20);
  input.checkpoint = first.checkpoints.back().second;
  input.checkpoint->files["checkpoint.safetensors"][3] ^= 1;

  RecordingListener second;
  const auto result = RunJob(input, second);

  EXPECT_EQ(result->artifact.files, RunJob(ToyJob(20))->artifact.files);
  EXPECT_THAT(second.notices, Contains(HasSubstr("without the checkpoint")));
}

TEST(Attempt, ACheckpointOfAnotherSpecIsLeftAside) {
  RecordingListener first;
  ASSERT_OK(RunJob(ToyJob(10), first));
  AttemptInput input = ToyJob(20);
  input.checkpoint = first.checkpoints.back().second;

  RecordingListener second;
  ASSERT_OK(RunJob(input, second));

  EXPECT_THAT(second.notices, Contains(HasSubstr("another spec")));
}

TEST(Attempt, StopsWhileTheBaseIsMeasured) {
  RecordingListener listener;
  listener.stop_phase = TuningProgress::PHASE_EVALUATING_BASE;

  EXPECT_THAT(RunJob(ToyJob(20), listener),
              ReasonIs(Reason::kCancelled, HasSubstr("evaluation")));
  EXPECT_TRUE(listener.checkpoints.empty());
}

TEST(Attempt, TheBaselineCanBeLeftOut) {
  AttemptInput input = ToyJob(5);
  input.job.mutable_spec()->mutable_evaluation()->set_skip_baseline(true);

  EXPECT_FALSE(RunJob(input)->report.has_before());
}

TEST(Attempt, EvaluationsCanBeLimited) {
  AttemptInput input = ToyJob(5);
  input.job.mutable_spec()->mutable_evaluation()->set_max_test_rows(2);
  input.job.mutable_spec()->mutable_evaluation()->set_max_validation_rows(3);

  const TuningReport report = RunJob(input)->report;

  EXPECT_EQ(report.after().num_rows(), 2);
  EXPECT_EQ(report.split_counts().validation(), 3);
}

TEST(Attempt, TunesGenerations) {
  const AttemptResult result = *RunJob(ToyGeneration(40));

  EXPECT_LT(result.report.after().loss(), result.report.before().loss());
  EXPECT_TRUE(result.report.after().metrics().contains("exact_match"));
  EXPECT_EQ(result.report.validation_metric_name(), "loss");
}

// The toy classification on a base model of another kind.
TEST(Attempt, LearnsAHeadBesideThePromptOfAnEncoder) {
  RecordingListener listener;
  const absl::StatusOr<AttemptResult> result =
      RunJob(ToyJobOn("encoder", 100), listener);

  ASSERT_OK(result);
  EXPECT_DOUBLE_EQ(result->report.after().metrics().at("accuracy"), 1);
  EXPECT_FALSE(result->report.has_before());
  EXPECT_THAT(listener.notices, Contains(HasSubstr("no layer for these")));
  EXPECT_EQ(result->resolved_spec.task().label_scoring(),
            attune::v1::LABEL_SCORING_HEAD);
  const StoredPrompt stored = *DecodePrompt(result->artifact);
  EXPECT_OK(CheckPromptFits(stored, TinyModel("encoder")->info));
  EXPECT_EQ(stored.head.num_labels(), 2);
}

TEST(Attempt, AKilledAndResumedHeadGivesTheSameBytes) {
  AttemptInput input = ResumableJob();
  input.job.mutable_spec()->set_base_model("models/encoder");
  const AttemptResult whole = *RunJob(input);

  EXPECT_EQ(RunInPieces(input, /*killed=*/true, 1).artifact.files,
            whole.artifact.files);
}

TEST(Attempt, LearnsLabelWordsOfAnEncoderDecoder) {
  const AttemptResult result = *RunJob(ToyJobOn("t5", 100));

  EXPECT_GT(result.report.after().metrics().at("accuracy"), 0.75);
  EXPECT_LT(result.report.after().loss(), 0.7 * result.report.before().loss());
}

TEST(Attempt, TunesGenerationsOfAnEncoderDecoder) {
  AttemptInput input = ToyGeneration(40);
  input.job.mutable_spec()->set_base_model("models/t5");

  const AttemptResult result = *RunJob(input);

  EXPECT_LT(result.report.after().loss(), result.report.before().loss());
  EXPECT_TRUE(result.report.after().metrics().contains("exact_match"));
}

AttemptInput PrefixJobOn(const std::string& model, int max_steps) {
  AttemptInput input = ToyJobOn(model, max_steps);
  input.job.mutable_spec()
      ->mutable_method()
      ->mutable_prefix_tuning()
      ->set_num_virtual_tokens(8);
  return input;
}

TEST(Attempt, LearnsAPrefixOnModelsOfEveryKind) {
  for (const char* model : {"tiny", "encoder", "t5"}) {
    AttemptInput input = PrefixJobOn(model, 250);
    input.job.mutable_spec()
        ->mutable_training()
        ->mutable_learning_rate()
        ->set_value(0.05);
    const AttemptResult result = *RunJob(input);

    EXPECT_GT(result.report.after().metrics().at("accuracy"), 0.8) << model;
    const StoredPrompt stored = *DecodePrompt(result.artifact);
    EXPECT_FALSE(stored.rows.has_value()) << model;
    EXPECT_EQ(stored.length(), 8) << model;
    EXPECT_OK(CheckPromptFits(stored, TinyModel(model)->info)) << model;
    EXPECT_EQ(stored.head.defined(), std::string(model) == "encoder");
  }
}

TEST(Attempt, AKilledAndResumedPrefixGivesTheSameBytes) {
  AttemptInput input = ResumableJob();
  input.job.mutable_spec()
      ->mutable_method()
      ->mutable_prefix_tuning()
      ->set_num_virtual_tokens(4);
  const AttemptResult whole = *RunJob(input);

  EXPECT_EQ(RunInPieces(input, /*killed=*/true, 1).artifact.files,
            whole.artifact.files);
}

// The toy classification through each network; the last one makes a prefix.
std::vector<AttemptInput> NetworkJobs(const AttemptInput& plain) {
  std::vector<AttemptInput> jobs;
  for (const auto network :
       {attune::v1::PromptTuning::REPARAMETERISATION_MLP,
        attune::v1::PromptTuning::REPARAMETERISATION_LSTM,
        attune::v1::PromptTuning::REPARAMETERISATION_RESIDUAL_MLP}) {
    attune::v1::PromptTuning& tuning = *jobs.emplace_back(plain)
                                            .job.mutable_spec()
                                            ->mutable_method()
                                            ->mutable_prompt_tuning();
    tuning.set_reparameterisation(network);
    tuning.set_encoder_hidden_size(16);
  }
  attune::v1::PrefixTuning& prefix = *jobs.emplace_back(plain)
                                          .job.mutable_spec()
                                          ->mutable_method()
                                          ->mutable_prefix_tuning();
  prefix.set_num_virtual_tokens(8);
  prefix.set_projection(true);
  prefix.set_encoder_hidden_size(16);
  for (AttemptInput& job : jobs) {
    job.job.mutable_spec()
        ->mutable_training()
        ->mutable_learning_rate()
        ->set_value(0.01);
    job.job.mutable_spec()->mutable_evaluation()->set_metric("loss");
  }
  return jobs;
}

TEST(Attempt, LearnsThroughEveryNetwork) {
  for (const AttemptInput& input : NetworkJobs(ToyJob(100))) {
    const absl::StatusOr<AttemptResult> result = RunJob(input);

    ASSERT_OK(result);
    EXPECT_LT(result->report.after().loss(),
              0.8 * result->report.before().loss())
        << input.job.spec().method().ShortDebugString();
    // Nothing of the network is left.
    const StoredPrompt stored = *DecodePrompt(result->artifact);
    EXPECT_EQ(stored.length(), 8);
    EXPECT_OK(CheckPromptFits(stored, TinyModel()->info));
  }
}

TEST(Attempt, AKilledAndResumedNetworkGivesTheSameBytes) {
  for (const AttemptInput& input : NetworkJobs(ResumableJob())) {
    const AttemptResult whole = *RunJob(input);

    EXPECT_EQ(RunInPieces(input, /*killed=*/true, 1).artifact.files,
              whole.artifact.files)
        << input.job.spec().method().ShortDebugString();
  }
}

// Numbers that end in 7 are entities, each of two words with the next one.
AttemptInput ToyTagging(int max_steps) {
  AttemptInput input = ToyJobOn("encoder", max_steps);
  attune::v1::TaskSpec& task = *input.job.mutable_spec()->mutable_task();
  task = TagTask({});
  task.set_template_("{{ tokens }}");
  input.rows.clear();
  for (int i = 0; i < 60; ++i) {
    const char* const first = i % 2 == 0 ? "7" : "1";
    const char* const tags =
        i % 2 == 0 ? R"("O", "B-N", "I-N")" : R"("O", "O", "O")";
    input.rows.push_back(absl::StrCat(R"({"tokens": ["it", ")", first,
                                      R"(", "is"], "tags": [)", tags, "]}"));
  }
  return input;
}

TEST(Attempt, LearnsTagsByAHeadOverWords) {
  RecordingListener listener;

  const absl::StatusOr<AttemptResult> result =
      RunJob(ToyTagging(100), listener);

  ASSERT_OK(result);
  const attune::v1::EvaluationReport& after = result->report.after();
  EXPECT_DOUBLE_EQ(after.metrics().at("micro_f1"), 1);
  EXPECT_DOUBLE_EQ(after.metrics().at("accuracy"), 1);
  EXPECT_LT(after.loss(), 0.2);
  ASSERT_EQ(after.classes_size(), 1);
  EXPECT_EQ(after.classes(0).label(), "N");
  EXPECT_EQ(after.tags_size(), 3);
  EXPECT_EQ(result->report.validation_metric_name(), "micro_f1");
  EXPECT_FALSE(result->report.has_before());
  const StoredPrompt stored = *DecodePrompt(result->artifact);
  EXPECT_OK(CheckPromptFits(stored, TinyModel("encoder")->info));
  EXPECT_EQ(stored.head.num_labels(), 3);
}

TEST(Attempt, TheHeadOfATokenClassificationCanBeAllThatIsTrained) {
  AttemptInput input = ToyTagging(100);
  input.job.mutable_spec()->mutable_method()->mutable_head();
  input.job.mutable_spec()
      ->mutable_training()
      ->mutable_learning_rate()
      ->set_value(0.05);

  const absl::StatusOr<AttemptResult> result = RunJob(input);

  ASSERT_OK(result);
  EXPECT_GT(result->report.after().metrics().at("micro_f1"), 0.9);
}

TEST(Attempt, LearnsAnyNumberOfLabels) {
  AttemptInput input = ToyJobOn("encoder", 150);
  attune::v1::TaskSpec& task = *input.job.mutable_spec()->mutable_task();
  task.set_multi_label(true);
  input.rows.clear();
  for (int i = 0; i < 60; ++i) {
    const bool one = i % 2 == 0;
    const bool seven = i % 3 == 0;
    input.rows.push_back(
        absl::StrCat(R"({"text": "it )", one ? "1" : "", seven ? " 7" : "",
                     R"(", "labels": [)", one ? R"("one")" : "",
                     one && seven ? "," : "", seven ? R"("seven")" : "", "]}"));
  }

  const absl::StatusOr<AttemptResult> result = RunJob(input);

  ASSERT_OK(result);
  const attune::v1::EvaluationReport& after = result->report.after();
  EXPECT_GT(after.metrics().at("exact_match"), 0.8);
  EXPECT_GT(after.metrics().at("micro_f1"), 0.8);
  EXPECT_LT(after.loss(), 0.4);  // ln 2 is what knowing nothing costs
  EXPECT_EQ(after.classes(1).label(), "seven");
  EXPECT_EQ(result->report.validation_metric_name(), "micro_f1");
}

TEST(Attempt, LearnsNumbersInTheirOwnUnit) {
  AttemptInput input = ToyJobOn("encoder", 150);
  attune::v1::TaskSpec& task = *input.job.mutable_spec()->mutable_task();
  task.Clear();
  task.set_type(attune::v1::TASK_TYPE_REGRESSION);
  task.set_template_("{{ text }}");
  input.rows.clear();
  for (int i = 0; i < 60; ++i) {
    input.rows.push_back(absl::StrCat(R"({"text": "it )", i % 2 == 0 ? 1 : 7,
                                      R"(", "value": )",
                                      i % 2 == 0 ? 1000 : 5000, "}"));
  }

  const absl::StatusOr<AttemptResult> result = RunJob(input);

  ASSERT_OK(result);
  const attune::v1::EvaluationReport& after = result->report.after();
  EXPECT_LT(after.loss(), 0.1);  // 1 is what the mean costs
  EXPECT_GT(after.metrics().at("pearson"), 0.95);
  EXPECT_LT(after.metrics().at("mae"), 700);
  EXPECT_NEAR(result->resolved_spec.task().number_scale().mean(), 3000, 500);
  EXPECT_OK(CheckPromptFits(*DecodePrompt(result->artifact),
                            TinyModel("encoder")->info));
}

TEST(Attempt, LearnsChoicesThatComeWithTheRows) {
  struct Learned {
    const char* model;
    double accuracy;  // at least, of six rows
    double loss;      // at most
  };
  for (const auto& [model, accuracy, loss] :
       {Learned{"tiny", 1, 0.3}, Learned{"t5", 0.8, 0.55}}) {
    const absl::StatusOr<AttemptResult> result = RunJob(ToyChoice(model, 150));

    ASSERT_OK(result);
    const TuningReport& report = result->report;
    EXPECT_LT(report.before().metrics().at("accuracy"), 0.9) << model;
    EXPECT_GE(report.after().metrics().at("accuracy"), accuracy) << model;
    EXPECT_LT(report.after().loss(), loss) << model;
    EXPECT_EQ(report.validation_metric_name(), "accuracy");
    EXPECT_EQ(report.comparison().test(),
              attune::v1::VersionComparison::SIGNIFICANCE_TEST_MCNEMAR);
    EXPECT_EQ(result->resolved_spec.task().choices_field(), "choices");
    EXPECT_OK(CheckPromptFits(*DecodePrompt(result->artifact),
                              TinyModel(model)->info));
  }
}

TEST(Attempt, LearnsChoicesByAdditionsToTheWeights) {
  AttemptInput input = ToyChoice("tiny", 60);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.mutable_method()->mutable_lora()->set_rank(4);
  spec.mutable_training()->mutable_learning_rate()->set_value(0.02);
  spec.mutable_training()->set_label_smoothing(0.05);

  const absl::StatusOr<AttemptResult> result = RunJob(input);

  ASSERT_OK(result);
  EXPECT_GT(result->report.after().metrics().at("accuracy"), 0.9);
}

TEST(Attempt, AKilledAndResumedMultipleChoiceGivesTheSameBytes) {
  AttemptInput input = ToyChoice("tiny", 12);
  input.job.mutable_spec()->mutable_training()->set_checkpoint_interval_steps(
      5);
  const AttemptResult whole = *RunJob(input);

  EXPECT_EQ(RunInPieces(input, /*killed=*/true, 1).artifact.files,
            whole.artifact.files);
}

TEST(Attempt, AHardPromptShowsTheRightChoices) {
  AttemptInput input = ToyChoice("tiny", 0);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.clear_training();
  spec.mutable_method()->mutable_hard_prompt()->set_num_demonstrations(3);
  RecordingListener listener;

  const absl::StatusOr<AttemptResult> result = RunJob(input, listener);

  ASSERT_OK(result);
  const attune::v1::TaskSpec& task = listener.specs.at(0).task();
  ASSERT_EQ(task.demonstrations_size(), 3);
  for (const auto& shown : task.demonstrations()) {
    const bool one =
        shown.fields().fields().at("text").string_value().back() == '1';
    EXPECT_EQ(shown.answer(), one ? "the 1" : "it is 7");
  }
}

TEST(Attempt, NamesTheRowOfAChoiceThatIsNone) {
  AttemptInput input = ToyChoice("tiny", 10);
  input.rows[4] = R"({"text": "1", "choices": ["a", "b"], "label": 2})";

  EXPECT_THAT(RunJob(input), ReasonIs(Reason::kInvalidData,
                                      AllOf(HasSubstr("row 5"),
                                            HasSubstr("field 'label' is 2"))));
}

TEST(Attempt, LearnsAnswersInAContext) {
  AttemptInput input = ToyJobOn("encoder", 200);
  *input.job.mutable_spec()->mutable_task() = SpanTask();
  input.rows.clear();
  for (int i = 0; i < 60; ++i) {
    const bool has_answer = i % 3 != 0;
    input.rows.push_back(absl::StrCat(
        R"({"question": "it", "context": "is it )", has_answer ? "7" : "1",
        R"( it", "answers": [)", has_answer ? R"("7")" : "", "]}"));
  }

  const absl::StatusOr<AttemptResult> result = RunJob(input);

  ASSERT_OK(result);
  const attune::v1::EvaluationReport& after = result->report.after();
  EXPECT_DOUBLE_EQ(after.metrics().at("exact_match"), 1);
  EXPECT_DOUBLE_EQ(after.metrics().at("f1"), 1);
  EXPECT_LT(after.loss(), 0.5);
  EXPECT_EQ(result->report.validation_metric_name(), "f1");
  EXPECT_EQ(DecodePrompt(result->artifact)->head.num_labels(), 2);
}

TEST(Attempt, LearnsAnswersInContextsOfSeveralWindows) {
  AttemptInput input = ToyJobOn("encoder", 200);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  *spec.mutable_task() = SpanTask();
  spec.mutable_task()->mutable_span_reading()->set_overlap_tokens(16);
  spec.mutable_training()->set_label_smoothing(0.01);
  input.rows.clear();
  for (int i = 0; i < 60; ++i) {
    std::string context;
    for (int word = 0; word < 60; ++word) {
      context += word == (7 * i) % 60 ? "7 " : "it ";
    }
    input.rows.push_back(absl::StrCat(R"({"question": "it", "context": ")",
                                      context, R"(", "answers": ["7"]})"));
  }

  const absl::StatusOr<AttemptResult> result = RunJob(input);

  ASSERT_OK(result);
  EXPECT_GT(result->report.after().metrics().at("exact_match"), 0.9);
  // Knowing nothing costs ln 128 a window, about 4.9.
  EXPECT_LT(result->report.after().loss(), 2);
  EXPECT_EQ(result->report.num_truncated_rows(), 0);
  // More rows than the contexts of one window would have.
  EXPECT_GT(result->report.num_trained_tokens(), 200 * 8 * 136);
}

TEST(Attempt, NamesTheRowWithMoreWordsThanTags) {
  AttemptInput input = ToyTagging(10);
  input.rows[4] = R"({"tokens": ["it", "is"], "tags": ["O"]})";

  EXPECT_THAT(RunJob(input),
              ReasonIs(Reason::kInvalidData,
                       AllOf(HasSubstr("row 5"), HasSubstr("2 words"),
                             HasSubstr("1 tags"))));
}

TEST(Attempt, AHardPromptShowsDemonstrationsAndTrainsNothing) {
  AttemptInput input = ToyJob(0);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.clear_training();
  spec.mutable_method()->mutable_hard_prompt()->set_num_demonstrations(4);
  RecordingListener listener;

  const absl::StatusOr<AttemptResult> result = RunJob(input, listener);

  ASSERT_OK(result);
  const attune::v1::TaskSpec& task = listener.specs.at(0).task();
  EXPECT_EQ(task.demonstrations_size(), 4);
  const TuningReport& report = result->report;
  EXPECT_EQ(report.stop_reason(), TuningReport::STOP_REASON_NOTHING_TO_TRAIN);
  EXPECT_EQ(report.num_steps(), 0);
  EXPECT_NE(report.before().loss(), report.after().loss());
  EXPECT_GT(report.best_validation_metric(), 0);
  EXPECT_THAT(listener.checkpoints, IsEmpty());
  const absl::StatusOr<StoredPrompt> stored = DecodePrompt(result->artifact);
  ASSERT_OK(stored);
  EXPECT_OK(CheckPromptFits(*stored, TinyModel()->info));
  EXPECT_EQ(stored->num_bytes(), 0u);
  EXPECT_TRUE(MessageDifferencer::Equals(
      stored->manifest.task().demonstrations(0), task.demonstrations(0)));
  EXPECT_OK(AttachStored(*TinyModel(), *stored));
}

TEST(Attempt, AHardPromptWithoutDemonstrationsIsTheBase) {
  AttemptInput input = ToyJob(0);
  input.job.mutable_spec()->clear_training();
  input.job.mutable_spec()->mutable_method()->mutable_hard_prompt();

  const AttemptResult result = *RunJob(input);

  EXPECT_TRUE(MessageDifferencer::Equals(result.report.before(),
                                         result.report.after()));
}

TEST(Attempt, CalibratesWhatItHasTuned) {
  AttemptInput input = ToyJob(20);
  auto& calibration =
      *input.job.mutable_spec()->mutable_task()->mutable_calibration();
  calibration.set_content_free(true);
  calibration.set_fit_temperature(true);
  const AttemptResult plain = *RunJob(ToyJob(20));

  const AttemptResult result = *RunJob(input);

  // Training knows nothing of it, nor what is measured of the base.
  EXPECT_EQ(result.report.best_validation_metric(),
            plain.report.best_validation_metric());
  EXPECT_TRUE(MessageDifferencer::Equals(result.report.before(),
                                         plain.report.before()));
  EXPECT_NE(result.report.after().loss(), plain.report.after().loss());
  const StoredPrompt stored = *DecodePrompt(result.artifact);
  EXPECT_EQ(stored.manifest.task().calibration().log_priors_size(), 2);
  EXPECT_TRUE(stored.manifest.task().calibration().has_temperature());
  EXPECT_TRUE(
      MessageDifferencer::Equals(result.resolved_spec.task().calibration(),
                                 stored.manifest.task().calibration()));
}

TEST(Attempt, CalibratesAHardPrompt) {
  AttemptInput input = ToyJob(0);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.clear_training();
  spec.mutable_method()->mutable_hard_prompt();
  spec.mutable_task()->mutable_calibration()->set_content_free(true);

  const AttemptResult result = *RunJob(input);

  EXPECT_NE(result.report.before().loss(), result.report.after().loss());
  EXPECT_TRUE(result.report.has_comparison());
}

TEST(Attempt, AHardPromptTakesItsTasksDemonstrations) {
  AttemptInput input = ToyJobOn("t5", 0);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.clear_training();
  spec.mutable_method()->mutable_hard_prompt();
  attune::v1::Demonstration& one = *spec.mutable_task()->add_demonstrations();
  (*one.mutable_fields()->mutable_fields())["text"].set_string_value("41");
  one.set_answer("left");

  const AttemptResult result = *RunJob(input);

  EXPECT_EQ(result.resolved_spec.task().demonstrations_size(), 1);
  EXPECT_NE(result.report.before().loss(), result.report.after().loss());
}

TEST(Attempt, SaysThatFewerDemonstrationsFit) {
  AttemptInput input = ToyJob(0);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.clear_training();
  spec.mutable_method()->mutable_hard_prompt()->set_num_demonstrations(200);
  RecordingListener listener;

  const AttemptResult result = *RunJob(input, listener);

  EXPECT_LT(result.resolved_spec.method().hard_prompt().num_demonstrations(),
            200);
  EXPECT_EQ(result.resolved_spec.method().hard_prompt().num_demonstrations(),
            result.resolved_spec.task().demonstrations_size());
  EXPECT_THAT(listener.notices, Contains(HasSubstr("demonstrations")));
}

AttemptInput ToyNearestJob(const std::string& model, int num_demonstrations) {
  AttemptInput input = ToyJobOn(model, 0);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.clear_training();
  attune::v1::HardPrompt& method =
      *spec.mutable_method()->mutable_hard_prompt();
  method.set_num_demonstrations(num_demonstrations);
  method.set_selection(attune::v1::HardPrompt::SELECTION_NEAREST);
  return input;
}

TEST(Attempt, AVersionShowsEachInputItsOwnNearestDemonstrations) {
  for (const char* model : {"tiny", "t5"}) {
    RecordingListener listener;

    const absl::StatusOr<AttemptResult> result =
        RunJob(ToyNearestJob(model, 2), listener);

    ASSERT_OK(result);
    EXPECT_NE(result->report.before().loss(), result->report.after().loss());
    EXPECT_TRUE(result->report.has_comparison());
    const StoredPrompt stored = *DecodePrompt(result->artifact);
    const attune::v1::TaskSpec& task = stored.manifest.task();
    EXPECT_EQ(task.num_nearest_demonstrations(), 2);
    EXPECT_EQ(task.demonstrations_size(), 48);
    EXPECT_TRUE(MessageDifferencer::Equals(
        listener.specs.at(0).task().demonstrations(47),
        task.demonstrations(47)));
    const auto program = *TaskProgram::Compile(task, TinyModel(model), 0);
    // What stands before an input, behind an empty line of its own.
    const auto shown_before = [&](const std::string& text) {
      const TaskInput input =
          *program->PrepareInput(absl::StrCat(R"({"text": ")", text, "\"}"), 1);
      std::string whole = *program->model().tokenizer->Decode(
          input.ids, /*skip_special_tokens=*/false);
      return absl::StrCat("\n\n", whole.substr(0, whole.rfind(text)));
    };
    EXPECT_NE(shown_before("300"), shown_before("299"));
    for (const auto& one : task.demonstrations()) {
      const std::string text = one.fields().fields().at("text").string_value();
      EXPECT_THAT(shown_before(text),
                  Not(HasSubstr(absl::StrCat("\n\n", text, " "))));
    }
  }
}

TEST(Attempt, TheSameJobFindsTheSameNearestDemonstrations) {
  const AttemptInput input = ToyNearestJob("tiny", 2);
  const AttemptResult first = *RunJob(input);

  EXPECT_EQ(RunJob(input)->artifact.files, first.artifact.files);
}

TEST(Attempt, AResolvedSpecWithAPoolMadeIntoAJobShowsTheSame) {
  AttemptInput input = ToyNearestJob("tiny", 2);
  const AttemptResult first = *RunJob(input);
  *input.job.mutable_spec() = first.resolved_spec;

  const absl::StatusOr<AttemptResult> again = RunJob(input);

  ASSERT_OK(again);
  EXPECT_EQ(again->report.after().loss(), first.report.after().loss());
  EXPECT_TRUE(
      MessageDifferencer::Equals(again->resolved_spec, first.resolved_spec));
}

TEST(Attempt, TellsOfInputsWithoutRoomForTheirDemonstrations) {
  RecordingListener listener;

  ASSERT_OK(RunJob(ToyNearestJob("tiny", 40), listener));

  EXPECT_THAT(listener.notices,
              Contains(HasSubstr("6 of 6 inputs of test have no room for all "
                                 "40 nearest demonstrations")));
}

TEST(Attempt, APromptIsTunedBehindNearestDemonstrations) {
  AttemptInput input = ToyJob(5);
  attune::v1::TaskSpec& task = *input.job.mutable_spec()->mutable_task();
  for (const char* text : {"41", "47"}) {
    attune::v1::Demonstration& one = *task.add_demonstrations();
    (*one.mutable_fields()->mutable_fields())["text"].set_string_value(text);
    one.set_answer(text[1] == '1' ? "left" : "right");
  }
  task.set_num_nearest_demonstrations(1);

  const absl::StatusOr<AttemptResult> result = RunJob(input);

  ASSERT_OK(result);
  const StoredPrompt stored = *DecodePrompt(result->artifact);
  EXPECT_EQ(stored.length(), 8);
  EXPECT_EQ(stored.manifest.task().demonstrations_size(), 2);
  EXPECT_EQ(stored.manifest.task().num_nearest_demonstrations(), 1);
}

TEST(Attempt, AHardPromptOfAGenerationDecodesWhatItReports) {
  AttemptInput input = ToyGeneration(0);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.clear_training();
  spec.mutable_method()->mutable_hard_prompt()->set_num_demonstrations(2);
  spec.mutable_evaluation()->set_metric("exact_match");
  // The training row is too long to stand behind anything, but nothing is
  // trained on it.
  const auto row = [](const char* split, const std::string& target) {
    return absl::StrCat(R"({"text": "it", "split": ")", split,
                        R"(", "target": ")", target, "\"}");
  };
  input.rows = {row("train", std::string(300, '7')), row("train", "a"),
                row("train", "b"), row("dev", "a"), row("test", "b")};

  const absl::StatusOr<AttemptResult> result = RunJob(input);

  ASSERT_OK(result);
  EXPECT_TRUE(result->report.after().metrics().contains("exact_match"));
  EXPECT_EQ(result->report.validation_metric_name(), "exact_match");
  EXPECT_EQ(result->report.num_truncated_rows(), 0);
  EXPECT_EQ(result->report.split_counts().train(), 3);
}

TEST(Attempt, AStoppedHardPromptBeginsAgain) {
  AttemptInput input = ToyJob(0);
  input.job.mutable_spec()->clear_training();
  input.job.mutable_spec()
      ->mutable_method()
      ->mutable_hard_prompt()
      ->set_num_demonstrations(2);
  RecordingListener stopped;
  stopped.stop_phase = TuningProgress::PHASE_VALIDATING;
  const absl::StatusOr<AttemptResult> first = RunJob(input, stopped);
  const AttemptResult whole = *RunJob(input);

  EXPECT_THAT(first, ReasonIs(Reason::kCancelled, HasSubstr("stopped")));
  EXPECT_EQ(RunJob(input)->artifact.files, whole.artifact.files);
}

AttemptInput ToySearch() {
  AttemptInput input = ToyJob(0);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.clear_training();
  spec.mutable_evaluation()->set_metric("loss");
  attune::v1::TemplateSearch& search =
      *spec.mutable_method()->mutable_hard_prompt()->mutable_template_search();
  search.set_num_generated(2);
  search.set_label_words(true);
  return input;
}

TEST(Attempt, ATemplateThatIsFoundIsTheVersions) {
  const AttemptInput input = ToySearch();
  RecordingListener listener;

  const absl::StatusOr<AttemptResult> result = RunJob(input, listener);

  ASSERT_OK(result);
  const TuningReport& report = result->report;
  ASSERT_GT(report.template_candidates_size(), 8);
  const attune::v1::TemplateCandidate& best = report.template_candidates(0);
  EXPECT_TRUE(best.kept());
  EXPECT_NE(best.origin(), attune::v1::TemplateCandidate::ORIGIN_TASK);
  // The validation after the search measures the same.
  EXPECT_NEAR(report.best_validation_metric(), best.metric(), 1e-5);
  const attune::v1::TaskSpec& task = listener.specs.at(0).task();
  EXPECT_EQ(task.template_(), best.template_());
  EXPECT_EQ(DecodePrompt(result->artifact)->manifest.task().template_(),
            best.template_());
  // The base answers by the job's own template.
  AttemptInput own = input;
  own.job.mutable_spec()->mutable_method()->mutable_hard_prompt()->Clear();
  EXPECT_NEAR(RunJob(own)->report.before().loss(), report.before().loss(),
              1e-6);
  EXPECT_NE(report.before().loss(), report.after().loss());
  EXPECT_TRUE(report.has_comparison());
  // Its resolved spec gives the same version without a search.
  AttemptInput again = input;
  *again.job.mutable_spec() = result->resolved_spec;
  EXPECT_NEAR(RunJob(again)->report.after().loss(), report.after().loss(),
              1e-6);
  EXPECT_EQ(RunJob(again)->report.template_candidates_size(), 0);
}

TEST(Attempt, DemonstrationsAreChosenForTheTemplateThatIsFound) {
  AttemptInput input = ToySearch();
  input.job.mutable_spec()
      ->mutable_method()
      ->mutable_hard_prompt()
      ->set_num_demonstrations(2);

  const AttemptResult result = *RunJob(input);

  EXPECT_EQ(result.resolved_spec.task().demonstrations_size(), 2);
  EXPECT_EQ(result.resolved_spec.task().template_(),
            result.report.template_candidates(0).template_());
}

TEST(Attempt, SeveralTemplatesAnswerTogether) {
  AttemptInput input = ToyJob(0);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.clear_training();
  spec.mutable_method()->mutable_hard_prompt()->set_num_demonstrations(2);
  const AttemptResult alone = *RunJob(input);
  spec.mutable_task()->add_more_templates("{{ text }} is");

  const AttemptResult together = *RunJob(input);

  EXPECT_NE(together.report.after().loss(), alone.report.after().loss());
  EXPECT_NE(together.report.before().loss(), alone.report.before().loss());
  EXPECT_EQ(
      DecodePrompt(together.artifact)->manifest.task().more_templates_size(),
      1);
}

TEST(Attempt, ASearchCanBeStopped) {
  RecordingListener listener;
  listener.stop_phase = TuningProgress::PHASE_SEARCHING;

  EXPECT_THAT(RunJob(ToySearch(), listener),
              ReasonIs(Reason::kCancelled, HasSubstr("stopped")));
  EXPECT_THAT(listener.specs, IsEmpty());
}

TEST(Attempt, APromptIsTunedBehindDemonstrations) {
  AttemptInput input = ToyJob(5);
  attune::v1::Demonstration& one =
      *input.job.mutable_spec()->mutable_task()->add_demonstrations();
  (*one.mutable_fields()->mutable_fields())["text"].set_string_value("41");
  one.set_answer("left");

  const absl::StatusOr<AttemptResult> result = RunJob(input);

  ASSERT_OK(result);
  EXPECT_EQ(DecodePrompt(result->artifact)->length(), 8);
  EXPECT_EQ(result->resolved_spec.task().demonstrations_size(), 1);
}

TEST(Attempt, GoesOnFromAVersion) {
  const AttemptResult first = *RunJob(ToyJob(100));
  AttemptInput input = ToyJob(1);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.mutable_method()->mutable_prompt_tuning()->set_init_version(
      "prompts/toy/versions/1");
  // One step of nearly nothing.
  spec.mutable_training()->mutable_learning_rate()->set_value(1e-9);
  input.init_version = first.artifact;

  const absl::StatusOr<AttemptResult> second = RunJob(input);

  ASSERT_OK(second);
  EXPECT_NEAR(second->report.after().loss(), first.report.after().loss(), 1e-3);
  EXPECT_EQ(second->resolved_spec.method().prompt_tuning().initialisation(),
            attune::v1::PromptTuning::INITIALISATION_VERSION);
}

TEST(Attempt, RefusesAVersionOfAnotherModel) {
  AttemptInput input = ToyJobOn("other", 5);
  input.job.mutable_spec()
      ->mutable_method()
      ->mutable_prompt_tuning()
      ->set_init_version("prompts/toy/versions/1");
  input.init_version = RunJob(ToyJob(1))->artifact;

  EXPECT_THAT(RunJob(input), ReasonIs(Reason::kModelMismatch,
                                      HasSubstr("prompts/toy/versions/1")));
}

TEST(Attempt, RefusesWhatAnEncoderCannotDo) {
  AttemptInput input = ToyGeneration(5);
  input.job.mutable_spec()->set_base_model("models/encoder");
  AttemptInput words = ToyJobOn("encoder", 5);
  words.job.mutable_spec()->mutable_task()->set_label_scoring(
      attune::v1::LABEL_SCORING_WORDS);
  AttemptInput head = ToyJob(5);
  head.job.mutable_spec()->mutable_task()->set_label_scoring(
      attune::v1::LABEL_SCORING_HEAD);

  EXPECT_THAT(RunJob(input).status(),
              ReasonIs(Reason::kInvalidField, HasSubstr("can't generate")));
  EXPECT_THAT(RunJob(words).status(),
              ReasonIs(Reason::kInvalidField, HasSubstr("label_scoring")));
  EXPECT_THAT(RunJob(head).status(),
              ReasonIs(Reason::kUnsupportedField, HasSubstr("label_scoring")));
}

TEST(Attempt, RefusesAnUnknownModel) {
  AttemptInput input = ToyJob(5);
  input.job.mutable_spec()->set_base_model("models/none");

  EXPECT_THAT(RunJob(input),
              ReasonIs(Reason::kUnknownBaseModel, HasSubstr("none")));
}

TEST(Attempt, RefusesATemplateThatNamesAnotherField) {
  AttemptInput input = ToyJob(5);
  input.job.mutable_spec()->mutable_task()->set_template_("{{ question }}");

  EXPECT_THAT(RunJob(input),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("question")));
}

TEST(Attempt, RefusesRowsOfOneClass) {
  AttemptInput input = ToyJob(5);
  for (std::string& row : input.rows) {
    row = R"({"text": "1", "label": "left"})";
  }

  EXPECT_THAT(RunJob(input),
              ReasonIs(Reason::kInvalidData, HasSubstr("'left'")));
}

TEST(Attempt, RefusesTooManyLabelsBeforeItTellsOfThem) {
  AttemptInput input = ToyJob(5);
  input.rows.clear();
  for (int i = 0; i < 2 * 1'001; ++i) {
    input.rows.push_back(
        absl::StrCat(R"({"text": "1", "label": "l)", i / 2, "\"}"));
  }

  RecordingListener listener;

  EXPECT_THAT(RunJob(input, listener),
              ReasonIs(Reason::kInvalidField, HasSubstr("2 to 1,000 labels")));
  EXPECT_THAT(listener.specs, IsEmpty());
}

TEST(Attempt, RefusesSettingsOutOfRange) {
  AttemptInput input = ToyJob(5);
  input.job.mutable_spec()
      ->mutable_method()
      ->mutable_prompt_tuning()
      ->set_num_virtual_tokens(129);

  EXPECT_THAT(RunJob(input),
              ReasonIs(Reason::kInvalidField, HasSubstr("num_virtual_tokens")));
}

TEST(Attempt, FailsWhereTrainingDiverges) {
  AttemptInput input = ToyJob(60);
  attune::v1::TrainingConfig& training =
      *input.job.mutable_spec()->mutable_training();
  training.mutable_learning_rate()->set_value(10);
  training.mutable_adam_epsilon()->set_value(1e-8);
  training.set_weight_decay(1);
  training.mutable_warmup_steps()->set_value(0);
  training.set_learning_rate_schedule(
      attune::v1::TrainingConfig::LEARNING_RATE_SCHEDULE_CONSTANT);

  // Decay of 10 times the weights in every step leaves the numbers' range.
  EXPECT_THAT(RunJob(input),
              ReasonIs(Reason::kNonfiniteLoss, HasSubstr("learning_rate")));
}

}  // namespace
}  // namespace attune::worker
