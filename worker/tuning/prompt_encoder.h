#ifndef ATTUNE_WORKER_TUNING_PROMPT_ENCODER_H_
#define ATTUNE_WORKER_TUNING_PROMPT_ENCODER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "attune/v1/method.pb.h"
#include "worker/models/safetensors.h"
#include "worker/tasks/seeded_random.h"

namespace attune::worker {

// What the names of a network's parameters begin with.
inline constexpr std::string_view kEncoderPrefix = "encoder.";

// The network that helps to produce the rows of a soft prompt, or the keys and
// values of a prefix, while they are trained. What it makes of its input is
// added to the rows or prefix that are trained beside it, and its last layer
// begins as zeros, so at first it adds nothing.
//
// Shapes as PEFT's PromptEncoder and PrefixEncoder have them, and the
// bottleneck of Razdaibiedina et al. (2023), one for all rows. Holds no
// parameters: they are trained values, named "encoder.<layer>.weight" and
// "encoder.<layer>.bias" (of the LSTM as at::lstm counts them). A value.
class PromptEncoder {
 public:
  // That of a resolved method; none where nothing helps.
  static std::optional<PromptEncoder> Of(
      const attune::v1::TuningMethod& method);

  // The parameters to begin with, fp32, on the CPU: those of a linear layer or
  // an LSTM even between -1 and 1 over the square root of its input's (the
  // LSTM's hidden) width, the last layer zeros. front: the trained rows
  // "prompt" [length, width], or "prefix.keys" and "prefix.values", each
  // [layers, kv_heads, length, head_dim].
  TensorMap MakeParameters(const TensorMap& front, SeededRandom& random) const;

  // What `values`, which hold front and parameters, come to: "prompt", or
  // "prefix.keys" and "prefix.values", in the same shapes. Part of the graph
  // that they are in.
  TensorMap Apply(const TensorMap& values) const;

 private:
  enum class Kind { kMlp, kLstm, kResidualMlp, kProjection };

  PromptEncoder(Kind kind, int64_t hidden) : kind_(kind), hidden_(hidden) {}

  // rows: [length, width] -> what is added to them.
  at::Tensor Run(const at::Tensor& rows, const TensorMap& values) const;

  Kind kind_;
  int64_t hidden_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_PROMPT_ENCODER_H_
