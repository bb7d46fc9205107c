#include "worker/models/gguf_import.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/gguf.h"
#include "worker/models/gguf_architectures.h"
#include "worker/models/gguf_keys.h"
#include "worker/models/gguf_tokenizer.h"
#include "worker/models/model_config.h"
#include "worker/models/safetensors.h"

namespace attune::worker {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<const GgufArchitecture*> ArchitectureOf(const Gguf& gguf) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string name,
                          gguf.Get<std::string>("general.architecture"));
  const GgufArchitecture* architecture = FindGgufArchitecture(name);
  if (architecture == nullptr) {
    return absl::UnimplementedError(
        Concat(gguf.origin(), ": architecture ", QuoteBytes(name),
               " is not supported; there are: ", GgufArchitectureNames()));
  }
  ATTUNE_ASSIGN_OR_RETURN(const int64_t parts,
                          gguf.GetOr<int64_t>("split.count", 1));
  if (parts > 1) {
    return absl::UnimplementedError(
        Concat(gguf.origin(), ": one of ", parts,
               " parts of a model; merge them with llama.cpp's "
               "`llama-gguf-split --merge` first"));
  }
  return architecture;
}

// llama.cpp stores the rows of a head for rotating neighbours (0, 1), (2,
// 3)...; Hugging Face rotates halves: (0, head_dim / 2) and so on. weight:
// [heads * head_dim, columns]
at::Tensor UndoPermutation(const at::Tensor& weight, int64_t heads) {
  const int64_t columns = weight.size(1);
  return weight.view({heads, weight.size(0) / heads / 2, 2, columns})
      .transpose(1, 2)
      .reshape({weight.size(0), columns});
}

at::Tensor Undo(const GgufMove& move, const at::Tensor& tensor) {
  switch (move.change) {
    case GgufMove::Change::kNone:
      return tensor;
    case GgufMove::Change::kPermuted:
      return UndoPermutation(tensor, move.heads);
    case GgufMove::Change::kTransposed:
      return tensor.t().contiguous();
    case GgufMove::Change::kOneAdded:
      return tensor - 1;
  }
  return tensor;
}

std::string ShowSizes(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t size : shape) {
    text += Concat(text.empty() ? "" : ", ", size);
  }
  return Concat("[", text, "]");
}

// The tensors under Hugging Face's names. DataLoss naming one that is missing
// or has another shape, Unimplemented naming one that is left over.
absl::StatusOr<TensorMap> ConvertTensors(const Gguf& gguf,
                                         const std::vector<GgufMove>& moves) {
  // Names before numbers: a file for something else fails without being read.
  std::set<std::string_view> known;
  for (const GgufMove& move : moves) {
    known.insert(move.from);
    const auto it = gguf.tensors().find(move.from);
    if (it == gguf.tensors().end()) {
      return CorruptFile(gguf.origin(),
                         Concat("no tensor ", QuoteBytes(move.from)));
    }
    if (it->second.shape != move.shape) {
      return CorruptFile(gguf.origin(),
                         Concat("tensor ", QuoteBytes(move.from),
                                " has the shape ", ShowSizes(it->second.shape),
                                ", its metadata mean ", ShowSizes(move.shape)));
    }
  }
  for (const auto& [name, tensor] : gguf.tensors()) {
    if (known.contains(name)) continue;
    return absl::UnimplementedError(Concat(gguf.origin(), ": tensor ",
                                           QuoteBytes(name),
                                           " has no place in this model"));
  }
  TensorMap tensors;
  for (const GgufMove& move : moves) {
    if (move.to.empty()) continue;
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor tensor, gguf.Decode(move.from));
    tensors[move.to] = Undo(move, tensor);
  }
  return tensors;
}

absl::Status WriteText(const fs::path& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary);
  file << text << '\n';
  file.close();
  if (!file) {
    return absl::UnavailableError(Concat("cannot write ", path.string()));
  }
  return absl::OkStatus();
}

absl::Status WriteDirectory(const Gguf& gguf, const fs::path& directory) {
  ATTUNE_ASSIGN_OR_RETURN(const GgufArchitecture* architecture,
                          ArchitectureOf(gguf));
  ATTUNE_ASSIGN_OR_RETURN(
      const nlohmann::ordered_json config_object,
      architecture->write_config(GgufKeys(gguf, architecture->name)));
  const std::string config_json = config_object.dump(2);
  const absl::StatusOr<ModelConfig> parsed = ParseModelConfig(config_json);
  if (absl::IsInvalidArgument(parsed.status())) {
    return CorruptFile(gguf.origin(), ToStd(parsed.status().message()));
  }
  ATTUNE_RETURN_IF_ERROR(parsed.status());
  const ModelConfig& config = *parsed;
  ATTUNE_ASSIGN_OR_RETURN(TokenizerFiles files,
                          ConvertTokenizer(gguf, config.context_length));
  if (files.vocab_size != config.vocab_size) {
    return CorruptFile(gguf.origin(), Concat(files.vocab_size, " tokens but ",
                                             config.vocab_size, " embeddings"));
  }
  ATTUNE_ASSIGN_OR_RETURN(
      TensorMap tensors,
      ConvertTensors(gguf, architecture->list_moves(config)));
  ATTUNE_RETURN_IF_ERROR(WriteSafetensorsFile(
      (directory / "model.safetensors").string(), tensors, {{"format", "pt"}}));
  ATTUNE_RETURN_IF_ERROR(WriteText(directory / "config.json", config_json));
  ATTUNE_RETURN_IF_ERROR(
      WriteText(directory / "tokenizer.json", files.tokenizer_json));
  ATTUNE_RETURN_IF_ERROR(WriteText(directory / "tokenizer_config.json",
                                   files.tokenizer_config_json));
  return WriteText(directory / "generation_config.json",
                   files.generation_config_json);
}

}  // namespace

absl::Status ImportGguf(const std::string& gguf_file,
                        const std::string& output_dir) {
  std::error_code error;
  fs::path output = fs::path(output_dir).lexically_normal();
  if (!output.has_filename()) output = output.parent_path();
  if (fs::exists(output, error)) {
    return absl::AlreadyExistsError(
        Concat(output.string(), " exists; remove it to import again"));
  }
  ATTUNE_ASSIGN_OR_RETURN(Gguf gguf, Gguf::Open(gguf_file));
  if (output.has_parent_path())
    fs::create_directories(output.parent_path(), error);
  std::string temporary = Concat(output.string(), ".import-XXXXXX");
  if (mkdtemp(temporary.data()) == nullptr) {
    return absl::ErrnoToStatus(errno, Concat("cannot create ", temporary));
  }
  auto remove = absl::MakeCleanup([&] {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
  });
  try {
    ATTUNE_RETURN_IF_ERROR(WriteDirectory(gguf, temporary));
  } catch (const std::exception& caught) {
    return absl::InternalError(
        Concat("import of ", gguf_file, ": ", caught.what()));
  }
  fs::permissions(temporary, fs::perms(0755), error);
  fs::rename(temporary, output, error);
  if (error) {
    return absl::UnavailableError(Concat("cannot rename ", temporary, " to ",
                                         output.string(), ": ",
                                         error.message()));
  }
  std::move(remove).Cancel();
  return absl::OkStatus();
}

}  // namespace attune::worker
