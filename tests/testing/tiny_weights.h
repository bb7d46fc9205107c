#ifndef ATTUNE_TESTS_TESTING_TINY_WEIGHTS_H_
#define ATTUNE_TESTS_TESTING_TINY_WEIGHTS_H_

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "worker/models/safetensors.h"

namespace attune {

// Random weights of a tiny model. The same seed and the same calls give the
// same bytes with every standard library.
class TinyWeights {
 public:
  explicit TinyWeights(uint32_t seed) : engine_(seed) {}

  // [rows, columns], of a size that keeps rows that pass it as large as they
  // were.
  void AddMatrix(const std::string& name, int64_t rows, int64_t columns);
  // [rows, columns] of rows that differ clearly.
  void AddTable(const std::string& name, int64_t rows, int64_t columns);
  // [size], around one: a norm's weight.
  void AddScale(const std::string& name, int64_t size);
  // [size], around zero: a bias.
  void AddBias(const std::string& name, int64_t size);

  const worker::TensorMap& tensors() const { return tensors_; }

 private:
  void Add(const std::string& name, std::vector<int64_t> shape, float mean,
           float deviation);
  float Normal();

  std::mt19937 engine_;
  worker::TensorMap tensors_;
};

absl::Status WriteTinyFile(const std::string& path, std::string_view text);

}  // namespace attune

#endif  // ATTUNE_TESTS_TESTING_TINY_WEIGHTS_H_
