#include "worker/forward_pass.h"

#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/torch_errors.h"
#include "worker/tasks/packed_batch.h"

namespace attune::worker {
namespace {

// [n], int64, on the CPU.
at::Tensor IdTensor(const std::vector<int64_t>& ids) {
  return at::tensor(ids, at::TensorOptions().dtype(at::kLong));
}

// As results are kept. Shares the memory of `numbers` if that is so already.
at::Tensor Kept(const at::Tensor& numbers) {
  return numbers.detach().to(at::kCPU, at::kFloat).contiguous();
}

std::string ResultName(std::string_view what, int64_t input) {
  return Concat(what, ".", input);
}

int64_t CachedRows(const std::shared_ptr<const KvBlock>& prefix) {
  return prefix == nullptr ? 0 : prefix->length();
}

std::vector<at::Tensor> MovedTo(const at::Device& device,
                                const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> moved;
  for (const at::Tensor& tensor : tensors) moved.push_back(tensor.to(device));
  return moved;
}

}  // namespace

struct ForwardPass::DecodedRow {
  std::vector<int64_t> next_ids;         // that the model has not seen
  std::unique_ptr<KvSequence> sequence;  // null: nothing is generated
  std::vector<int64_t> generated;
  int64_t room = 0;  // tokens that may still be generated
};

absl::StatusOr<ForwardPass> ForwardPass::Create(
    const BaseModel& model, const std::optional<PeftAdapter>& adapter,
    Options options) {
  const ModelKind kind = model.config().kind;
  if (options.max_new_tokens > 0 && kind == ModelKind::kEncoder) {
    return absl::InvalidArgumentError(
        Concat("a model of the kind encoder (family '", model.config().family,
               "') does not generate; leave --generate out"));
  }
  ForwardPass pass(model, std::move(options));
  if (!adapter) return pass;
  if (adapter->is_prefix()) {
    pass.prefix_ = std::make_shared<const KvBlock>(
        MovedTo(model.device(), adapter->keys),
        MovedTo(model.device(), adapter->values));
    return pass;
  }
  const at::Tensor rows = adapter->input_rows.to(model.device());
  if (kind != ModelKind::kCausal) {
    pass.input_rows_ = rows;
    return pass;
  }
  // Rows of a causal model do not depend on what follows them: they are
  // computed once.
  ATTUNE_ASSIGN_OR_RETURN(
      pass.prefix_, static_cast<const CausalModel&>(model).BuildPrefix(rows));
  return pass;
}

int64_t ForwardPass::NumRows(const ForwardRow& row) const {
  return static_cast<int64_t>(row.input_ids.size() +
                              row.decoder_input_ids.size()) +
         (input_rows_.defined() ? input_rows_.size(0) : 0);
}

absl::Status ForwardPass::Run(std::span<const ForwardRow> rows, int64_t first,
                              TensorMap& results) const {
  return CatchTorchErrors("forward", [&]() -> absl::Status {
    for (size_t i = 0; i < rows.size(); ++i) {
      const int64_t input = first + static_cast<int64_t>(i);
      results[ResultName("input_ids", input)] = IdTensor(rows[i].input_ids);
      if (!rows[i].decoder_input_ids.empty()) {
        results[ResultName("decoder_input_ids", input)] =
            IdTensor(rows[i].decoder_input_ids);
      }
    }
    switch (model_.config().kind) {
      case ModelKind::kCausal:
        return RunCausal(rows, first, results);
      case ModelKind::kEncoder:
        return RunEncoder(rows, first, results);
      case ModelKind::kEncoderDecoder:
        return RunEncoderDecoder(rows, first, results);
    }
    return absl::InternalError("a model of no kind");
  });
}

EncoderRows ForwardPass::PackInputs(std::span<const ForwardRow> rows,
                                    const KvBlock* prefix) const {
  EncoderRows packed;
  std::vector<at::Tensor> parts;
  std::vector<int64_t> types;
  const int64_t num_prompt_rows =
      input_rows_.defined() ? input_rows_.size(0) : 0;
  int64_t begin = 0;
  for (const ForwardRow& row : rows) {
    if (num_prompt_rows > 0) parts.push_back(input_rows_);
    parts.push_back(model_.Embed(IdTensor(row.input_ids)));
    const int64_t length = num_prompt_rows + parts.back().size(0);
    packed.segments.push_back(
        {.begin = begin, .length = length, .prefix = prefix});
    begin += length;
    types.resize(begin - static_cast<int64_t>(row.token_types.size()), 0);
    types.insert(types.end(), row.token_types.begin(), row.token_types.end());
  }
  packed.embeddings = at::cat(parts);
  if (model_.config().num_token_types > 0) {
    packed.token_types = IdTensor(types);
  }
  return packed;
}

absl::Status ForwardPass::RunEncoder(std::span<const ForwardRow> rows,
                                     int64_t first, TensorMap& results) const {
  const auto& model = static_cast<const EncoderModel&>(model_);
  const EncoderHead head = model.config().head;
  const EncoderRows packed = PackInputs(rows, prefix_.get());
  ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden, model.Forward(packed));
  for (size_t i = 0; i < rows.size(); ++i) {
    const int64_t input = first + static_cast<int64_t>(i);
    const Segment& segment = packed.segments[i];
    const int64_t length = static_cast<int64_t>(rows[i].input_ids.size());
    const at::Tensor text =
        hidden.narrow(0, segment.begin + segment.length - length, length);
    if (head == EncoderHead::kNone) {
      results[ResultName("last_hidden_state", input)] = Kept(text.clone());
      continue;
    }
    ATTUNE_ASSIGN_OR_RETURN(
        const at::Tensor logits,
        model.HeadLogits(head == EncoderHead::kSequence
                             ? hidden.narrow(0, segment.begin, 1)
                             : text));
    results[ResultName("logits", input)] = Kept(logits);
  }
  return absl::OkStatus();
}

