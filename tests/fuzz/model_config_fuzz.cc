#include "worker/models/model_config.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tests/fuzz/finding.h"

// Input: a config.json. What a model needs of an accepted one is there.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto config = attune::worker::ParseModelConfig(
      std::string_view(reinterpret_cast<const char*>(data), size));
  if (!config.ok()) {
    attune::fuzz::RequireFileError(config.status(), "config.json");
    return 0;
  }
  attune::fuzz::Require(config->vocab_size > 0 && config->dim > 0 &&
                            config->num_layers > 0 && config->num_heads > 0 &&
                            config->NumCachedLayers() > 0 &&
                            config->head_dim > 0 && config->context_length > 0,
                        "an accepted model lacks a size");
  attune::fuzz::Require(config->layer_has_window.empty() ||
                            config->layer_has_window.size() ==
                                static_cast<size_t>(config->num_layers),
                        "windows are not said of every layer");
  return 0;
}
