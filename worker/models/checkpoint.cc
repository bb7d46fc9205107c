#include "worker/models/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <utility>

#include "absl/strings/str_join.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/json_reader.h"

namespace attune::worker {
namespace {

namespace fs = std::filesystem;

constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";
constexpr size_t kMaxIndexBytes = size_t{16} << 20;
constexpr size_t kMaxNamed = 5;

// tensor -> file name, from the index; empty if there is no index.
using WeightMap = std::map<std::string, std::string>;

absl::StatusOr<WeightMap> ReadIndex(const std::string& path) {
  ATTUNE_ASSIGN_OR_RETURN(nlohmann::json index,
                          ReadJsonFile(path, kMaxIndexBytes));
  const auto weights = index.find("weight_map");
  if (weights == index.end() || !weights->is_object() || weights->empty()) {
    return CorruptFile(path, "no weight_map");
  }
  WeightMap map;
  for (const auto& [name, file] : weights->items()) {
    // A plain file name: the index may not reach outside its directory.
    if (!file.is_string() ||
        fs::path(file.get<std::string>()).filename() !=
            fs::path(file.get<std::string>()) ||
        !file.get<std::string>().ends_with(".safetensors")) {
      return CorruptFile(
          path, Concat("tensor '", name, "' is in ", file.dump(),
                       ", which is no safetensors file of the directory"));
    }
    map[name] = file.get<std::string>();
  }
  return map;
}

std::string Few(const std::vector<std::string>& names) {
  const size_t count = std::min(names.size(), kMaxNamed);
  std::string text = absl::StrJoin(names.begin(), names.begin() + count, ", ");
  if (names.size() > count) {
    text += Concat(" and ", names.size() - count, " more");
  }
  return text;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> Checkpoint::Files(
    const std::string& directory) {
  const fs::path base(directory);
  std::error_code error;
  if (fs::exists(base / kSingleFile, error)) {
    return std::vector<std::string>{(base / kSingleFile).string()};
  }
  const std::string index = (base / kIndexFile).string();
  if (!fs::exists(index, error)) {
    return absl::NotFoundError(Concat(directory, ": neither ", kSingleFile,
                                      " nor ", kIndexFile, " is there"));
  }
  ATTUNE_ASSIGN_OR_RETURN(WeightMap map, ReadIndex(index));
  std::set<std::string> names;
  for (const auto& [tensor, file] : map) names.insert((base / file).string());
  return std::vector<std::string>(names.begin(), names.end());
}

absl::StatusOr<Checkpoint> Checkpoint::Open(const std::string& directory) {
  Checkpoint checkpoint;
  checkpoint.directory_ = directory;
  ATTUNE_ASSIGN_OR_RETURN(std::vector<std::string> paths, Files(directory));
  for (const std::string& path : paths) {
    ATTUNE_ASSIGN_OR_RETURN(Safetensors file, Safetensors::Open(path));
    for (const auto& [name, entry] : file.entries()) {
      if (!checkpoint.file_of_.emplace(name, checkpoint.files_.size()).second) {
        return CorruptFile(path,
                           Concat("tensor '", name, "' is in two shards"));
      }
    }
    checkpoint.files_.push_back(std::move(file));
  }
  return checkpoint;
}

at::Tensor Checkpoint::Take(const std::string& name,
                            const std::vector<int64_t>& shape) {
  known_.insert(name);
  const auto it = file_of_.find(name);
  if (it == file_of_.end()) {
    missing_.push_back(name);
    return at::Tensor();
  }
  const Safetensors& file = files_[it->second];
  const Safetensors::Entry& entry = file.entries().at(name);
  if (entry.shape != shape || !c10::isFloatingType(entry.dtype)) {
    misshapen_.push_back(Concat(name, " [", absl::StrJoin(entry.shape, ", "),
                                "] instead of [", absl::StrJoin(shape, ", "),
                                "]"));
    return at::Tensor();
  }
  return *file.View(name);
}

absl::Status Checkpoint::Finish() const {
  std::vector<std::string> surplus;
  for (const auto& [name, index] : file_of_) {
    if (!known_.contains(name)) surplus.push_back(name);
  }
  std::string problems;
  for (const auto& [kind, names] :
       {std::pair<std::string_view, const std::vector<std::string>&>("missing",
                                                                     missing_),
        {"of another shape", misshapen_},
        {"surplus", surplus}}) {
    if (names.empty()) continue;
    problems += Concat(problems.empty() ? "" : "; ", kind, ": ", Few(names));
  }
  if (problems.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      Concat(directory_, ": tensors ", problems));
}

}  // namespace attune::worker
