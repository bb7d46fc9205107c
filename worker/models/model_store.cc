#include "worker/models/model_store.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/notification.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/checkpoint.h"
#include "worker/models/compute_threads.h"
#include "worker/models/fingerprint.h"
#include "worker/models/mapped_file.h"
#include "worker/models/model_files.h"
#include "worker/models/model_loader.h"
#include "worker/models/torch_errors.h"

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
                                   std::string_view id,
                                   FingerprintMemory& fingerprints) {
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
      fingerprints.Find(files,
                        Concat(directory, "/.fingerprints/", id, ".json")));
  return info;
}

absl::Status BeyondBudget(const ModelInfo& info, int64_t wanted,
                          const ModelStore::Options& options) {
  const bool bf16 = options.dtype == c10::kBFloat16;
  return MakeError(
      Reason::kLimitExceeded,
      Concat("base model '", info.id, "' takes ", wanted,
             " bytes of memory in ", bf16 ? "bf16" : "fp32",
             ", and the worker has ", options.max_loaded_bytes,
             " for models: give it more (--model-memory)",
             bf16 ? "" : ", use --dtype bf16", " or take a smaller model"),
      {{"model", info.id}});
}

absl::Status NoRoom(const ModelInfo& info, int64_t wanted,
                    const ModelStore::Options& options,
                    const std::string& in_use, int64_t used_bytes) {
  return MakeError(
      Reason::kModelMemoryFull,
      Concat("base model '", info.id, "' takes ", wanted,
             " bytes of memory, and of the ", options.max_loaded_bytes,
             " that the worker has for models, ", used_bytes,
             " are taken by models in use: ", in_use,
             "; try again when their jobs and requests have ended, or give "
             "the worker more (--model-memory)"),
      {{"model", info.id}, {"in_use", in_use}});
}

// Whether the store has the only share. No other one can come into being while
// the store's lock is held: it would be a copy of this one.
bool IsIdle(const std::shared_ptr<const LoadedModel>& model) {
  return model != nullptr && model.use_count() == 1;
}

}  // namespace

// A load that others wait for.
struct ModelStore::Pending {
  absl::Notification done;
  // Written before `done`, read after it.
  absl::StatusOr<std::shared_ptr<const LoadedModel>> result;
};

// A model of another kind is the caller's mistake: the cast throws.
const LanguageModel& LoadedModel::language() const {
  return AsLanguage(*model);
}

const CausalModel& LoadedModel::causal() const { return AsCausal(*model); }

const EncoderModel& LoadedModel::encoder() const { return AsEncoder(*model); }

const EncoderDecoderModel& LoadedModel::encoder_decoder() const {
  return AsEncoderDecoder(*model);
}

ModelStore::ModelStore(Options options) : options_(std::move(options)) {}

absl::StatusOr<std::vector<ModelInfo>> ModelStore::List() const {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> ids,
                          FindIds(options_.directory));
  std::vector<ModelInfo> infos;
  std::map<std::string, std::string> left_out;
  for (const std::string& id : ids) {
    auto info = ReadInfo(options_.directory, id, fingerprints_);
    if (info.ok()) {
      infos.push_back(*std::move(info));
    } else {
      left_out[id] = info.status().ToString();
    }
  }
  std::map<std::string, std::string> before = left_out;
  {
    absl::MutexLock lock(&mutex_);
    before.swap(left_out_);
  }
  for (const auto& [id, reason] : left_out) {
    const auto known = before.find(id);
    if (known == before.end() || known->second != reason) {
      spdlog::warn("model {} is left out: {}", id, reason);
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
  return ReadInfo(options_.directory, id, fingerprints_);
}

absl::StatusOr<std::shared_ptr<const LoadedModel>> ModelStore::Load(
    std::string_view id) {
  std::shared_ptr<Pending> pending;
  bool leads = false;
  {
    absl::MutexLock lock(&mutex_);
    const auto place = places_.find(id);
    if (place != places_.end() && place->second.model != nullptr) {
      place->second.last_use = ++uses_;
      return place->second.model;
    }
    auto& load = pending_[std::string(id)];
    leads = load == nullptr;
    if (leads) load = std::make_shared<Pending>();
    pending = load;
  }
  if (!leads) {
    pending->done.WaitForNotification();
    return pending->result;
  }
  // Others wait for the result: what is thrown becomes one.
  pending->result = CatchTorchErrors(
      Concat("loading the base model '", id, "'"), [&] { return LoadNow(id); });
  {
    absl::MutexLock lock(&mutex_);
    pending_.erase(pending_.find(id));
    const auto place = places_.find(id);
    if (pending->result.ok()) {
      place->second.model = *pending->result;
    } else if (place != places_.end()) {
      num_bytes_ -= place->second.num_bytes;
      places_.erase(place);
    }
  }
  pending->done.Notify();
  return pending->result;
}

std::vector<std::string> ModelStore::LoadedIds() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, place] : places_) {
    if (place.model != nullptr) ids.push_back(id);
  }
  return ids;
}

