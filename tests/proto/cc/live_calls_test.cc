#include "proto/cc/live_calls.h"

#include <optional>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

class FakeCall final : public LiveCall {
 public:
  void End(const absl::Status& status) override { ended = status; }
  void Tick(absl::Duration now) override { ticked = now; }

  std::optional<absl::Status> ended;
  absl::Duration ticked;
};

TEST(LiveCalls, TheDrainEndsEachCallAndThoseThatComeLater) {
  LiveCalls calls;
  const auto early = std::make_shared<FakeCall>();
  const auto late = std::make_shared<FakeCall>();
  calls.Add(early);
  EXPECT_FALSE(early->ended);
  calls.Drain();
  calls.Add(late);

  EXPECT_TRUE(calls.draining());
  EXPECT_THAT(*early->ended, ReasonIs(Reason::kDraining, testing::_));
  EXPECT_THAT(*late->ended, ReasonIs(Reason::kDraining, testing::_));
}

TEST(LiveCalls, TicksTheCallsThatLive) {
  LiveCalls calls;
  const auto kept = std::make_shared<FakeCall>();
  const auto removed = std::make_shared<FakeCall>();
  calls.Add(kept);
  calls.Add(removed);
  calls.Add(std::make_shared<FakeCall>());  // gone at once
  calls.Remove(removed.get());
  calls.Tick(absl::Seconds(5));

  EXPECT_EQ(kept->ticked, absl::Seconds(5));
  EXPECT_EQ(removed->ticked, absl::ZeroDuration());
  EXPECT_EQ(calls.size(), 2u);
}

}  // namespace
}  // namespace attune
