#include "worker/tasks/encoder_batch.h"

#include <ATen/ops/cat.h>

namespace attune::worker {

void EncoderBatch::AddText(absl::Span<const int64_t> ids,
                           const at::Tensor& rows, const KvBlock* prefix,
                           const at::Tensor& marked) {
  texts_.push_back({.begin = num_rows(),
                    .prompt_length = rows.defined() ? rows.size(0) : 0,
                    .length = static_cast<int64_t>(ids.size())});
  prompts_.push_back(rows);
  prefixes_.push_back(prefix);
  tokens_.Add(ids, marked);
}

void EncoderBatch::AddText(absl::Span<const int64_t> ids,
                           const AttachedPrompt& prompt) {
  AddText(ids, prompt.rows, prompt.prefix.get(), prompt.marked_rows);
}

int64_t EncoderBatch::CountRows(absl::Span<const int64_t> ids,
                                const at::Tensor& rows) {
  return (rows.defined() ? rows.size(0) : 0) + static_cast<int64_t>(ids.size());
}

EncoderRows EncoderBatch::Build(const BaseModel& model) const {
  const at::Tensor tokens = tokens_.Embed(model);
  EncoderRows rows;
  std::vector<at::Tensor> parts;
  int64_t next_token = 0;
  for (size_t i = 0; i < texts_.size(); ++i) {
    const Text& text = texts_[i];
    if (text.prompt_length > 0) parts.push_back(prompts_[i]);
    parts.push_back(tokens.narrow(0, next_token, text.length));
    next_token += text.length;
    rows.segments.push_back({.begin = text.begin,
                             .length = text.end() - text.begin,
                             .prefix = prefixes_[i]});
  }
  rows.embeddings = at::cat(parts);
  return rows;
}

}  // namespace attune::worker
