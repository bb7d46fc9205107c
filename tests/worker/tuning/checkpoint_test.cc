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
  TrainingState state = MakeInitialState(at::randn({3, 4}), Job());
  state.exp_avg = at::randn({3, 4});
  state.exp_avg_sq = at::randn({3, 4}).square();
  state.progress.set_step(40);
  state.progress.set_rows_taken(640);
  state.progress.set_smoothed_loss(0.1 + 0.2);
  state.progress.set_training_seconds(1.0 / 3.0);
  if (has_best) {
    state.best_prompt = at::randn({3, 4});
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

    EXPECT_TRUE(again.prompt.equal(state.prompt));
    EXPECT_TRUE(again.exp_avg.equal(state.exp_avg));
    EXPECT_TRUE(again.exp_avg_sq.equal(state.exp_avg_sq));
    EXPECT_EQ(again.best_prompt.defined(), has_best);
    if (has_best) {
      EXPECT_TRUE(again.best_prompt.equal(state.best_prompt));
    }
    EXPECT_TRUE(MessageDifferencer::Equals(again.progress, state.progress));
  }
}

TEST(Checkpoint, EqualStatesGiveEqualBytes) {
  const TrainingState state = State(true);

  EXPECT_EQ(EncodeCheckpoint(state)->files, EncodeCheckpoint(state)->files);
}

TEST(Checkpoint, BeginsWithoutMomentum) {
  const at::Tensor prompt = at::randn({3, 4});

  const TrainingState state = MakeInitialState(prompt, Job());

  EXPECT_TRUE(state.prompt.equal(prompt));
  EXPECT_FALSE(state.prompt.is_alias_of(prompt));
  EXPECT_TRUE(state.exp_avg.equal(at::zeros({3, 4})));
  EXPECT_EQ(state.progress.format_version(), 1);
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
  EXPECT_THAT(ErrorOf(WithTensors({{"prompt", good},
                                   {"exp_avg", good},
                                   {"exp_avg_sq", at::zeros({4, 3})}})),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("differ in shape")));
  EXPECT_THAT(ErrorOf(WithTensors({{"prompt", good}, {"exp_avg", good}})),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("exp_avg_sq")));
  EXPECT_THAT(ErrorOf(WithTensors({{"prompt", good},
                                   {"exp_avg", good},
                                   {"exp_avg_sq", good},
                                   {"more", good}})),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("4 tensors")));
}

TEST(Checkpoint, RefusesNumbersThatAreNotFinite) {
  const at::Tensor good = at::zeros({3, 4});
  EXPECT_THAT(ErrorOf(WithTensors(
                  {{"prompt",
                    at::full({3, 4}, std::numeric_limits<float>::quiet_NaN())},
                   {"exp_avg", good},
                   {"exp_avg_sq", good}})),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("'prompt'")));
}

TEST(Checkpoint, RefusesCountersThatContradictEachOther) {
  TrainingState state = State(true);
  state.progress.set_best_step(41);

  EXPECT_THAT(ErrorOf(*EncodeCheckpoint(state)),
              ReasonIs(Reason::kCorruptArtifact, HasSubstr("contradict")));
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
  EXPECT_OK(CheckCheckpointFits(state, Job(), 3, 4));

  v1::CheckpointManifest other_job = Job();
  other_job.set_tuning_job("tuningJobs/k");
  v1::CheckpointManifest other_model = Job();
  other_model.set_model_fingerprint("xyz");
  v1::CheckpointManifest other_rows = Job();
  other_rows.set_snapshot_digest("xyz");
  v1::CheckpointManifest other_spec = Job();
  other_spec.mutable_resolved_spec()->set_prompt("prompts/q");

  EXPECT_THAT(CheckCheckpointFits(state, other_job, 3, 4),
              ReasonIs(Reason::kIllegalState, HasSubstr("tuningJobs/k")));
  EXPECT_THAT(CheckCheckpointFits(state, other_model, 3, 4),
              ReasonIs(Reason::kIllegalState, HasSubstr("model")));
  EXPECT_THAT(CheckCheckpointFits(state, other_rows, 3, 4),
              ReasonIs(Reason::kIllegalState, HasSubstr("rows")));
  EXPECT_THAT(CheckCheckpointFits(state, other_spec, 3, 4),
              ReasonIs(Reason::kIllegalState, HasSubstr("another spec")));
  EXPECT_THAT(CheckCheckpointFits(state, Job(), 5, 4),
              ReasonIs(Reason::kIllegalState, HasSubstr("3 x 4")));
}

}  // namespace
}  // namespace attune::worker