int64_t ModelStore::LoadedBytes(const ModelInfo& info) const {
  return info.num_parameters *
         static_cast<int64_t>(c10::elementSize(options_.dtype));
}

ModelStore::Memory ModelStore::memory() const {
  absl::MutexLock lock(&mutex_);
  return {.num_bytes = num_bytes_,
          .max_bytes = options_.max_loaded_bytes,
          .num_evictions = num_evictions_};
}

void ModelStore::SetEvictionListener(std::function<void()> listener) {
  absl::MutexLock lock(&listener_mutex_);
  eviction_listener_ = std::move(listener);
}

absl::Status ModelStore::MakePlace(const ModelInfo& info) {
  const int64_t wanted = LoadedBytes(info);
  if (wanted > options_.max_loaded_bytes) {
    return BeyondBudget(info, wanted, options_);
  }
  std::vector<std::shared_ptr<const LoadedModel>> dropped;
  {
    absl::MutexLock lock(&mutex_);
    std::vector<decltype(places_)::iterator> idle;
    std::vector<std::string> in_use;
    int64_t used_bytes = 0;
    for (auto it = places_.begin(); it != places_.end(); ++it) {
      const auto& [id, place] = *it;
      if (IsIdle(place.model)) {
        idle.push_back(it);
        continue;
      }
      in_use.push_back(place.model == nullptr ? id + " (being loaded)" : id);
      used_bytes += place.num_bytes;
    }
    if (used_bytes > options_.max_loaded_bytes - wanted) {
      return NoRoom(info, wanted, options_, absl::StrJoin(in_use, ", "),
                    used_bytes);
    }
    std::sort(idle.begin(), idle.end(), [](const auto& a, const auto& b) {
      return a->second.last_use < b->second.last_use;
    });
    for (const auto& it : idle) {
      if (num_bytes_ <= options_.max_loaded_bytes - wanted) break;
      num_bytes_ -= it->second.num_bytes;
      dropped.push_back(std::move(it->second.model));
      places_.erase(it);
    }
    num_evictions_ += static_cast<int64_t>(dropped.size());
    num_bytes_ += wanted;
    places_[info.id] = {
        .num_bytes = wanted, .model = nullptr, .last_use = ++uses_};
  }
  if (dropped.empty()) return absl::OkStatus();
  for (const auto& model : dropped) {
    spdlog::info("model {} leaves the memory to make room for {}",
                 model->info.id, info.id);
  }
  dropped.clear();
  {
    absl::MutexLock lock(&listener_mutex_);
    if (eviction_listener_) eviction_listener_();
  }
  ReturnFreedMemory();
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const LoadedModel>> ModelStore::LoadNow(
    std::string_view id) {
  auto loaded = std::make_shared<LoadedModel>();
  const std::string path = Concat(options_.directory, "/", id);
  ATTUNE_ASSIGN_OR_RETURN(loaded->info, Info(id));
  const ModelConfig& config = loaded->info.config;
  ATTUNE_ASSIGN_OR_RETURN(ModelText text, ReadModelText(path, config));
  loaded->tokenizer = std::move(text.tokenizer);
  loaded->chat_template = std::move(text.chat_template);
  loaded->bos_token = std::move(text.bos_token);
  loaded->eos_token = std::move(text.eos_token);
  loaded->mask_token = std::move(text.mask_token);
  loaded->stop_token_ids = std::move(text.stop_token_ids);
  if (loaded->tokenizer->vocab_size() > config.vocab_size) {
    return MakeError(
        Reason::kCorruptModel,
        Concat(path, ": the tokenizer has ", loaded->tokenizer->vocab_size(),
               " tokens, config.json says ", config.vocab_size));
  }
  ATTUNE_ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(path));
  // Only now: a model that cannot be read drives no other one out.
  ATTUNE_RETURN_IF_ERROR(MakePlace(loaded->info));
  ATTUNE_ASSIGN_OR_RETURN(
      loaded->model,
      LoadBaseModel(config, checkpoint, options_.device, options_.dtype));
  return std::shared_ptr<const LoadedModel>(std::move(loaded));
}

}  // namespace attune::worker
