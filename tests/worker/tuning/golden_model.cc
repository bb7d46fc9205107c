#include "tests/worker/tuning/golden_model.h"

#include <utility>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "tests/testing/tiny_llama.h"
#include "worker/models/checkpoint.h"
#include "worker/models/model_files.h"
#include "worker/models/model_loader.h"

namespace attune::worker {

absl::StatusOr<std::shared_ptr<const LoadedModel>> LoadGoldenModel(
    const std::string& name) {
  const std::string directory = Concat("tests/golden/architectures/", name);
  auto loaded = std::make_shared<LoadedModel>();
  loaded->info.id = name;
  ATTUNE_ASSIGN_OR_RETURN(loaded->info.config, ReadModelConfig(directory));
  ATTUNE_ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(directory));
  ATTUNE_ASSIGN_OR_RETURN(loaded->model,
                          LoadBaseModel(loaded->info.config, checkpoint,
                                        at::Device(at::kCPU), at::kFloat));
  ATTUNE_ASSIGN_OR_RETURN(loaded->tokenizer,
                          Tokenizer::FromJson(TinyTokenizerJson()));
  loaded->eos_token = "<|im_end|>";
  loaded->stop_token_ids = {2};
  return std::shared_ptr<const LoadedModel>(std::move(loaded));
}

PreparedExample ExampleOfIds(std::vector<int64_t> text,
                             std::vector<int64_t> answer) {
  PreparedExample example;
  example.input.ids = std::move(text);
  example.answer_ids = std::move(answer);
  return example;
}

}  // namespace attune::worker
