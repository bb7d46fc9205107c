#ifndef ATTUNE_WORKER_MODELS_MODEL_STORE_H_
#define ATTUNE_WORKER_MODELS_MODEL_STORE_H_

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "worker/models/base_model.h"
#include "worker/models/causal_model.h"
#include "worker/models/encoder_decoder_model.h"
#include "worker/models/encoder_model.h"
#include "worker/models/language_model.h"
#include "worker/models/model_config.h"
#include "worker/text/template.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {

// What is known of a base model without loading its weights.
struct ModelInfo {
  std::string id;  // name of its directory
  ModelConfig config;
  int64_t num_parameters = 0;
  int64_t weight_bytes = 0;  // size of the checkpoint files
  std::string fingerprint;   // 64 hexadecimal digits
  bool has_chat_template = false;
};

// A base model ready for use. Immutable, shared.
struct LoadedModel {
  ModelInfo info;
  std::unique_ptr<const BaseModel> model;  // of the kind info.config.kind
  std::unique_ptr<const Tokenizer> tokenizer;
  std::unique_ptr<const Template> chat_template;  // null: the model has none
  // Text of the special tokens; empty where there is none.
  std::string bos_token;
  std::string eos_token;
  // Ids that end a generation: of config.json, generation_config.json and
  // tokenizer_config.json together, ascending, never empty for a chat model.
  std::vector<int64_t> stop_token_ids;

  // The model as what it is. Only for a model of that kind.
  const LanguageModel& language() const;  // causal or encoder-decoder
  const CausalModel& causal() const;
  const EncoderModel& encoder() const;
  const EncoderDecoderModel& encoder_decoder() const;
};

// The base models of a directory: <directory>/<id>/{config.json,
// tokenizer.json, *.safetensors}. Loads each at most once and keeps it.
// Thread-safe.
class ModelStore {
 public:
  // Where and how models are loaded.
  struct Options {
    std::string directory;
    c10::Device device = c10::Device(c10::kCPU);
    c10::ScalarType dtype = c10::ScalarType::Float;
  };

  explicit ModelStore(Options options);

  // Every model of the directory, by id. A directory that is no readable model
  // is left out and logged. The first listing of a model reads all its files
  // to compute the fingerprint, which is then cached in
  // <directory>/.fingerprints/<id>.json, keyed by file sizes and times.
  absl::StatusOr<std::vector<ModelInfo>> List() const;

  // NotFound naming the models there are.
  absl::StatusOr<ModelInfo> Info(std::string_view id) const;

  // Loads the model unless it is loaded; concurrent calls wait for one load.
  // A failure is not remembered. NotFound naming the models there are;
  // DataLoss naming file and place for corrupt files; FailedPrecondition
  // naming missing or surplus tensors.
  absl::StatusOr<std::shared_ptr<const LoadedModel>> Load(std::string_view id);

  // Ids of the models that are loaded, ascending.
  std::vector<std::string> LoadedIds() const;

  const Options& options() const { return options_; }

 private:
  struct Slot;

  absl::StatusOr<std::shared_ptr<const LoadedModel>> LoadNow(
      std::string_view id) const;

  const Options options_;
  mutable absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Slot>, std::less<>> slots_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_MODEL_STORE_H_
