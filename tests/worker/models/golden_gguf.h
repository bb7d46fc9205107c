#ifndef ATTUNE_TESTS_WORKER_MODELS_GOLDEN_GGUF_H_
#define ATTUNE_TESTS_WORKER_MODELS_GOLDEN_GGUF_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "tests/worker/models/gguf_builder.h"
#include "worker/models/safetensors.h"

namespace attune::worker {

// A golden model of tests/golden/architectures as the GGUF file that
// llama.cpp's converter would make of it.
class GoldenGguf {
 public:
  struct Options {
    // Matrices as Q8_0, or as F16 where their rows are no whole blocks.
    bool quantise = false;
    // Metadata that say something else than the model's config.
    std::map<std::string, uint32_t> sizes = {};
    std::set<std::string> without = {};  // tensors, by their GGUF names
  };

  explicit GoldenGguf(const std::string& name) : GoldenGguf(name, Options()) {}
  GoldenGguf(const std::string& name, Options options);

  void Write(const std::string& path) const;

  const Safetensors& weights() const { return weights_; }

  // Behind the metadata of the model and its tensors.
  GgufBuilder builder;

 private:
  void SetSize(const std::string& key, const char* name);
  void SetNumber(const std::string& key, const char* name);
  void SetLlamaLike();
  void SetGemma3();
  void SetGpt2();
  void SetRotary();
  void SetTokenizer();
  void AddTensor(const std::string& name, const at::Tensor& tensor);

  const Options options_;
  const Safetensors weights_;
  const nlohmann::json config_;
  std::string architecture_;  // GGUF's name
};

// Adds a tensor of fp32 or, where it is asked for and possible, Q8_0.
void AddGgufTensor(const std::string& name, const at::Tensor& tensor,
                   bool quantise, GgufBuilder& builder);

}  // namespace attune::worker

#endif  // ATTUNE_TESTS_WORKER_MODELS_GOLDEN_GGUF_H_
