#include "worker/tuning/training_series.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace attune::worker {
namespace {

using ::attune::v1::TrainingSeries;
using ::google::protobuf::util::MessageDifferencer;

constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();

// Makes steps whose loss is a function of the step.
class TrainingSeriesTest : public testing::Test {
 protected:
  static double LossAt(int step) { return (step * 37) % 101; }

  void Step(StepFacts facts, double remaining_seconds = 0) {
    progress_.set_step(progress_.step() + 1);
    RecordStep(facts, remaining_seconds, progress_);
  }
  void StepsUntil(int last) {
    while (progress_.step() < last) {
      const int step = progress_.step() + 1;
      Step({.loss = LossAt(step), .learning_rate = 1.0 / step});
    }
  }
  // Empty where there is none.
  TrainingSeries Named(const std::string& name) const {
    for (const TrainingSeries& series : SeriesOf(progress_)) {
      if (series.name() == name) return series;
    }
    return {};
  }
  v1::SeriesState& StateOf(const std::string& name) {
    for (v1::SeriesState& series : *progress_.mutable_series()) {
      if (series.name() == name) return series;
    }
    ADD_FAILURE() << "no series " << name;
    return *progress_.add_series();
  }

  v1::CheckpointManifest progress_;
};

TEST_F(TrainingSeriesTest, KeepsEveryStepOfAShortTraining) {
  StepsUntil(kMaxSeriesPoints - 1);

  const TrainingSeries loss = Named("loss");

  ASSERT_EQ(loss.values_size(), kMaxSeriesPoints - 1);
  for (int i = 0; i < loss.values_size(); ++i) {
    ASSERT_EQ(loss.steps(i), i + 1);
    ASSERT_EQ(loss.values(i), LossAt(i + 1));
  }
}

TEST_F(TrainingSeriesTest, LongTrainingsKeepMeansOfEquallyManySteps) {
  for (const int last : {500, 501, 1000, 1777, 5003}) {
    StepsUntil(last);
    const TrainingSeries loss = Named("loss");

    ASSERT_LE(loss.values_size(), kMaxSeriesPoints);
    ASSERT_GE(loss.values_size(), kMaxSeriesPoints / 2);
    EXPECT_EQ(loss.steps(loss.steps_size() - 1), last);
    int before = 0;
    for (int i = 0; i < loss.values_size(); ++i) {
      // Only the last point may be of fewer steps.
      const int width = loss.steps(i) - before;
      if (i + 1 < loss.values_size()) {
        ASSERT_EQ(width, loss.steps(0));
      } else {
        ASSERT_LE(width, loss.steps(0));
      }
      double mean = 0;
      for (int step = before + 1; step <= loss.steps(i); ++step) {
        mean += LossAt(step) / width;
      }
      // Sums of at most 16 numbers below 101 in another order.
      ASSERT_NEAR(loss.values(i), mean, 1e-11) << last << ", point " << i;
      before = loss.steps(i);
    }
  }
}

TEST_F(TrainingSeriesTest, TheLearningRateIsThatOfThePointsLastStep) {
  StepsUntil(1777);

  const TrainingSeries rate = Named("learning_rate");

  for (int i = 0; i < rate.values_size(); ++i) {
    ASSERT_EQ(rate.values(i), 1.0 / rate.steps(i));
  }
}

TEST_F(TrainingSeriesTest, StoresWhatAStepWasLike) {
  progress_.set_training_seconds(2.5);
  Step({.loss = 0.5,
        .learning_rate = 0.1,
        .grad_norm = 3,
        .num_rows = 100,
        .duration = absl::Seconds(2),
        .front = FrontNorms{.norm = 7, .drift = 0.25}},
       /*remaining_seconds=*/30);

  EXPECT_EQ(Named("loss").values(0), 0.5);
  EXPECT_EQ(Named("learning_rate").values(0), 0.1);
  EXPECT_EQ(Named("grad_norm").values(0), 3);
  EXPECT_EQ(Named("prompt_norm").values(0), 7);
  EXPECT_EQ(Named("prompt_drift").values(0), 0.25);
  EXPECT_EQ(Named("tokens_per_second").values(0), 50);
  EXPECT_EQ(Named("training_seconds").values(0), 2.5);
  EXPECT_EQ(Named("remaining_seconds").values(0), 30);
}

TEST_F(TrainingSeriesTest, WhatIsNotKnownHasNoPoint) {
  Step({.loss = kNotANumber, .learning_rate = 0.1, .grad_norm = kNotANumber});
  Step({.loss = 2, .learning_rate = 0.1, .grad_norm = 1});

  EXPECT_EQ(Named("loss").steps_size(), 1);
  EXPECT_EQ(Named("loss").steps(0), 2);
  EXPECT_EQ(Named("learning_rate").steps_size(), 2);
  for (const char* name : {"prompt_norm", "prompt_drift", "tokens_per_second",
                           "remaining_seconds"}) {
    EXPECT_EQ(Named(name).name(), "") << name;
  }
}

TEST_F(TrainingSeriesTest, ValidationsAreSeriesOfTheirOwn) {
  StepsUntil(5);
  RecordValidation("accuracy", 0.75, 0.9, progress_);
  StepsUntil(10);
  RecordValidation("accuracy", 0.5, 1.5, progress_);

  EXPECT_EQ(Named("validation_accuracy").steps(1), 10);
  EXPECT_EQ(Named("validation_accuracy").values(0), 0.75);
  EXPECT_EQ(Named("validation_loss").values(1), 1.5);
}

TEST_F(TrainingSeriesTest, AValidationByLossIsOneSeries) {
  StepsUntil(5);
  RecordValidation("loss", 0.9, 0.9, progress_);

  EXPECT_EQ(Named("validation_loss").values_size(), 1);
}

TEST_F(TrainingSeriesTest, GoesOnFromItsStoredStateAsIfItHadNotStopped) {
  StepsUntil(1234);
  v1::CheckpointManifest stored;
  ASSERT_TRUE(stored.ParseFromString(progress_.SerializeAsString()));
  StepsUntil(2345);
  const v1::CheckpointManifest whole = progress_;

  progress_ = stored;
  StepsUntil(2345);

  EXPECT_TRUE(MessageDifferencer::Equals(progress_, whole));
}

TEST_F(TrainingSeriesTest, FindsNothingWrongInItsOwnStates) {
  for (const int last : {1, 499, 500, 501, 1333}) {
    StepsUntil(last);
    EXPECT_EQ(FindSeriesFault(progress_), std::nullopt) << last;
  }
}

TEST_F(TrainingSeriesTest, NamesTheSeriesThatContradictsItself) {
  StepsUntil(1333);
  const v1::CheckpointManifest good = progress_;
  const std::vector<void (*)(v1::SeriesState&)> damages = {
      [](v1::SeriesState& s) { s.clear_name(); },
      [](v1::SeriesState& s) { s.set_values_per_point(0); },
      [](v1::SeriesState& s) { s.set_values_per_point(3); },
      [](v1::SeriesState& s) { s.add_values(1); },
      [](v1::SeriesState& s) { s.set_values(3, kNotANumber); },
      [](v1::SeriesState& s) { s.set_steps(3, s.steps(2)); },
      [](v1::SeriesState& s) { s.set_steps(0, 0); },
      [](v1::SeriesState& s) { s.set_num_pending(-1); },
      [](v1::SeriesState& s) { s.set_num_pending(s.values_per_point()); },
      [](v1::SeriesState& s) { s.set_pending_value(kNotANumber); },
      [](v1::SeriesState& s) {
        s.set_num_pending(1);
        s.set_pending_step(1334);
      },
  };
  for (size_t i = 0; i < damages.size(); ++i) {
    progress_ = good;
    damages[i](StateOf("loss"));

    ASSERT_TRUE(FindSeriesFault(progress_).has_value()) << "damage " << i;
  }
  progress_ = good;
  StateOf("learning_rate").set_name("loss");
  EXPECT_NE(FindSeriesFault(progress_)->find("'loss'"), std::string::npos);
}

TEST_F(TrainingSeriesTest, FindsMorePointsThanThereMayBe) {
  StepsUntil(499);
  progress_.set_step(500);
  StateOf("loss").add_steps(500);
  StateOf("loss").add_values(1);

  EXPECT_TRUE(FindSeriesFault(progress_).has_value());
}

TEST_F(TrainingSeriesTest, FindsMoreSeriesThanThereMayBe) {
  StepsUntil(1);
  for (int i = 0; i < 64; ++i) progress_.add_series();

  EXPECT_NE(FindSeriesFault(progress_)->find("at most 64"), std::string::npos);
}

}  // namespace
}  // namespace attune::worker
