#ifndef ATTUNE_TESTS_WORKER_TUNING_OPTIMISER_GOLDEN_H_
#define ATTUNE_TESTS_WORKER_TUNING_OPTIMISER_GOLDEN_H_

#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "worker/tuning/optimizer.h"

namespace attune::worker {

// tests/golden/optimiser.json.
inline nlohmann::json OptimiserGolden() {
  std::ifstream file("tests/golden/optimiser.json");
  EXPECT_TRUE(file.is_open());
  return nlohmann::json::parse(file);
}

inline at::Tensor GoldenTensor(const nlohmann::json& values) {
  return at::tensor(values.get<std::vector<float>>());
}

// Makes the updates of one case of it and compares the values after each.
inline void ExpectGoldenUpdates(const Optimizer& optimizer,
                                const nlohmann::json& golden) {
  const auto shape = golden["shape"].get<std::vector<int64_t>>();
  const auto tensor_of = [&](const nlohmann::json& values) {
    return GoldenTensor(values).view(shape);
  };
  at::Tensor value = tensor_of(golden["start"]).clone();
  TensorMap slots = optimizer.MakeSlots(value);
  ASSERT_FALSE(golden["gradients"].empty());
  for (size_t step = 0; step < golden["gradients"].size(); ++step) {
    optimizer.Update({.learning_rate = golden["options"]["learning_rate"],
                      .weight_decay = golden["options"]["weight_decay"],
                      .update = static_cast<int64_t>(step) + 1},
                     tensor_of(golden["gradients"][step]), value, slots);

    // Both are fp32; the order of a few products may differ.
    EXPECT_TRUE(value.allclose(tensor_of(golden["after"][step]), 1e-6, 1e-6))
        << golden["options"].dump() << " step " << step;
  }
}

}  // namespace attune::worker

#endif  // ATTUNE_TESTS_WORKER_TUNING_OPTIMISER_GOLDEN_H_
