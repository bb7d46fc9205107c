#include "worker/tuning/optimizer.h"

#include "worker/tuning/adafactor.h"
#include "worker/tuning/adamw.h"
#include "worker/tuning/sgd.h"

namespace attune::worker {

std::unique_ptr<const Optimizer> MakeOptimizer(
    const attune::v1::TrainingConfig& training) {
  using attune::v1::TrainingConfig;
  switch (training.optimizer()) {
    case TrainingConfig::OPTIMIZER_SGD:
      return std::make_unique<const Sgd>(training.sgd_momentum().value());
    case TrainingConfig::OPTIMIZER_ADAFACTOR:
      return std::make_unique<const Adafactor>(AdafactorOptions{
          .decay_rate = training.adafactor_decay_rate().value(),
          .clip_threshold = training.adafactor_clip_threshold().value(),
          .scale_parameter = training.adafactor_scale_parameter()});
    default:
      return std::make_unique<const AdamW>(
          AdamWOptions{.beta1 = training.adam_beta1().value(),
                       .beta2 = training.adam_beta2().value(),
                       .epsilon = training.adam_epsilon().value()});
  }
}

}  // namespace attune::worker
