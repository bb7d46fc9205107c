#ifndef ATTUNE_WORKER_MODELS_MODEL_STORE_H_
#define ATTUNE_WORKER_MODELS_MODEL_STORE_H_

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "worker/models/base_model.h"
#include "worker/models/causal_model.h"
#include "worker/models/encoder_decoder_model.h"
#include "worker/models/encoder_model.h"
#include "worker/models/fingerprint.h"
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
  std::string mask_token;
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
// tokenizer.json, *.safetensors}. Loads each at most once and keeps it, as long
// as its place is not needed for others: the weights of all loaded models stay
// within a budget. A model is in use while anyone but the store has a share in
// it (jobs and requests under way do); what nobody uses goes first when another
// one needs room, the least recently asked for at the front. Whoever keeps
// something that belongs to a model beyond its use (a compiled task) must not
// keep a share. Thread-safe; loads and frees weights without holding a lock.
class ModelStore {
 public:
  // Where and how models are loaded.
  struct Options {
    std::string directory;
    c10::Device device = c10::Device(c10::kCPU);
    c10::ScalarType dtype = c10::ScalarType::Float;
    // The most that the weights of loaded models may take together.
    int64_t max_loaded_bytes = std::numeric_limits<int64_t>::max();
  };

  // What there is in memory.
  struct Memory {
    int64_t num_bytes = 0;      // of weights, those being loaded included
    int64_t max_bytes = 0;      // the budget
    int64_t num_evictions = 0;  // models dropped for others since the start
  };

  explicit ModelStore(Options options);

  // Every model of the directory, by id. A directory that is no readable model
  // is left out, which is logged once for each reason: listings come often. The
  // first listing of a model reads all its files to compute the fingerprint,
  // which is then cached in <directory>/.fingerprints/<id>.json, keyed by file
  // sizes and times.
  absl::StatusOr<std::vector<ModelInfo>> List() const;

  // NotFound naming the models there are.
  absl::StatusOr<ModelInfo> Info(std::string_view id) const;

  // Loads the model unless it is loaded; concurrent calls wait for one load and
  // share its outcome, but later ones do not. NotFound naming the models there
  // are; DataLoss naming file and place for corrupt files; FailedPrecondition
  // naming missing or surplus tensors; kLimitExceeded if the model alone is
  // beyond the budget; kModelMemoryFull naming the models whose use leaves no
  // room for it, which may be over soon; kOutOfMemory.
  absl::StatusOr<std::shared_ptr<const LoadedModel>> Load(std::string_view id);

  // Ids of the models that are loaded, ascending.
  std::vector<std::string> LoadedIds() const;

  // Bytes that the weights of a model take here once it is loaded.
  int64_t LoadedBytes(const ModelInfo& info) const;

  Memory memory() const;

  // `listener` is called, on the thread that loads another model, whenever
  // models have been dropped: what still keeps their weights should let go. An
  // empty one ends this; it waits for a call under way.
  void SetEvictionListener(std::function<void()> listener);

  const Options& options() const { return options_; }

 private:
  struct Pending;

  // A model's part of the budget.
  struct Place {
    int64_t num_bytes = 0;
    std::shared_ptr<const LoadedModel> model;  // null while it is being loaded
    int64_t last_use = 0;                      // a number of uses_
  };

  absl::StatusOr<std::shared_ptr<const LoadedModel>> LoadNow(
      std::string_view id);
  // Gives the model a place, and drops for it what nobody uses.
  absl::Status MakePlace(const ModelInfo& info);

  const Options options_;
  mutable FingerprintMemory fingerprints_;
  mutable absl::Mutex mutex_;
  std::map<std::string, Place, std::less<>> places_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<Pending>, std::less<>> pending_
      ABSL_GUARDED_BY(mutex_);
  int64_t num_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of all places
  int64_t num_evictions_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t uses_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Mutex listener_mutex_;
  std::function<void()> eviction_listener_ ABSL_GUARDED_BY(listener_mutex_);
  // What the last listing left out, by id, and why.
  mutable std::map<std::string, std::string> left_out_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_MODEL_STORE_H_
