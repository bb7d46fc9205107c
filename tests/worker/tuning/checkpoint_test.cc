#include "worker/tuning/checkpoint.h"

#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "google/protobuf/util/message_differencer.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "worker/models/safetensors.h"

namespace attune::worker {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::HasSubstr;

constexpr char kManifest[] = "checkpoint.json";
constexpr char kTensors[] = "checkpoint.safetensors";

v1::CheckpointManifest Job() {
  v1::CheckpointManifest job;
  job.set_tuning_job("tuningJobs/j");
  job.set_model_fingerprint("abc");
  job.set_snapshot_digest("def");
  job.mutable_resolved_spec()->set_prompt("prompts/p");
  return job;
}

TrainingState State(bool has_best) {
  TrainingState state = MakeInitialState(
      {{"prompt", at::randn({3, 4})}, {"head.bias", at::randn({2})}}, Job());
  for (auto& [name, trained] : state.tensors) {
    trained.slots["exp_avg"] = at::randn(trained.value.sizes());
    trained.slots["exp_avg_sq"] = at::randn(trained.value.sizes()).square();
    if (has_best) trained.best = at::randn(trained.value.sizes());
  }
  state.progress.set_step(40);
  state.progress.set_rows_taken(640);
  state.progress.set_smoothed_loss(0.1 + 0.2);
  state.progress.set_training_seconds(1.0 / 3.0);
  if (has_best) {
    state.progress.set_has_best(true);
    state.progress.set_best_step(30);
    state.progress.set_best_metric(0.9);
  }
  return state;
}

absl::Status ErrorOf(const Artifact& artifact) {
  return DecodeCheckpoint(artifact).status();
}

TEST(Checkpoint, ReadsBackEveryBit) {
  for (bool has_best : {false, true}) {
    const TrainingState state = State(has_best);

    const TrainingState again = *DecodeCheckpoint(*EncodeCheckpoint(state));

    ASSERT_EQ(again.tensors.size(), 2u);
    for (const auto& [name, trained] : state.tensors) {
      const TrainedTensor& read = again.tensors.at(name);
      EXPECT_TRUE(read.value.equal(trained.value)) << name;
      ASSERT_EQ(read.slots.size(), 2u);
      for (const auto& [slot, tensor] : trained.slots) {
        EXPECT_TRUE(read.slots.at(slot).equal(tensor)) << name << " " << slot;
      }
      EXPECT_EQ(read.best.defined(), has_best) << name;
      if (has_best) {
        EXPECT_TRUE(read.best.equal(trained.best)) << name;
      }
    }
    EXPECT_TRUE(MessageDifferencer::Equals(again.progress, state.progress));
  }
}

v1::CheckpointManifest JobWithMean() {
  v1::CheckpointManifest job = Job();
  job.mutable_resolved_spec()
      ->mutable_training()
      ->mutable_ema_decay()
      ->set_value(0.9);
  return job;
}

TEST(Checkpoint, ReadsBackTheRunningMeanThatIsMeasured) {
  const at::Tensor prompt = at::randn({3, 4});
  TrainingState state = MakeInitialState({{"prompt", prompt}}, JobWithMean());
  TrainedTensor& trained = state.tensors.at("prompt");
  EXPECT_TRUE(trained.mean.equal(prompt));
  EXPECT_FALSE(trained.mean.is_alias_of(trained.value));
  trained.mean.add_(1);

  const TrainingState again = *DecodeCheckpoint(*EncodeCheckpoint(state));

  EXPECT_TRUE(again.Measured().at("prompt").equal(prompt + 1));
  EXPECT_TRUE(again.Values().at("prompt").equal(prompt));
}

TEST(Checkpoint, RefusesAMeanThatIsMissingOrThatNobodyAskedFor) {
  TrainingState with =
      MakeInitialState({{"prompt", at::randn({3, 4})}}, JobWithMean());
  with.tensors.at("prompt").mean = at::Tensor();
  EXPECT_THAT(ErrorOf(*EncodeCheckpoint(with)),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("mean/prompt")));

  TrainingState without =
      MakeInitialState({{"prompt", at::randn({3, 4})}}, Job());
  without.tensors.at("prompt").mean = at::randn({3, 4});
  EXPECT_THAT(
      ErrorOf(*EncodeCheckpoint(without)),
      ReasonIs(Reason::kCorruptArtifact, HasSubstr("4 tensors instead of 3")));
}

TEST(Checkpoint, EqualStatesGiveEqualBytes) {
  const TrainingState state = State(true);

  EXPECT_EQ(EncodeCheckpoint(state)->files, EncodeCheckpoint(state)->files);
}

