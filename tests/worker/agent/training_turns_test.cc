#include "worker/agent/training_turns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/testing/fake_clock.h"

namespace attune::worker {
namespace {

constexpr absl::Duration kLeastTurn = absl::Milliseconds(50);

class TrainingTurnsTest : public testing::Test {
 protected:
  // A job that makes `num_steps` steps of `cost` and notes each in order_.
  std::thread Job(char name, int num_steps, absl::Duration cost) {
    return std::thread([this, name, num_steps, cost] {
      TrainingTurns::Place place(turns_);
      for (int i = 0; i < num_steps; ++i) {
        place.Take();
        EXPECT_EQ(++computing_, 1) << "two at once";
        order_.push_back(name);  // only the holder writes
        clock_.Advance(cost);
        --computing_;
      }
    });
  }
  void WaitForWaiting(int count) {
    while (turns_.num_waiting() != count) std::this_thread::yield();
  }
  // Runs the jobs, which all wait when the first of them begins. Jobs with the
  // same time come in the order in which they are given.
  void RunTogether(const std::vector<std::function<std::thread()>>& begin) {
    TrainingTurns::Place gate(turns_);
    gate.Take();
    std::vector<std::thread> threads;
    for (const auto& job : begin) {
      threads.push_back(job());
      WaitForWaiting(static_cast<int>(threads.size()));
    }
    gate.Leave();
    for (std::thread& thread : threads) thread.join();
  }

  FakeClock clock_;
  TrainingTurns turns_{clock_, kLeastTurn};
  std::atomic<int> computing_ = 0;
  std::string order_;
};

TEST_F(TrainingTurnsTest, AJobAloneNeverWaits) {
  Job('a', 5, absl::Seconds(1)).join();

  EXPECT_EQ(order_, "aaaaa");
  EXPECT_EQ(turns_.num_waiting(), 0);
}

TEST_F(TrainingTurnsTest, EqualJobsTakeTurns) {
  RunTogether({[this] { return Job('a', 3, kLeastTurn); },
               [this] { return Job('b', 3, kLeastTurn); },
               [this] { return Job('c', 3, kLeastTurn); }});

  EXPECT_EQ(order_, "abcabcabc");
}

TEST_F(TrainingTurnsTest, AJobWithExpensiveStepsMakesFewer) {
  RunTogether({[this] { return Job('x', 2, 4 * kLeastTurn); },
               [this] { return Job('y', 8, kLeastTurn); }});

  EXPECT_EQ(order_, "xyyyyxyyyy");
}

TEST_F(TrainingTurnsTest, ShortStepsShareATurn) {
  RunTogether({[this] { return Job('a', 10, kLeastTurn / 5); },
               [this] { return Job('b', 10, kLeastTurn / 5); }});

  EXPECT_EQ(order_, "aaaaabbbbbaaaaabbbbb");
}

TEST_F(TrainingTurnsTest, ANewcomerDoesNotCatchUpWithThePast) {
  TrainingTurns::Place old(turns_);
  old.Take();
  clock_.Advance(absl::Hours(10));
  std::thread young = Job('n', 3, kLeastTurn);
  WaitForWaiting(1);

  for (int i = 0; i < 3; ++i) {
    old.Take();
    order_.push_back('o');
    clock_.Advance(kLeastTurn);
  }
  old.Leave();
  young.join();

  EXPECT_EQ(order_, "nonono");
}

TEST_F(TrainingTurnsTest, WhoHurriesComesNextWhateverTimeItHasHad) {
  TrainingTurns::Place greedy(turns_);
  TrainingTurns::Place newcomer(turns_);
  newcomer.Take();
  newcomer.Leave();
  greedy.Take();
  clock_.Advance(absl::Hours(1));
  // Joins with as much time as the greedy one, and has the turn from now on.
  std::thread other([&] {
    newcomer.Take();
    order_.push_back('n');
    WaitForWaiting(1);  // the greedy one, which has had more
    clock_.Advance(absl::Seconds(1));
    greedy.Hurry();
    newcomer.Take();  // passes the turn on
    order_.push_back('n');
    newcomer.Leave();
  });
  WaitForWaiting(1);
  clock_.Advance(absl::Hours(1));
  greedy.Take();
  order_.push_back('g');
  WaitForWaiting(1);
  greedy.Leave();
  other.join();

  EXPECT_EQ(order_, "ngn");
}

TEST_F(TrainingTurnsTest, WhoeverLeavesLetsTheNextOneBegin) {
  TrainingTurns::Place first(turns_);
  first.Take();
  std::thread other = Job('b', 1, kLeastTurn);
  WaitForWaiting(1);

  first.Leave();
  first.Leave();
  other.join();

  EXPECT_EQ(order_, "b");
}

TEST_F(TrainingTurnsTest, CountsTheTimeOfTurnsOnly) {
  TrainingTurns::Place first(turns_);
  EXPECT_EQ(first.used(), absl::ZeroDuration());
  first.Take();
  clock_.Advance(absl::Seconds(3));
  EXPECT_EQ(first.used(), absl::Seconds(3));
  absl::Duration used_by_other;
  std::thread other([&] {
    TrainingTurns::Place place(turns_);
    place.Take();
    clock_.Advance(absl::Seconds(7));
    used_by_other = place.used();
  });
  WaitForWaiting(1);
  first.Take();
  other.join();

  EXPECT_EQ(first.used(), absl::Seconds(3));
  EXPECT_EQ(used_by_other, absl::Seconds(7));
}

}  // namespace
}  // namespace attune::worker
