#include "worker/models/architectures.h"

#include "worker/models/bert.h"
#include "worker/models/distilbert.h"
#include "worker/models/gemma3.h"
#include "worker/models/gpt2.h"
#include "worker/models/gpt_neox.h"
#include "worker/models/llama.h"
#include "worker/models/opt.h"
#include "worker/models/t5.h"

namespace attune::worker {
namespace {

constexpr Architecture kArchitectures[] = {
    {.model_type = "bert", .read_config = Bert::ReadConfig, .load = Bert::Load},
    {.model_type = "distilbert",
     .read_config = DistilBert::ReadConfig,
     .load = DistilBert::Load},
    {.model_type = "electra",
     .read_config = Bert::ReadConfig,
     .load = Bert::Load},
    {.model_type = "gemma3_text",
     .read_config = Gemma3::ReadConfig,
     .load = Gemma3::Load},
    {.model_type = "gpt2", .read_config = Gpt2::ReadConfig, .load = Gpt2::Load},
    {.model_type = "gpt_neox",
     .read_config = GptNeox::ReadConfig,
     .load = GptNeox::Load},
    {.model_type = "llama",
     .read_config = Llama::ReadConfig,
     .load = Llama::Load},
    {.model_type = "mistral",
     .read_config = Llama::ReadConfig,
     .load = Llama::Load},
    {.model_type = "mt5", .read_config = T5::ReadConfig, .load = T5::Load},
    {.model_type = "opt", .read_config = Opt::ReadConfig, .load = Opt::Load},
    {.model_type = "qwen2",
     .read_config = Llama::ReadConfig,
     .load = Llama::Load},
    {.model_type = "qwen3",
     .read_config = Llama::ReadConfig,
     .load = Llama::Load},
    {.model_type = "roberta",
     .read_config = Bert::ReadConfig,
     .load = Bert::Load},
    {.model_type = "t5", .read_config = T5::ReadConfig, .load = T5::Load},
    {.model_type = "xlm-roberta",
     .read_config = Bert::ReadConfig,
     .load = Bert::Load},
};

}  // namespace

const Architecture* FindArchitecture(std::string_view model_type) {
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.model_type == model_type) return &architecture;
  }
  return nullptr;
}

std::string ArchitectureNames() {
  std::string names;
  for (const Architecture& architecture : kArchitectures) {
    if (!names.empty()) names += ", ";
    names += architecture.model_type;
  }
  return names;
}

}  // namespace attune::worker