absl::Status ForwardPass::RunCausal(std::span<const ForwardRow> rows,
                                    int64_t first, TensorMap& results) const {
  const auto& model = static_cast<const CausalModel&>(model_);
  std::vector<DecodedRow> decoded;
  for (const ForwardRow& row : rows) decoded.push_back(StartRow(row.input_ids));
  return Decode(
      model,
      [&](const std::vector<size_t>&, PackedRows packed) {
        return model.Forward(packed);
      },
      std::move(decoded), first, results);
}

absl::Status ForwardPass::RunEncoderDecoder(std::span<const ForwardRow> rows,
                                            int64_t first,
                                            TensorMap& results) const {
  const auto& model = static_cast<const EncoderDecoderModel&>(model_);
  const EncoderRows packed = PackInputs(rows, /*prefix=*/nullptr);
  ATTUNE_ASSIGN_OR_RETURN(const at::Tensor memory, model.Encode(packed));
  std::vector<DecoderMemory> memories;
  std::vector<std::shared_ptr<const KvBlock>> cached;  // kept for `memories`
  std::vector<DecodedRow> decoded;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Segment& segment = packed.segments[i];
    decoded.push_back(StartRow(rows[i].decoder_input_ids));
    if (options_.max_new_tokens == 0) {
      memories.push_back({.begin = segment.begin, .length = segment.length});
      continue;
    }
    // Every step reads it again.
    ATTUNE_ASSIGN_OR_RETURN(
        std::shared_ptr<const KvBlock> block,
        model.BuildMemory(memory.narrow(0, segment.begin, segment.length)));
    cached.push_back(std::move(block));
    memories.push_back({.cached = cached.back().get()});
  }
  return Decode(
      model,
      [&](const std::vector<size_t>& live, PackedRows decoder_rows) {
        DecoderRows batch;
        batch.rows = std::move(decoder_rows);
        for (const size_t i : live) batch.memories.push_back(memories[i]);
        if (cached.empty()) batch.memory = memory;
        return model.Decode(batch);
      },
      std::move(decoded), first, results);
}

ForwardPass::DecodedRow ForwardPass::StartRow(
    const std::vector<int64_t>& ids) const {
  DecodedRow row;
  row.next_ids = ids;
  if (options_.max_new_tokens == 0) return row;
  // The last token that is generated need not be run, so it may stand behind
  // the context.
  const int64_t used = CachedRows(prefix_) + static_cast<int64_t>(ids.size());
  row.room = std::min(options_.max_new_tokens,
                      model_.config().context_length - used + 1);
  row.sequence = std::make_unique<KvSequence>();
  return row;
}

bool ForwardPass::Extend(DecodedRow& row, int64_t token) const {
  row.generated.push_back(token);
  row.next_ids = {token};
  --row.room;
  return row.room <= 0 ||
         std::find(options_.end_tokens.begin(), options_.end_tokens.end(),
                   token) != options_.end_tokens.end();
}

absl::Status ForwardPass::Decode(const LanguageModel& model,
                                 const DecoderStep& step,
                                 std::vector<DecodedRow> rows, int64_t first,
                                 TensorMap& results) const {
  std::vector<size_t> live(rows.size());
  std::iota(live.begin(), live.end(), size_t{0});
  for (bool is_given = true; !live.empty(); is_given = false) {
    PackedBatch batch;
    std::vector<int64_t> last_rows;
    for (const size_t i : live) {
      last_rows.push_back(batch.LastRowOf(batch.AddRoot(
          rows[i].next_ids, prefix_.get(), rows[i].sequence.get())));
    }
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden,
                            step(live, batch.Build(model)));
    for (size_t i = 0; is_given && i < rows.size(); ++i) {
      const int64_t length = static_cast<int64_t>(rows[i].next_ids.size());
      // Input by input: logits of a whole batch could be gigabytes.
      results[ResultName("logits", first + static_cast<int64_t>(i))] = Kept(
          model.Logits(hidden.narrow(0, last_rows[i] - length + 1, length)));
    }
    if (options_.max_new_tokens == 0) return absl::OkStatus();
    const at::Tensor tokens =
        at::argmax(model.Logits(at::index_select(
                       hidden, 0, IdTensor(last_rows).to(hidden.device()))),
                   /*dim=*/1)
            .to(at::kCPU)
            .contiguous();
    std::vector<size_t> unfinished;
    for (size_t i = 0; i < live.size(); ++i) {
      const int64_t token = tokens.const_data_ptr<int64_t>()[i];
      if (!Extend(rows[live[i]], token)) unfinished.push_back(live[i]);
    }
    live = std::move(unfinished);
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    results[ResultName("generated_ids", first + static_cast<int64_t>(i))] =
        IdTensor(rows[i].generated);
  }
  return absl::OkStatus();
}

}  // namespace attune::worker