TEST(Checkpoint, BeginsWithoutMomentum) {
  const at::Tensor prompt = at::randn({3, 4});

  const TrainingState state = MakeInitialState({{"prompt", prompt}}, Job());

  const TrainedTensor& trained = state.tensors.at("prompt");
  EXPECT_TRUE(trained.value.equal(prompt));
  EXPECT_FALSE(trained.value.is_alias_of(prompt));
  EXPECT_TRUE(trained.slots.at("exp_avg").equal(at::zeros({3, 4})));
  EXPECT_TRUE(trained.slots.at("exp_avg_sq").equal(at::zeros({3, 4})));
  EXPECT_EQ(state.progress.format_version(), 4);
  EXPECT_FALSE(trained.mean.defined());
  EXPECT_TRUE(trained.Measured().is_same(trained.value));
}

TEST(Checkpoint, RefusesAMissingFile) {
  for (const char* name : {kManifest, kTensors}) {
    Artifact artifact = *EncodeCheckpoint(State(true));
    artifact.files.erase(name);

    EXPECT_THAT(ErrorOf(artifact),
                ReasonIs(Reason::kCorruptArtifact, HasSubstr(name)));
  }
}

TEST(Checkpoint, RefusesEveryTruncation) {
  const Artifact whole = *EncodeCheckpoint(State(true));
  for (const char* name : {kManifest, kTensors}) {
    for (size_t size = 0; size + 2 < whole.files.at(name).size(); size += 7) {
      Artifact artifact = whole;
      artifact.files[name].resize(size);

      EXPECT_THAT(ErrorOf(artifact),
                  ReasonIs(Reason::kCorruptArtifact, HasSubstr(name)));
    }
  }
}

Artifact WithTensors(const TensorMap& tensors) {
  Artifact artifact = *EncodeCheckpoint(State(/*has_best=*/false));
  artifact.files[kTensors] = *WriteSafetensors(tensors);
  return artifact;
}

TEST(Checkpoint, RefusesTensorsThatDoNotBelongTogether) {
  const at::Tensor good = at::zeros({3, 4});
  EXPECT_THAT(
      ErrorOf(WithTensors({{"value/prompt", good},
                           {"slot/exp_avg/prompt", good},
                           {"slot/exp_avg_sq/prompt", at::zeros({4, 3})}})),
      ReasonIs(Reason::kCorruptArtifact,
               HasSubstr("'slot/exp_avg_sq/prompt' has the shape [4 x 3], not "
                         "[3 x 4]")));
  EXPECT_THAT(ErrorOf(WithTensors(
                  {{"value/prompt", good}, {"slot/exp_avg/prompt", good}})),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("exp_avg_sq")));
  EXPECT_THAT(ErrorOf(WithTensors({{"value/prompt", good},
                                   {"slot/exp_avg/prompt", good},
                                   {"slot/exp_avg_sq/prompt", good},
                                   {"best/more", good}})),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("4 tensors")));
  EXPECT_THAT(ErrorOf(WithTensors({{"best/prompt", good}})),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("instead of 0")));
}

TEST(Checkpoint, RefusesSlotsOfAnotherOptimiser) {
  TrainingState state = State(/*has_best=*/true);
  state.progress.mutable_resolved_spec()->mutable_training()->set_optimizer(
      attune::v1::TrainingConfig::OPTIMIZER_ADAFACTOR);

  EXPECT_THAT(ErrorOf(*EncodeCheckpoint(state)),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("slot/")));
}

TEST(Checkpoint, ReadsBackTheSlotsOfEveryOptimiser) {
  for (auto optimizer : {attune::v1::TrainingConfig::OPTIMIZER_SGD,
                         attune::v1::TrainingConfig::OPTIMIZER_ADAFACTOR}) {
    v1::CheckpointManifest job = Job();
    auto& training = *job.mutable_resolved_spec()->mutable_training();
    training.set_optimizer(optimizer);
    training.mutable_sgd_momentum()->set_value(0.9);
    TrainingState state = MakeInitialState(
        {{"prompt", at::randn({3, 4})}, {"head.bias", at::randn({2})}}, job);
    for (auto& [name, trained] : state.tensors) {
      ASSERT_FALSE(trained.slots.empty());
      for (auto& [slot, tensor] : trained.slots) {
        tensor = at::randn(tensor.sizes());
      }
    }

    const auto again = DecodeCheckpoint(*EncodeCheckpoint(state));

    ASSERT_OK(again);
    for (const auto& [name, trained] : state.tensors) {
      const TensorMap& slots = again->tensors.at(name).slots;
      ASSERT_EQ(slots.size(), trained.slots.size());
      for (const auto& [slot, tensor] : trained.slots) {
        EXPECT_TRUE(slots.at(slot).equal(tensor)) << name << " " << slot;
      }
    }
  }
}

