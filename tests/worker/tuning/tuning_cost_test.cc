#include "worker/tuning/tuning_cost.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "proto/cc/status.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "tests/worker/tuning/recording_listener.h"
#include "tests/worker/tuning/toy_job.h"
#include "worker/prompts/prompt_codec.h"

namespace attune::worker {
namespace {

using ::attune::v1::TuningCost;

absl::StatusOr<TuningCost> CostOf(const AttemptInput& input,
                                  const FakeClock& clock,
                                  const std::function<void()>& before_step) {
  absl::StatusOr<PreparedJob> job =
      PrepareJob(input.job.spec(), input.rows, TinyModels(), {});
  if (!job.ok()) return job.status();
  return MeasureTuningCost(*job, clock, before_step);
}

absl::StatusOr<TuningCost> CostOf(const AttemptInput& input) {
  return CostOf(input, FakeClock(), nullptr);
}

TEST(TuningCost, CountsWhatIsTrained) {
  const int64_t dim = TinyModel()->info.config.embedding_dim;

  const absl::StatusOr<TuningCost> cost = CostOf(ToyJob(30));

  ASSERT_OK(cost);
  EXPECT_EQ(cost->num_trained_parameters(), 8 * dim);
  EXPECT_EQ(cost->artifact_bytes(), 8 * dim * 4);
  EXPECT_EQ(cost->max_steps(), 30);
  // Value, gradient, the best and AdamW's two means.
  EXPECT_GT(cost->training_memory_bytes(), 5 * 8 * dim * 4);
}

TEST(TuningCost, AnArtifactIsAsLargeAsThatOfTheJob) {
  AttemptInput input = ToyJobOn("encoder", 5);
  input.job.mutable_spec()
      ->mutable_method()
      ->mutable_prompt_tuning()
      ->set_reparameterisation(
          attune::v1::PromptTuning::REPARAMETERISATION_MLP);
  RecordingListener listener;
  const absl::StatusOr<AttemptResult> result =
      RunAttempt(input, TinyModels(), FakeClock(), listener);
  ASSERT_OK(result);

  const absl::StatusOr<TuningCost> cost = CostOf(input);

  ASSERT_OK(cost);
  EXPECT_EQ(cost->artifact_bytes(),
            static_cast<int64_t>(DecodePrompt(result->artifact)->num_bytes()));
  EXPECT_GT(cost->num_trained_parameters() * 4, cost->artifact_bytes());
}

TEST(TuningCost, TokensAreAtLeastThoseOfTheJob) {
  for (const char* model : {"tiny", "encoder"}) {
    const AttemptInput input = ToyJobOn(model, 30);
    RecordingListener listener;
    const absl::StatusOr<AttemptResult> result =
        RunAttempt(input, TinyModels(), FakeClock(), listener);
    ASSERT_OK(result);

    const absl::StatusOr<TuningCost> cost = CostOf(input);

    ASSERT_OK(cost);
    EXPECT_GE(cost->num_training_tokens(), result->report.num_trained_tokens())
        << model;
    EXPECT_LE(cost->num_training_tokens(),
              2 * result->report.num_trained_tokens())
        << model;
  }
}

TEST(TuningCost, AStepIsMadeAndTimed) {
  FakeClock clock;
  int turns = 0;
  AttemptInput input = ToyJob(30);

  const absl::StatusOr<TuningCost> cost =
      CostOf(input, clock, [&turns] { ++turns; });

  ASSERT_OK(cost);
  EXPECT_GE(turns, 1);
  EXPECT_EQ(cost->training_seconds(), 0);  // this clock stands still
}

TEST(TuningCost, AVersionToStartFromNeedNotBeThere) {
  AttemptInput input = ToyJob(5);
  attune::v1::PromptTuning& tuning =
      *input.job.mutable_spec()->mutable_method()->mutable_prompt_tuning();
  tuning.set_init_version("prompts/p/versions/1");

  const absl::StatusOr<TuningCost> cost = CostOf(input);

  ASSERT_OK(cost);
  EXPECT_GT(cost->num_trained_parameters(), 0);
}

}  // namespace
}  // namespace attune::worker
