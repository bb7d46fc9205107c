#ifndef ATTUNE_WORKER_METRICS_ROC_AUC_H_
#define ATTUNE_WORKER_METRICS_ROC_AUC_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"

namespace attune::worker {

// The area under the ROC curve of labels' probabilities, over any of some rows:
// how likely a row of a label has more of the label's probability than another
// row, where equal counts half. As roc_auc_score of scikit-learn: of two labels
// that of the second, of more the mean over labels, each against all others
// (multi_class="ovr", average="macro"). Rows are sorted once, so that many
// draws of them are fast.
class RocAuc {
 public:
  // right: indices of labels. probabilities: [rows][labels]; one that is no
  // number counts as 0.
  RocAuc(absl::Span<const int> right,
         absl::Span<const std::vector<double>> probabilities);

  // Absent if a label is right for none of `rows` or for all.
  std::optional<double> Of(absl::Span<const int32_t> rows) const;

 private:
  // Rows of equal probability in an order, one of which the label is right for.
  struct Tie {
    size_t begin = 0;
    size_t end = 0;
  };
  struct LabelOrder {
    int label = 0;
    std::vector<int32_t> rows;  // the most probable first
    std::vector<Tie> ties;
  };

  LabelOrder OrderBy(int label,
                     absl::Span<const std::vector<double>> probabilities) const;
  // times: how often each row was drawn.
  double AreaOf(const LabelOrder& order, const std::vector<int32_t>& times,
                double num_label, double num_others) const;

  std::vector<int> right_;
  size_t num_labels_ = 0;
  std::vector<LabelOrder> orders_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_ROC_AUC_H_