TEST(Checkpoint, RefusesNumbersThatAreNotFinite) {
  const at::Tensor good = at::zeros({3, 4});
  EXPECT_THAT(ErrorOf(WithTensors(
                  {{"value/prompt",
                    at::full({3, 4}, std::numeric_limits<float>::quiet_NaN())},
                   {"slot/exp_avg/prompt", good},
                   {"slot/exp_avg_sq/prompt", good}})),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("'value/prompt'")));
}

TEST(Checkpoint, RefusesAPlateauThatCannotBe) {
  TrainingState state = State(true);
  state.progress.mutable_plateau()->set_num_reductions(41);
  EXPECT_THAT(ErrorOf(*EncodeCheckpoint(state)),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("contradict")));

  state.progress.mutable_plateau()->set_num_reductions(2);
  state.progress.mutable_plateau()->set_best_metric(
      std::numeric_limits<double>::quiet_NaN());
  EXPECT_THAT(ErrorOf(*EncodeCheckpoint(state)),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("best_metric")));
}

TEST(Checkpoint, RefusesCountersThatContradictEachOther) {
  TrainingState state = State(true);
  state.progress.set_best_step(41);

  EXPECT_THAT(ErrorOf(*EncodeCheckpoint(state)),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("contradict")));
}

TEST(Checkpoint, KeepsTheCourseOfTraining) {
  TrainingState state = State(true);
  v1::SeriesState& series = *state.progress.add_series();
  series.set_name("loss");
  series.set_values_per_point(2);
  series.add_steps(2);
  series.add_values(1.0 / 3.0);
  series.set_num_pending(1);
  series.set_pending_step(3);
  series.set_pending_value(0.1);
  state.progress.set_max_micro_batch_rows(77);

  const TrainingState again = *DecodeCheckpoint(*EncodeCheckpoint(state));

  EXPECT_TRUE(MessageDifferencer::Equals(again.progress, state.progress));
}

TEST(Checkpoint, RefusesSeriesThatContradictThemselves) {
  TrainingState state = State(true);
  v1::SeriesState& series = *state.progress.add_series();
  series.set_name("loss");
  series.set_values_per_point(1);
  series.add_steps(41);  // after the last step
  series.add_values(1);

  EXPECT_THAT(ErrorOf(*EncodeCheckpoint(state)),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("'loss'")));
}

TEST(Checkpoint, RefusesAnotherFormat) {
  TrainingState state = State(true);
  state.progress.set_format_version(2);

  EXPECT_THAT(
      ErrorOf(*EncodeCheckpoint(state)),
      ReasonIs(Reason::kCorruptArtifact, HasSubstr("format_version is 2")));
}

TEST(Checkpoint, FitsItsOwnJobOnly) {
  const TrainingState state = State(true);
  const TensorMap initial = state.Values();
  EXPECT_OK(CheckCheckpointFits(state, Job(), initial));

  v1::CheckpointManifest other_job = Job();
  other_job.set_tuning_job("tuningJobs/k");
  v1::CheckpointManifest other_model = Job();
  other_model.set_model_fingerprint("xyz");
  v1::CheckpointManifest other_rows = Job();
  other_rows.set_snapshot_digest("xyz");
  v1::CheckpointManifest other_spec = Job();
  other_spec.mutable_resolved_spec()->set_prompt("prompts/q");

  EXPECT_THAT(CheckCheckpointFits(state, other_job, initial),
              ReasonIs(Reason::kIllegalState, HasSubstr("tuningJobs/k")));
  EXPECT_THAT(CheckCheckpointFits(state, other_model, initial),
              ReasonIs(Reason::kIllegalState, HasSubstr("model")));
  EXPECT_THAT(CheckCheckpointFits(state, other_rows, initial),
              ReasonIs(Reason::kIllegalState, HasSubstr("rows")));
  EXPECT_THAT(CheckCheckpointFits(state, other_spec, initial),
              ReasonIs(Reason::kIllegalState, HasSubstr("another spec")));
  EXPECT_THAT(
      CheckCheckpointFits(state, Job(), {{"prompt", at::zeros({5, 4})}}),
      ReasonIs(Reason::kIllegalState,
               HasSubstr("'head.bias [2], prompt [3 x 4]', not 'prompt [5 x "
                         "4]'")));
}

}  // namespace
}  // namespace attune::worker
