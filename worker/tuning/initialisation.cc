#include "worker/tuning/initialisation.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/tasks/seeded_random.h"
#include "worker/tuning/prompt_encoder.h"
#include "worker/tuning/trained_adaptation.h"
#include "worker/tuning/trained_values.h"

namespace attune::worker {
namespace {

using attune::v1::PromptTuning;

// Rows of the embedding table that are read at once.
constexpr int64_t kTableChunk = 4096;
// Keeps initialisation apart from the seed's other uses.
constexpr uint64_t kStream = 100;
constexpr uint64_t kEncoderStream = 101;
// Drawn tokens whose keys and values tell how large a layer's are.
constexpr int64_t kScaleTokens = 64;
// What a checkpoint's tensors may take; the rest is for its description.
constexpr int64_t kMaxStateBytes = kMaxArtifactBytes - (int64_t{1} << 20);

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
                                                const std::string& text,
                                                bool add_special_tokens,
                                                std::string_view field) {
  absl::StatusOr<Encoding> tokens =
      program.model().tokenizer->Encode(text, add_special_tokens);
  if (!tokens.ok() || tokens->ids.empty()) {
    return InvalidField(field, tokens.ok()
                                   ? "has no tokens in this model"
                                   : std::string(tokens.status().message()));
  }
  return std::move(tokens->ids);
}

// Where a language model says the words, what a person would ask for: it knows
// sentences better than words that merely stand side by side, from which it
// takes about twice as many steps to the same loss (SmolLM2-135M, seven
// intents). Beside a head the words alone: nothing is said.
std::string LabelText(const TaskProgram& program) {
  std::vector<std::string> words;
  for (const attune::v1::LabelWords& label : program.task().labels()) {
    words.insert(words.end(), label.words().begin(), label.words().end());
  }
  return program.scores_by_head()
             ? Concat(" ", absl::StrJoin(words, " "))
             : Concat("Classify the text: ", absl::StrJoin(words, ", "), ".");
}

// Tokens drawn from the training inputs and answers, common ones more often;
// none twice while there are others.
std::vector<int64_t> SampleTokens(absl::Span<const PreparedExample> train,
                                  int64_t count, SeededRandom random) {
  std::vector<int64_t> pool;
  for (const PreparedExample& example : train) {
    pool.insert(pool.end(), example.input.ids.begin(), example.input.ids.end());
    pool.insert(pool.end(), example.answer_ids.begin(),
                example.answer_ids.end());
    for (const std::vector<int64_t>& choice : example.input.choices.ids) {
      pool.insert(pool.end(), choice.begin(), choice.end());
    }
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

at::Tensor ScaledNoise(at::IntArrayRef shape, double scale,
                       SeededRandom& random) {
  at::Tensor noise = at::empty(shape, at::kFloat);
  float* next = noise.mutable_data_ptr<float>();
  for (int64_t i = 0; i < noise.numel(); ++i) {
    next[i] = static_cast<float>(scale * random.Normal());
  }
  return noise;
}

absl::Status BadVersion(std::string_view method, std::string_view what) {
  const std::string path = Concat("spec.method.", method, ".init_version");
  return MakeError(Reason::kIllegalState, Concat(path, ": ", what),
                   {{"field", path}});
}

// Positions of a version along `dim`, cut or repeated to `count`.
at::Tensor TakeRepeated(const at::Tensor& source, int64_t dim, int64_t count) {
  const at::Tensor positions =
      at::arange(count, at::kLong).remainder(source.size(dim));
  return source.index_select(dim, positions);
}

// The rows that a prompt starts as, or that a prefix is made of.
absl::StatusOr<at::Tensor> StartRows(const PromptTuning& tuning,
                                     std::string_view method,
                                     const TaskProgram& program,
                                     absl::Span<const PreparedExample> train,
                                     double embedding_rms, uint64_t seed,
                                     const StoredPrompt* version) {
  if (tuning.initialisation() != PromptTuning::INITIALISATION_VERSION) {
    return MakeInitialRows(tuning, program, train, embedding_rms, seed);
  }
  if (version == nullptr) {
    return MakeError(Reason::kInternal,
                     "the version to start from was left out");
  }
  if (!version->rows.has_value()) {
    return BadVersion(method,
                      "the version has no rows, and a prefix cannot be turned "
                      "back into rows that would give its keys and values");
  }
  return TakeRepeated(version->rows->rows(), 0, tuning.num_virtual_tokens());
}

// Keys and values of layers, each [layers, kv_heads, length, head_dim], fp32 on
// the CPU.
struct KeysValues {
  at::Tensor keys;
  at::Tensor values;
};

// What the model makes of rows, in all layers.
absl::StatusOr<KeysValues> KeysValuesOf(const BaseModel& model,
                                        const at::Tensor& rows) {
  ATTUNE_ASSIGN_OR_RETURN(const std::shared_ptr<const KvBlock> block,
                          model.BuildPrefix(rows.to(model.device())));
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (int64_t layer = 0; layer < block->num_layers(); ++layer) {
    keys.push_back(block->keys(layer));
    values.push_back(block->values(layer));
  }
  return KeysValues{at::stack(keys).to(at::kCPU),
                    at::stack(values).to(at::kCPU)};
}

// Noise of `length` positions, in each layer as large as `real` is there.
at::Tensor NoiseLike(const at::Tensor& real, int64_t length,
                     SeededRandom& random) {
  std::vector<at::Tensor> layers;
  for (const at::Tensor& layer : real.unbind(0)) {
    const double rms =
        std::sqrt(layer.square().mean(at::kDouble).item<double>());
    layers.push_back(
        ScaledNoise({layer.size(0), length, layer.size(2)}, rms, random));
  }
  return at::stack(layers);
}

// The keys and values of all layers that a prefix starts as: what the model
// makes of rows, or noise of that size.
absl::StatusOr<KeysValues> StartKeysValues(
    const attune::v1::PrefixTuning& prefix, const TaskProgram& program,
    absl::Span<const PreparedExample> train, double embedding_rms,
    uint64_t seed, const StoredPrompt* version) {
  const BaseModel& model = *program.model().model;
  const bool noise =
      prefix.initialisation() == PromptTuning::INITIALISATION_SCALED_RANDOM;
  PromptTuning start;
  start.set_num_virtual_tokens(
      noise ? static_cast<int32_t>(
                  std::min(kScaleTokens, model.config().context_length))
            : prefix.num_virtual_tokens());
  start.set_initialisation(noise
                               ? PromptTuning::INITIALISATION_SAMPLED_VOCABULARY
                               : prefix.initialisation());
  start.set_init_text(prefix.init_text());
  ATTUNE_ASSIGN_OR_RETURN(const at::Tensor rows,
                          StartRows(start, "prefix_tuning", program, train,
                                    embedding_rms, seed, version));
  ATTUNE_ASSIGN_OR_RETURN(KeysValues all, KeysValuesOf(model, rows));
  if (noise) {
    SeededRandom random(seed, kStream);
    all.keys = NoiseLike(all.keys, prefix.num_virtual_tokens(), random);
    all.values = NoiseLike(all.values, prefix.num_virtual_tokens(), random);
  }
  return all;
}

absl::StatusOr<TensorMap> MakeInitialPrefix(
    const attune::v1::PrefixTuning& prefix, const TaskProgram& program,
    absl::Span<const PreparedExample> train, double embedding_rms,
    uint64_t seed, const StoredPrompt* version) {
  const at::NoGradGuard no_grad;
  const ModelConfig& config = program.model().model->config();
  const int64_t length = prefix.num_virtual_tokens();
  const int64_t first = prefix.first_layer();
  const int64_t count = prefix.num_layers() > 0
                            ? prefix.num_layers()
                            : config.NumCachedLayers() - first;
  KeysValues start;
  int64_t start_layer = 0;
  if (prefix.initialisation() == PromptTuning::INITIALISATION_ZERO) {
    start.keys = at::zeros({config.NumCachedLayers(), config.num_kv_heads,
                            length, config.head_dim},
                           at::kFloat);
    start.values = start.keys;
  } else if (prefix.initialisation() == PromptTuning::INITIALISATION_VERSION &&
             version != nullptr && version->prefix.keys.defined()) {
    start = {TakeRepeated(version->prefix.keys, 2, length),
             TakeRepeated(version->prefix.values, 2, length)};
    start_layer = version->prefix.first_layer;
  } else {
    ATTUNE_ASSIGN_OR_RETURN(
        start,
        StartKeysValues(prefix, program, train, embedding_rms, seed, version));
  }
  const int64_t there = start.keys.size(0);
  if (first < start_layer || first + count > start_layer + there) {
    return BadVersion(
        "prefix_tuning",
        Concat("the version has a prefix before layers ", start_layer, " to ",
               start_layer + there - 1, ", and this job trains one before ",
               first, " to ", first + count - 1));
  }
  const auto layers = [&](const at::Tensor& all) {
    return all.narrow(0, first - start_layer, count)
        .clone(at::MemoryFormat::Contiguous);
  };
  return TensorMap{{std::string(kPrefixKeysValue), layers(start.keys)},
                   {std::string(kPrefixValuesValue), layers(start.values)}};
}

// A checkpoint holds each value, two of the optimiser and the best so far. A
// running mean that a job asks for besides is not counted: where it is too
// much, training goes on without checkpoints.
absl::Status CheckRoomInCheckpoint(const attune::v1::TuningMethod& method,
                                   const TensorMap& values) {
  constexpr int64_t kBytesPerNumber = 4 * sizeof(float);
  int64_t bytes = 0;
  for (const auto& [name, value] : values) {
    bytes += value.numel() * kBytesPerNumber;
  }
  if (bytes <= kMaxStateBytes) return absl::OkStatus();
  const bool prefix = method.has_prefix_tuning();
  const int width = prefix ? method.prefix_tuning().encoder_hidden_size()
                           : method.prompt_tuning().encoder_hidden_size();
  return InvalidField(
      Concat("spec.method.", prefix ? "prefix_tuning" : "prompt_tuning",
             ".encoder_hidden_size"),
      Concat("is ", width, ", with which a checkpoint would have ", bytes >> 20,
             " MiB; at most ", kMaxStateBytes >> 20, " are stored: lower it"));
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
      ATTUNE_ASSIGN_OR_RETURN(ids, TextTokens(program, method.init_text(),
                                              /*add_special_tokens=*/true,
                                              "spec.method.prompt_tuning."
                                              "init_text"));
      break;
    }
    case PromptTuning::INITIALISATION_CLASS_LABELS: {
      ATTUNE_ASSIGN_OR_RETURN(
          ids, TextTokens(program, LabelText(program),
                          /*add_special_tokens=*/program.scores_behind_text(),
                          "spec.task.labels"));
      break;
    }
    case PromptTuning::INITIALISATION_SAMPLED_VOCABULARY:
      ids = SampleTokens(train, count, SeededRandom(seed, kStream));
      break;
    case PromptTuning::INITIALISATION_SCALED_RANDOM: {
      SeededRandom random(seed, kStream);
      return ScaledNoise({count, model.config().embedding_dim}, embedding_rms,
                         random);
    }
    default:
      return MakeError(
          Reason::kInternal,
          Concat("initialisation ",
                 PromptTuning::Initialisation_Name(method.initialisation()),
                 " was let through"));
  }
  return EmbedRepeated(model, ids, count);
}

const std::string& InitVersionOf(const attune::v1::TuningMethod& method) {
  return method.has_prefix_tuning() ? method.prefix_tuning().init_version()
                                    : method.prompt_tuning().init_version();
}

absl::StatusOr<StoredPrompt> ReadInitVersion(const std::string& version,
                                             const Artifact& artifact,
                                             const ModelInfo& model) {
  const std::string context = Concat("training cannot start from ", version);
  absl::StatusOr<StoredPrompt> stored = DecodePrompt(artifact);
  if (!stored.ok()) {
    // Not kCorruptArtifact, which would be taken for the checkpoint's.
    return MakeError(Reason::kIllegalState,
                     Concat(context, ": ", ToStd(stored.status().message())));
  }
  const absl::Status fits = CheckPromptFits(*stored, model);
  if (!fits.ok()) return WithContext(fits, context);
  return stored;
}

absl::StatusOr<TensorMap> MakeInitialFront(
    const attune::v1::TuningMethod& method, const TaskProgram& program,
    absl::Span<const PreparedExample> train, double embedding_rms,
    uint64_t seed, const StoredPrompt* version) {
  if (AdaptsModel(method)) {
    return MakeInitialAdaptation(program.model(), method, seed);
  }
  TensorMap front;
  if (method.has_head() || method.has_hard_prompt()) return front;
  if (method.has_prefix_tuning()) {
    ATTUNE_ASSIGN_OR_RETURN(
        front, MakeInitialPrefix(method.prefix_tuning(), program, train,
                                 embedding_rms, seed, version));
  } else {
    ATTUNE_ASSIGN_OR_RETURN(
        front[std::string(kPromptValue)],
        StartRows(method.prompt_tuning(), "prompt_tuning", program, train,
                  embedding_rms, seed, version));
  }
  const std::optional<PromptEncoder> encoder = PromptEncoder::Of(method);
  if (!encoder.has_value()) return front;
  SeededRandom random(seed, kEncoderStream);
  front.merge(encoder->MakeParameters(front, random));
  ATTUNE_RETURN_IF_ERROR(CheckRoomInCheckpoint(method, front));
  return front;
}

}  // namespace attune::worker
