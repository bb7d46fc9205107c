#include "worker/tuning/validation_history.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace attune::worker {
namespace {

using ::attune::v1::EvaluationReport;

EvaluationReport WithClasses(int count) {
  EvaluationReport report;
  report.set_loss(2);
  for (int i = 0; i < count; ++i) report.add_classes();
  report.mutable_confusion_matrix()->add_counts(1);
  report.add_reliability();
  return report;
}

// A validation after every tenth step.
void Validate(int count, v1::CheckpointManifest& progress) {
  for (int i = 0; i < count; ++i) {
    progress.set_step(progress.step() + 10);
    KeepValidation(WithClasses(2), progress.step() / 100.0, progress);
  }
}

std::vector<int> Steps(const v1::CheckpointManifest& progress) {
  std::vector<int> steps;
  for (const auto& one : progress.validations()) steps.push_back(one.step());
  return steps;
}

TEST(ValidationHistory, KeepsFewWhole) {
  v1::CheckpointManifest progress;
  Validate(3, progress);

  EXPECT_EQ(Steps(progress), (std::vector<int>{10, 20, 30}));
  EXPECT_DOUBLE_EQ(progress.validations(2).epoch(), 0.3);
  EXPECT_DOUBLE_EQ(progress.validations(2).report().loss(), 2);
  EXPECT_EQ(progress.validations(2).report().classes_size(), 2);
}

TEST(ValidationHistory, KeepsManyEvenlyAndAlwaysTheNewest) {
  v1::CheckpointManifest progress;
  for (int count = 1; count <= 1000; ++count) {
    Validate(1, progress);
    const std::vector<int> steps = Steps(progress);
    ASSERT_LE(steps.size(), static_cast<size_t>(kMaxKeptValidations));
    ASSERT_GE(steps.size(), std::min<size_t>(count, 25));
    ASSERT_EQ(steps.back(), 10 * count);
    ASSERT_TRUE(ValidationsAreSound(progress));
    // All but the newest are equally far from each other.
    std::set<int> distances;
    for (size_t i = 1; i + 1 < steps.size(); ++i) {
      distances.insert(steps[i] - steps[i - 1]);
    }
    ASSERT_LE(distances.size(), 1u) << "after " << count;
  }
}

TEST(ValidationHistory, ShortensReports) {
  v1::CheckpointManifest progress;
  progress.set_step(1);
  EvaluationReport many = WithClasses(kMaxKeptClasses + 1);
  for (int i = 0; i <= kMaxKeptClasses; ++i) many.add_tags();
  KeepValidation(many, 1, progress);

  const EvaluationReport& kept = progress.validations(0).report();
  EXPECT_FALSE(kept.has_confusion_matrix());
  EXPECT_EQ(kept.reliability_size(), 0);
  EXPECT_EQ(kept.classes_size(), 0);
  EXPECT_EQ(kept.tags_size(), 0);
  EXPECT_DOUBLE_EQ(kept.loss(), 2);
}

TEST(ValidationHistory, FindsWhatCannotBe) {
  v1::CheckpointManifest sound;
  EXPECT_TRUE(ValidationsAreSound(sound));  // of an older checkpoint
  Validate(60, sound);
  EXPECT_TRUE(ValidationsAreSound(sound));
  v1::CheckpointManifest later = sound;
  later.mutable_validations(3)->set_step(sound.step() + 1);
  EXPECT_FALSE(ValidationsAreSound(later));
  v1::CheckpointManifest twice = sound;
  twice.mutable_validations(3)->set_step(twice.validations(2).step());
  EXPECT_FALSE(ValidationsAreSound(twice));
  v1::CheckpointManifest odd = sound;
  odd.set_validations_per_kept(3);
  EXPECT_FALSE(ValidationsAreSound(odd));
  v1::CheckpointManifest pending = sound;
  pending.set_num_validations_pending(sound.validations_per_kept());
  EXPECT_FALSE(ValidationsAreSound(pending));
  v1::CheckpointManifest none;
  none.set_validations_per_kept(2);
  none.set_num_validations_pending(1);
  EXPECT_FALSE(ValidationsAreSound(none));
}

}  // namespace
}  // namespace attune::worker
