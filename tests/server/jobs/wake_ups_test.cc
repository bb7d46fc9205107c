#include "server/jobs/wake_ups.h"

#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace attune::server {
namespace {

TEST(WakeUps, FireCallsThoseOfTheKeyEachTime) {
  WakeUps wake_ups;
  std::string calls;
  auto a = wake_ups.Register("x", [&] { calls += "a"; });
  auto b = wake_ups.Register("x", [&] { calls += "b"; });
  auto c = wake_ups.Register("y", [&] { calls += "c"; });

  wake_ups.Fire("x");
  wake_ups.Fire("x");
  wake_ups.Fire("nobody");

  EXPECT_EQ(calls, "abab");
}

TEST(WakeUps, ARegistrationEndsWithItsObject) {
  WakeUps wake_ups;
  int calls = 0;
  {
    auto registration = wake_ups.Register("x", [&] { ++calls; });
    wake_ups.Fire("x");
  }
  wake_ups.Fire("x");

  EXPECT_EQ(calls, 1);
  EXPECT_EQ(wake_ups.size(), 0);
}

TEST(WakeUps, ARegistrationCanBeMovedAndReset) {
  WakeUps wake_ups;
  int calls = 0;
  WakeUps::Registration kept;
  {
    auto registration = wake_ups.Register("x", [&] { ++calls; });
    kept = std::move(registration);
  }
  wake_ups.Fire("x");
  EXPECT_EQ(calls, 1);

  kept.Reset();
  kept.Reset();
  wake_ups.Fire("x");

  EXPECT_EQ(calls, 1);
}

TEST(WakeUps, FireAllCallsEverybody) {
  WakeUps wake_ups;
  int calls = 0;
  auto a = wake_ups.Register("x", [&] { ++calls; });
  auto b = wake_ups.Register("y", [&] { ++calls; });

  wake_ups.FireAll();

  EXPECT_EQ(calls, 2);
}

TEST(WakeUps, ACallbackMayEndItsOwnRegistrationAndMakeOthers) {
  WakeUps wake_ups;
  WakeUps::Registration own;
  WakeUps::Registration other;
  int calls = 0;
  own = wake_ups.Register("x", [&] {
    ++calls;
    own.Reset();
    other = wake_ups.Register("x", [&] { calls += 10; });
  });

  wake_ups.Fire("x");
  EXPECT_EQ(calls, 1);
  wake_ups.Fire("x");
  EXPECT_EQ(calls, 11);
}

TEST(WakeUps, ManyThreadsMayRegisterAndFire) {
  WakeUps wake_ups;
  std::atomic<int> calls{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        auto registration = wake_ups.Register("x", [&] { ++calls; });
        wake_ups.Fire("x");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_GE(calls.load(), 800);
  EXPECT_EQ(wake_ups.size(), 0);
}

}  // namespace
}  // namespace attune::server
