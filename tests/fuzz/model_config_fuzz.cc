#include "worker/models/model_config.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tests/fuzz/finding.h"

// Input: a config.json. An accepted one has a number of parameters.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto config = attune::worker::ParseModelConfig(
      std::string_view(reinterpret_cast<const char*>(data), size));
  if (!config.ok()) {
    attune::fuzz::RequireFileError(config.status(), "config.json");
    return 0;
  }
  attune::fuzz::Require(config->NumParameters() > 0,
                        "an accepted model has no parameters");
  return 0;
}
