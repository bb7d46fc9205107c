#ifndef ATTUNE_WORKER_METRICS_TEXT_METRICS_H_
#define ATTUNE_WORKER_METRICS_TEXT_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "attune/v1/report.pb.h"
#include "worker/metrics/bleu.h"
#include "worker/metrics/chrf.h"
#include "worker/metrics/rouge.h"
#include "worker/metrics/row_metrics.h"

namespace attune::worker {

// Whether answers are equal but for white space around them.
bool IsSameAnswer(std::string_view a, std::string_view b);

// Generated answers against the right ones of their rows, any of which is
// right. Metrics are exact_match, bleu, chrf, rouge_1, rouge_2 and rouge_l, all
// 0 to 1 like other metrics: a bleu of 0.274 is what others call 27.4.
class TextRows : public RowMetrics {
 public:
  TextRows(absl::Span<const std::vector<std::string>> right,
           absl::Span<const std::string> given, BleuTokenizer tokenizer);

  size_t num_rows() const override { return rows_.size(); }
  void Measure(absl::Span<const int32_t> rows,
               MetricValues& values) const override;

 private:
  struct Row {
    bool is_exact = false;
    BleuCounts bleu;
    ChrfCounts chrf;
    RougeScores rouge;
  };

  std::vector<Row> rows_;
};

// Fills metrics of `report`: those of TextRows, and distinct_1 and distinct_2
// of the given answers. The latter are no metrics of rows: a row that is drawn
// twice adds nothing new, so bounds from draws would lie below the value.
void AddTextMetrics(const TextRows& rows, absl::Span<const std::string> given,
                    attune::v1::EvaluationReport& report);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_TEXT_METRICS_H_
