#ifndef ATTUNE_WORKER_MODELS_CONFIG_READER_H_
#define ATTUNE_WORKER_MODELS_CONFIG_READER_H_

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/models/model_config.h"

namespace attune::worker {

// Typed reads from a config.json. A key that is missing or null counts as
// absent. Every error names the key. Immutable.
class ConfigReader {
 public:
  // Bounds what a config may ask for, whatever the weights then say.
  static constexpr int64_t kMaxSize = int64_t{1} << 24;
  static constexpr int64_t kMaxLayers = 1024;

  // InvalidArgument if it is no JSON object or has no `model_type`.
  static absl::StatusOr<ConfigReader> Parse(std::string_view json);

  const std::string& family() const { return family_; }
  bool Has(const char* key) const;

  // A whole number in [1, max]; InvalidArgument if it is absent or another.
  absl::StatusOr<int64_t> Size(const char* key, int64_t max = kMaxSize) const;
  absl::StatusOr<int64_t> SizeOr(const char* key, int64_t otherwise,
                                 int64_t max = kMaxSize) const;
  // A finite number above zero.
  absl::StatusOr<double> PositiveOr(const char* key, double otherwise) const;
  absl::StatusOr<bool> BoolOr(const char* key, bool otherwise) const;
  absl::StatusOr<std::string> TextOr(const char* key,
                                     std::string_view otherwise) const;
  // A list of texts; empty if absent.
  absl::StatusOr<std::vector<std::string>> Texts(const char* key) const;
  // An activation by Hugging Face's name. Unimplemented if it is unknown.
  absl::StatusOr<Activation> ActivationOr(const char* key,
                                          Activation otherwise) const;
  // A token id, the first of a list. InvalidArgument if it is outside the
  // vocabulary.
  absl::StatusOr<int64_t> TokenIdOr(const char* key, int64_t vocab_size,
                                    int64_t otherwise) const;
  // How many keys the object at `key` has; 0 if absent.
  absl::StatusOr<int64_t> NumKeys(const char* key) const;
  // The object at `key` as a reader; one without keys if absent.
  absl::StatusOr<ConfigReader> Object(const char* key) const;

  // Unimplemented if any of the keys, which stand for arithmetic that no code
  // here does, is there and neither false nor null.
  absl::Status Refuse(std::initializer_list<const char*> keys) const;
  // InvalidArgument: "config.json: 'key' what".
  absl::Status Bad(std::string_view key, std::string_view what) const;
  // Unimplemented: "config.json: 'key' = value is not supported".
  absl::Status Unsupported(const char* key) const;

  // Reads what every architecture has: special tokens and the checkpoint's
  // dtype, after vocab_size. Refuses quantised checkpoints.
  absl::Status ReadCommon(ModelConfig& config) const;
  // Reads the rotary keys in their older and newer spellings. `layer_type`
  // picks one of several kinds of layers where the config tells them apart.
  absl::StatusOr<RotaryConfig> Rotary(double default_theta,
                                      const char* layer_type = nullptr) const;
  // num_attention_heads divides dim, head_dim is derived unless it is given.
  absl::Status CheckHeads(ModelConfig& config) const;
  // The number of a head's elements that are rotated must be even.
  absl::Status CheckRotaryDim(int64_t rotary_dim) const;
  // Which layers have a sliding window: `layer_types`, or else all from
  // `first` on.
  absl::StatusOr<std::vector<bool>> WindowLayers(int64_t num_layers,
                                                 int64_t first) const;

 private:
  ConfigReader(std::string path, std::shared_ptr<const nlohmann::json> object);

  // The value, or null where the key is absent.
  const nlohmann::json* Find(const char* key) const;
  std::string Path(std::string_view key) const;
  absl::Status ReadScaling(const ConfigReader& top, RotaryConfig& rotary) const;
  absl::StatusOr<std::vector<int64_t>> TokenIds(const char* key,
                                                int64_t vocab_size) const;

  std::string family_;
  std::string path_;  // of the object, "" for the file or "rope_parameters."
  std::shared_ptr<const nlohmann::json> object_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_CONFIG_READER_H_
