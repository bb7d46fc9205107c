#include "worker/models/compute_threads.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>

#include <thread>

#include "gtest/gtest.h"

namespace attune::worker {
namespace {

TEST(ComputeThreads, EveryThreadHasItsOwnBudget) {
  int first = 0;
  int second = 0;
  std::thread([&] {
    SetComputeThreads(3);
    std::thread([&] {
      SetComputeThreads(2);
      second = ComputeThreads();
    }).join();
    first = ComputeThreads();
  }).join();

  EXPECT_EQ(first, 3);
  EXPECT_EQ(second, 2);
}

TEST(ComputeThreads, LibTorchKeepsToIt) {
  int before = 0;
  int after = 0;
  std::thread([&] {
    SetComputeThreads(3);
    before = at::get_num_threads();
    // A product large enough to start a team.
    at::mm(at::ones({300, 300}), at::ones({300, 300}));
    after = at::get_num_threads();
  }).join();

  EXPECT_EQ(before, 3);
  EXPECT_EQ(after, 3);
}

TEST(ComputeThreads, BudgetOutlivesTheTeam) {
  int count = 0;
  bool right = false;
  std::thread([&] {
    SetComputeThreads(2);
    at::mm(at::ones({300, 300}), at::ones({300, 300}));
    ReleaseComputeThreads();
    count = ComputeThreads();
    const at::Tensor product = at::mm(at::ones({300, 300}), at::ones({300, 9}));
    right = product.equal(at::full({300, 9}, 300.0));
  }).join();

  EXPECT_EQ(count, 2);
  EXPECT_TRUE(right);
}

TEST(ComputeThreads, IsAtLeastOne) {
  int count = 0;
  std::thread([&] {
    SetComputeThreads(0);
    count = ComputeThreads();
  }).join();

  EXPECT_EQ(count, 1);
}

}  // namespace
}  // namespace attune::worker
