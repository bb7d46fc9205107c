#include "worker/tasks/tag_scorer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "proto/cc/status_macros.h"
#include "worker/models/torch_errors.h"
#include "worker/tasks/encoder_batch.h"

namespace attune::worker {
namespace {

// Adds the rows of the words' first tokens in a batch where their text begins
// at row `text_begin`.
void AddWordRows(absl::Span<const InputWord> words, int64_t text_begin,
                 std::vector<int64_t>& rows) {
  for (const InputWord& word : words) {
    if (word.token >= 0) rows.push_back(text_begin + word.token);
  }
}

at::Tensor SelectRows(const at::Tensor& hidden,
                      const std::vector<int64_t>& rows) {
  return at::index_select(hidden, 0,
                          at::tensor(rows, at::kLong).to(hidden.device()));
}

// hidden: [rows, dim] -> scores of the words in `rows`.
TagScores ScoreRows(const ClassifierHead& head, const at::Tensor& hidden,
                    const std::vector<int64_t>& rows) {
  if (rows.empty()) return {};
  const at::Tensor scores =
      at::log_softmax(head.Logits(SelectRows(hidden, rows)), /*dim=*/1)
          .to(at::kCPU, at::kDouble)
          .contiguous();
  TagScores words;
  const double* next = scores.const_data_ptr<double>();
  for (size_t i = 0; i < rows.size(); ++i, next += scores.size(1)) {
    words.emplace_back(next, next + scores.size(1));
  }
  return words;
}

}  // namespace

absl::StatusOr<std::vector<TagScores>> ScoreTags(
    const EncoderModel& model, absl::Span<const TagQuery> queries) {
  using Scores = std::vector<TagScores>;
  if (queries.empty()) return Scores();
  return CatchTorchErrors("scoring tags", [&]() -> absl::StatusOr<Scores> {
    const at::NoGradGuard no_grad;
    EncoderBatch batch;
    for (const TagQuery& query : queries) {
      batch.AddText(query.text, *query.prompt);
    }
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden,
                            model.Forward(batch.Build(model)));
    Scores scores;
    for (size_t i = 0; i < queries.size(); ++i) {
      std::vector<int64_t> rows;
      AddWordRows(queries[i].words, batch.texts()[i].text_begin(), rows);
      scores.push_back(ScoreRows(queries[i].prompt->head, hidden, rows));
    }
    return scores;
  });
}

int64_t NumTagRows(const TagQuery& query) {
  return EncoderBatch::CountRows(query.text, query.prompt->rows);
}

std::vector<int> DecodeTags(const TagScheme& tags,
                            absl::Span<const InputWord> words,
                            const TagScores& scores) {
  std::vector<int> all(words.size(), tags.outside());
  // No entity goes on through a word that the model does not read, and "O" may
  // stand beside everything: each run of words that it reads is by itself.
  size_t next = 0;
  for (size_t begin = 0; begin < words.size();) {
    size_t end = begin;
    while (end < words.size() && words[end].token >= 0) ++end;
    const std::vector<int> run =
        tags.Decode(absl::MakeConstSpan(scores).subspan(next, end - begin));
    std::copy(run.begin(), run.end(), all.begin() + begin);
    next += end - begin;
    begin = end + 1;
  }
  return all;
}

absl::StatusOr<BatchLoss> TagLoss(const EncoderModel& model,
                                  const AttachedPrompt& prompt,
                                  absl::Span<const TagSample> samples,
                                  double label_smoothing) {
  return CatchTorchErrors("tag loss", [&]() -> absl::StatusOr<BatchLoss> {
    EncoderBatch batch;
    std::vector<int64_t> rows;
    std::vector<int64_t> tags;
    for (const TagSample& sample : samples) {
      batch.AddText(sample.text, prompt);
      AddWordRows(sample.words, batch.texts().back().text_begin(), rows);
      for (size_t i = 0; i < sample.words.size(); ++i) {
        if (sample.words[i].token >= 0) tags.push_back(sample.tags[i]);
      }
    }
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden,
                            model.Forward(batch.Build(model)));
    return BatchLoss{.sum = at::cross_entropy_loss(
                         prompt.head.Logits(SelectRows(hidden, rows)),
                         at::tensor(tags, at::kLong).to(hidden.device()),
                         /*weight=*/{}, at::Reduction::Sum,
                         /*ignore_index=*/-100, label_smoothing),
                     .weight = static_cast<double>(tags.size()),
                     .num_rows = batch.num_rows()};
  });
}

}  // namespace attune::worker
