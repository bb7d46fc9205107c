#include "worker/tasks/choice_scorer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "proto/cc/status_macros.h"
#include "worker/models/torch_errors.h"
#include "worker/tasks/generation_loss.h"
#include "worker/tasks/language_batch.h"

namespace attune::worker {
namespace {

// Places of what belongs together, one list after the other.
class PlaceLists {
 public:
  // Begins a list of `count` places, which follow on those of the others.
  void Add(int64_t count) {
    begins_.push_back(num_places_);
    counts_.push_back(count);
    longest_ = std::max(longest_, count);
    num_places_ += count;
  }

  // values: [places] -> a row for each list, shorter ones filled up with
  // `filling`: [lists, longest].
  at::Tensor Rows(const at::Tensor& values, double filling) const {
    std::vector<int64_t> places(begins_.size() * longest_, num_places_);
    for (size_t i = 0; i < begins_.size(); ++i) {
      for (int64_t j = 0; j < counts_[i]; ++j) {
        places[i * longest_ + j] = begins_[i] + j;
      }
    }
    return at::cat({values, at::full({1}, filling, values.options())})
        .index_select(0, at::tensor(places).to(values.device()))
        .view({static_cast<int64_t>(begins_.size()), longest_});
  }

  // The other way, rows: [lists, longest] -> [places].
  at::Tensor Flatten(const at::Tensor& rows) const {
    std::vector<int64_t> places;
    places.reserve(num_places_);
    for (size_t i = 0; i < begins_.size(); ++i) {
      for (int64_t j = 0; j < counts_[i]; ++j) {
        places.push_back(static_cast<int64_t>(i) * longest_ + j);
      }
    }
    return rows.flatten().index_select(0, at::tensor(places).to(rows.device()));
  }

  const std::vector<int64_t>& counts() const { return counts_; }

 private:
  std::vector<int64_t> begins_;
  std::vector<int64_t> counts_;
  int64_t longest_ = 0;
  int64_t num_places_ = 0;
};

// Collects the tokens of choices and the rows that predict them.
class ChoiceTable {
 public:
  // Adds `choices` as branches behind text segment `text` of `batch`. Call
  // after all texts are in the batch.
  void AddText(ChoiceTokens choices, int text, LanguageBatch& batch) {
    const int64_t behind_text = Want(batch.RowBehindText(text));
    for (const std::vector<int64_t>& choice : choices) {
      const absl::Span<const int64_t> run =
          absl::MakeConstSpan(choice).first(choice.size() - 1);
      const int branch = run.empty() ? text : batch.AddBranch(run, text);
      for (size_t i = 0; i < choice.size(); ++i) {
        row_of_.push_back(
            i == 0 ? behind_text
                   : Want(batch.RowOf(branch, static_cast<int64_t>(i) - 1)));
        targets_.push_back(choice[i]);
      }
      tokens_.Add(static_cast<int64_t>(choice.size()));
    }
    choices_.Add(static_cast<int64_t>(choices.size()));
  }

  // The rows whose hidden states predict the tokens.
  const std::vector<int64_t>& rows() const { return rows_; }

  // hidden: of these rows, [rows, dim] -> log-probabilities of the choices of
  // each text, one text after the other: [choices], fp32.
  at::Tensor Evaluate(const LanguageModel& model,
                      const at::Tensor& hidden) const {
    const auto on_device = [&](const at::Tensor& values) {
      return values.to(hidden.device());
    };
    const at::Tensor losses = CrossEntropyRows(
        model, hidden.index_select(0, on_device(at::tensor(row_of_))),
        on_device(at::tensor(targets_)));
    std::vector<float> lengths(tokens_.counts().begin(),
                               tokens_.counts().end());
    const at::Tensor scores =
        -tokens_.Rows(losses, 0).sum(1) / on_device(at::tensor(lengths));
    const at::Tensor rows =
        choices_.Rows(scores, -std::numeric_limits<double>::infinity());
    return choices_.Flatten(at::log_softmax(rows, /*dim=*/1));
  }

