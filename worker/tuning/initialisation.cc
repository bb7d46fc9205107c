#include "worker/tuning/initialisation.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/tasks/seeded_random.h"
#include "worker/tuning/trained_adaptation.h"
#include "worker/tuning/trained_values.h"

namespace attune::worker {
namespace {

using attune::v1::PromptTuning;

// Rows of the embedding table that are read at once.
constexpr int64_t kTableChunk = 4096;
// Keeps initialisation apart from the seed's other uses.
constexpr uint64_t kStream = 100;

// Tokens -> their embeddings, the tokens repeated or cut to `count`.
at::Tensor EmbedRepeated(const BaseModel& model,
                         const std::vector<int64_t>& ids, int64_t count) {
  std::vector<int64_t> rows(count);
  for (int64_t i = 0; i < count; ++i) rows[i] = ids[i % ids.size()];
  return model.Embed(at::tensor(rows).to(model.device()))
      .to(at::kCPU, at::kFloat, /*non_blocking=*/false, /*copy=*/true)
      .contiguous();
}

absl::StatusOr<std::vector<int64_t>> TextTokens(const TaskProgram& program,
                                                const std::string& text) {
  absl::StatusOr<Encoding> tokens =
      program.model().tokenizer->Encode(text, /*add_special_tokens=*/true);
  if (!tokens.ok() || tokens->ids.empty()) {
    return InvalidField("spec.method.prompt_tuning.init_text",
                        tokens.ok() ? "has no tokens in this model"
                                    : std::string(tokens.status().message()));
  }
  return std::move(tokens->ids);
}

absl::StatusOr<std::vector<int64_t>> LabelTokens(const TaskProgram& program) {
  std::vector<int64_t> ids;
  for (const attune::v1::LabelWords& label : program.task().labels()) {
    for (const std::string& word : label.words()) {
      ATTUNE_ASSIGN_OR_RETURN(
          const Encoding tokens,
          program.model().tokenizer->Encode(Concat(" ", word),
                                            /*add_special_tokens=*/false));
      ids.insert(ids.end(), tokens.ids.begin(), tokens.ids.end());
    }
  }
  return ids;
}

// Tokens drawn from the training inputs, common ones more often; none twice
// while there are others.
std::vector<int64_t> SampleTokens(absl::Span<const PreparedExample> train,
                                  int64_t count, SeededRandom random) {
  std::vector<int64_t> pool;
  for (const PreparedExample& example : train) {
    pool.insert(pool.end(), example.input.ids.begin(), example.input.ids.end());
    pool.insert(pool.end(), example.answer_ids.begin(),
                example.answer_ids.end());
  }
  random.Shuffle(pool);
  std::vector<int64_t> ids;
  std::unordered_set<int64_t> seen;
  for (int64_t id : pool) {
    if (static_cast<int64_t>(ids.size()) == count) break;
    if (seen.insert(id).second) ids.push_back(id);
  }
  return ids;
}

at::Tensor ScaledNoise(int64_t count, int64_t dim, double scale,
                       SeededRandom random) {
  at::Tensor rows = at::empty({count, dim}, at::kFloat);
  float* next = rows.mutable_data_ptr<float>();
  for (int64_t i = 0; i < rows.numel(); ++i) {
    next[i] = static_cast<float>(scale * random.Normal());
  }
  return rows;
}

}  // namespace

double EmbeddingRms(const BaseModel& model) {
  const at::NoGradGuard no_grad;
  const int64_t vocab = model.config().vocab_size;
  double squares = 0;
  for (int64_t begin = 0; begin < vocab; begin += kTableChunk) {
    const at::Tensor ids =
        at::arange(begin, std::min(begin + kTableChunk, vocab), at::kLong);
    squares += model.Embed(ids.to(model.device()))
                   .square()
                   .sum(at::kDouble)
                   .item<double>();
  }
  return std::sqrt(squares /
                   static_cast<double>(vocab * model.config().embedding_dim));
}

absl::StatusOr<at::Tensor> MakeInitialRows(
    const PromptTuning& method, const TaskProgram& program,
    absl::Span<const PreparedExample> train, double embedding_rms,
    uint64_t seed) {
  const at::NoGradGuard no_grad;
  const BaseModel& model = *program.model().model;
  const int64_t count = method.num_virtual_tokens();
  std::vector<int64_t> ids;
  switch (method.initialisation()) {
    case PromptTuning::INITIALISATION_TEXT: {
      ATTUNE_ASSIGN_OR_RETURN(ids, TextTokens(program, method.init_text()));
      break;
    }
    case PromptTuning::INITIALISATION_CLASS_LABELS: {
      ATTUNE_ASSIGN_OR_RETURN(ids, LabelTokens(program));
      break;
    }
    case PromptTuning::INITIALISATION_SAMPLED_VOCABULARY:
      ids = SampleTokens(train, count, SeededRandom(seed, kStream));
      break;
    case PromptTuning::INITIALISATION_SCALED_RANDOM:
      return ScaledNoise(count, model.config().embedding_dim, embedding_rms,
                         SeededRandom(seed, kStream));
    default:
      return MakeError(
          Reason::kInternal,
          Concat("initialisation ",
                 PromptTuning::Initialisation_Name(method.initialisation()),
                 " was let through"));
  }
  return EmbedRepeated(model, ids, count);
}

absl::StatusOr<TensorMap> MakeInitialFront(
    const attune::v1::TuningMethod& method, const TaskProgram& program,
    absl::Span<const PreparedExample> train, double embedding_rms,
    uint64_t seed) {
  if (AdaptsModel(method)) {
    return MakeInitialAdaptation(program.model(), method, seed);
  }
  if (method.has_head()) return TensorMap();
  if (!method.has_prefix_tuning()) {
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor rows,
                            MakeInitialRows(method.prompt_tuning(), program,
                                            train, embedding_rms, seed));
    return TensorMap{{std::string(kPromptValue), rows}};
  }
  const attune::v1::PrefixTuning& prefix = method.prefix_tuning();
  PromptTuning start;
  start.set_num_virtual_tokens(prefix.num_virtual_tokens());
  start.set_initialisation(prefix.initialisation());
  start.set_init_text(prefix.init_text());
  ATTUNE_ASSIGN_OR_RETURN(
      const at::Tensor rows,
      MakeInitialRows(start, program, train, embedding_rms, seed));
  const BaseModel& model = *program.model().model;
  ATTUNE_ASSIGN_OR_RETURN(const std::shared_ptr<const KvBlock> block,
                          model.BuildPrefix(rows.to(model.device())));
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (int64_t layer = 0; layer < block->num_layers(); ++layer) {
    keys.push_back(block->keys(layer));
    values.push_back(block->values(layer));
  }
  return TensorMap{
      {std::string(kPrefixKeysValue), at::stack(keys).to(at::kCPU)},
      {std::string(kPrefixValuesValue), at::stack(values).to(at::kCPU)}};
}

}  // namespace attune::worker
