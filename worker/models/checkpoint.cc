#include "worker/models/checkpoint.h"

#include <algorithm>
#include <array>
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

// A way to store weights, in one file or in shards with an index.
struct WeightLayout {
  std::string_view single_file;
  std::string_view index_file;
  std::string_view suffix;  // of the single file and of every shard
};

// In order of preference.
constexpr std::array<WeightLayout, 2> kWeightLayouts = {{
    {"model.safetensors", "model.safetensors.index.json", ".safetensors"},
    {"pytorch_model.bin", "pytorch_model.bin.index.json", ".bin"},
}};

constexpr size_t kMaxIndexBytes = size_t{16} << 20;
constexpr size_t kMaxNamed = 5;

// tensor -> file name, from the index; empty if there is no index.
using WeightMap = std::map<std::string, std::string>;

absl::StatusOr<WeightMap> ReadIndex(const std::string& path,
                                    std::string_view suffix) {
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
        !file.get<std::string>().ends_with(suffix)) {
      return CorruptFile(
          path, Concat("tensor '", name, "' is in ", file.dump(),
                       ", which is no *", suffix, " file of the directory"));
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

// Whether GPTQ, AWQ or compressed-tensors name several weights in one integer
// like this.
bool IsPackedWeight(const std::string& name) {
  return name.ends_with(".qweight") || name.ends_with(".weight_packed");
}

}  // namespace

absl::StatusOr<std::vector<std::string>> Checkpoint::Files(
    const std::string& directory) {
  const fs::path base(directory);
  std::vector<std::string> looked_for;
  for (const WeightLayout& layout : kWeightLayouts) {
    std::error_code error;
    if (fs::exists(base / layout.single_file, error)) {
      return std::vector<std::string>{(base / layout.single_file).string()};
    }
    const std::string index = (base / layout.index_file).string();
    if (fs::exists(index, error)) {
      ATTUNE_ASSIGN_OR_RETURN(const WeightMap map,
                              ReadIndex(index, layout.suffix));
      std::set<std::string> names;
      for (const auto& [tensor, file] : map) {
        names.insert((base / file).string());
      }
      return std::vector<std::string>(names.begin(), names.end());
    }
    looked_for.emplace_back(layout.single_file);
    looked_for.emplace_back(layout.index_file);
  }
  return absl::NotFoundError(Concat(directory,
                                    ": no weights: there is none of ",
                                    absl::StrJoin(looked_for, ", ")));
}

absl::StatusOr<Checkpoint::File> Checkpoint::OpenFile(const std::string& path) {
  if (path.ends_with(kWeightLayouts[0].suffix)) return Safetensors::Open(path);
  return TorchFile::Open(path);
}

absl::StatusOr<Checkpoint> Checkpoint::Open(const std::string& directory) {
  Checkpoint checkpoint;
  checkpoint.directory_ = directory;
  ATTUNE_ASSIGN_OR_RETURN(std::vector<std::string> paths, Files(directory));
  for (const std::string& path : paths) {
    ATTUNE_ASSIGN_OR_RETURN(File opened, OpenFile(path));
    const absl::Status added = std::visit(
        [&](const auto& file) -> absl::Status {
          for (const auto& [name, entry] : file.entries()) {
            const Place place = {checkpoint.files_.size(), entry.dtype,
                                 entry.shape};
            if (!checkpoint.tensors_.emplace(name, place).second) {
              return CorruptFile(
                  path, Concat("tensor '", name, "' is in two shards"));
            }
          }
          return absl::OkStatus();
        },
        opened);
    ATTUNE_RETURN_IF_ERROR(added);
    checkpoint.files_.push_back(std::move(opened));
  }
  return checkpoint;
}

int64_t Checkpoint::NumParameters() const {
  int64_t count = 0;
  for (const auto& [name, place] : tensors_) {
    if (c10::isFloatingType(place.dtype))
      count += c10::multiply_integers(place.shape);
  }
  return count;
}

at::Tensor Checkpoint::Take(const std::string& name,
                            const std::vector<int64_t>& shape) {
  known_.insert(name);
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) {
    missing_.push_back(name);
    return at::Tensor();
  }
  const Place& place = it->second;
  if (!c10::isFloatingType(place.dtype)) {
    integral_.push_back(Concat(name, " ", c10::toString(place.dtype)));
    quantised_ = quantised_ || c10::elementSize(place.dtype) == 1;
    return at::Tensor();
  }
  if (place.shape != shape) {
    misshapen_.push_back(Concat(name, " [", absl::StrJoin(place.shape, ", "),
                                "] instead of [", absl::StrJoin(shape, ", "),
                                "]"));
    return at::Tensor();
  }
  return std::visit([&](const auto& file) { return *file.View(name); },
                    files_[place.file])
      .contiguous();
}

absl::Status Checkpoint::Finish() const {
  std::vector<std::string> surplus;
  bool quantised = quantised_;
  for (const auto& [name, place] : tensors_) {
    if (known_.contains(name)) continue;
    surplus.push_back(name);
    quantised = quantised || IsPackedWeight(name);
  }
  std::string problems;
  for (const auto& [kind, names] :
       {std::pair<std::string_view, const std::vector<std::string>&>("missing",
                                                                     missing_),
        {"of another shape", misshapen_},
        {"of integers", integral_},
        {"surplus", surplus}}) {
    if (names.empty()) continue;
    problems += Concat(problems.empty() ? "" : "; ", kind, ": ", Few(names));
  }
  if (problems.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(Concat(
      directory_, ": tensors ", problems,
      quantised ? ": the weights are quantised, which is not supported: use "
                  "the model's files in F32, F16 or BF16"
                : ""));
}

}  // namespace attune::worker
