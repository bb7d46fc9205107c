#include "worker/tasks/span_scorer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "proto/cc/status_macros.h"
#include "worker/models/torch_errors.h"
#include "worker/tasks/encoder_batch.h"
#include "worker/tasks/pass_size.h"

namespace attune::worker {
namespace {

// hidden: [rows, dim] -> the rows that a window's answer may begin or end at,
// the text's first and the context's: [1 + tokens, dim].
at::Tensor CandidateRows(const at::Tensor& hidden, int64_t text_begin,
                         const ContextWindow& window) {
  return at::cat({hidden.narrow(0, text_begin, 1),
                  hidden.narrow(0, text_begin + window.first,
                                static_cast<int64_t>(window.tokens.size()))});
}

std::vector<double> ToNumbers(const at::Tensor& values) {
  const at::Tensor copy = values.to(at::kCPU, at::kDouble).contiguous();
  const double* first = copy.const_data_ptr<double>();
  return {first, first + copy.numel()};
}

// Natural logarithm of the sum of exponentials.
double LogSum(absl::Span<const double> scores) {
  const double largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (const double score : scores) sum += std::exp(score - largest);
  return largest + std::log(sum);
}

// A window and what stands before it.
struct PlacedWindow {
  const ContextWindow* window = nullptr;
  const AttachedPrompt* prompt = nullptr;
};

int64_t NumWindowRows(const PlacedWindow& one) {
  return EncoderBatch::CountRows(one.window->ids, one.prompt->rows);
}

// What one forward says about windows.
struct WindowOutputs {
  std::vector<at::Tensor> outputs;  // per window: the head's, [1 + tokens, 2]
  int64_t num_rows = 0;             // that went through the model
};

absl::StatusOr<WindowOutputs> RunWindows(
    const EncoderModel& model, absl::Span<const PlacedWindow> windows) {
  EncoderBatch batch;
  for (const PlacedWindow& one : windows) {
    batch.AddText(one.window->ids, *one.prompt);
  }
  ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden,
                          model.Forward(batch.Build(model)));
  WindowOutputs result{.outputs = {}, .num_rows = batch.num_rows()};
  for (size_t i = 0; i < windows.size(); ++i) {
    result.outputs.push_back(windows[i].prompt->head.Logits(CandidateRows(
        hidden, batch.texts()[i].text_begin(), *windows[i].window)));
  }
  return result;
}

bool IsFinite(const SpanScores& scores) {
  const auto finite = [](double score) { return std::isfinite(score); };
  return std::all_of(scores.begins.begin(), scores.begins.end(), finite) &&
         std::all_of(scores.ends.begin(), scores.ends.end(), finite);
}

// The loss of the right place among `scores`, log-probabilities: [places].
at::Tensor PlaceLoss(const at::Tensor& scores, int place, double smoothing) {
  const at::Tensor right = -scores.select(0, place);
  if (smoothing == 0) return right;
  return right * (1 - smoothing) - scores.mean() * smoothing;
}

}  // namespace

absl::StatusOr<std::vector<std::vector<SpanScores>>> ScoreSpans(
    const EncoderModel& model, absl::Span<const SpanQuery> queries,
    int64_t max_rows) {
  using Scores = std::vector<std::vector<SpanScores>>;
  return CatchTorchErrors("scoring spans", [&]() -> absl::StatusOr<Scores> {
    const at::NoGradGuard no_grad;
    std::vector<PlacedWindow> windows;
    for (const SpanQuery& query : queries) {
      for (const ContextWindow& window : query.windows) {
        windows.push_back({&window, query.prompt});
      }
    }
    std::vector<SpanScores> flat;
    for (absl::Span<const PlacedWindow> rest = windows; !rest.empty();) {
      const size_t count = PassSize(rest, max_rows, NumWindowRows);
      ATTUNE_ASSIGN_OR_RETURN(const WindowOutputs run,
                              RunWindows(model, rest.first(count)));
      for (const at::Tensor& outputs : run.outputs) {
        flat.push_back({.begins = ToNumbers(outputs.select(1, 0)),
                        .ends = ToNumbers(outputs.select(1, 1))});
      }
      rest.remove_prefix(count);
    }
    Scores scores;
    auto next = std::make_move_iterator(flat.begin());
    for (const SpanQuery& query : queries) {
      const auto end = next + static_cast<int64_t>(query.windows.size());
      scores.emplace_back(next, end);
      next = end;
    }
    return scores;
  });
}

int64_t NumSpanRows(const SpanQuery& query) {
  int64_t rows = 0;
  for (const ContextWindow& window : query.windows) {
    rows += NumWindowRows({&window, query.prompt});
  }
  return rows;
}

ScoredSpan FindBestSpan(absl::Span<const ContextWindow> windows,
                        absl::Span<const SpanScores> scores, int max_tokens) {
  if (!std::all_of(scores.begin(), scores.end(), IsFinite)) {
    return {.span = {}, .score = std::nan("")};
  }
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  double best = kNone;
  double no_answer = -kNone;
  double no_answer_score = 1;
  ScoredSpan found;
  for (size_t w = 0; w < windows.size(); ++w) {
    const std::vector<double>& begins = scores[w].begins;
    const std::vector<double>& ends = scores[w].ends;
    const std::vector<Encoding::ByteRange>& tokens = windows[w].tokens;
    const double normaliser = LogSum(begins) + LogSum(ends);
    const int count = static_cast<int>(begins.size());
    for (int i = 1; i < count; ++i) {
      for (int j = i; j < std::min(count, i + max_tokens); ++j) {
        if (begins[i] + ends[j] <= best) continue;
        // What stands for no character answers nothing.
        if (tokens[i - 1].begin >= tokens[j - 1].end) continue;
        best = begins[i] + ends[j];
        found = {.span = {tokens[i - 1].begin, tokens[j - 1].end},
                 .score = std::exp(best - normaliser)};
      }
    }
    no_answer = std::min(no_answer, begins[0] + ends[0]);
    no_answer_score =
        std::min(no_answer_score, std::exp(begins[0] + ends[0] - normaliser));
  }
  if (best > no_answer) return found;
  return {.span = {}, .score = no_answer_score};
}

double SpanLossOf(const SpanScores& scores, const std::pair<int, int>& tokens) {
  return (LogSum(scores.begins) - scores.begins[tokens.first] +
          LogSum(scores.ends) - scores.ends[tokens.second]) /
         2;
}

absl::StatusOr<BatchLoss> SpanLoss(const EncoderModel& model,
                                   const AttachedPrompt& prompt,
                                   absl::Span<const SpanSample> samples,
                                   double label_smoothing) {
  return CatchTorchErrors("span loss", [&]() -> absl::StatusOr<BatchLoss> {
    std::vector<PlacedWindow> windows;
    for (const SpanSample& sample : samples) {
      windows.push_back({sample.window, &prompt});
    }
    ATTUNE_ASSIGN_OR_RETURN(const WindowOutputs run,
                            RunWindows(model, windows));
    at::Tensor sum = at::zeros({}, run.outputs[0].options().dtype(at::kFloat));
    for (size_t i = 0; i < samples.size(); ++i) {
      const at::Tensor scores = at::log_softmax(run.outputs[i], /*dim=*/0);
      const auto& [first, last] = samples[i].tokens;
      sum = sum + (PlaceLoss(scores.select(1, 0), first, label_smoothing) +
                   PlaceLoss(scores.select(1, 1), last, label_smoothing)) /
                      2;
    }
    return BatchLoss{.sum = sum,
                     .weight = static_cast<double>(samples.size()),
                     .num_rows = run.num_rows};
  });
}

}  // namespace attune::worker
