#ifndef ATTUNE_TESTS_WORKER_MODELS_REAL_MODELS_H_
#define ATTUNE_TESTS_WORKER_MODELS_REAL_MODELS_H_

#include <cstdlib>
#include <filesystem>
#include <string>

#include "proto/cc/text.h"

namespace attune::worker {

// Where the real models lie that deploy/setup.sh and deploy/import_model.sh
// fetch: ATTUNE_MODELS_DIR, or the place in the source tree.
inline std::string RealModelsDirectory() {
  const char* set = std::getenv("ATTUNE_MODELS_DIR");
  return set != nullptr ? set : ".attune/models";
}

// Whether the model `id` is there.
inline bool HasRealModel(const std::string& id) {
  return std::filesystem::exists(
      Concat(RealModelsDirectory(), "/", id, "/config.json"));
}

}  // namespace attune::worker

#endif  // ATTUNE_TESTS_WORKER_MODELS_REAL_MODELS_H_
