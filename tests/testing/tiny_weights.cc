#include "tests/testing/tiny_weights.h"

#include <ATen/ops/empty.h>

#include <cmath>
#include <fstream>
#include <numbers>
#include <utility>
#include <vector>

#include "proto/cc/text.h"

namespace attune {

float TinyWeights::Normal() {
  const double u = (engine_() + 1.0) / 4294967297.0;
  const double v = engine_() / 4294967296.0;
  return static_cast<float>(std::sqrt(-2 * std::log(u)) *
                            std::cos(2 * std::numbers::pi * v));
}

void TinyWeights::Add(const std::string& name, std::vector<int64_t> shape,
                      float mean, float deviation) {
  at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(at::kFloat));
  float* out = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    out[i] = mean + deviation * Normal();
  }
  tensors_[name] = std::move(tensor);
}

void TinyWeights::AddMatrix(const std::string& name, int64_t rows,
                            int64_t columns) {
  Add(name, {rows, columns}, /*mean=*/0,
      1 / std::sqrt(static_cast<float>(columns)));
}

void TinyWeights::AddTable(const std::string& name, int64_t rows,
                           int64_t columns) {
  Add(name, {rows, columns}, /*mean=*/0, /*deviation=*/0.5f);
}

void TinyWeights::AddScale(const std::string& name, int64_t size) {
  Add(name, {size}, /*mean=*/1, /*deviation=*/0.1f);
}

void TinyWeights::AddBias(const std::string& name, int64_t size) {
  Add(name, {size}, /*mean=*/0, /*deviation=*/0.1f);
}

absl::Status WriteTinyFile(const std::string& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (file) return absl::OkStatus();
  return absl::UnavailableError(Concat("cannot write ", path));
}

}  // namespace attune
