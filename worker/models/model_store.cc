#include "worker/models/model_store.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_join.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/checkpoint.h"
#include "worker/models/fingerprint.h"
#include "worker/models/mapped_file.h"
#include "worker/models/model_files.h"
#include "worker/models/model_loader.h"

namespace attune::worker {
namespace {

namespace fs = std::filesystem;

// Ids of the directories that have a config.json, ascending. Hidden ones are
// not models.
absl::StatusOr<std::vector<std::string>> FindIds(const std::string& directory) {
  std::error_code error;
  std::vector<std::string> ids;
  for (fs::directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::error_code ignored;
    if (!name.starts_with('.') &&
        fs::exists(it->path() / "config.json", ignored)) {
      ids.push_back(name);
    }
  }
  if (error) {
    return absl::NotFoundError(
        Concat("models directory ", directory, ": ", error.message()));
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

absl::Status UnknownModel(const std::string& directory, std::string_view id) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> ids,
                          FindIds(directory));
  return MakeError(
      Reason::kUnknownBaseModel,
      Concat("base model '", id, "' is not in ", directory, "; there ",
             ids.empty() ? "are no models"
                         : Concat("is: ", absl::StrJoin(ids, ", "))));
}

// Whether the model brings a chat template, without compiling it.
bool HasChatTemplate(const std::string& path) {
  constexpr size_t kMaxConfigBytes = size_t{16} << 20;
  std::error_code ignored;
  if (fs::exists(path + "/chat_template.jinja", ignored)) return true;
  const auto config =
      ReadSmallFile(path + "/tokenizer_config.json", kMaxConfigBytes);
  return config.ok() && config->find("\"chat_template\"") != config->npos;
}

absl::StatusOr<ModelInfo> ReadInfo(const std::string& directory,
                                   std::string_view id) {
  const std::string path = Concat(directory, "/", id);
  ModelInfo info;
  info.id = id;
  ATTUNE_ASSIGN_OR_RETURN(info.config, ReadModelConfig(path));
  ATTUNE_ASSIGN_OR_RETURN(std::vector<std::string> files,
                          Checkpoint::Files(path));
  for (const std::string& file : files) {
    std::error_code error;
    const uintmax_t bytes = fs::file_size(file, error);
    if (error) return CorruptFile(file, error.message());
    info.weight_bytes += static_cast<int64_t>(bytes);
  }
  // Whether the headers fit the files: a model that cannot load is not offered.
  ATTUNE_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(path));
  info.num_parameters = checkpoint.NumParameters();
  info.has_chat_template = HasChatTemplate(path);
  std::vector<std::string> described = TokenizerSources(path);
  described.insert(described.begin(), path + "/config.json");
  files.insert(files.begin(), described.begin(), described.end());
  ATTUNE_ASSIGN_OR_RETURN(
      info.fingerprint,
      Fingerprint(files, Concat(directory, "/.fingerprints/", id, ".json")));
  return info;
}

}  // namespace

// One model's place: whoever comes first loads it, the others wait.
struct ModelStore::Slot {
  absl::Mutex mutex;
  std::shared_ptr<const LoadedModel> model ABSL_GUARDED_BY(mutex);
};

// A model of another kind is the caller's mistake: the cast throws.
const LanguageModel& LoadedModel::language() const {
  return dynamic_cast<const LanguageModel&>(*model);
}

const CausalModel& LoadedModel::causal() const {
  return dynamic_cast<const CausalModel&>(*model);
}

const EncoderModel& LoadedModel::encoder() const {
  return dynamic_cast<const EncoderModel&>(*model);
}

const EncoderDecoderModel& LoadedModel::encoder_decoder() const {
  return dynamic_cast<const EncoderDecoderModel&>(*model);
}

ModelStore::ModelStore(Options options) : options_(std::move(options)) {}

absl::StatusOr<std::vector<ModelInfo>> ModelStore::List() const {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> ids,
                          FindIds(options_.directory));
  std::vector<ModelInfo> infos;
  for (const std::string& id : ids) {
    auto info = ReadInfo(options_.directory, id);
    if (info.ok()) {
      infos.push_back(*std::move(info));
    } else {
      spdlog::warn("model {} is left out: {}", id, info.status().ToString());
    }
  }
  return infos;
}

absl::StatusOr<ModelInfo> ModelStore::Info(std::string_view id) const {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> ids,
                          FindIds(options_.directory));
  if (std::find(ids.begin(), ids.end(), id) == ids.end()) {
    return UnknownModel(options_.directory, id);
  }
  return ReadInfo(options_.directory, id);
}

absl::StatusOr<std::shared_ptr<const LoadedModel>> ModelStore::Load(
    std::string_view id) {
  std::shared_ptr<Slot> slot;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = slots_.find(id);
    if (it != slots_.end()) slot = it->second;
  }
  if (slot == nullptr) {
    // Only ids that exist get a slot, so that callers can't fill the table.
    ATTUNE_RETURN_IF_ERROR(Info(id).status());
    absl::MutexLock lock(&mutex_);
    auto& entry = slots_[std::string(id)];
    if (entry == nullptr) entry = std::make_shared<Slot>();
    slot = entry;
  }
  absl::MutexLock lock(&slot->mutex);
  if (slot->model == nullptr) {
    ATTUNE_ASSIGN_OR_RETURN(slot->model, LoadNow(id));
  }
  return slot->model;
}

std::vector<std::string> ModelStore::LoadedIds() const {
  std::vector<std::pair<std::string, std::shared_ptr<Slot>>> slots;
  {
    absl::MutexLock lock(&mutex_);
    slots.assign(slots_.begin(), slots_.end());
  }
  std::vector<std::string> ids;
  for (const auto& [id, slot] : slots) {
    // A slot whose lock is taken is being loaded.
    if (!slot->mutex.TryLock()) continue;
    if (slot->model != nullptr) ids.push_back(id);
    slot->mutex.Unlock();
  }
  return ids;
}

absl::StatusOr<std::shared_ptr<const LoadedModel>> ModelStore::LoadNow(
    std::string_view id) const {
  auto loaded = std::make_shared<LoadedModel>();
  const std::string path = Concat(options_.directory, "/", id);
  ATTUNE_ASSIGN_OR_RETURN(loaded->info, ReadInfo(options_.directory, id));
  const ModelConfig& config = loaded->info.config;
  ATTUNE_ASSIGN_OR_RETURN(ModelText text, ReadModelText(path, config));
  loaded->tokenizer = std::move(text.tokenizer);
  loaded->chat_template = std::move(text.chat_template);
  loaded->bos_token = std::move(text.bos_token);
  loaded->eos_token = std::move(text.eos_token);
  loaded->stop_token_ids = std::move(text.stop_token_ids);
  if (loaded->tokenizer->vocab_size() > config.vocab_size) {
    return MakeError(
        Reason::kCorruptModel,
        Concat(path, ": the tokenizer has ", loaded->tokenizer->vocab_size(),
               " tokens, config.json says ", config.vocab_size));
  }
  ATTUNE_ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(path));
  ATTUNE_ASSIGN_OR_RETURN(
      loaded->model,
      LoadBaseModel(config, checkpoint, options_.device, options_.dtype));
  return std::shared_ptr<const LoadedModel>(std::move(loaded));
}

}  // namespace attune::worker