 private:
  // The place of a row among those asked for.
  int64_t Want(int64_t row) {
    rows_.push_back(row);
    return static_cast<int64_t>(rows_.size()) - 1;
  }

  std::vector<int64_t> rows_;
  std::vector<int64_t> row_of_;   // per token: a place in rows_
  std::vector<int64_t> targets_;  // the tokens
  PlaceLists tokens_;             // of each choice
  PlaceLists choices_;            // of each text
};

}  // namespace

absl::StatusOr<std::vector<std::vector<double>>> ScoreChoices(
    const LanguageModel& model, absl::Span<const ChoiceQuery> queries) {
  using Scores = std::vector<std::vector<double>>;
  if (queries.empty()) return Scores();
  return CatchTorchErrors("scoring choices", [&]() -> absl::StatusOr<Scores> {
    const at::NoGradGuard no_grad;
    LanguageBatch batch(model);
    std::vector<BatchText> queried;
    queried.reserve(queries.size());
    for (const ChoiceQuery& query : queries) {
      queried.push_back({.text = query.text, .prompt = query.prompt});
    }
    const std::vector<int> texts = batch.AddTexts(queried);
    ChoiceTable table;
    for (size_t i = 0; i < queries.size(); ++i) {
      table.AddText(queries[i].choices, texts[i], batch);
    }
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden, batch.Run(table.rows()));
    const at::Tensor flat =
        table.Evaluate(model, hidden).to(at::kCPU, at::kDouble).contiguous();
    const double* next = flat.const_data_ptr<double>();
    Scores scores;
    scores.reserve(queries.size());
    for (const ChoiceQuery& query : queries) {
      scores.emplace_back(next, next + query.choices.size());
      next += query.choices.size();
    }
    return scores;
  });
}

int64_t NumBranchRows(ChoiceTokens choices) {
  int64_t rows = 0;
  for (const std::vector<int64_t>& choice : choices) {
    rows += static_cast<int64_t>(choice.size()) - 1;
  }
  return rows;
}

int64_t NumChoiceRows(const ChoiceQuery& query) {
  const int64_t rows =
      static_cast<int64_t>(query.text.size()) + NumBranchRows(query.choices);
  return query.prompt != nullptr && query.prompt->rows.defined()
             ? rows + query.prompt->rows.size(0)
             : rows;
}

absl::StatusOr<BatchLoss> ChoiceLoss(const LanguageModel& model,
                                     const AttachedPrompt& prompt,
                                     absl::Span<const ChoiceSample> samples,
                                     const LossOptions& options) {
  return CatchTorchErrors("choice loss", [&]() -> absl::StatusOr<BatchLoss> {
    LanguageBatch batch(model);
    batch.SharePrompt(prompt);
    std::vector<BatchText> sampled;
    sampled.reserve(samples.size());
    for (const ChoiceSample& sample : samples) {
      sampled.push_back({.text = sample.text});
    }
    const std::vector<int> texts =
        batch.AddTexts(sampled, options.share_beginnings);
    ChoiceTable table;
    const double smoothing = options.label_smoothing;
    std::vector<float> shares;  // of all choices, in the loss
    for (size_t i = 0; i < samples.size(); ++i) {
      table.AddText(samples[i].choices, texts[i], batch);
      const size_t count = samples[i].choices.size();
      const size_t right = static_cast<size_t>(samples[i].right);
      for (size_t choice = 0; choice < count; ++choice) {
        shares.push_back(
            static_cast<float>(smoothing / static_cast<double>(count) +
                               (choice == right ? 1 - smoothing : 0)));
      }
    }
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden, batch.Run(table.rows()));
    const at::Tensor scores = table.Evaluate(model, hidden);
    return BatchLoss{
        .sum = -(scores * at::tensor(shares).to(scores.device())).sum(),
        .weight = static_cast<double>(samples.size()),
        .num_rows = batch.num_rows()};
  });
}

}  // namespace attune::worker
