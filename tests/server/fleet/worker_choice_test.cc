#include "server/fleet/worker_choice.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace attune::server {
namespace {

WorkerCandidate Make(const std::string& id, int outstanding = 0) {
  WorkerCandidate worker;
  worker.id = id;
  worker.outstanding = outstanding;
  return worker;
}

// The id of the chosen one; "" for none.
std::string Choose(const std::vector<WorkerCandidate>& workers) {
  std::optional<size_t> index = ChooseWorker(workers);
  return index ? workers[*index].id : "";
}

TEST(ChooseWorker, NobodyIsNobody) { EXPECT_EQ(Choose({}), ""); }

TEST(ChooseWorker, TheIdlestWins) {
  EXPECT_EQ(Choose({Make("a", 3), Make("b", 1), Make("c", 2)}), "b");
}

TEST(ChooseWorker, EqualOnesAreTakenById) {
  EXPECT_EQ(Choose({Make("b"), Make("a"), Make("c")}), "a");
}

TEST(ChooseWorker, AWarmOneWinsOverAnIdlerOne) {
  WorkerCandidate warm = Make("warm", kMaxWarmLead);
  warm.warm = true;

  EXPECT_EQ(Choose({Make("idle", 0), warm}), "warm");
}

TEST(ChooseWorker, AWarmOneLosesWhenItIsMuchBusier) {
  WorkerCandidate warm = Make("warm", kMaxWarmLead + 1);
  warm.warm = true;

  EXPECT_EQ(Choose({Make("idle", 0), warm}), "idle");
}

TEST(ChooseWorker, AmongWarmOnesTheIdlestWins) {
  WorkerCandidate busy = Make("a", 5);
  WorkerCandidate idle = Make("b", 2);
  busy.warm = idle.warm = true;

  EXPECT_EQ(Choose({busy, idle, Make("c", 0)}), "b");
}

TEST(ChooseWorker, ALoadedModelWinsOverOneThatMustBeLoaded) {
  WorkerCandidate loaded = Make("loaded", 4);
  loaded.loaded = true;

  EXPECT_EQ(Choose({Make("cold", 0), loaded}), "loaded");
}

TEST(ChooseWorker, WhatTheWorkerReportedCounts) {
  WorkerCandidate busy = Make("a");
  busy.reported_waiting = 3;

  EXPECT_EQ(Choose({busy, Make("b", 2)}), "b");
}

TEST(ChooseWorker, ASuspectOneIsTheLastResort) {
  WorkerCandidate suspect = Make("a");
  suspect.suspect = suspect.warm = true;

  EXPECT_EQ(Choose({suspect, Make("b", 50)}), "b");
  EXPECT_EQ(Choose({suspect}), "a");
}

TEST(ChooseWorker, ASuspectOneDoesNotMakeWarmOnesLookBusy) {
  WorkerCandidate suspect = Make("a", 0);
  suspect.suspect = true;
  WorkerCandidate warm = Make("b", 20);
  warm.warm = true;

  EXPECT_EQ(Choose({suspect, warm, Make("c", 15)}), "b");
}

}  // namespace
}  // namespace attune::server
