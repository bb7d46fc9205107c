#ifndef ATTUNE_WORKER_MODELS_PARAMETER_TABLE_H_
#define ATTUNE_WORKER_MODELS_PARAMETER_TABLE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/models/linear_layer.h"
#include "worker/models/weight_source.h"

namespace attune::worker {

// The weights of a loaded model by their canonical names, as they lie in its
// memory: nothing is copied. Filled while a model is loaded, constant and
// thread-safe afterwards.
class ParameterTable {
 public:
  // One weight.
  struct Parameter {
    // Where the model holds it; the rows of one part of a layer. Shares memory
    // with the model: not to be written to.
    at::Tensor stored;
    bool transposed = false;  // MatrixForm
    at::Tensor row_order;     // MatrixForm
    bool is_matrix = false;   // of a linear layer
  };

  void Add(const WeightName& name, const at::Tensor& tensor);
  void AddLayer(const std::vector<MatrixPart>& parts, const LinearLayer& layer,
                const MatrixForm& form);
  void Drop(const std::string& name) { parameters_.erase(name); }
  void SetBodyPrefix(const std::string& prefix) { body_prefix_ = prefix; }

  // What the names of the body's weights begin with, "model." for example;
  // heads stand beside it.
  const std::string& body_prefix() const { return body_prefix_; }

  const std::map<std::string, Parameter>& parameters() const {
    return parameters_;
  }
  bool Contains(const std::string& name) const {
    return parameters_.contains(name);
  }
  // The layer whose first part is the module `name`; null if there is none.
  const LinearLayer* FindLayer(const std::string& name) const;

  // A weight as the checkpoint has it: its shape, fp32, a copy on the CPU.
  // `name` must be there.
  at::Tensor Value(const std::string& name) const;
  // The checkpoint's shape.
  std::vector<int64_t> Shape(const std::string& name) const;

  // The modules that are linear layers, canonical, without ".weight".
  std::vector<std::string> Modules() const;

 private:
  std::map<std::string, Parameter> parameters_;
  std::map<std::string, LinearLayer> layers_;  // by first part
  std::string body_prefix_;
};

// `value` in the checkpoint's shape -> as the model holds `parameter`, on its
// device and in its dtype, contiguous. Differentiable.
at::Tensor ToModelForm(const at::Tensor& value,
                       const ParameterTable::Parameter& parameter);

// The number of the layer that a weight belongs to: the first part of its name
// between dots that is a number. Nothing for weights beside the layers.
std::optional<int64_t> LayerOf(std::string_view name);

// What stands behind that number, "self_attn.q_proj": the same in every layer.
// The whole name for what is beside the layers.
std::string NameInLayer(const std::string& name);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_PARAMETER_TABLE_H_
