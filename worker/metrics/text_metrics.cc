#include "worker/metrics/text_metrics.h"

#include <algorithm>

#include "worker/metrics/class_quality.h"
#include "worker/metrics/code_points.h"
#include "worker/metrics/distinct_n.h"

namespace attune::worker {

bool IsSameAnswer(std::string_view a, std::string_view b) {
  return Strip(a) == Strip(b);
}

TextRows::TextRows(absl::Span<const std::vector<std::string>> right,
                   absl::Span<const std::string> given,
                   BleuTokenizer tokenizer) {
  rows_.reserve(right.size());
  for (size_t i = 0; i < right.size(); ++i) {
    const auto is_given = [&](const std::string& one) {
      return IsSameAnswer(one, given[i]);
    };
    rows_.push_back(
        {.is_exact = std::any_of(right[i].begin(), right[i].end(), is_given),
         .bleu = CountForBleu(right[i], given[i], tokenizer),
         .chrf = CountForChrf(right[i], given[i]),
         .rouge = ScoreRouge(right[i], given[i])});
  }
}

void TextRows::Measure(absl::Span<const int32_t> rows,
                       MetricValues& values) const {
  double exact = 0;
  BleuCounts bleu;
  ChrfCounts chrf;
  RougeScores rouge;
  for (const int32_t index : rows) {
    const Row& row = rows_[index];
    if (row.is_exact) ++exact;
    bleu += row.bleu;
    chrf += row.chrf;
    rouge.rouge_1 += row.rouge.rouge_1;
    rouge.rouge_2 += row.rouge.rouge_2;
    rouge.rouge_l += row.rouge.rouge_l;
  }
  const auto count = static_cast<double>(rows.size());
  values["exact_match"] = Ratio(exact, count);
  values["bleu"] = BleuOf(bleu);
  values["chrf"] = ChrfOf(chrf);
  values["rouge_1"] = Ratio(rouge.rouge_1, count);
  values["rouge_2"] = Ratio(rouge.rouge_2, count);
  values["rouge_l"] = Ratio(rouge.rouge_l, count);
}

void AddTextMetrics(const TextRows& rows, absl::Span<const std::string> given,
                    attune::v1::EvaluationReport& report) {
  MetricValues& values = *report.mutable_metrics();
  rows.MeasureAll(values);
  const DistinctShares distinct = DistinctSharesOf(given);
  values["distinct_1"] = distinct.distinct_1;
  values["distinct_2"] = distinct.distinct_2;
}

}  // namespace attune::worker
