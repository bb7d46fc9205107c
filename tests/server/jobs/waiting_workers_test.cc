#include "server/jobs/waiting_workers.h"

#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/testing/server_state.h"

namespace attune::server {
namespace {

bool Waits(const WaitingWorkers& waiting, const std::string& id) {
  return waiting.Any(
      [&](const worker::v1::WorkerState& worker) { return worker.id() == id; });
}

TEST(WaitingWorkers, AWorkerWaitsAsLongAsItsRegistrationLives) {
  WaitingWorkers waiting;
  EXPECT_FALSE(Waits(waiting, "w1"));
  {
    const auto first = waiting.Add(MakeWorker("w1"));
    auto second = waiting.Add(MakeWorker("w2"));
    EXPECT_TRUE(Waits(waiting, "w1"));
    EXPECT_TRUE(Waits(waiting, "w2"));

    second.Reset();
    second.Reset();

    EXPECT_TRUE(Waits(waiting, "w1"));
    EXPECT_FALSE(Waits(waiting, "w2"));
  }
  EXPECT_FALSE(Waits(waiting, "w1"));
}

TEST(WaitingWorkers, AMovedRegistrationEndsOnce) {
  WaitingWorkers waiting;
  WaitingWorkers::Registration kept;
  {
    auto made = waiting.Add(MakeWorker("w1"));
    kept = std::move(made);
  }
  EXPECT_TRUE(Waits(waiting, "w1"));
  kept = waiting.Add(MakeWorker("w2"));
  EXPECT_FALSE(Waits(waiting, "w1"));
  EXPECT_TRUE(Waits(waiting, "w2"));
}

}  // namespace
}  // namespace attune::server
